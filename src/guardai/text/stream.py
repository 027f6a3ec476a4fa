"""Masking a text that arrives in pieces, with the result that masking it whole would have.

SECURITY INVARIANT: what leaves is a beginning of `mask(whole text)`, wherever the text is split. It rests on this:

- a value is one word, except for numbers, IBANs and key blocks. A word that has ended is final; of a word that has
  not, all is held back, but at most `WORD` bytes: no detector needs more than that to decide. A finding that begins
  before and still goes on is held back from where it begins, however long it gets;
- whatever may become a number is held back until `REACH` bytes after it are known, twice: once to know it, once more
  because a number is judged in the gap before the finding that follows it;
- an address that touches what is held back is held back with it;
- a key block is held back from its BEGIN line to its end; a value that may hold whitespace, or that a word behind it may
  decide, is held back from its anchor until all that it depends on is known. What stands before is then held as before
  an unfinished word;
- letters that may belong to the number behind them are held back with it;
- where names are looked for, all is held back to the end of a piece of text, a line say, because a name may be known by
  what stands behind it. What leaves ends where a piece ends, so that the next begins where it does in the whole;
- in JSON, what an outline says is put before a value: the text is judged with that and without it, each by the last
  finding of its own, and what leaves is certain for both.

It fails closed: after an error nothing more leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from heapq import merge
from operator import itemgetter
from typing import Final, Protocol

from guardai.text.detectors.detector import MAX_DECISION
from guardai.text.documents import dumped, unwritten, written
from guardai.text.escapes import HALF, LONGEST, View, escaped, hides, view
from guardai.text.judging.judge import NONE, Found
from guardai.text.judging.numbers import MARGIN, POSSIBLE, REACH
from guardai.text.judging.phones import SEPARATOR
from guardai.text.judging.words import LOOK
from guardai.text.masks import render, styles
from guardai.text.masks.tokens import Tokens
from guardai.text.outline import NUMBER, Outline
from guardai.text.scanner import Scanner, scanner

__all__ = ["WORD", "StreamMasker"]

#: How much of an unfinished word is held back.
WORD: Final = 256
#: An address of a machine is not longer.
_ADDRESS: Final = 50
#: How much of what has left is kept to see what stands before a value.
_KEEP: Final = 320
#: From this much held back on, it is looked at again only when a quarter has been added: linear for any text.
_PATIENT: Final = 1024

#: How much more of a word that is longer than `WORD` must come before it is looked at again.
_STEP: Final = 32
#: The same where numbers, or words before a value, follow one another: all that is held would be judged at every word.
_LONG_STEP: Final = 64
_SPACE: Final = re.compile(rb"\s")

assert WORD > MAX_DECISION
assert _KEEP > MAX_DECISION + LOOK

_possible = POSSIBLE.search
#: All that a number may be a part of; behind its last digits but so many none begins.
_digits = re.compile(rb"[0-9+(](?:" + SEPARATOR + rb"*+[0-9])*+").match
_SHORTEST: Final = 4
#: JSON's numbers are written with fewer signs.
_LONGEST: Final = 32


class _Resolver(Protocol):
    def feed(self, chunk: str) -> str: ...
    def finish(self) -> str: ...


class StreamMasker:
    """Masks a stream of text: `feed` returns what can leave, `finish` the rest.

    It is stateless and replaces as `mask` does. One stream, one object; not for several threads.

    Args:
        style: another mask than `redact`, as for `mask`.
        quoted: the text is JSON, and stays it: what replaces a number is a string, or `null`; what replaces a part of a
            string is written as JSON writes it. A key counts for all that is in what stands under it.
    """

    __slots__ = (
        "_cut_off",
        "_data",
        "_done",
        "_last",
        "_low",
        "_next",
        "_outline",
        "_replace",
        "_resolver",
        "_scanner",
        "_told",
        "_waits",
    )

    def __init__(self, style: str | None = None, *, quoted: bool = False) -> None:
        self._replace: Callable[[str, str], str | None] | None = None
        self._resolver: _Resolver | None = None
        if style == "token":
            tokens = Tokens()
            # It puts nothing back: it sees what looks like a token, so that none is made that stands there already.
            self._replace, self._resolver = tokens.token, tokens.resolver(lambda _: False)
        elif style is not None:
            self._replace = styles.replacer(style)
        self._scanner: Scanner | None = None
        self._outline = Outline(_announces, _find) if quoted else None
        #: Whether a number was replaced of which more may come.
        self._cut_off = False
        self._data = b""
        self._low = 0
        #: The last finding before `_low`, as the text stands, and with what the outline says besides.
        self._last = self._told = NONE
        #: How long the text has to be before it is looked at again; and whether a word that ends is no reason to.
        self._next = 0
        self._waits = False
        self._done = ""

    @classmethod
    def using(
        cls,
        replace: Callable[[str, str], str | None],
        resolver: _Resolver | None = None,
        *,
        quoted: bool = False,
        document: str | None = None,
        scanner: Scanner | None = None,
    ) -> StreamMasker:
        """One that asks `replace(label, value)` what a value becomes (None: it may pass), after `resolver`.

        `document` is all that will be fed, if that is there already: what stands behind a value counts, too, then. `scanner`
        is what looks; None for the process's.
        """
        stream = cls(quoted=scanner is None and (quoted or document is not None))
        if scanner is not None:
            stream._scanner = scanner
            if quoted or document is not None:
                stream._outline = Outline(scanner.announces, scanner.find_patterns)
        stream._replace = replace
        stream._resolver = resolver
        if document is not None and stream._outline is not None:
            stream._outline.look_ahead(document.encode("utf-8", "surrogatepass"))
        return stream

    @property
    def held(self) -> int:
        """How many bytes have come and not left."""
        return len(self._data) - self._low

    def feed(self, chunk: str) -> str:
        """Takes more text and returns what is certain.

        Raises:
            ValueError: the stream is finished, or failed before.
        """
        if self._done:
            raise ValueError(f"the stream is {self._done}: nothing more can be fed")
        if not chunk:
            return ""
        try:
            if self._resolver is not None:
                chunk = self._resolver.feed(chunk)
                if not chunk:
                    return ""  # the beginning of a token, perhaps
            return self._advance(chunk.encode("utf-8", "surrogatepass"))
        except BaseException:
            self._fail()
            raise

    def finish(self) -> str:
        """The text has ended: returns the rest. Again: nothing.

        Raises:
            ValueError: the stream failed before.
        """
        if self._done == "finished":
            return ""
        if self._done:
            raise ValueError(f"the stream is {self._done}: what it held is gone")
        try:
            if self._resolver is not None:
                self._data += self._resolver.finish().encode("utf-8", "surrogatepass")
            data, low = self._data, self._low
            current = self._scanner or scanner()
            if self._outline is not None:
                self._outline.read(data)
            seen = view(data) if hides(data) else None
            found = _found(current, data, low, self._last, seen)[0]
            if (told := self._besides(data, seen)) is not None:
                found = _together(found, _found(current, data, low, *told)[0])
            if current.names is not None:
                found = current.names.add(data, found, low)
            rest = self._emit(data, low, len(data), found)
        except BaseException:
            self._fail()
            raise
        self._done, self._data, self._low = "finished", b"", 0
        return rest

    def _fail(self) -> None:
        self._done, self._data, self._low = "failed", b"", 0

    def _advance(self, raw: bytes) -> str:
        data = self._data = self._data + raw
        size, low = len(data), self._low
        if self._outline is not None:
            self._outline.read(data)
        if escaped(data[-LONGEST:]) and (half := HALF.search(data, max(low, size - LONGEST))):
            # Half an escape is none: what it is of has not come.
            data, size = data[: half.start()], half.start()
            if size <= low:
                return ""
        if size < self._next and (self._waits or not _SPACE.search(raw)):
            return ""
        current = self._scanner
        if current is None:
            current = self._scanner = scanner()
        names = current.names
        if names is not None and names.boundary(data, low, size, ()) == low:
            return ""
        seen = view(data) if hides(data) else None
        found, hold, endless, wait = _certain(current, data, low, self._last, seen)
        alone = also = found
        if hold > low and (told := self._besides(data, seen)) is not None:
            also, until, on, more = _certain(current, data, low, *told)
            found, endless = _together(alone, also), endless or on
            if until < hold:
                hold, wait = until, more
        self._waits = wait > 0
        if hold <= low:
            return self._nothing(size, wait)
        if names is not None:
            hold = names.boundary(data, low, hold, found)
        quoted = self._outline is not None
        if quoted:
            hold = _begins(data, low, hold)
        certain = len(found)
        while certain and found[certain - 1][1] > hold:
            certain -= 1
            start = found[certain][0]
            hold = min(hold, _begins(data, low, start) if quoted else start)
        if hold <= low:
            return self._nothing(size, wait)
        sure = found[:certain]
        out = self._emit(data, low, hold, sure if names is None else names.add(data, sure, low, hold))
        if certain:
            self._last, self._told = _last(alone, hold, self._last), _last(also, hold, self._told)
        self._let_go(data, hold, seen, told[1] if told else None)
        # Of a word that goes on and on a little leaves each time, and what is held of it would be read anew each time.
        self._next = len(self._data) + (wait or (_STEP if endless else 0))
        return out

    def _let_go(self, data: bytes, hold: int, seen: View | None, told: View | None) -> None:
        """What stands before `hold` has left; of that, only what may be looked at again is kept."""
        cut = hold - _KEEP if seen is None else seen.place(max(0, seen.seen(hold) - _KEEP))
        if told is not None:
            cut = min(cut, told.place(max(0, told.seen(hold) - _KEEP)))
        if cut > 0:
            while data[cut] & 0xC0 == 0x80:
                cut -= 1
            if self._outline is not None:
                self._outline.cut(self._data, cut)
            self._data = self._data[cut:]
            self._last, self._told = _moved(self._last, cut), _moved(self._told, cut)
            hold -= cut
        self._low = hold

    def _nothing(self, size: int, wait: int) -> str:
        """Nothing leaves: of much that is held, all would be read again."""
        held = size - self._low
        if held > _PATIENT:
            self._waits, wait = True, held // 4
        self._next = size + wait
        return ""

    def _besides(self, data: bytes, seen: View | None) -> tuple[Found, View | None] | None:
        """How else the text is read: the last finding, and what is seen there; None if it is read in one way only.

        INVARIANT: what is found in the text is not missed in a document. What the outline says only adds to that, because it
        stands between a word and what that is of: `"order": ["--password", order: "S3cretPw9"]`.
        """
        if self._outline is None:
            return None
        said = self._outline.said
        if said and said[-1][1] > len(data):
            said = [one for one in said if one[1] <= len(data)]
        if said:
            return self._told, View(data, said)
        # What was said is gone, but not what was found by it.
        return (self._told, seen) if self._told != self._last else None

    def _emit(self, data: bytes, low: int, high: int, found: list[Found]) -> str:
        if self._outline is not None and (found or self._cut_off):
            return self._written(self._outline, data, low, high, found)
        if not found:
            return data[low:high].decode("utf-8", "surrogatepass")
        parts = []
        for start, end, label, _ in found:
            if start > low:
                parts.append(data[low:start].decode("utf-8", "surrogatepass"))
            if self._replace is None:
                parts.append(render.redact(label))
            else:
                value = data[start:end].decode("utf-8", "surrogatepass")
                made = self._replace(label, value)
                parts.append(value if made is None else made)
            low = end
        parts.append(data[low:high].decode("utf-8", "surrogatepass"))
        return "".join(parts)

    def _written(self, outline: Outline, data: bytes, low: int, high: int, found: list[Found]) -> str:
        """What leaves, so that what was JSON is JSON.

        Of a finding, what stands in each string is a value, and so is what stands between two: what separates them stays.
        """
        parts: list[str] = []
        if self._cut_off:
            while low < high and data[low] in NUMBER:
                low += 1
            self._cut_off = low == high
        for first, last, label, _ in found:
            for begin, stop, quoted in outline.parts(first, last):
                start, end = max(begin, low), stop
                if not quoted:
                    start, end = _bare(data, start, end)
                if start >= end:
                    continue
                made = self._made(label, data[start:end].decode("utf-8", "surrogatepass"), outline, data, start)
                if made is not None:
                    number = not quoted and _NUMBERS.fullmatch(data, start, end) is not None
                    if number:
                        start, end = _number(data, start, end, low, high)
                    parts += (data[low:start].decode("utf-8", "surrogatepass"), made)
                    low = end
                    self._cut_off = number and end == high
        parts.append(data[low:high].decode("utf-8", "surrogatepass"))
        return "".join(parts)

    def _made(self, label: str, value: str, outline: Outline, data: bytes, start: int) -> str | None:
        within = outline.within(start)
        if within and "\\" in value:
            value = unwritten(value, outline.depth(data, start))
        made = render.redact(label) if self._replace is None else self._replace(label, value)
        if made is None:
            return None
        if not within:
            return dumped(made) if made else "null"
        return written(made, outline.depth(data, start)) if dumped(made)[1:-1] != made else made


def _announces(name: str) -> bool:
    return scanner().announces(name)


def _find(data: bytes) -> list[Found]:
    return scanner().find_patterns(data)


#: A number, or a row of them. And what is no part of a value.
_NUMBERS: Final = re.compile(rb"[0-9+\-.eE](?:[\s,0-9+\-.eE]*+(?<=[0-9]))?")
_STRUCTURE: Final = b" \t\r\n,:[]{}"


def _bare(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Of what is found between two strings, what is a value."""
    while start < end and data[start] in _STRUCTURE:
        start += 1
    while start < end and data[end - 1] in _STRUCTURE:
        end -= 1
    return start, end


def _begins(data: bytes, low: int, at: int) -> int:
    """Where the number begins that `at` may be within; of what is longer than any, so much before it."""
    low = max(low, at - _LONGEST)
    while at > low and data[at - 1] in NUMBER:
        at -= 1
    return at


def _number(data: bytes, start: int, end: int, low: int, high: int) -> tuple[int, int]:
    """A number to its ends: the rest of one would be another."""
    start = _begins(data, low, start)
    while end < high and data[end] in NUMBER:
        end += 1
    return start, end


def _moved(one: Found, cut: int) -> Found:
    """A finding in what is left when `cut` bytes are no longer kept; of one that is not, where it ends."""
    start, end, label, score = one
    return (start - cut, end - cut, label, score) if start >= cut else (0, max(0, end - cut), "", 0.0)


def _last(found: list[Found], hold: int, earlier: Found) -> Found:
    """The last finding of those that leave, or the one before them."""
    return next((one for one in reversed(found) if one[1] <= hold), earlier)


def _together(alone: list[Found], told: list[Found]) -> list[Found]:
    """What was found in either way. What overlaps is one, under a secret's label, or the longer's, or what was said besides."""
    if not alone or alone == told:
        return told
    found: list[Found] = []
    best = False, 0
    for start, end, label, score in merge(told, alone, key=itemgetter(0)):
        worth = label.startswith("secret."), end - start
        if not found or start >= found[-1][1]:
            found.append((start, end, label, score))
            best = worth
            continue
        first, last, kept, sure = found[-1]
        if worth > best:
            best, kept, sure = worth, label, score
        found[-1] = first, max(end, last), kept, sure
    return found


def _found(current: Scanner, data: bytes, low: int, last: Found, seen: View | None) -> tuple[list[Found], int]:
    """What is found from `low` on, and from where on, as its reader sees it, more text may change that."""
    if seen is None:
        return current.find_shown(data, low, last)
    before = (seen.seen(last[0]), seen.seen(last[1]), last[2], last[3])
    found, still_open = current.find_shown(seen.data, seen.seen(low), before)
    # What is said besides may hold a value, and stands nowhere.
    return [told for one in found if (told := seen.told(one))[1] > told[0]], still_open


def _certain(
    current: Scanner, data: bytes, low: int, last: Found, seen: View | None
) -> tuple[list[Found], int, bool, int]:
    """What is found from `low` on, up to where that is certain, and whether the last word goes on beyond all bounds.

    And how much more must come before it is worth to look again, 0 if anything may help. Where there are escapes or wide
    spaces, all is judged in the text as its reader will see it.
    """
    shown, at = (data, low) if seen is None else (seen.data, seen.seen(low))
    size = len(shown)
    run = _finished(shown, size, headed=current.program.headed)
    hold, wait = _settled(shown, size, at, run)
    if hold <= at:
        return [], low, False, wait
    found, still_open = _found(current, data, low, last, seen)
    if still_open < run:
        hold, wait = _settled(shown, size, at, still_open)
        wait = max(wait, _LONG_STEP)
    if seen is not None:
        hold = seen.place(max(hold, 0))
    endless = size - run >= WORD
    return found, hold, endless, min(wait, _STEP) if endless else wait


def _finished(data: bytes, size: int, *, headed: bool) -> int:
    """Where the last word begins that may still go on, of which at most `WORD` bytes count."""
    tail = data[size - WORD :] if size > WORD else data
    run = size
    if tail and not tail[-1:].isspace():  # nothing is seen of a colour
        run -= len(tail.rsplit(None, 1)[-1])
        if run == size - WORD:
            while run > 0 and data[run] & 0xC0 == 0x80:
                run -= 1
    elif headed and (head := _HEAD.search(tail[-MARGIN - 1 :])):
        run -= len(head[0])
    return run


#: What may stand before a number's first digit and belong to it, with a space at its end: `AB `.
_HEAD: Final = re.compile(rb"(?<![A-Za-z0-9_])[A-Za-z](?:[A-Za-z .\-/]?[ .\-/])\Z")


def _settled(data: bytes, size: int, low: int, run: int) -> tuple[int, int]:
    """Up to where no continuation of `data` can change what `mask` makes of it, findings that go on aside.

    And how much more must come before a number lets go of what it holds.

    Args:
        data: what is known of the text.
        size: its length.
        low: what stands before has left.
        run: from where on a value without digits, or with them, may begin that is not known yet.
    """
    first = min(run, size - REACH) - REACH
    number = _possible(data, max(first, low, 0))
    hold, wait = run, 0
    if number is not None and number.start() - MARGIN < run:
        hold = number.start() - MARGIN
        digits = _digits(data, number.start())
        if digits is not None and digits.end() < size:
            wait = max(digits.end() - _SHORTEST + 2 * REACH - size, _STEP)
        elif digits is not None and size - number.start() > _STEP:
            wait = _LONG_STEP
    # Within a word, an address before that may end where a finding begins that is not known yet.
    if low < hold < size and not data[hold - 1 : hold].isspace():
        near = data[max(0, hold - _ADDRESS) : hold]
        hold -= len(near.rsplit(None, 1)[-1])
    while low < hold < size and data[hold] & 0xC0 == 0x80:
        hold -= 1
    return hold, wait
