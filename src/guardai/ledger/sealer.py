"""Folds all spools into the store: whoever holds the lock does it for every process of the home.

A log that is still being written is folded up to its newest signed head; the log of a dead process is adopted first
(`adopt`), and its spool is removed once the store alone holds it.

INVARIANTS
- What does not pass `chain.examine` is not folded: the spool stays as it is, for `verify` to name the fault.
- A spool is removed, and the `checkpoint` file moved forward, only after the commit is on the disk and the write-ahead
  log is empty. So a store that was set back, or lost its write-ahead log, disagrees with that file.
- A store file is never open across a fork (`forks`), so a batch is short.
- Of a store that hosts share each signs only what goes on from the head that it signed last, however much others have added.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardai.ledger import liveness
from guardai.ledger.adopt import adopt
from guardai.ledger.certs import key_id
from guardai.ledger.chain import BREATH, Cursor, Examined, examine
from guardai.ledger.hostfiles import erase_former, settle
from guardai.ledger.keys import load_keys
from guardai.ledger.layout import Layout, replace
from guardai.ledger.merkle import Tree, root_at
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint, sign_checkpoint
from guardai.ledger.place import address_of, has_store, open_store
from guardai.ledger.projection import catch_up
from guardai.ledger.reading import read_log
from guardai.ledger.statements import joined, publish
from guardai.ledger.store import LogRow, StoreHeldError
from guardai.ledger.trust import trust_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from guardai.ledger.heads import Head
    from guardai.ledger.keys import Keys
    from guardai.ledger.projection import Projection
    from guardai.ledger.reading import LogView
    from guardai.ledger.store import Row, Store

__all__ = ["SealError", "forget_in_child", "seal"]

#: Events of one transaction: at most 50 ms, so that a fork does not wait long.
_BATCH: Final = 2_000
#: Bytes of a log which are looked at together: bounds the memory that a fast writer's takes, or a long one.
_CHUNK: Final = 4 * 1024 * 1024
#: A courteous sealer pauses every few events. The interpreter lock changes hands only every 5 ms by itself, and a
#: caller's append needs it twice: without pauses a background fold would cost callers milliseconds.
_PAUSE: Final = 0.0005
#: So many of the newest checkpoints are kept.
_CHECKPOINTS: Final = 256
#: Seconds after which what a dead process had not finished opening is cleared away.
_STALE: Final = 3600.0
#: Logs that are remembered between two seals.
_MOST_KNOWN: Final = 1024

#: Spool → how far it was examined, so that a long log is not examined from its start every second.
_known: dict[str, Cursor] = {}


class SealError(Exception):
    """The store is not what was sealed; nothing is added to it until that is cleared up."""


def seal(
    home: Path,
    keys: Keys,
    projection: Projection | None = None,
    *,
    deadline: float | None = None,
    courteous: bool = False,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """Folds what can be folded; False if another process is sealing or holds the store, or not all could be done in time.

    Args:
        home: the home.
        keys: its keys.
        projection: the derived table to bring up to date; None leaves it behind, which harms nothing.
        deadline: when to stop, as `time.monotonic` counts.
        courteous: pause often, for a thread beside an application.
        stop: asked between two batches whether to stop.

    Raises:
        SealError: the store does not agree with its newest checkpoint, or the host's certificate has expired.
        LedgerError: another host has taken over, and its keys cannot be read.
        StoreError, OSError: the store cannot be read or written.
    """
    layout = Layout(home)
    if not layout.spools.is_dir():
        return True
    with liveness.held(layout.seal_lock) as mine:
        if not mine:
            return False
        if keys.superseded():
            # Who holds this lock has the keys of now: a rotation holds it, too.
            keys = load_keys(home)
        if time.time_ns() // 1000 >= keys.claims.until:
            raise SealError(f"the certificate {keys.place} has expired: `guardai keys rotate`")
        try:
            return _Sealer(layout, keys, projection, deadline, stop, courteous=courteous).run()
        except StoreHeldError:
            return False


@dataclass
class _Pending:
    """Events `start` to `stop` (exclusive) of one log, which may be folded now."""

    examined: Examined
    head: Head
    start: int
    stop: int

    @property
    def log(self) -> str:
        return self.examined.view.log


class _Sealer:
    def __init__(
        self,
        layout: Layout,
        keys: Keys,
        projection: Projection | None,
        deadline: float | None,
        stop: Callable[[], bool] | None,
        *,
        courteous: bool,
    ) -> None:
        self.layout = layout
        self.keys = keys
        self.projection = projection
        self.deadline = deadline
        self.stop = stop
        self.courteous = courteous
        self.own = self.trust = trust_in(layout, keys.root)
        self.kept = contextlib.ExitStack()
        self.open: Store | None = None
        self.rows: dict[str, LogRow] = {}
        self.queue: list[_Pending] = []
        self.ended: list[str] = []

    def run(self) -> bool:
        """Does every step."""
        with self.kept:
            return self._run()

    def _run(self) -> bool:
        logs = sorted(path.name.removesuffix(".jsonl") for path in self.layout.spools.glob("*.jsonl"))
        self._read_rows(logs)
        for log in logs:
            if self._out_of_time():
                return False
            self._gather(log)
            if sum(pending.stop - pending.start for pending in self.queue) >= _BATCH and not self._flush():
                return False
        if not self._flush():
            return False
        self._clear_away(logs)
        return self._project()

    def _out_of_time(self) -> bool:
        return (self.deadline is not None and time.monotonic() > self.deadline) or (
            self.stop is not None and self.stop()
        )

    def _read_rows(self, logs: list[str]) -> None:
        if logs and has_store(self.layout):
            with self._at_the_store() as store:
                self.trust = joined(store, self.own)
                for log in logs:
                    row = store.log(log)
                    if row is not None:
                        self.rows[log] = row

    def _gather(self, log: str) -> None:
        """Queues what may be folded of one log. What may not be is left where it is: `verify` says why."""
        try:
            fd = liveness.open_tracked(self.layout.spool(log), os.O_RDWR | os.O_APPEND)
        except OSError:
            return
        try:
            if not liveness.try_lock(fd):
                self._gather_live(log)
                return
            try:
                self._gather_dead(log, fd)
            finally:
                liveness.unlock(fd)
        finally:
            liveness.close(fd)

    def _gather_live(self, log: str) -> None:
        """What is under the newest head of a log, a few megabytes at a time."""
        place = str(self.layout.spool(log))
        target: int | None = None
        again = False
        while True:
            after = _known.get(place)
            view = self._read_on(log, after, _CHUNK)
            if view is not None and view.newest() < 0 and view.heads:
                view = self._read_on(log, after, -1)  # large events, few heads
            if view is None or view.newest() < 0:
                return
            if target is None:
                target = max(head.seq for head in view.heads)
            newest = view.newest()
            examined = examine(view.upto(newest), self.trust, after, self._breathe)
            cursor = examined.cursor()
            if cursor is None or examined.signed != newest or self._is_revoked(examined):
                return
            if examined.ended and cursor.offset != self.layout.spool(log).stat().st_size:
                return  # something stands behind the end: only who looks at both together can say what it is
            if not self._enqueue(examined, after):
                if after is None or again:
                    return
                # What is known of it is of another time than the store: once more from its start.
                again = True
                del _known[place]
                continue
            if len(_known) > _MOST_KNOWN:
                _known.clear()
            _known[place] = cursor
            if newest >= target or not self._flush():
                return

    def _read_on(self, log: str, after: Cursor | None, limit: int) -> LogView | None:
        if after is None:
            return read_log(self.layout, log, limit=limit)
        return read_log(
            self.layout, log, base=after.events, offset=after.offset, heads_offset=after.heads_offset, limit=limit
        )

    def _breathe(self) -> None:
        if self.courteous:
            time.sleep(_PAUSE)

    def _gather_dead(self, log: str, fd: int) -> None:
        """Everything of a log that nobody writes any more, after its end has been signed."""
        place = str(self.layout.spool(log))
        # From its first event on: nobody but its writer is kept from putting another in its place between two seals.
        _known.pop(place, None)
        if os.fstat(fd).st_size > _CHUNK:
            # Of a long one what its heads cover first: what is left then is what it wrote in its last second.
            self._gather_live(log)
            if log in self.ended or not self._flush():
                return
        after = _known.pop(place, None)
        for attempt in ("as it is", "adopted"):
            view = self._read_on(log, after, -1)
            if view is None:
                return
            examined = examine(view, self.trust, after, self._breathe)
            # Two copies of one log are not ended, and not countersigned: `verify` says `differs`.
            if examined.faults or self._is_revoked(examined) or not _meets(self.rows.get(log), examined):
                return
            if examined.ended:
                self._enqueue(examined, after)
                return
            if attempt == "adopted" or not adopt(self.layout, self.keys, examined, fd):
                return

    def _is_revoked(self, examined: Examined) -> bool:
        """Whether it is at fault by a revocation: it may be the work of whoever stole the key."""
        return examined.judged(self.trust.revoked).fault >= 0

    def _enqueue(self, examined: Examined, after: Cursor | None) -> bool:
        """Queues what the store does not have yet; False if the store and this do not meet."""
        log, head, base = examined.view.log, examined.head, examined.view.base
        row = self.rows.get(log)
        start = row.events if row is not None else 0
        if head is None or base > start:
            return False
        if examined.events < start:
            return True  # folded already: whether it is the same shows where the two meet
        if row is not None:
            meets = after.prev if after is not None and start == base else examined.leaf(start - 1).hex()
            if meets != row.hash:
                return False  # two copies of one log: `verify` says `differs`
        if start <= examined.signed:
            self.queue.append(_Pending(examined, head, start, examined.signed + 1))
        if examined.ended:
            self.ended.append(log)
        return True

    def _flush(self) -> bool:
        """Folds what is queued, in batches of one transaction and one checkpoint each."""
        while self.queue:
            if self._out_of_time():
                return False
            with self._at_the_store() as store:
                note = self._batch(store)
                self._settle(store, note)
        return True

    def _batch(self, store: Store) -> str:
        with store.writing():
            publish(store, self.layout, self.own)
            tree = Tree(store, self._check_edge(store))
            room = _BATCH
            done = 0
            for pending in self.queue:
                stop = min(pending.stop, pending.start + room)
                self._insert(store, pending, tree.size, stop)
                tree.extend([pending.examined.leaf(seq) for seq in range(pending.start, stop)])
                room -= stop - pending.start
                pending.start = stop
                if stop < pending.stop:
                    break
                done += 1
                if not room:
                    break
            note = sign_checkpoint(Checkpoint(self.keys.origin, tree.size, tree.root()), self.keys.host)
            store.put_checkpoint(tree.size, note, _CHECKPOINTS)
        del self.queue[:done]
        return note

    def _insert(self, store: Store, pending: _Pending, size: int, stop: int) -> None:
        examined, db = pending.examined, store.db
        row = store.log(pending.log)
        n = row.n if row else db.execute("SELECT coalesce(max(n), 0) + 1 FROM logs").fetchone()[0]
        if examined.recovered:
            store.insert(self._rows_with_tags(pending, size, n, stop))
        else:
            # One statement for all: row by row, the interpreter lock would go to and fro between this and the callers.
            base = examined.view.base
            lines = examined.view.lines[pending.start - base : stop - base]
            store.insert_lines(lines, examined.times[pending.start - base : stop - base], size, n, pending.start)
        row = LogRow(n, stop, examined.leaf(stop - 1).hex(), examined.ended and stop == pending.stop)
        store.put_log(pending.log, row)
        self.rows[pending.log] = row
        # The newest head of a key covers what its older ones did.
        heads = {
            head.by: head for head in sorted(examined.view.heads, key=lambda head: head.seq) if head.seq < pending.stop
        }
        for head in heads.values():
            db.execute("DELETE FROM heads WHERE log = ? AND by = ?", (n, head.by))
            db.execute(
                "INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (log, seq) "
                "DO UPDATE SET hash = excluded.hash, by = excluded.by, ts = excluded.ts, sig = excluded.sig",
                (n, head.seq, head.hash, head.by, head.ts, head.sig),
            )

    def _rows_with_tags(self, pending: _Pending, size: int, n: int, stop: int) -> Iterator[Row]:
        """Under a signed head a tag proves nothing more; of a recovered event it is the evidence."""
        examined = pending.examined
        kept = [range(found.first, found.last + 1) for found in examined.recovered]
        for seq in range(pending.start, stop):
            if not seq % BREATH:
                self._breathe()
            tag = examined.tag(seq) if any(seq in one for one in kept) else None
            yield size + seq - pending.start, n, seq, examined.time(seq), examined.data(seq), tag

    def _check_edge(self, store: Store) -> int:
        """The tree's size, if its right edge is what the newest checkpoint says, and it goes on from the one on file."""
        self.trust = joined(store, self.own)
        if self.keys.host_id in self.trust.revoked:
            raise SealError(f"the host {self.keys.host_id} was revoked; `guardai keys rotate` has another take over")
        size = store.size()
        note = store.newest()
        if (note is None) != (size == 0):
            raise SealError("the store has events but no checkpoint")
        held = self._checkpoint_on_file()
        if held is not None and held.size > size:
            raise SealError(f"the store has {size} events, its newest checkpoint was for {held.size}")
        if note is not None:
            try:
                checkpoint = self._open_checkpoint(note)
                root = Tree(store, size).root()
            except (NoteError, ValueError) as error:
                raise SealError(str(error)) from error
            if checkpoint.size != size or checkpoint.root != root:
                raise SealError("the tree is not what its checkpoint says")
            if held is not None and not _goes_on(store, held):
                raise SealError(f"the tree does not go on from the one of {held.size} events that was sealed from here")
        return size

    def _checkpoint_on_file(self) -> Checkpoint | None:
        try:
            note = self.layout.checkpoint.read_text("utf-8")
            return self._open_checkpoint(note)
        except FileNotFoundError:
            return None
        except (NoteError, UnicodeDecodeError) as error:
            raise SealError(f"the checkpoint on file does not hold: {error}") from error

    def _open_checkpoint(self, note: str) -> Checkpoint:
        """Our own tree head, or one of a former host. Not of one whose key was stolen: it could be another tree's."""
        checkpoint = open_checkpoint(note, self.trust.origin, self.trust.publics)
        if all(key_id(public) in self.trust.revoked for public in checkpoint.by):
            raise NoteError("the newest tree head is signed by a key that was revoked")
        return checkpoint

    def _file_lags(self) -> bool:
        """Whether a sealer died, or had to wait for a reader, before it could move the checkpoint on file forward."""
        if not has_store(self.layout):
            return False
        held = self._checkpoint_on_file()
        with self._at_the_store() as store:
            return store.size() > (held.size if held is not None else 0)

    def _settle(self, store: Store, note: str) -> bool:
        """Moves everything into the main file, then the checkpoint on file forward."""
        if not store.dialect.settle(store.db):
            return False  # a reader is at it; the spools wait
        replace(self.layout.checkpoint, note.encode(), 0o600)
        return True

    def _project(self) -> bool:
        if self.projection is None or not has_store(self.layout):
            return True
        while not self._out_of_time():
            with self._at_the_store() as store, store.writing():
                done = catch_up(store, self.projection, _BATCH, self._breathe)
            if done:
                return True
        return False

    def _head(self, store: Store) -> str | None:
        """The newest tree head; of a tree that another host has added to, this host's own signature on it."""
        size = self._check_edge(store)
        note = store.newest()
        if note is None or self.keys.host_public in self._open_checkpoint(note).by:
            return note
        return sign_checkpoint(Checkpoint(self.keys.origin, size, Tree(store, size).root()), self.keys.host)

    def _clear_away(self, logs: list[str]) -> None:
        """Removes spools that the store alone holds now, and what a death left half-made."""
        if self.ended or self._file_lags():
            with self._at_the_store() as store:
                note = self._head(store)
                settled = note is not None and self._settle(store, note)
            for log in self.ended if settled else ():
                self.layout.spool(log).unlink(missing_ok=True)
                self.layout.heads(log).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a keys folder that may not be written
            settle(self.layout, self.keys.host_id)
            erase_former(self.layout, self.keys.host_id)
        spools = self.layout.spools
        old = time.time() - _STALE
        for file in spools.iterdir():
            with contextlib.suppress(OSError):
                log = file.name.removeprefix(".").partition(".")[0]
                if log in logs or file.stat().st_mtime > old or liveness.is_held(file):
                    continue
                if file.suffix == ".draft" or (file.suffix == ".sig" and not (spools / f".{log}.draft").exists()):
                    file.unlink()

    @contextlib.contextmanager
    def _at_the_store(self) -> Iterator[Store]:
        """The store: a file is opened each time, a connection kept until all is done."""
        if address_of(self.layout) is None:
            with open_store(self.layout) as store:
                yield store
            return
        if self.open is None:
            self.open = self.kept.enter_context(open_store(self.layout))
        with self.open.reading():
            yield self.open


def _goes_on(store: Store, held: Checkpoint) -> bool:
    """Whether the tree's first leaves are those of this head."""
    try:
        return root_at(store, held.size) == held.root
    except ValueError:
        return False


def _meets(row: LogRow | None, examined: Examined) -> bool:
    """Whether a log goes on from what has been folded of it."""
    if row is None or not row.events:
        return not examined.view.base
    if row.events == examined.view.base:
        return examined.after.prev == row.hash
    return examined.view.base < row.events <= examined.events and examined.leaf(row.events - 1).hex() == row.hash


def forget_in_child() -> None:
    """After a fork, in the child."""
    _known.clear()
