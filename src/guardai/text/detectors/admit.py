"""Whether a pack that is not ours may be used: nothing in it blows up, and nothing in it decides too late.

Ours are held to the same by the tests, so that no time goes into it here when a process starts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from guardai.text.detectors import safety
from guardai.text.detectors.automaton import ALL, Automaton, Edge, Unclear, mask_of, parser
from guardai.text.detectors.detector import (
    KINDS,
    MAX_DECISION,
    MAX_FORM,
    MAX_HEAD,
    MAX_LEAD,
    Detector,
    Number,
    Pack,
    PackError,
    spaces,
    width,
)

__all__ = ["admit", "headed", "late", "reads_on"]

#: How far before a value a lookbehind may see; streams keep that much, and more.
_BEHIND: Final = 64
#: The same for a `head`, which may itself begin `MAX_LEAD` bytes before: nothing looks back 128 bytes (`judge.py`).
_BEHIND_HEAD: Final = 40
_SPACE: Final = mask_of(b" \t\n\r\x0b\x0c")


def admit(pack: Pack, beside: Callable[[], Iterable[Pack]] | None = None) -> None:
    """Returns if every detector of a pack may be used.

    Args:
        pack: it.
        beside: the other packs, whose labels its words may speak of; asked if it has words for a kind that is not its
            own. None: what its words speak of is not looked at.

    Raises:
        PackError: one may not; it names the pack, the label and the reason.
    """
    for kind in pack.kinds():
        if why := _detector(kind) if isinstance(kind, Detector) else _number(kind):
            raise PackError(f"pack {pack.name}: {kind.label}: {why}")
    if beside is not None and (why := _spoken_of(pack, beside)):
        raise PackError(f"pack {pack.name}: {why}")


def _spoken_of(pack: Pack, beside: Callable[[], Iterable[Pack]]) -> str | None:
    """The words of a kind that there is none of would do nothing, and nobody would know."""
    known = {*KINDS, *(kind.label for kind in pack.kinds())}
    if not (asked := {*pack.words, *pack.places} - known):
        return None
    known |= {kind.label for other in beside() for kind in other.kinds()}
    for kind in sorted(asked - known):
        meant = difflib.get_close_matches(kind, sorted(known), n=1)
        return (
            f"words of {kind!r}, which is no kind{f'; is it {meant[0]!r}?' if meant else '.'} "
            f"There are {', '.join(KINDS)}, and the labels that packs find"
        )
    return None


def _detector(kind: Detector) -> str | None:
    fold = kind.ignore_case
    written = {"literals": kind.literals, "anchors": kind.anchors, "pattern": kind.pattern, "then": kind.then}
    return (
        _unseen(written | {"head": kind.head, "before": kind.before, "run": kind.run})
        or _unnamed(kind.pattern)
        or _far(kind.pattern)
        or _told("pattern", safety.refusal(kind.pattern, length=MAX_DECISION, ignore_case=fold))
        # It is looked for, so it may begin anywhere in what is seen.
        or _told("head", kind.head and safety.refusal(f"(?s:.)*?(?:{kind.head})", length=MAX_LEAD))
        or headed(kind.head)
        or _anchored(kind)
        or (None if kind.spaced else late(kind.pattern, ignore_case=fold))
    )


def _number(kind: Number) -> str | None:
    return (
        _unseen({"form": kind.form, "head": kind.head})
        or _far(kind.form)
        or _told("form", safety.refusal(kind.form, length=MAX_FORM))
        or _told("head", kind.head and safety.refusal(kind.head, length=MAX_HEAD))
    )


def _unseen(written: Mapping[str, Sequence[str]]) -> str | None:
    """Why what is looked for is never seen: a text is looked through with ASCII's spaces for all others."""
    for what, expressions in written.items():
        text = "".join(expressions)
        by_bytes = (bytes.fromhex(one.replace("\\x", "")).decode() for one in _BYTES.findall(text))
        for sign in (*text, *by_bytes):
            if not sign.isascii() and sign.isspace():
                return f"{what}: a space that is not ASCII's, U+{ord(sign):04X}, is seen as one that is: write an ordinary one"
    return None


#: Such a space by its bytes, as expressions over bytes have it.
_BYTES: Final = re.compile(
    r"(?i)\\xc2\\x(?:a0|85)|\\xe2\\x80\\x(?:8[0-9a]|a[89f])|\\xe2\\x81\\x9f|\\xe3\\x80\\x80|\\xe1\\x9a\\x80"
)


def _told(what: str, why: str | None) -> str | None:
    return f"{what}: {why}" if why else None


def _unnamed(pattern: str) -> str | None:
    """What a group without a name would be taken for: the value."""
    made = re.compile(pattern.encode())
    if made.groups == len(made.groupindex):
        return None
    return "pattern: write (?:…) for a group that only groups, and (?P<value>…) for the one that is the value"


def _far(pattern: str) -> str | None:
    found = parser()
    if found is None:
        there = "(?<=" in pattern or "(?<!" in pattern
        return "pattern: a lookbehind cannot be judged in this interpreter" if there else None
    behind = Automaton(found.parse(pattern.encode()), MAX_DECISION, fold=True).behind
    if any(body.getwidth()[1] > _BEHIND for body in behind):
        return f"pattern: a lookbehind sees {_BEHIND} bytes at most"
    return None


def headed(head: str) -> str | None:
    """Why a detector's `head` may not be used; None if it may.

    What stands before an anchor is held back by a stream as long as it is part of the anchor's word, and no further back
    than a head is looked for.
    """
    found = parser()
    if found is None:
        try:
            size, space = width(head, ""), bool(spaces(head))
        except PackError:
            return "head: in this interpreter it is characters and classes, each with an exact count"
    else:
        tree = found.parse(head.encode())
        size = tree.getwidth()[1]
        try:
            seen = Automaton(tree, MAX_LEAD, fold=True)
        except Unclear as why:
            return f"head: {why}"
        if any(body.getwidth()[1] > _BEHIND_HEAD for body in seen.behind):
            return f"head: a lookbehind sees {_BEHIND_HEAD} bytes at most"
        # What it only looks at ahead is what it reads, or nothing: it ends where the anchor begins.
        space = any(
            reads & _SPACE and state not in seen.ends and state not in seen.ahead
            for state, reads in enumerate(seen.reads)
        )
    if size > MAX_LEAD:
        return f"head: it matches {MAX_LEAD} bytes at most; say how many, [a-z]{{1,20}} instead of [a-z]+"
    if space:
        return (
            "head: it reads whitespace, and what stands before that may have left a stream already. Leave whitespace out "
            "of its classes, [^\\s,] instead of [^,], or begin with a literal that stands before it"
        )
    return None


def _anchored(kind: Detector) -> str | None:
    """Why an anchor is whole only behind whitespace, when the word before has left a stream; None if it is not.

    `spaced` does not help: no stream knows of a value before its anchor is whole. Some of ours do it, because their value
    stands behind that whitespace, too: the tests hold streams over each of them.
    """
    extra = width(kind.then, kind.label)
    # With its last byte an anchor is whole: that one may be whitespace.
    if any(at < extra - 1 for at in spaces(kind.then)):
        return "then: it reads on behind whitespace; leave that to the pattern"
    if extra and any(literal.encode()[-1:].isspace() for literal in kind.literals):
        return "then: nothing is looked for behind a literal that ends in whitespace; leave that to the pattern"
    return None


def late(pattern: str, *, ignore_case: bool = False) -> str | None:
    """Why a pattern decides only after the word is over that its value ends in; None if it does not.

    A stream lets go of a word when whitespace follows it. A pattern that reads on from there, within the value, behind
    it or ahead, would change its mind about what has left. `spaced = true` makes streams wait for `MAX_DECISION` bytes.
    """
    if parser() is None:
        return "pattern: say spaced = true: in this interpreter it cannot be told whether it reads beyond whitespace"
    try:
        if not any(reads_on(pattern, ignore_case=ignore_case)):
            return None
    except Unclear as why:
        return f"pattern: {why}"
    return (
        "pattern: it reads on behind whitespace. Leave whitespace out of its classes, [^\\s,] instead of [^,], "
        "or say spaced = true, and streams wait for it"
    )


def reads_on(pattern: str, *, ignore_case: bool = False) -> tuple[bool, bool]:
    """Whether a pattern reads on behind whitespace: from its value on; and ahead, before its value.

    The second need not be bad: what it reads ahead it may read again before the value.

    Raises:
        Unclear: it cannot be told.
    """
    found = parser()
    if found is None:
        raise Unclear("this interpreter has no parser for it")
    tree = found.parse(pattern.encode(), re.IGNORECASE if ignore_case else 0)
    seen = _Sight(tree, MAX_DECISION, fold=True)
    first = min(seen.groups.values(), default=0)
    on = [
        state
        for state, edges in enumerate(seen.edges)
        if seen.reads[state] & _SPACE and state not in seen.ends and any(to not in seen.ends for to, _, _ in edges)
    ]
    return any(state > first for state in on), any(state <= first and state in seen.ahead for state in on)


class _Sight(Automaton):
    """An automaton in which the end of the text is something to be read: it is no end, if more text comes."""

    def _at(self, place: str) -> Any:
        if not place.startswith("AT_END"):
            return super()._at(place)
        if place == "AT_END":
            raise Unclear(
                r"$ also stands before a line feed that ends the text, which is no end if more comes: write \Z"
            )
        probe = self._state(ALL)
        nothing = super()._at(place)
        first: tuple[Edge, ...] = probe.first
        return nothing._replace(first=first)
