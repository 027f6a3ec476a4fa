"""Find and mask, stateless: what is sensitive in a text, and the text without it."""

from __future__ import annotations

from guardai.model import Finding
from guardai.text import render
from guardai.text.engines import scanner
from guardai.text.judge import Found

__all__ = ["characters", "mask", "scan"]


def characters(data: bytes, found: list[Found], length: int) -> list[Finding]:
    """Findings in bytes as findings in characters. `length`: of the text in characters."""
    if length == len(data):
        return [Finding(start, end, label, score) for start, end, label, score in found]
    result = []
    done = chars = 0
    for start, end, label, score in found:
        chars += _count(data, done, start)
        first, chars = chars, chars + _count(data, start, end)
        done = end
        result.append(Finding(first, chars, label, score))
    return result


_CONTINUATION = bytes(range(0x80, 0xC0))


def _count(data: bytes, start: int, end: int) -> int:
    """Characters in `data[start:end]`: its bytes but those that continue one."""
    return len(data[start:end].translate(None, _CONTINUATION))


def scan(text: str) -> list[Finding]:
    """Finds personal data and secrets.

    Args:
        text: any string; lone surrogates and NUL included.

    Returns:
        Findings in the order of the text, not overlapping, with character offsets. They hold no text.
    """
    data = text.encode("utf-8", "surrogatepass")
    found = scanner().find(data)
    return characters(data, found, len(text)) if found else []


def mask(text: str) -> str:
    """Replaces what `scan` finds by what kind of thing it was: `[EMAIL]`, `[SECRET:GITHUB_TOKEN]`.

    The name is the label's last part in capitals; a secret's stands after `SECRET:`. Masking a masked text changes
    nothing. If nothing is found, `text` itself is returned.
    """
    data = text.encode("utf-8", "surrogatepass")
    found = scanner().find(data)
    if not found:
        return text
    parts = []
    done = 0
    for start, end, label, _ in found:
        parts.append(data[done:start].decode("utf-8", "surrogatepass"))
        parts.append(render.redact(label))
        done = end
    parts.append(data[done:].decode("utf-8", "surrogatepass"))
    return "".join(parts)
