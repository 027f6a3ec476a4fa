"""From hits to findings: what was seen is judged, overlaps are joined, numbers are read in their context.

Two invariants that streams rest on (`stream.py`), and tests assert:

1. Whether something matches depends on a bounded stretch of text, and on where the finding before it ends; on nothing
   else before that.
2. What overlaps is joined, and the join bears the label of its best part: no byte that any detector claimed is left.

Numbers and addresses of machines come second: they are judged in the gaps that the other kinds leave, from left to
right, and see nothing beyond a gap's ends. So a text whose findings were replaced reads the same.
"""

from __future__ import annotations

import re
from typing import Final

from guardai.text import validators
from guardai.text.detectors.detector import MAX_DECISION, MAX_FORM
from guardai.text.judging import kinds, numbers, phones
from guardai.text.judging.program import IP4, NUMBER, PEM, Program, Raw
from guardai.text.judging.runs import begins, digits
from guardai.text.judging.words import PLACES

__all__ = ["LISTED", "NONE", "Found", "judge"]

#: A strict number outranks all but what has a checksum of its own.
_NUMBER_RANK: Final = 4
_IP_RANK: Final = 3
#: How far back from where a value begins a detector looks.
_BACK: Final = 128
#: How near to the end of the text a decision can still change: what a detector sees, and a word behind it.
_DOUBT: Final = MAX_DECISION + PLACES
_STRICT: Final = frozenset((3, 4, *range(12, 20)))
#: What is judged in a gap: (where it begins, what it is, the byte where it was seen or its digits end). A run of digits
#: may hold several numbers; one behind a plus that `phones.plain` knows is a phone, unless a finding touches it.
_Later = tuple[int, int, int]
_IP4, _IP6, _DIGITS, _RUN, _PLUS = 0, 1, 2, 3, 4  # addresses first
#: A number has more bytes; and how far before its end a plus is looked for.
_SHORTEST: Final = 5
_JOINS: Final = b" .-/()"
_REACH: Final = 18


#: A finding in bytes: (start, end, label, score).
Found = tuple[int, int, str, float]
#: No finding yet.
NONE: Final[Found] = (0, 0, "", 0.0)


def judge(  # noqa: PLR0915 -- one loop over what was seen, on the hot path
    program: Program, data: bytes, hits: list[tuple[int, int, int]], low: int = 0, earlier: Found = NONE
) -> tuple[list[Found], int]:
    """Reads what an engine saw.

    Args:
        program: the packs.
        data: the text.
        hits: what was seen, in any order; more than once is the same as once.
        low: what begins before is not reported: it was, earlier.
        earlier: the last finding before `low`.

    Returns:
        The findings, sorted, not overlapping; and from where on more text may change what is found, because a key block
        is open, or a value with spaces in it, or a word behind one may count: the text's length if there is no such place.
    """
    raws: list[Raw] = []
    later: list[_Later] = []
    judges, runs_on, doubts, size = program.judges, program.runs, program.doubts, len(data)
    ends: dict[int, int] = {}
    tried: dict[int, int] = {}
    still_open, seen, opened = size, low, False
    # What stands before `low` may begin anywhere in the text: too near to its beginning, what seems to begin there may
    # have begun before, and be something else. No detector looks back further.
    floor = _BACK if low > _BACK else 0
    named, unsorted = program.named, False
    machines, near_end, plain = False, size - _DOUBT, program.plain
    hits.sort()
    for to, anchor, begin in hits:
        decide = judges[anchor]
        if decide is not None:
            raw = decide(data, to)
            if to > near_end and (doubt := doubts[anchor]) is not None and (at := doubt(data, to)) >= 0:
                still_open = min(still_open, at)
            if raw is None or raw[0] < floor:
                continue
            if (run := runs_on[anchor]) is not None:
                # Within the run of an earlier value of its kind it ends where that ends: followed once, or the work
                # were quadratic.
                follow, owner = run
                if raw[1] <= ends.get(owner, -1):
                    continue
                rest = follow(data, raw[1])
                raw = (raw[0], rest.end() if rest else raw[1], *raw[2:])
                ends[owner] = raw[1]
            if raw[1] > low:
                raws.append(raw)
        elif anchor == NUMBER:
            if to <= seen:
                continue
            at = 0
            if plain and begin < 0:
                back = to - _REACH
                at = data.rfind(b"+", back if back > seen else seen, to - 1) + 1  # noqa: FURB136 -- a third of the time
            if at and (end := phones.plain(data, at)) > 0:
                later.append((at, _PLUS, end))
            else:
                first = begins(data, seen, to) if begin < 0 else max(begin, seen)
                if (
                    raws
                    and raws[-1][1] >= to - 2
                    and raws[-1][0] >= first
                    and not data[first : raws[-1][0]].strip(_JOINS)
                ):
                    seen = to  # an address of a machine, in most texts that have any
                    if numbers.strictly(data, first, to):  # a mail's may be a card: whichever engine saw it first
                        raws += _strict(program, data, first, to)
                    continue
                later.append((first, _RUN, to))
                if numbers.strictly(data, first, to):
                    raws += _strict(program, data, first, to)
            seen = to
        elif anchor == PEM:
            block = kinds.pem(data, to - 11)
            if block and block[0] >= floor and block[1] > low:
                raws.append((*block, True, 9, "secret.private_key", 1.0))
            if not opened and kinds.pem_open(data, to - 11, block[1] if block else None):
                opened = True
                still_open = min(still_open, to - 11)
        elif anchor >= named:
            # Digits with a word near them; as part of a longer run they may have been seen already.
            first, last = digits(data, low, to)
            later.append((first, _RUN, last))
            unsorted = True
        else:
            found4 = anchor == IP4
            if found4 and to > near_end and (at := kinds.unread(data, to - 1)) >= 0:
                still_open = min(still_open, at)
            if bounds := (kinds.ip4 if found4 else kinds.ip6)(data, to - 1, 0, size):
                if bounds[0] >= floor and bounds[1] > low:
                    raws.append((*bounds, False, _IP_RANK, "pii.ip", 0.9))
            else:
                # Once for each run of such characters: engines differ in how often they see one.
                kind, at = (_IP4 if found4 else _IP6), to - 1
                start = kinds.run_start(data, at)
                if start > tried.get(kind, -1):
                    machines = True
                    later.append((start, kind, at))
                tried[kind] = at
    found = _joined(raws) if raws else []
    if found and not data.isascii():
        found = [_whole(data, one) for one in found]
    if found and found[0][0] < low:
        # Not to be: what begins before `low` was reported with it. If it was not, at least the rest is.
        found[0] = (low, *found[0][1:])
    if machines:
        found = _in_gaps(program, data, found, _ordered(program, data, later), low, earlier)
    elif later or earlier[2] in LISTED:
        if unsorted:
            later.sort()
        found = _in_gaps(program, data, found, later, low, earlier)
    return found, still_open


def _strict(program: Program, data: bytes, begin: int, to: int) -> list[Raw]:
    """The numbers of a run that need no context."""
    found: list[Raw] = []
    at = begin
    while (shape := numbers.strictly(data, at, to)) is not None:
        at = shape.start()
        match = program.starts.match(data, at, to)
        if match is not None and match.end() - at in _STRICT and (span := numbers.strict(data, at, match.end())):
            found.append((span[0], span[1], span[2] == "pii.card", _NUMBER_RANK, span[2], span[3]))
            at = span[1]
        else:
            rest = _group(data, at, to)
            at = rest.end() if rest else to
    return found


_group: Final = re.compile(rb"[0-9]+").match


def _joined(raws: list[Raw]) -> list[Found]:
    """Overlapping matches as one, under the label of the best: what is valid for sure, then the longest, then by rank.

    SECURITY INVARIANT: what holds a secret bears a secret's label. A policy that reveals telephone numbers does not
    reveal a key because there is one in it.
    """
    raws.sort()
    found: list[Found] = []
    end, best = -1, (False, False, 0, 0)
    for raw in raws:
        if raw[0] >= end:
            start, end, _, _, label, score = raw
            found.append((start, end, label, score))
            best = (label.startswith("secret."), raw[2], end - start, raw[3])
            continue
        start, _, label, score = found[-1]
        worth = (raw[4].startswith("secret."), raw[2], raw[1] - raw[0], raw[3])
        if worth > best:
            best, label, score = worth, raw[4], raw[5]
        end = max(end, raw[1])
        found[-1] = (start, end, label, score)
    return found


def _whole(data: bytes, one: Found) -> Found:
    """With all bytes of the characters at its ends: expressions count bytes, and may stop within one."""
    start, end, label, score = one
    while 0 < start < len(data) and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end, label, score


def _ordered(program: Program, data: bytes, later: list[_Later]) -> list[_Later]:
    """Runs as the places where a number can begin in them, in the order of the text with those of addresses, each once."""
    places = {place for place in later if place[1] < _RUN}
    for begin, kind, to in later:
        if kind >= _RUN:
            places.update((match.start(), _DIGITS, match.end()) for match in program.starts.finditer(data, begin, to))
    return sorted(places)


def _in_gaps(
    program: Program, data: bytes, found: list[Found], later: list[_Later], low: int, earlier: Found
) -> list[Found]:
    result: list[Found] = []
    wall = earlier[1]
    search, words, own, fits = program.starts.search, program.words, program.kinds, program.fits
    size, count, upcoming = len(data), len(found), 0
    limit = found[0][0] if found else size
    if earlier[2] in LISTED:
        result += _others(program, data, earlier, limit)
        wall = result[-1][1] if result else wall
    for begin, kind, at in later:
        start, end, sought = begin, at, kind >= _RUN
        while True:
            while limit <= start and upcoming < count:
                result.append(found[upcoming])
                wall = found[upcoming][1]
                upcoming += 1
                limit = found[upcoming][0] if upcoming < count else size
            if sought:
                if kind == _PLUS and start == begin and wall < begin - 1 and at + 3 <= limit:
                    result.append((begin - 1, at, "pii.phone", 0.9))
                    result += _others(program, data, result[-1], limit)
                    wall = result[-1][1]
                    break
                start = max(start, wall)
                if limit <= start and upcoming < count:
                    continue  # what ends here touches the next finding, which comes first
                match = search(data, start, at) if at - start > _SHORTEST else None
                if match is None:
                    break
                sought = match.start() == start
                start, end = match.span()
                if not sought:
                    continue  # what lies before it comes first
            made: Found | None = None
            if kind <= _IP6:
                if at >= wall and limit > wall:
                    bounds = (kinds.ip4 if kind == _IP4 else kinds.ip6)(data, at, wall, limit)
                    if bounds is not None and bounds[1] > low:
                        made = (*bounds, "pii.ip", 0.8)
            elif start >= wall:
                some = own if fits(data, start, min(limit, start + MAX_FORM)) else None
                made = numbers.contextual(data, start, end, wall, limit, words, some)
            if made is not None:
                result.append(made if made[0] >= low else (low, *made[1:]))
                if made[2] in LISTED:
                    result += _others(program, data, made, limit)
                wall = result[-1][1]
            if kind < _RUN:
                break
            start, sought = max(wall, end), True
    result.extend(found[upcoming:])
    return result


#: Kinds of which several may stand in a row behind one word: `phones: 2125550187, 3105550144`.
LISTED: Final = frozenset(("pii.phone", "pii.us_ssn"))
#: Between two of a row: what only separates numbers, a word that joins them, what separates whatever stands in a list. A comma
#: alone separates the columns of a table, and so does a space.
_BETWEEN: Final = re.compile(
    rb"(?:(?P<only>[ \t]{0,2}/[ \t]{0,2}|[ \t](?:-|\xe2\x80[\x90-\x95])[ \t]|[ \t]{0,2}(?=\())"
    rb"|(?P<word>[ \t](?:and|or|und|oder|et|ou|y|o|e|en|of|och|i|\xd0\xb8|&)[ \t])"
    rb"|[ \t]{0,2}[,;|][ \t]{1,2}|[\"'][ \t]{0,2},\s{0,24}[\"']"
    rb"|[\"']?\r?\n[ \t]{0,24}[\-*][ \t]{1,3}[\"']?|(?P<like>[ \-]))(?=[0-9(+])"
)
_FORM: Final = bytes(0x30 if chr(c).isdigit() and c < 0x80 else c for c in range(256))
#: What stands before a number's first digit; and so many digits have no other meaning behind a number of a row.
_SIGNS: Final = re.compile(rb"[+(][ (+]{0,2}")
_LIKE: Final = 9


def _others(program: Program, data: bytes, one: Found, limit: int) -> list[Found]:
    """What follows `one` in a row with it, up to `limit`.

    It asks for no engine to have seen it: a row may be longer than one looks. Written as the one before it needs no word
    either; written otherwise, it has to look like a phone number. Each is judged by the one before it alone, because of a
    row that a stream has let go of it remembers no more.
    """
    start, end, label, score = one
    found = list[Found]()
    while (between := _BETWEEN.match(data, end, limit)) is not None:
        first, size, form = between.end(), end - start, data[start:end].translate(_FORM)
        value = data[first : first + size]
        alike = (
            first + size <= limit
            and value.translate(_FORM) == form
            and not data[first + size : first + size + 1].isalnum()
        )
        digits = value.translate(None, _NO_DIGIT)
        if between["like"] is not None and (label != "pii.phone" or not alike or len(digits) < _LIKE):
            break
        if alike and "other" in program.words.after(data, first + size):
            break
        if label == "pii.us_ssn" and not (alike and validators.ssn(digits)):
            break
        if alike:
            start, end = first, first + size
        elif (other := _other(program, data, between, start, limit)) is not None:
            start, end = other
        else:
            break
        found.append((start, end, label, score))
    return found


def _other(program: Program, data: bytes, between: re.Match[bytes], before: int, limit: int) -> tuple[int, int] | None:
    """A phone number behind `between`, written otherwise than the one that begins at `before`."""
    begin = between.end()
    signs = _SIGNS.match(data, begin, limit)
    match = program.starts.match(data, signs.end() if signs else begin, limit)
    if match is None:
        return None
    if between["only"] is None and between["word"] is None and "phone" not in program.words.before(data, 0, before):
        return None
    near = ("phone",) if between["only"] is not None else ("call",)
    other = phones.phone(data, match.start(), match.end(), begin, limit, program.words, near)
    if other is None or len(data[other[0] : other[1]].translate(None, _NO_DIGIT)) < _FEWEST:
        return None
    return other[0], other[1]


_FEWEST: Final = 7
_NO_DIGIT: Final = bytes(c for c in range(256) if c not in b"0123456789")
