"""Whether a ledger goes on from the tree heads that somebody else vouches for, and what they vouch for in it.

What an anchor vouches for was there when it had the head: it cannot have been cut off since, and nobody who stole a key later can
have written it.

INVARIANTS
- Everything that somebody vouches for is compared, not the newest alone: a ledger that was cut and grown again has a newer head, too.
- What is asked and cannot be answered, and a tree head of this ledger whose signer is not known here, is never taken for a yes: it is told
  in a note, and nobody says `whole`.
- Answers are collected before the store is read, so that what is sealed and anchored meanwhile is no fault.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from guardai.errors import AnchorAhead, AnchorError
from guardai.ledger.anchored import LIMIT, ask_within, head_of, receipts, told
from guardai.ledger.certs import key_id
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import root_at
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint, read_note
from guardai.ledger.place import read_store
from guardai.ledger.report import Code, Vouching
from guardai.ledger.store import StoreError
from guardai.model import Anchor, TreeHead, Vouched, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from guardai.ledger.merkle import Tiles
    from guardai.ledger.trust import Trust

__all__ = ["Anchors", "Claim", "Vouchings", "claims", "judged"]

#: Bytes of a file that holds one tree head.
_MOST: Final = 64 * 1024
#: Bytes of a line with a receipt.
_LINE: Final = 6 * _MOST + 1024
_TRIES: Final = 3


class Anchors(NamedTuple):
    """Whose word counts.

    Attributes:
        known: URL → anchor.
        ask: ask them, too; else what they gave for tree heads, and the home has kept, counts.
        held: files with tree heads, or receipts, that somebody has kept elsewhere.
    """

    known: Mapping[str, Anchor] = {}
    ask: bool = False
    held: Sequence[Path] = ()


class _Line(msgspec.Struct):
    receipt: str


_decode: Final = msgspec.json.Decoder(_Line).decode


class Claim(NamedTuple):
    """What one anchor, or one file, has to say.

    Attributes:
        who: an anchor's URL as it may be shown, or a file's name.
        heads: what it vouches for.
        ahead: the size of a tree head that it says it has seen, though it did not show it; -1 if there is none, 0 if it did not say.
        asked: the size of the tree that it was asked about.
        error: why there is no more; "" if there is nothing to remark.
        needed: whether somebody asked for it, so that no answer is no yes.
    """

    who: str
    heads: tuple[Vouched, ...]
    ahead: int = -1
    asked: int = 0
    error: str = ""
    needed: bool = False


class Vouchings:
    """What was found: a line for each anchor and each file, the faults, and why it cannot be told."""

    def __init__(self) -> None:
        self.lines: list[Vouching] = []
        self.faults: list[Code] = []
        self.notes: list[str] = []
        #: Sizes of trees that this one goes on from, and when that was vouched for, in seconds since 1970.
        self.sizes: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Leaves that somebody else vouches for."""
        return max((size for size, _ in self.sizes), default=0)

    def before(self, since: int) -> int:
        """Leaves that somebody else vouched for before a time; microseconds since 1970."""
        return max((size for size, time in self.sizes if time and (time + 1) * 1_000_000 <= since), default=0)


def claims(layout: Layout, trusted: Trust, anchors: Anchors) -> list[Claim]:
    """What all of them have to say.

    Args:
        layout: of the home whose receipts count.
        trusted: whose tree it is, and who was revoked when.
        anchors: whose word counts.
    """
    found = [_held(path, anchors.known) for path in anchors.held]
    for url, one in anchors.known.items():
        claim = _kept(layout.home, url, one)
        found.append(_asked(layout, trusted, url, one, claim.heads) if anchors.ask else claim)
    return found


def _held(path: Path, known: Mapping[str, Anchor]) -> Claim:
    """A tree head in a file, or many: what another ledger hands out, or a copy of an anchor's receipts."""
    heads: list[Vouched] = []
    unread = 0
    try:
        with path.open("rb") as file:
            if path.suffix == ".jsonl":
                texts = [
                    _receipt_in(line) for line in iter(functools.partial(file.readline, _LINE), b"") if line.strip()
                ]
            else:
                texts = [file.read(_MOST).decode(errors="replace")]
        for text in texts:
            found = _checked(text, known)
            heads.extend(found)
            unread += not found
    except OSError as error:
        return Claim(path.name, (), error=f"it cannot be read: {error.strerror}", needed=True)
    why = (
        "it holds no tree head"
        if not heads
        else f"nobody here can say what {unread} of its receipts prove"
        if unread
        else ""
    )
    return Claim(path.name, tuple(heads), error=why, needed=True)


def _receipt_in(line: bytes) -> str:
    """The receipt in a line of a file that somebody has kept; "" if it is none, which has to be told: not ours is what a death cut short."""
    try:
        return _decode(line).receipt
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _sound(answer: object) -> Vouched:
    """What an anchor says, if it can be one's answer.

    Raises:
        AnchorError: it cannot.
    """
    try:
        return (
            msgspec.convert(tuple(answer), Vouched)
            if isinstance(answer, Vouched) and answer.note.encode()
            else _nothing()
        )
    except (msgspec.ValidationError, UnicodeEncodeError, AttributeError, TypeError):
        return _nothing()


def _nothing() -> Vouched:
    raise AnchorError("it says what nobody understands")


def _checked(receipt: str, known: Mapping[str, Anchor]) -> list[Vouched]:
    """What a receipt proves by whichever anchor gave it; else, if it is a tree head, that."""
    for one in known.values():
        try:
            return [_sound(one.check(receipt))]
        except Exception:  # noqa: S112 - it is another's, whatever an anchor raises then
            continue
    return [Vouched(receipt, 0)] if "\n\n" in receipt else []


def _kept(home: Path, url: str, one: Anchor) -> Claim:
    """What an anchor gave, as far as the home has it still."""
    heads: list[Vouched] = []
    error = ""
    try:
        for receipt in receipts(home, url):
            try:
                heads.append(_sound(one.check(receipt.receipt)))
            except AnchorError as why:
                error = error or str(why)
    except Exception as why:  # an anchor may raise anything
        error = told(why, url)
    return Claim(shown(url), tuple(heads), error=error)


def _asked(layout: Layout, trusted: Trust, url: str, one: Anchor, kept: tuple[Vouched, ...]) -> Claim:
    """What an anchor says now, besides what it gave."""
    moments = tuple(sorted({revoked.since // 1_000_000 for revoked in trusted.revoked.values()}))
    asked = 0
    for attempt in range(_TRIES):
        answers: list[Vouched] = []
        heads: list[TreeHead] = []
        try:
            ask_within(LIMIT, functools.partial(_ask, layout, trusted.origin, one, moments, heads, answers))
            return Claim(shown(url), (*kept, *answers), asked=heads[0].size, needed=True)
        except AnchorAhead as why:
            again, asked = heads[0].size > asked, heads[0].size
            if again and attempt < _TRIES - 1:
                continue  # somebody may have sealed and anchored on since
            ahead = why.size if type(why.size) is int else 0
            return Claim(shown(url), (*kept, *answers), ahead, asked, told(why, url), needed=True)
        except Exception as why:  # an anchor may raise anything; what it said before counts
            return Claim(shown(url), (*kept, *answers), error=told(why, url), needed=True)
    raise AssertionError("unreachable")


def _ask(
    layout: Layout, origin: str, one: Anchor, moments: tuple[int, ...], heads: list[TreeHead], answers: list[Vouched]
) -> None:
    with read_store(layout, gated=False) as store:
        head = head_of(store, origin) if store is not None else None
        if head is None:
            raise AnchorError("nothing is sealed here, so it cannot be asked")
        heads.append(dataclasses.replace(head, moments=moments))
        for answer in one.ask(heads[0], seconds=LIMIT):
            answers.append(_sound(answer))  # noqa: PERF401 - what came before it raises counts


def judged(found: Iterable[Claim], tiles: Tiles | None, trusted: Trust, newest: int) -> Vouchings:
    """Compares what anchors vouch for with a tree.

    Args:
        found: what they have to say.
        tiles: of the tree; None if there is none.
        trusted: who may have signed tree heads.
        newest: leaves under its newest tree head.
    """
    all_of = Vouchings()
    for claim in found:
        _judge(all_of, claim, tiles, trusted, newest)
    return all_of


def _judge(all_of: Vouchings, claim: Claim, tiles: Tiles | None, trusted: Trust, newest: int) -> None:
    faults: dict[Code, str] = {}
    error, doubt = claim.error, claim.error if claim.needed else ""
    best, when = 0, 0
    if claim.ahead > newest:
        faults["rolled_back"] = claim.error
    elif 0 <= claim.ahead <= claim.asked:
        faults["forked"] = claim.error
    for head in claim.heads:
        try:
            opened = open_checkpoint(head.note, trusted.origin, trusted.publics)
        except NoteError as why:
            if _is_this_tree(head.note, tiles, trusted.origin, newest):
                continue  # whoever wrote that, it says nothing else than what is here
            error = error or str(why)
            if head.note.startswith(f"{trusted.origin}\n") or claim.needed:
                doubt = doubt or f"a tree head of this ledger counts for nothing: {why}"
            continue
        same = opened.size <= newest and tiles is not None and _goes_on(tiles, opened.size, opened.root)
        if all(key_id(public) in trusted.revoked for public in opened.by) and not _in_time(head, opened.by, trusted):
            # A thief may have made it, unless it is of this very tree.
            doubt = doubt if same else doubt or "a tree head is signed by a key that was revoked before"
        elif opened.size > newest:
            faults["rolled_back"] = "a tree head is of more events than are here"
        elif not same:
            faults["forked"] = "a tree head is of another tree"
        else:
            size = opened.size if head.size is None else min(head.size, opened.size)
            all_of.sizes.append((size, head.time))
            if size >= best:
                best, when = size, head.time
    all_of.faults.extend(faults)
    if faults:
        error = "; ".join(faults.values())
    elif doubt:
        all_of.notes.append(f"{claim.who}: {doubt}")
        error = doubt
    elif not best:
        error = error or "it vouches for nothing of this ledger, or had not before it was asked, or does not keep it"
    all_of.lines.append(Vouching(claim.who, best, when, "" if best and not faults and not doubt else error))


def _is_this_tree(note: str, tiles: Tiles | None, origin: str, newest: int) -> bool:
    """Whether a note that nobody signed who counts is of this very tree."""
    try:
        head = Checkpoint.read(read_note(note)[0], origin)
    except NoteError:
        return False
    return head.size <= newest and tiles is not None and _goes_on(tiles, head.size, head.root)


def _in_time(head: Vouched, by: Iterable[bytes], trusted: Trust) -> bool:
    """Whether somebody had a tree head before its signer was revoked: else a thief may have made it."""
    since = max(trusted.revoked[key_id(public)].since for public in by)
    return bool(head.time) and (head.time + 1) * 1_000_000 <= since


def _goes_on(tiles: Tiles, size: int, root: bytes) -> bool:
    try:
        return root_at(tiles, size) == root
    except (ValueError, StoreError):
        return False
