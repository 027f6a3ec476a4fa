"""Find, stateless: what is sensitive in a text."""

from __future__ import annotations

from collections.abc import Iterable

from guardai.model import Finding
from guardai.text.judging.judge import Found
from guardai.text.scanner import scanner

__all__ = ["behind", "characters", "scan"]


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


def behind(found: Iterable[Found], size: int) -> list[Found]:
    """What was found behind the first `size` bytes, which were put before the text as its context."""
    return [(max(start - size, 0), end - size, label, score) for start, end, label, score in found if end > size]


def _found(text: str, hint: str | None) -> tuple[bytes, list[Found]]:
    """The text as UTF-8 and its findings in bytes, with `hint` as what stands before it."""
    data = text.encode("utf-8", "surrogatepass")
    if not hint:
        return data, scanner().find(data)
    before = f"{str.__str__(hint)}: ".encode("utf-8", "surrogatepass")
    size = len(before)
    current = scanner()
    found = current.find_whole(hint, data, behind(current.find_patterns(before + data), size))
    return data, found if current.names is None else current.names.add(data, found)


def scan(text: str, *, hint: str | None = None) -> list[Finding]:
    """Finds personal data and secrets.

    Args:
        text: any string; lone surrogates and NUL included.
        hint: the key, column or field that the text stands under, if there is one: `phone`, `customerSsn`. Its words
            count as words before a value do, exactly as those of a key in JSON.

    Returns:
        Findings in the order of the text, not overlapping, with character offsets. They hold no text.
    """
    data, found = _found(text, hint)
    return characters(data, found, len(text)) if found else []
