"""From hits to findings: what was seen is judged, overlaps are joined, numbers are read in their context.

Two invariants that streams rest on (`stream.py`), and tests assert:

1. Whether something matches depends on a bounded stretch of text, and on where the finding before it ends; on nothing
   else before that.
2. What overlaps is joined, and the join bears the label of its best part: no byte that any detector claimed is left.

Numbers and addresses of machines come second: they are judged in the gaps that the other kinds leave, from left to
right, and see nothing beyond a gap's ends. So a text whose findings were replaced reads the same.
"""

from __future__ import annotations

from typing import Final

from guardai.text import kinds, numbers
from guardai.text.program import IP4, NUMBER, PEM, Program, Raw

__all__ = ["Found", "judge"]

_numbers_in = numbers.STARTS.finditer

#: A strict number outranks all but what has a checksum of its own.
_NUMBER_RANK: Final = 4
_IP_RANK: Final = 3
#: How far back from where a value begins a detector looks.
_BACK: Final = 128
_STRICT: Final = frozenset((3, 4, *range(12, 20)))
#: What is judged in a gap: (where it begins, what it is, the byte where it was seen or its digits end).
_IP4, _IP6, _DIGITS = 0, 1, 2


#: A finding in bytes: (start, end, label, score).
Found = tuple[int, int, str, float]


def judge(  # noqa: PLR0915 -- one loop over what was seen, on the hot path
    program: Program, data: bytes, hits: list[tuple[int, int, int]], low: int = 0, wall: int = 0
) -> tuple[list[Found], int]:
    """Reads what an engine saw.

    Args:
        program: the packs.
        data: the text.
        hits: what was seen, in any order; more than once is the same as once.
        low: what begins before is not reported: it was, earlier.
        wall: where the last finding before `low` ends.

    Returns:
        The findings, sorted, not overlapping; and from where on a key block is still open at the end of the text, or
        the text's length.
    """
    raws: list[Raw] = []
    later: list[tuple[int, int, int]] = []
    judges, runs, size = program.judges, program.runs, len(data)
    ends: dict[int, int] = {}
    tried: dict[int, int] = {}
    still_open, seen = size, low
    # What stands before `low` may begin anywhere in the text: too near to its beginning, what seems to begin there may
    # have begun before, and be something else. No detector looks back further.
    floor = _BACK if low > _BACK else 0
    last_to, last_anchor, unsorted = -1, -1, False
    hits.sort()
    for to, anchor, begin in hits:
        decide = judges[anchor]
        if decide is not None:
            if (to != last_to or anchor != last_anchor) and (raw := decide(data, to)) is not None:
                if raw[0] < floor:
                    continue
                if (run := runs[anchor]) is not None:
                    # Within the run of an earlier value of its kind it ends where that ends: followed once, or the
                    # work were quadratic.
                    follow, owner = run
                    if raw[1] <= ends.get(owner, -1):
                        continue
                    rest = follow(data, raw[1])
                    raw = (raw[0], rest.end() if rest else raw[1], *raw[2:])
                    ends[owner] = raw[1]
                if raw[1] > low:
                    raws.append(raw)
            last_to, last_anchor = to, anchor
        elif anchor == NUMBER:
            if to > seen and not numbers.hopeless(data, begin, to):
                for match in _numbers_in(data, max(begin, seen), to):
                    first, end = match.span()
                    later.append((first, _DIGITS, end))
                    if end - first in _STRICT and (span := numbers.strict(data, first, end)):
                        raws.append((span[0], span[1], _NUMBER_RANK, span[2], span[3]))
                    seen = end
        elif anchor == PEM:
            block = kinds.pem(data, to - 11)
            if block and block[0] >= floor and block[1] > low:
                raws.append((*block, 9, "secret.private_key", 1.0))
            if still_open == size and kinds.pem_open(data, to - 11, block[1] if block else None):
                still_open = to - 11
        else:
            found4 = anchor == IP4
            if bounds := (kinds.ip4 if found4 else kinds.ip6)(data, to - 1, 0, size):
                if bounds[0] >= floor and bounds[1] > low:
                    raws.append((*bounds, _IP_RANK, "pii.ip", 0.9))
            else:
                # Once for each run of such characters: engines differ in how often they see one.
                kind, at = (_IP4 if found4 else _IP6), to - 1
                start = kinds.run_start(data, at)
                if start > tried.get(kind, -1):
                    unsorted = True
                    later.append((start, kind, at))
                tried[kind] = at
    found = _joined(raws) if raws else []
    if found and found[0][0] < low:
        # Not to be: what begins before `low` was reported with it. If it was not, at least the rest is.
        found[0] = (low, *found[0][1:])
    if later:
        # Numbers come in the order of the text, and once.
        found = _in_gaps(program, data, found, sorted(set(later)) if unsorted else later, low, wall)
    return found, still_open


def _joined(raws: list[Raw]) -> list[Found]:
    raws.sort()
    found = []
    start, end, rank, label, score = raws[0]
    best = (rank, end - start)
    for raw in raws[1:]:
        if raw[0] >= end:
            found.append((start, end, label, score))
            start, end, rank, label, score = raw
            best = (rank, end - start)
            continue
        worth = (raw[2], raw[1] - raw[0])
        if worth > best:
            best, label, score = worth, raw[3], raw[4]
        end = max(end, raw[1])
    found.append((start, end, label, score))
    return found


def _in_gaps(
    program: Program, data: bytes, found: list[Found], later: list[tuple[int, int, int]], low: int, wall: int
) -> list[Found]:
    result: list[Found] = []
    upcoming = iter(found)
    following = next(upcoming, None)
    size = len(data)
    for start, kind, at in later:
        while following is not None and following[0] <= start:
            result.append(following)
            wall = max(wall, following[1])
            following = next(upcoming, None)
        limit = size if following is None else following[0]
        if kind == _DIGITS:
            span = numbers.contextual(data, start, at, wall, limit, program.words) if start >= wall else None
            if span is None:
                continue
            made = span if span[0] >= low else (low, *span[1:])
        else:
            bounds = (
                (kinds.ip4 if kind == _IP4 else kinds.ip6)(data, at, wall, limit)
                if at >= wall and limit > wall
                else None
            )
            if bounds is None or bounds[1] <= low:
                continue
            made = (max(bounds[0], low), bounds[1], "pii.ip", 0.8)
        result.append(made)
        wall = made[1]
    if following is not None:
        result.append(following)
        result.extend(upcoming)
    return result
