"""Masks without a session: by the name that a caller gives, under keys of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

from guardai.errors import ConfigError
from guardai.model import MASKS, Mask
from guardai.text.masks import render
from guardai.text.masks.tokens import Tokens

__all__ = ["known", "process_key", "replacer"]


def known(style: str | None) -> Mask:
    """The mask of that name; `redact` for None.

    Raises:
        ConfigError: there is none.
    """
    if style is None:
        return "redact"
    if style not in MASKS:
        raise ConfigError(f"there is no mask {style!r}; choose one of {', '.join(MASKS)}")
    return style


@cache
def process_key() -> bytes:
    """32 random bytes: the key of masks that nobody gave one, equal for as long as the process lives."""
    return os.urandom(32)


def replacer(style: str | None, text: str = "") -> Callable[[str, str], str]:
    """What masks without a session: a function of label and value.

    `hash`, `shift` and `fpe` are keyed by random bytes of this process, so that what they make can be compared within one
    run of a program, not across two. Each function for `token` has a table of its own, which nobody can read: the same
    value is the same token in all that it masks.

    Args:
        style: a mask (`guardai.model.MASKS`); None is `redact`.
        text: where it masks: what looks like a token there is none that is made.

    Raises:
        ConfigError: there is no such mask; the message names those that there are.
    """
    mask = known(style)
    if mask == "token":
        tokens = Tokens()
        tokens.reserve(text)
        return tokens.token
    if mask == "redact":
        return lambda label, _: render.redact(label)
    if mask == "partial":
        return render.partial
    return lambda label, value: render.rendered(mask, label, value, process_key(), "")
