"""Names of persons, places and organisations: found by a library that reads sentences, if one is chosen.

Such a library is no part of this package. An adapter brings it in (`integrations/`, or anybody's), found by the
entry-point group `guardai.recognisers` and loaded only if a bundle or `configure` names it.

A recogniser reads *pieces*: a line with its line feed. Of a longer line it reads `PIECE` bytes, and the piece ends before
the last `_SHARED` of them, where no name is cut; the next begins there. Where a piece ends is decided by what stands in
those bytes and nothing else. So a text that arrives in parts is cut as the whole is, and the same names are found in it
(`stream.py`).

SECURITY INVARIANT: a recogniser that fails, or answers with what cannot be, is an error, and an error is a denial. No
text is taken for clean because nobody looked.
"""

from __future__ import annotations

import difflib
import os
import re
import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol, runtime_checkable

from guardai.errors import GuardError
from guardai.model import Finding, Label
from guardai.text.judging.judge import Found

__all__ = ["GROUP", "PIECE", "Recogniser", "RecogniserError", "Recognisers", "load"]

GROUP: Final = "guardai.recognisers"
#: Those that we make an adapter for, `guardai-sdk-<name>`.
_ADAPTERS: Final = ("gliner", "presidio", "spacy")
#: Bytes of a line that are read at once; models see about 500 tokens.
PIECE: Final = 1024
#: How many of them the next piece begins with, because what stands at the end may be half a name.
_SHARED: Final = 128
#: Pieces whose names are remembered, by digest: 2 MB.
_REMEMBERED: Final = 4096

_LETTER: Final = re.compile(r"[^\W\d_]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SENTENCE: Final = re.compile(rb"[.!?]\s+")
_WORD: Final = re.compile(rb"\s+")
#: What masking has put there is nobody's name.
_PLACED: Final = re.compile(rb"\[[A-Z][A-Z0-9_]*(?::[A-Za-z0-9_]+)*\]|<!*[A-Z][A-Z0-9_]*_[0-9]+>")


class RecogniserError(GuardError, RuntimeError):
    """A recogniser is not there, cannot be loaded, or failed on a text. The message never holds the text."""


@runtime_checkable
class Recogniser(Protocol):
    """What finds names in a piece of text. It is called by one thread at a time.

    Attributes:
        name: for messages, `spacy`.
        labels: all that a finding may bear, such as `pii.person`, `pii.location`, `pii.organization`.
    """

    name: str
    labels: tuple[str, ...]

    def recognise(self, text: str) -> Sequence[Finding]:
        """The names in a text of at most `PIECE` bytes, with character offsets, in any order."""


def load(names: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Recogniser, ...]:
    """The recognisers of these names.

    Args:
        names: of entry points in the group `guardai.recognisers`. Each is a `Recogniser`, or a callable that makes one.
        options: name → arguments of that callable.

    Raises:
        RecogniserError: one is not installed, its library is not, or it cannot be made from these options.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    made = []
    for name in dict.fromkeys(names):
        if name not in found:
            raise RecogniserError(f"recogniser {name!r} is not installed; {_there(name, found)}")
        made.append(_made(found[name], dict((options or {}).get(name, {}))))
    return tuple(made)


def _there(name: str, found: Iterable[str]) -> str:
    """What is installed, and what is meant: never a distribution that we do not make, for anybody could give it its name."""
    there = sorted(found)
    told = f"installed: {', '.join(there) or 'none'}."
    for meant in difflib.get_close_matches(name, (*there, *_ADAPTERS), n=1):
        told += f" Is it {meant!r}?" if meant != name else ""
        told += f" Try guardai-sdk-{meant}" if meant not in there else ""
    return told


def _made(entry: EntryPoint, options: dict[str, Any]) -> Recogniser:
    try:
        loaded = entry.load()
        if isinstance(loaded, type) or not isinstance(loaded, Recogniser):
            loaded = loaded(**options)
        elif options:
            raise RecogniserError(f"recogniser {entry.name!r} takes no options")
    except RecogniserError:
        raise
    except ImportError as error:
        raise RecogniserError(f"recogniser {entry.name!r}: its library is not installed: {error}") from error
    except Exception as error:
        raise RecogniserError(
            f"recogniser {entry.name!r} ({entry.value}) cannot be made: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(loaded, Recogniser):
        raise RecogniserError(f"recogniser {entry.name!r} ({entry.value}) is {type(loaded).__name__}, no Recogniser")
    return loaded


def _cut(window: bytes, names: Sequence[Found]) -> int:
    """Where a piece ends that is longer than it may be: behind a sentence, or a word, or anywhere, but not in a name."""
    last = len(window) - _SHARED
    for gap in (_SENTENCE, _WORD):
        for match in reversed(list(gap.finditer(window, PIECE // 2, last))):
            if not any(start < match.end() < end for start, end, _, _ in names):
                return match.end()
    while window[last] & 0xC0 == 0x80:
        last -= 1
    for start, end, _, _ in names:
        if start < last < end:
            return start or end
    return last


_all: weakref.WeakSet[Recognisers] = weakref.WeakSet()


def _renew() -> None:
    """In a forked child another thread of the parent may have been reading, and is not there to end."""
    for one in _all:
        one.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class Recognisers:
    """Those that were chosen, and what they found. Safe for threads.

    Args:
        recognisers: in any order.

    Raises:
        RecogniserError: one says that it finds what is no label.
    """

    def __init__(self, recognisers: Iterable[Recogniser]) -> None:
        self.recognisers = tuple(recognisers)
        for one in self.recognisers:
            try:
                for label in one.labels:
                    Label(label)
            except (TypeError, ValueError) as error:
                raise RecogniserError(f"recogniser {one.name}: {error}") from None
        self._known: OrderedDict[bytes, tuple[Found, ...]] = OrderedDict()
        self.unlock()
        _all.add(self)

    def __bool__(self) -> bool:
        return bool(self.recognisers)

    def unlock(self) -> None:
        """Gives every recogniser a lock of its own, held by nobody."""
        self._locks = tuple(threading.RLock() for _ in self.recognisers)

    def pieces(self, data: bytes, low: int, *, final: bool) -> Iterator[tuple[int, int, Sequence[Found]]]:
        """Where the pieces of a text begin and end, and the names in each, which are counted from where it begins.

        Args:
            data: the text.
            low: where a piece begins; nothing before is read.
            final: whether the text ends here. If not, a last piece that more text could change is left out.

        Raises:
            RecogniserError: a recogniser failed, or found what cannot be.
        """
        size = len(data)
        while low < size:
            line = data.find(b"\n", low, low + PIECE)
            if line >= 0:
                end = line + 1
                names: Sequence[Found] = self._read(data[low:end])
            elif size - low >= PIECE:
                last = low + PIECE - 1
                while data[last] & 0xC0 == 0x80:
                    last -= 1
                window = data[low:last]
                names = self._read(window)
                end = low + _cut(window, names)
                names = [name for name in names if name[1] <= end - low]
            elif final:
                end = size
                names = self._read(data[low:])
            else:
                return
            yield low, end, names
            low = end

    def boundary(self, data: bytes, low: int, high: int, found: Sequence[Found]) -> int:
        """The last end of a piece at or before `high` that no finding reaches across; `low` if there is none.

        Args:
            data: what is known of a text that goes on.
            low: where a piece begins.
            high: up to where the findings are certain.
            found: they, sorted.

        Raises:
            RecogniserError: a recogniser failed, or found what cannot be.
        """
        ends = [low]
        for _, end, _ in self.pieces(data, low, final=False):
            if end > high:
                break
            ends.append(end)
        for start, end, _, _ in reversed(found):
            while start < ends[-1] < end:
                ends.pop()
        return ends[-1]

    def add(self, data: bytes, found: Sequence[Found], low: int = 0, high: int | None = None) -> list[Found]:
        """The findings of the patterns, and the names around them.

        A pattern wins: of a name that it overlaps, what is left is a finding of its own.

        Args:
            data: the text, as UTF-8 (lone surrogates passed).
            found: what the patterns found in it, sorted.
            low: where a piece begins; nothing before is read.
            high: where a piece ends; nothing from there on is read.

        Raises:
            RecogniserError: one failed, or found what cannot be.
        """
        names: list[Found] = []
        for start, end, seen in self.pieces(data, low, final=high is None):
            if high is not None and end > high:
                break
            if seen:
                piece = data[start:end]
                walls = [match.span() for match in _PLACED.finditer(piece)] if b"]" in piece or b">" in piece else []
                for one in seen:
                    names += ((start + a, start + b, *one[2:]) for a, b in _outside(piece, one, walls))
        if not names:
            return list(found)
        taken = [(start, end) for start, end, _, _ in found if end > low]
        kept = [(a, b, *one[2:]) for one in names for a, b in _outside(data, one, taken)]
        return sorted((*found, *kept))

    def _read(self, piece: bytes) -> tuple[Found, ...]:
        """The names in one piece, in bytes, sorted and not overlapping."""
        key = blake2b(piece, digest_size=16).digest()
        known = self._known.get(key)
        if known is None:
            # A lone surrogate is no text for most libraries; what stands for it is as long.
            text = _SURROGATE.sub("\ufffd", piece.decode("utf-8", "surrogatepass"))
            known = ()
            if _LETTER.search(text):
                known = _joined([name for at in range(len(self.recognisers)) for name in self._ask(at, text)])
                if len(text) != len(piece):
                    known = _in_bytes(text, known)
            if len(self._known) >= _REMEMBERED:
                with suppress(KeyError):
                    self._known.popitem(last=False)
            self._known[key] = known
        return known

    def _ask(self, at: int, text: str) -> Iterator[Found]:
        one = self.recognisers[at]
        with self._locks[at]:
            try:
                found = tuple(one.recognise(text))
            except Exception as error:
                # The message may hold the text; where it was raised does not.
                raise RecogniserError(f"recogniser {one.name} failed: {type(error).__name__}{_where(error)}") from None
        for finding in found:
            if not isinstance(finding, Finding) or not 0 <= finding.start < finding.end <= len(text):
                raise RecogniserError(f"recogniser {one.name} answered with what is no finding in this text")
            if finding.label not in one.labels:
                raise RecogniserError(f"recogniser {one.name} found what is not among its labels")
            start, end = finding.start, finding.end
            while start < end and text[start].isspace():
                start += 1
            while end > start and text[end - 1].isspace():
                end -= 1
            if _LETTER.search(text, start, end):
                yield start, end, finding.label, finding.score


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" in {trace.tb_frame.f_globals.get('__name__', '?')}, line {trace.tb_lineno}"


def _joined(names: list[Found]) -> tuple[Found, ...]:
    """What overlaps, as one; it bears the label of the surest."""
    made: list[Found] = []
    best = (0.0, 0)
    for start, end, label, score in sorted(names):
        worth = (score, end - start)
        if made and start < made[-1][1]:
            first, last, kept, sure = made[-1]
            if worth > best:
                best, kept, sure = worth, label, score
            made[-1] = (first, max(last, end), kept, sure)
        else:
            made.append((start, end, label, score))
            best = worth
    return tuple(made)


def _in_bytes(text: str, names: Iterable[Found]) -> tuple[Found, ...]:
    made = []
    chars = size = 0
    for start, end, label, score in names:
        size += len(text[chars:start].encode())
        first, size = size, size + len(text[start:end].encode())
        chars = end
        made.append((first, size, label, score))
    return tuple(made)


def _outside(data: bytes, name: Found, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What of a name stands outside of what is taken (sorted, not overlapping), as far as it holds a letter."""
    start, end = name[0], name[1]
    for at in range(max(0, bisect_right(taken, (start,)) - 1), len(taken)):
        first, last = taken[at]
        if first >= end:
            break
        if last > start:
            yield from _letters(data, start, first)
            start = last
    yield from _letters(data, start, end)


def _letters(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    if start < end:
        part = data[start:end]
        start, end = start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))
        if start < end and _LETTER.search(data[start:end].decode("utf-8", "surrogatepass")):
            yield start, end
