"""Masking without a session: one text, or one payload, in a style that the caller names."""

from __future__ import annotations

from typing import Any

from guardai.text.masking import Masking
from guardai.text.masks import styles
from guardai.text.masks.tokens import Tokens
from guardai.text.scanner import scanner

__all__ = ["mask", "mask_payload"]


def mask(text: str, *, style: str | None = None) -> str:
    """Replaces what `scan` finds; by default by what kind of thing it was: `[EMAIL]`, `[SECRET:GITHUB_TOKEN]`.

    The name is the label's last part in capitals; a secret's stands after `SECRET:`. Masking a text that is masked so
    changes nothing. If nothing is found, `text` itself is returned.

    Args:
        text: any string; lone surrogates and NUL included.
        style: another mask: `drop`, `null`, `hash`, `shift`, `fpe`, `partial`, `token` (docs/masking.md says what each
            makes). Its key, if it has one, is of this process, its table of this call.

    Raises:
        ConfigError: there is no such mask.
    """
    styles.known(style)
    data = text.encode("utf-8", "surrogatepass")
    found = scanner().find(data)
    if not found:
        return text
    replace = styles.replacer(style, text)
    parts = []
    done = 0
    for start, end, label, _ in found:
        parts.append(data[done:start].decode("utf-8", "surrogatepass"))
        parts.append(replace(label, data[start:end].decode("utf-8", "surrogatepass")))
        done = end
    parts.append(data[done:].decode("utf-8", "surrogatepass"))
    return "".join(parts)


def mask_payload(obj: Any, *, style: str | None = None) -> Any:
    """The payload with what is found in it masked: messages, arguments, results, rows, JSON inside of their strings.

    Nothing is changed in place. Types are kept, the key that a value stands under is its context, and what holds nothing
    sensitive is the same object as before.

    Args:
        obj: dict, list, tuple, set (and what derives from them), str, bytes that are UTF-8, numbers, dates, None; in one
            another, at most 900 deep.
        style: as for `mask`.

    Raises:
        ConfigError: there is no such mask.
        PayloadError: something cannot be looked into: an object (a dataclass, a model: give its dictionary), bytes that are
            no text, a container that holds itself, too deep a nesting.
    """
    how = styles.known(style)
    tokens = Tokens() if how == "token" else None
    return Masking(lambda _: how, tokens=tokens, key=styles.process_key()).payload(obj)
