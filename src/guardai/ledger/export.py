"""An export: all that is sealed, as files that anybody can serve, keep and check.

::

    checkpoint                  the signed tree head (C2SP tlog-checkpoint)
    tile/0/x001/234             hashes of the tree (C2SP tlog-tiles)
    tile/entries/x001/234       the events' exact bytes, each behind its length (two bytes, big-endian); length 0: it was pruned
    heads.jsonl                 signatures of the logs' own keys
    tags.jsonl                  tags of events whose process died before signing them
    keys/root.pub, host.cert    the root's public key, and its certificate for the host that signed the tree head
    keys/hosts, keys/revoked    its certificates for all hosts, and what it revoked
    trust.policy                the same as a C2SP tlog-policy
    verify.py                   checks all of this; needs Python and the `cryptography` package

It holds public keys alone, and what events hold.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from guardai.errors import LedgerError
from guardai.ledger import auditor
from guardai.ledger.auditor import tile_path
from guardai.ledger.certs import key_id
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import WIDTH
from guardai.ledger.note import NoteError, open_checkpoint
from guardai.ledger.place import read_store
from guardai.ledger.public import check_new, write_public
from guardai.ledger.statements import joined, revoked_in
from guardai.ledger.store import Store
from guardai.ledger.trust import trust

__all__ = ["Exported", "export"]

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Exported(NamedTuple):
    """What an export holds: so many events, under the tree head of that size; the rest was pruned."""

    events: int
    size: int
    origin: str


def export(home: Path, folder: Path, progress: Callable[[int, int], None] = lambda _, __: None) -> Exported:
    """Writes all that is sealed into a new folder. It is there whole, or not at all.

    Args:
        home: the home.
        folder: made; it must not be there, or be empty.
        progress: called with how many events have been written, and of how many.

    Raises:
        LedgerError: the folder holds something, nothing is sealed, or a public key is missing.
        StoreError, OSError: the store cannot be read, or the folder cannot be written.
    """
    check_new(folder)
    layout = Layout(home)
    trusted = trust(home)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    with read_store(layout, gated=False) as store:
        note = store.newest() if store is not None else None
        if store is None or note is None:
            raise LedgerError("nothing is sealed yet: `guardai seal`")
        trusted = joined(store, trusted)
        try:
            head = open_checkpoint(note, trusted.origin, trusted.publics)
        except NoteError as error:
            raise LedgerError(f"nobody could verify the export: {error}; `guardai verify` tells more") from None
        size, pruned = head.size, store.pruned()
        try:
            draft.mkdir(parents=True)
            write_public(layout, trusted, draft / "keys")
            for name, (statement, _) in revoked_in(store, trusted.root).items():
                (draft / "keys" / "revoked" / f"{name}.json").write_bytes(msgspec.json.encode(statement))
            host = trusted.hosts[key_id(head.by[0])].certificate
            (draft / "keys" / "host.cert").write_bytes(msgspec.json.encode(host))
            _write_events(store, draft, size, pruned, progress)
            _write_tiles(store, draft, size)
            _write_lines(draft / "heads.jsonl", _heads(store))
            _write_lines(draft / "tags.jsonl", _tags(store))
            (draft / "keys" / "trust.policy").rename(draft / "trust.policy")
            (draft / "verify.py").write_text(inspect.getsource(auditor), "utf-8")
            # The tree head last: what has one is whole.
            (draft / "checkpoint").write_text(note, "utf-8")
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Exported(size - pruned, size, trusted.origin)


def _write_events(store: Store, folder: Path, size: int, pruned: int, progress: Callable[[int, int], None]) -> None:
    bundle: list[bytes] = []
    index = 0
    for data in _entries(store, size, pruned):
        bundle.append(len(data).to_bytes(2) + data)
        if len(bundle) == WIDTH:
            _write(folder / tile_path("entries", index, WIDTH), b"".join(bundle))
            bundle, index = [], index + 1
            progress(index * WIDTH, size)
    if bundle:
        _write(folder / tile_path("entries", index, len(bundle)), b"".join(bundle))


def _entries(store: Store, size: int, pruned: int) -> Iterator[bytes]:
    """The events in the order of their leaves; b"" for each of those that were pruned."""
    due = 0
    for leaf, data in store.db.execute("SELECT leaf, bytes FROM events WHERE leaf < ? ORDER BY leaf", (size,)):
        pruned -= leaf - due
        if pruned < 0:
            raise LedgerError(f"event {due} of the store is missing or damaged: `guardai verify` tells more")
        yield from itertools.repeat(b"", leaf - due)
        yield bytes(data)
        due = leaf + 1
    if due != size or pruned:
        raise LedgerError("the store holds fewer events than its tree head: `guardai verify` tells more")


def _write_tiles(store: Store, folder: Path, size: int) -> None:
    for level, index, hashes in store.db.execute("SELECT level, idx, hashes FROM tiles ORDER BY level, idx"):
        # Another process may have sealed on: a tile has as many hashes as the tree of this size.
        width = min(len(hashes) // 32, max(0, (size >> (8 * level)) - index * WIDTH))
        if width:
            _write(folder / tile_path(level, index, width), hashes[: 32 * width])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_lines(path: Path, lines: Iterator[object]) -> None:
    with path.open("wb") as file:
        file.writelines(_encode(line) + b"\n" for line in lines)


def _heads(store: Store) -> Iterator[dict[str, object]]:
    rows = store.db.execute(
        "SELECT heads.by, heads.hash, logs.log, heads.seq, heads.sig, heads.ts FROM heads JOIN logs ON logs.n = heads.log "
        "ORDER BY logs.log, heads.seq"
    )
    for row in rows:
        yield dict(zip(("by", "hash", "log", "seq", "sig", "ts"), row, strict=True))


def _tags(store: Store) -> Iterator[dict[str, object]]:
    rows = store.db.execute(
        "SELECT logs.log, seq, tag FROM events JOIN logs ON logs.n = events.log WHERE tag IS NOT NULL ORDER BY leaf"
    )
    for log, seq, tag in rows:
        yield {"log": log, "seq": seq, "tag": bytes(tag).decode()}
