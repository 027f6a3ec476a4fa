"""The kinds of digits that packs bring: a form, what stands before it, a check, words.

A match counts if its validator does not object and it has what it needs. A word near it always suffices; where none is
needed, words of another kind still speak against a bare run of digits, because that is what an order number looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Final, NamedTuple

from guardai.text.detectors.automaton import ALL, Automaton, Unclear, mask_of, parser
from guardai.text.detectors.detector import MAX_FORM, MAX_HEAD, Needs, Number, called
from guardai.text.judging.words import Words
from guardai.text.validators import Validator

__all__ = ["Fit", "Kind", "Kinds", "compiled", "fitting", "gate", "lettered", "unannounced"]


class Kind(NamedTuple):
    """A kind of a pack, ready to use; the fields are those of `Number`, and whether its form may match letters."""

    label: str
    form: Callable[[bytes, int, int], re.Match[bytes] | None]
    head: Callable[[bytes, int, int], re.Match[bytes] | None] | None
    validator: Validator | None
    needs: Needs
    score: float
    rank: int
    lettered: bool


class Fit(NamedTuple):
    """A match that has what it needs.

    Attributes:
        named: a word near it says so.
        firm: nothing that stands near speaks against it.
        start, end, label, score: the finding.
    """

    named: bool
    firm: bool
    start: int
    end: int
    label: str
    score: float


def compiled(number: Number) -> Kind:
    """A kind of a pack, ready to use."""
    return Kind(
        number.label,
        re.compile(number.form.encode()).match,
        re.compile(rb"(?:" + number.head.encode() + rb")\Z").search if number.head else None,
        called(number.validator),
        number.needs,
        number.score,
        number.rank,
        lettered(number.form),
    )


def lettered(expression: str) -> bool:
    """Whether an expression may match a letter."""
    return _LETTERS.search(expression) is not None


#: What may match a letter in an expression.
_LETTERS: Final = re.compile(r"(?<!\\)[A-Za-z.]|\\[DSWswxuUN]|\[\^")


def gate(numbers: Iterable[Number]) -> Callable[[bytes, int, int], object]:
    """What says whether any of these forms matches at a place, and nothing more: one look instead of one for each."""
    forms = [number.form for number in numbers]
    if not forms:
        return lambda _data, _start, _stop: None
    if any(_REFERS.search(form) for form in forms):  # a group would not have its number among the others
        return lambda _data, _start, _stop: True
    return re.compile("|".join(f"(?:{form})" for form in dict.fromkeys(forms)).encode()).match


_REFERS: Final = re.compile(r"\\[1-9]|\(\?(?:P|\(|[a-zA-Z]+\))")


class Kinds:
    """The kinds of all packs, so that of hundreds only a few are tried at a place: most need a word that announces them.

    Attributes:
        free: those that need none, with their place among all.
        worded: the others, by label.
        possible: what says whether one of the free may be at a place.
        begins: what says whether letters are some kind's head.
    """

    def __init__(self, numbers: Iterable[Number]) -> None:
        numbers = tuple(numbers)
        self._all = tuple(map(compiled, numbers))
        self.free = tuple((at, kind) for at, kind in enumerate(self._all) if kind.needs != "word")
        self.worded: dict[str, list[tuple[int, Kind]]] = {}
        for at, kind in enumerate(self._all):
            if kind.needs == "word":
                self.worded.setdefault(kind.label, []).append((at, kind))
        self.possible = gate(number for number in numbers if number.needs != "word")
        heads = "|".join(dict.fromkeys(f"(?:{number.head})" for number in numbers if number.head))
        self.begins: Callable[[bytes, int, int], object] = (
            re.compile(heads.encode()).fullmatch if heads else lambda _data, _start, _stop: None
        )

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def near(self, data: bytes, start: int, wall: int, stop: int, words: Words) -> Iterable[Kind]:
        """Those that may fit at `start`, in their order; it leaves out only what no word announces."""
        if len(self._all) <= _FEW:
            return self._all
        announced = set(words.before(data, wall, start))
        for first in range(max(wall, start - MAX_HEAD), start):
            if not _continues(data, first, wall) and self.begins(data, first, start):
                announced.update(words.before(data, wall, first))
        announced |= words.ahead(data, start, stop)
        some = [place for label in announced if label in self.worded for place in self.worded[label]]
        if self.possible(data, start, stop):
            some += self.free
        some.sort(key=itemgetter(0))
        return (kind for _, kind in some)


#: So many kinds are tried in less time than it takes to ask which are worth it.
_FEW: Final = 16


def unannounced(numbers: Iterable[Number]) -> tuple[bool, tuple[int, str] | None]:
    """What may be one of these kinds without a word near it.

    Returns:
        Whether digits alone may be, or what is not known to be otherwise. And, if digits with one full stop may be and
        nothing else stands between them: how many stand behind it at least, and what may follow them, as the inside of a
        character class; "" for anything.
    """
    bare, least, following = False, -1, 0
    for number in numbers:
        if number.needs != "word":
            for behind, follows in _behind_stop(number.form):
                if behind < 0:
                    bare = True
                else:
                    least = behind if least < 0 else min(behind, least)
                    following |= follows
    if least < 0:
        return bare, None
    some = "".join(f"\\x{byte:02x}" for byte in range(256) if following >> byte & 1)
    return bare, (least, "" if following == ALL else some)


def _behind_stop(form: str) -> Iterator[tuple[int, int]]:
    """How digits may go until a form ends, or reads what belongs to no run of them: what it reads there, as a mask.

    With one full stop between them, how many stand behind it; -1 without.
    """
    found = parser()
    try:
        if found is None:
            raise Unclear("this interpreter has no parser for it")
        made = Automaton(found.parse(form.encode()), MAX_FORM, fold=False)
    except Unclear:
        yield from ((-1, ALL), (0, ALL))
        return
    # (state, digits behind the full stop; -1 before it)
    todo, seen = [(0, -1)], {(0, -1)}
    while todo:
        state, behind = todo.pop()
        for to, mask, _ in made.edges[state]:
            read = made.reads[to] & mask
            if to in made.ends:
                yield behind, ALL
            elif read & ~_RUN:
                yield behind, read & ~_RUN
            reached = []
            if read & _DIGITS:
                reached.append((to, behind if behind < 0 else min(behind + 1, MAX_FORM)))
            if read & _STOP and behind < 0:
                reached.append((to, 0))
            todo += [place for place in reached if place not in seen]
            seen.update(reached)


_DIGITS: Final = mask_of(b"0123456789")
_STOP: Final = mask_of(b".")
_RUN: Final = _DIGITS | mask_of(b" .-/()\xe2\x80") | mask_of(range(0x8B, 0x96))


def fitting(
    data: bytes, start: int, wall: int, limit: int, words: Words, kinds: Kinds
) -> tuple[Fit | None, tuple[str, ...] | None]:
    """The kind that fits the digits at `start` best, and what the words before announce, if that had to be known.

    Args:
        data: the text.
        start: where the digits begin.
        wall: where the finding before ends; nothing before counts.
        limit: where the next finding begins; nothing from there on counts.
        words: what announces what.
        kinds: the kinds to try.
    """
    best: Fit | None = None
    worth: tuple[bool, bool, int, int] | None = None
    near: tuple[str, ...] = ()
    asked = -1
    stop = min(limit, start + MAX_FORM)
    for label, form, head, validator, needs, score, rank, _ in kinds.near(data, start, wall, stop, words):
        shape = form(data, start, stop)
        if shape is None:
            continue
        end = shape.end()
        if _GOES_ON.match(data, end, min(limit, end + 2)):
            continue
        first = start
        if head is not None:
            begins = head(data, max(wall, start - MAX_HEAD), start)
            if begins is None:
                continue
            first = begins.start()
        if _continues(data, first, wall):
            continue
        value = data[first:end].translate(None, _SEPARATORS)
        valid = None if validator is None else validator(value)
        if valid is False:
            continue
        if first != asked:
            near, asked = words.before(data, wall, first), first
        named = label in near or label in words.after(data, end)
        bare = end - first == len(value) and value.isdigit()
        if not named and needs == "nothing" and "amount" in near and 0x2E in data[first:end]:
            continue  # sums, not degrees
        if not named and needs != "nothing":
            if needs == "word" or not valid:
                continue
            if bare and (near or (first > wall and data[first - 1] in b"-#")):
                continue
        this = (named, valid is True, end - first, rank)
        if worth is None or this > worth:
            worth = this
            best = Fit(named, not near or needs == "nothing" or not bare, first, end, label, score)
    return best, near if asked == start else None


def _continues(data: bytes, first: int, wall: int) -> bool:
    """Whether what stands directly before says that a number does not begin here."""
    if first <= wall:
        return False
    before = data[first - 1]
    if before in _WORD or before == 0x2B:
        return True
    return before in b".-/" and first - 1 > wall and data[first - 2] in _FIGURES


_FIGURES: Final = frozenset(b"0123456789")
_WORD: Final = frozenset(b"0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_GOES_ON: Final = re.compile(rb"[0-9A-Za-z_]|[./][0-9]|-[0-9A-Za-z]")
_SEPARATORS: Final = bytes(c for c in range(256) if not bytes((c,)).isalnum())
