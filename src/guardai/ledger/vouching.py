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

import functools
from typing import TYPE_CHECKING, NamedTuple

from guardai.errors import AnchorAhead, AnchorError
from guardai.ledger.anchored import LIMIT, ask_within, newest_head, read_receipts, receipts, told
from guardai.ledger.certs import key_id
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import root_at
from guardai.ledger.note import NoteError, open_checkpoint
from guardai.ledger.report import Code, Vouching
from guardai.ledger.store import StoreError
from guardai.model import Anchor, TreeHead, Vouched, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from guardai.ledger.merkle import Tiles
    from guardai.ledger.trust import Trust

__all__ = ["Anchors", "Claim", "Vouchings", "claims", "judged"]

#: Bytes of a file that holds one tree head.
_MOST = 64 * 1024


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


def claims(layout: Layout, origin: str, anchors: Anchors) -> list[Claim]:
    """What all of them have to say.

    Args:
        layout: of the home whose receipts count.
        origin: of its tree.
        anchors: whose word counts.
    """
    found = [_held(path, anchors.known) for path in anchors.held]
    return [*found, *(_asked(layout, origin, url, one, ask=anchors.ask) for url, one in anchors.known.items())]


def _held(path: Path, known: Mapping[str, Anchor]) -> Claim:
    """A tree head in a file, or many: what another ledger hands out, or a copy of an anchor's receipts."""
    try:
        if path.suffix == ".jsonl":
            heads = [head for one in read_receipts(path) for head in _checked(one.receipt, known)]
        else:
            with path.open("rb") as file:
                heads = list(_checked(file.read(_MOST).decode(), known))
    except OSError as error:
        return Claim(path.name, (), error=f"it cannot be read: {error.strerror}", needed=True)
    except UnicodeDecodeError:
        heads = []
    return Claim(path.name, tuple(heads), error="" if heads else "it holds no tree head", needed=True)


def _checked(receipt: str, known: Mapping[str, Anchor]) -> Iterator[Vouched]:
    """What a receipt proves by whichever anchor gave it; else, if it is a tree head, that."""
    for one in known.values():
        try:
            yield one.check(receipt)
        except AnchorError:
            continue
        return
    if "\n\n" in receipt:
        yield Vouched(receipt, 0)


def _asked(layout: Layout, origin: str, url: str, one: Anchor, *, ask: bool) -> Claim:
    heads: list[Vouched] = []
    error = ""
    try:
        for receipt in receipts(layout.home, url):
            try:
                heads.append(one.check(receipt.receipt))
            except AnchorError as why:
                error = error or str(why)
    except Exception as why:  # an anchor may raise anything
        error = told(why, url)
    if not ask:
        return Claim(shown(url), tuple(heads), error=error)
    asked = 0
    while True:
        try:
            head = newest_head(layout, origin)
            if head is None:
                raise AnchorError("nothing is sealed here, so it cannot be asked")
            again, asked = head.size > asked, head.size
            answers = ask_within(LIMIT, functools.partial(_all_of, one, head))
        except AnchorAhead as why:
            if again:
                continue  # somebody may have sealed and anchored on since: until nothing is newer here
            return Claim(shown(url), tuple(heads), why.size, asked, told(why, url), needed=True)
        except Exception as why:
            return Claim(shown(url), tuple(heads), error=told(why, url), needed=True)
        return Claim(shown(url), (*heads, *answers), asked=asked, needed=True)


def _all_of(one: Anchor, head: TreeHead) -> list[Vouched]:
    return list(one.ask(head, seconds=LIMIT))


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
    best, when, agreeing = 0, 0, 0
    if claim.ahead > newest:
        faults["rolled_back"] = claim.error
    elif 0 <= claim.ahead <= claim.asked:
        faults["forked"] = claim.error
    for head in claim.heads:
        try:
            opened = open_checkpoint(head.note, trusted.origin, trusted.publics)
        except NoteError as why:
            error = error or str(why)
            if head.note.startswith(f"{trusted.origin}\n") or claim.needed:
                doubt = doubt or f"a tree head of this ledger counts for nothing: {why}"
            continue
        if all(key_id(public) in trusted.revoked for public in opened.by) and not _in_time(head, opened.by, trusted):
            error = doubt = "a tree head is signed by a key that was revoked before"
            continue
        if opened.size > newest:
            faults["rolled_back"] = "a tree head is of more events than are here"
        elif tiles is None or not _goes_on(tiles, opened.size, opened.root):
            faults["forked"] = "a tree head is of another tree"
        else:
            agreeing += 1
            size = opened.size if head.size is None else min(head.size, opened.size)
            all_of.sizes.append((size, head.time))
            if size >= best:
                best, when = size, head.time
    all_of.faults.extend(faults)
    if faults:
        error = "; ".join(faults.values())
    elif doubt:
        all_of.notes.append(f"{claim.who}: {doubt}")
    elif not agreeing:
        error = error or "it vouches for nothing of this ledger yet"
    all_of.lines.append(Vouching(claim.who, best, when, "" if agreeing and not faults and not doubt else error))


def _in_time(head: Vouched, by: Iterable[bytes], trusted: Trust) -> bool:
    """Whether somebody had a tree head before its signer was revoked: else a thief may have made it."""
    since = max(trusted.revoked[key_id(public)].since for public in by)
    return bool(head.time) and (head.time + 1) * 1_000_000 <= since


def _goes_on(tiles: Tiles, size: int, root: bytes) -> bool:
    try:
        return root_at(tiles, size) == root
    except (ValueError, StoreError):
        return False
