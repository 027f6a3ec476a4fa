"""Whether an expression can blow up: how many ways a backtracking matcher may have to try before it gives up.

`re` tries one way after the other. Where two repeats can share the same bytes (`a*a*`), or a repeat repeats itself
(`(a+)+`), the number of ways grows with a power of the text's length, or doubles with every byte; whoever writes the
text decides how long a scan takes. So an expression that is not ours is judged before it is used, and one of ours by
the tests:

1. The expression becomes an automaton whose paths are the ways to read a text (`automaton.py`).
2. Over all texts, the greatest number of paths is bounded from above, length by length: for each set of states that
   some text leads to, the most paths that lead to each of them. That is the subset construction with counts: exact as
   long as equal sets have equal counts, and never too low.
3. The sum over all lengths is the number of steps, within a constant. It is what exponential and polynomial ambiguity
   (Weber and Seidl 1991) come to on the few hundred bytes that a detector sees, and it also finds what has neither and
   is as slow: `(a?){30}a{30}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from guardai.text.detectors.automaton import ALL, Automaton, Unclear, mask_of, parser

__all__ = ["MAX_STEPS", "Cost", "cost", "refusal"]

#: Steps that one look at a text may take: about a millisecond of `re`. Two repeats over the same 250 bytes stay below it
#: (250² / 2), three do not (250³ / 6).
MAX_STEPS: Final = 100_000
#: Sets of states that are told apart at one length; more are joined, which can only make the answer higher.
_MAX_SETS: Final = 48
#: Paths that are followed before an expression counts as too complicated to be judged.
_MAX_WORK: Final = 3_000_000
#: Steps through a lookbehind, which is walked anew wherever the expression comes by.
_MAX_BEHIND: Final = 64


class Cost(NamedTuple):
    """What an expression may cost.

    Attributes:
        steps: an upper bound of the ways tried, within a constant; counting ends soon after `MAX_STEPS`.
        text: of what is too much, a text that leads there; it is made from the expression alone.
    """

    steps: int
    text: bytes


@lru_cache(maxsize=4096)
def refusal(expression: str, *, length: int, ignore_case: bool = False) -> str | None:
    """Why an expression is not to be used, in words; None if it may.

    Args:
        expression: as a detector has it, over UTF-8 bytes; it compiles.
        length: how many bytes it will see.
        ignore_case: whether it is compiled so.
    """
    if parser() is None:
        return _by_eye(expression)
    try:
        found = cost(expression, length=length, ignore_case=ignore_case)
    except Unclear as why:
        return f"whether the expression can blow up cannot be told: {why}"
    if found.steps <= MAX_STEPS:
        return None
    return (
        f"the expression can blow up: on {len(found.text)} bytes such as {_shape(found.text)} there are more than "
        f"{MAX_STEPS:,} ways to read it; no repeat may begin with what the repeat before it, or around it, can go on with"
    )


def cost(expression: str, *, length: int, ignore_case: bool = False) -> Cost:
    """The steps that an expression may take on any text of up to `length` bytes, from where it is tried.

    Raises:
        Unclear: it holds what is not known here, or too much of it.
    """
    found = parser()
    if found is None:
        raise Unclear("this interpreter has no parser for it")
    tree = found.parse(expression.encode(), re.IGNORECASE if ignore_case else 0)
    try:
        # With repeats as loops there is less to follow. What passes so need not be written out.
        folded = _steps(tree, length, fold=True)
        if folded.steps <= MAX_STEPS:
            return folded
    except Unclear:
        pass
    return _steps(tree, length, fold=False)


def _steps(tree: Any, length: int, *, fold: bool) -> Cost:
    automaton = Automaton(tree, length, fold=fold)
    for body in automaton.behind:
        if _steps(body, max(1, body.getwidth()[1]), fold=False).steps > _MAX_BEHIND:
            raise Unclear("a lookbehind can be read in too many ways")
    rough = _rough(automaton, length)
    return Cost(rough, b"") if rough <= MAX_STEPS else _Count(automaton, length).cost()


def _rough(automaton: Automaton, length: int) -> int:
    """The same bound as if each state had a text of its own: higher, and all that most expressions need."""
    counts: dict[int, int] = {0: 1}
    steps = 1
    for left in range(length, -1, -1):
        following: dict[int, int] = {}
        for state, ways in counts.items():
            for to, _, more in automaton.edges[state]:
                following[to] = following.get(to, 0) + ways * more
        most = sum(following.values())
        steps += most * (left + 1) if following == counts else most
        if steps > MAX_STEPS or following == counts or not following:
            break
        counts = following
    return steps


_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\)?(?:[*+]|\{[0-9]*,?[0-9]*\})|[()|?]", re.DOTALL)


def _by_eye(expression: str) -> str | None:
    """The judgement without a parser: cruder, and never milder. Two repeats of single characters, few choices."""
    tokens = _TOKEN.findall(expression)
    groups = any(len(token) > 1 and token[0] == ")" for token in tokens)
    if groups or re.search(r"\\[1-9]|\(\?P=", expression):
        return "without a parser for expressions in this interpreter, no group that comes again is taken for safe"
    repeats = sum(token[0] in "*+" or (token[0] == "{" and not token[1:-1].isdigit()) for token in tokens)
    if repeats > 2 or sum(token in ("|", "?") for token in tokens) > 8:
        return "without a parser for expressions in this interpreter, two repeats and eight choices are taken for safe"
    return None


_PERIOD: Final = re.compile(r"(.{1,12}?)\1{2,}", re.DOTALL)


def _shape(text: bytes) -> str:
    """A text in words: what repeats in it, how often, and what stands before and after."""
    shown = text.decode("latin-1")
    run = max(_PERIOD.finditer(shown), key=lambda found: len(found[0]), default=None)
    if run is None:
        return ascii(shown)
    before, after = shown[: run.start()], shown[run.end() :]
    told = [*[ascii(before)] * bool(before), f"{len(run[0]) // len(run[1])} × {run[1]!a}"]
    return ", ".join(told + [ascii(after)] * bool(after))


#: A set of states, and how many paths lead to each of them.
_Counts = dict[int, int]
_Layer = dict[frozenset[int], _Counts]
#: A set of states → the one that a text led to before its last byte, and that byte.
_Whence = dict[frozenset[int], tuple[frozenset[int], int]]


class _Count:
    """The most paths of any text, length by length."""

    def __init__(self, automaton: Automaton, length: int) -> None:
        self._length = length
        self._work = 0
        self._reads, self._edges = automaton.reads, automaton.edges
        self._letters = _letters({self._reads[to] & mask for edges in self._edges for to, mask, _ in edges})
        #: letter → state → (state, ways), made when it is first needed.
        self._moves: list[dict[int, tuple[tuple[int, int], ...]]] = [{} for _ in self._letters]

    def cost(self) -> Cost:
        layer: _Layer = {frozenset((0,)): {0: 1}}
        trail: list[_Whence] = []
        steps = 1
        # One byte more than there are: the state behind the end reads it.
        for left in range(self._length, -1, -1):
            following, whence = self._next(layer)
            if not following:
                break
            trail.append(whence)
            most = max(sum(counts.values()) for counts in following.values())
            # Once nothing changes any more, the rest is known.
            steps += most * (left + 1) if following == layer else most
            if steps > MAX_STEPS or following == layer:
                layer = following
                break
            layer = following
        best = max(layer, key=lambda states: sum(layer[states].values()))
        return Cost(steps, self._text(trail, best) if trail else b"")

    def _next(self, layer: _Layer) -> tuple[_Layer, _Whence]:
        """One byte on."""
        following: _Layer = {}
        whence: _Whence = {}
        most: dict[frozenset[int], int] = {}
        for states, counts in layer.items():
            for letter in self._useful(states):
                moved: _Counts = {}
                for state, ways in counts.items():
                    for to, more in self._from(letter, state):
                        moved[to] = moved.get(to, 0) + ways * more
                self._work += len(counts) + len(moved)
                key = frozenset(moved)
                total = sum(moved.values())
                if total > most.get(key, 0):
                    most[key], whence[key] = total, (states, letter)
                known = following.setdefault(key, moved)
                for state, ways in moved.items():
                    known[state] = max(known[state], ways)
        if self._work > _MAX_WORK:
            raise Unclear("it is too complicated")
        if len(following) > _MAX_SETS:
            following = self._fewer(following, whence)
        return following, whence

    def _fewer(self, following: _Layer, whence: _Whence) -> _Layer:
        """Without the sets that others cover; and if they are too many still, the smaller ones joined."""
        kept: _Layer = {}
        for states in sorted(following, key=len, reverse=True):
            counts = following[states]
            if not any(
                states <= other and all(known[state] >= ways for state, ways in counts.items())
                for other, known in kept.items()
            ):
                kept[states] = counts
            self._work += len(kept)
        small = list(kept)[_MAX_SETS:]
        if not small:
            return kept
        joined: _Counts = {}
        for states in small:
            for state, ways in kept.pop(states).items():
                joined[state] = max(joined.get(state, 0), ways)
        key = frozenset(joined)
        known = kept.setdefault(key, joined)
        for state, ways in joined.items():
            known[state] = max(known[state], ways)
        whence.setdefault(key, whence[small[0]])
        return kept

    def _useful(self, states: frozenset[int]) -> Iterator[int]:
        """The letters that lead anywhere from these states."""
        reads = 0
        for state in states:
            for to, mask, _ in self._edges[state]:
                reads |= self._reads[to] & mask
        for letter, alike in enumerate(self._letters):
            if alike & reads:
                yield letter

    def _from(self, letter: int, state: int) -> tuple[tuple[int, int], ...]:
        known = self._moves[letter].get(state)
        if known is None:
            alike = self._letters[letter]
            known = self._moves[letter][state] = tuple(
                (to, ways) for to, mask, ways in self._edges[state] if self._reads[to] & mask & alike
            )
        return known

    def _text(self, trail: list[_Whence], states: frozenset[int]) -> bytes:
        """A text on which the sets of states were seen."""
        made = bytearray()
        for whence in reversed(trail):
            states, letter = whence[states]
            made.append(_example(self._letters[letter]))
        return bytes(reversed(made))


def _letters(classes: set[int]) -> list[int]:
    """Bytes that no class tells apart, together."""
    letters = [ALL]
    for one in classes:
        letters = [half for letter in letters for half in (letter & one, letter & ~one) if half]
    return letters


_NICE: Final = tuple(
    map(mask_of, (b"abcdefghijklmnopqrstuvwxyz", b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", range(0x20, 0x7F)))
)


def _example(letter: int) -> int:
    """A byte of a letter; a readable one if there is one."""
    chosen = next((letter & nice for nice in _NICE if letter & nice), letter)
    return (chosen & -chosen).bit_length() - 1
