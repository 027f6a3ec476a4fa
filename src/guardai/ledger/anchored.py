"""Hands the newest tree head to every anchor, and keeps what each gave for it.

::

    anchors/<name>.json             how an anchor stands
    anchors/<name>.receipts.jsonl   {"size", "receipt"}, one a line, as they came

What a receipt proves is for whoever verifies to find out, by the anchor's `check`; that it lies here proves nothing. One that cannot be
checked without asking the anchor (a bucket) counts only for who asks.

Nobody waits for an anchor: no call, no seal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeVar

import msgspec

from guardai.errors import AnchorAhead, AnchorError, ConfigError
from guardai.ledger import liveness
from guardai.ledger.account import sink_name
from guardai.ledger.layout import Layout, replace
from guardai.ledger.merkle import consistency, root_at
from guardai.ledger.note import Checkpoint, NoteError, read_note
from guardai.ledger.place import read_store
from guardai.ledger.store import StoreError
from guardai.ledger.trust import trust
from guardai.model import OWN, Anchor, TreeHead, shown, without_secrets

if TYPE_CHECKING:
    from guardai.ledger.store import Store

__all__ = [
    "LIMIT", "Anchorage", "Anchored", "Receipt", "anchor", "append", "ask_within", "check_distinct", "cosigned_head", "head_of", "newest_head",
    "read_receipts", "receipts", "standings", "told",
]  # fmt: skip

_T = TypeVar("_T")

#: Seconds that an anchor is given.
LIMIT: Final = 30.0
_TRIES: Final = 3
_WORDS: Final = 300
#: Beyond the time that an anchor is given, to raise by itself: a second, and no more than a quarter.
_GRACE: Final = 1.0
_QUARTER: Final = 0.25
#: Receipts of each anchor among which a cosigned head is looked for.
_NEWEST: Final = 1_000
#: Bytes of a receipt, and of a line with one.
_MOST: Final = 64 * 1024
_LINE: Final = 6 * _MOST + 1024


class Anchored(msgspec.Struct, omit_defaults=True):
    """How an anchor stands.

    Attributes:
        url: as it may be shown.
        size: of the newest tree head that it vouches for.
        root: of that tree, in hex.
        place: a digest of its whole URL: an anchor with another key, or other roots, has had nothing yet.
        time: when it was handed over; microseconds since 1970, as all times here.
        failure: when it last failed.
        error: what it said then; "" if the last attempt succeeded.
        ahead: whether it knows a tree head that this ledger does not go on from.
    """

    url: str = ""
    size: int = 0
    root: str = ""
    place: str = ""
    time: int = 0
    failure: int = 0
    error: str = ""
    ahead: bool = False


class Receipt(msgspec.Struct):
    """What an anchor gave for a tree head of so many events."""

    size: int
    receipt: str


class Anchorage(NamedTuple):
    """An anchor by its URL as it may be shown, and how it stands."""

    url: str
    configured: bool
    account: Anchored


_decode: Final = msgspec.json.Decoder(Receipt).decode
_encode: Final = msgspec.json.Encoder().encode


class _Files:
    def __init__(self, home: Path, url: str) -> None:
        self.folder = _folder(home)
        name = sink_name(url)
        self.account = self.folder / f"{name}.json"
        self.receipts = self.folder / f"{name}.receipts.jsonl"
        self.lock = self.folder / f"{name}.lock"

    def read(self) -> Anchored:
        try:
            return msgspec.json.decode(self.account.read_bytes(), type=Anchored)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Anchored()

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with liveness.held(self.lock) as mine:
            yield mine


def newest_head(layout: Layout, origin: str) -> TreeHead | None:
    """The newest tree head of a home's store, which is opened each time that something of it is wanted; None if nothing is sealed.

    Raises:
        StoreError: the store cannot be read, or what it has for a tree head is none.
    """
    with read_store(layout) as store:
        head = head_of(store, origin) if store is not None else None
    if head is None:
        return None

    def reading(compute: Callable[[Store], _T]) -> _T:
        with read_store(layout) as store:
            if store is None:
                raise StoreError("the store is gone")
            return compute(store)

    return dataclasses.replace(
        head,
        root=lambda size: reading(lambda store: root_at(store, size)),
        consistency=lambda old: reading(lambda store: consistency(store, old, head.size)),
        note_at=lambda size: reading(lambda store: store.note(size)),
    )


def head_of(store: Store, origin: str) -> TreeHead | None:
    """The newest tree head of an open store; None if nothing is sealed.

    Raises:
        StoreError: what it has for a tree head is none.
    """
    note = store.newest()
    if note is None:
        return None
    try:
        size = Checkpoint.read(read_note(note)[0], origin).size
    except (NoteError, TypeError) as error:
        raise StoreError(f"the newest tree head does not hold: {error}") from None
    return TreeHead(
        note, origin, size, functools.partial(root_at, store), lambda old: consistency(store, old, size), store.note
    )


def check_distinct(urls: Iterable[str]) -> None:
    """Returns if no two of these anchors are the same place.

    Raises:
        ConfigError: two are.
    """
    names = [sink_name(url) for url in urls]
    if len(set(names)) < len(names):
        raise ConfigError("two anchors are the same place")


def anchor(home: Path, anchors: Mapping[str, Anchor], *, seconds: float = LIMIT) -> dict[str, Anchored]:
    """Hands over the newest tree head; how each anchor stands then. What goes wrong with one stands there, and holds up no other.

    Args:
        home: the home.
        anchors: URL → anchor.
        seconds: that each is given.

    Raises:
        ConfigError: two of the anchors are the same place.
        LedgerError: the home's public key cannot be read.
        StoreError: the store cannot be read.
        OSError: the home cannot be written.
    """
    check_distinct(anchors)
    found: dict[str, Anchored] = {}
    for url, one in anchors.items():
        files = _Files(home, url)
        with files.alone() as mine:
            found[url] = _hand(home, url, one, files, seconds) if mine else files.read()
    return found


def _hand(home: Path, url: str, one: Anchor, files: _Files, seconds: float) -> Anchored:
    account, origin = files.read(), trust(home).origin
    head = newest_head(Layout(home), origin)
    if head is None:
        return account
    account.url = shown(url)
    place = hashlib.sha256(url.encode()).hexdigest()[:32]
    try:
        renew = float(getattr(one, "renew", 0)) * 1e6
        root = head.root(head.size).hex()
        if account.place == place and account.size > head.size:
            raise AnchorAhead(f"it was handed a tree head of {account.size:,} events; here are {head.size:,}")
        if account.place == place and account.size == head.size and account.root != root:
            raise AnchorAhead(f"it was handed another tree head of {account.size:,} events")
        same = (account.place, account.size, account.error) == (place, head.size, "")
        if same and (not renew or _now() - account.time < renew):
            return account
        head, receipt = ask_within(seconds, functools.partial(_submit, home, origin, one, head, seconds))
        if receipt:
            append(files.receipts, Receipt(head.size, receipt))
        account.size, account.root, account.place = head.size, head.root(head.size).hex(), place
        account.time, account.error, account.ahead = _now(), "", False
    except Exception as error:  # an anchor may raise anything, and a disk may be full
        account.failure, account.error = _now(), told(error, url)
        account.ahead = isinstance(error, AnchorAhead)
    with contextlib.suppress(OSError):  # what could not be noted is found out again
        replace(files.account, msgspec.json.encode(account), 0o600)
    return account


def _submit(home: Path, origin: str, one: Anchor, head: TreeHead, seconds: float) -> tuple[TreeHead, str]:
    for attempt in range(_TRIES):
        try:
            receipt = one.submit(head, seconds=seconds)
        except AnchorAhead:
            # Another host, or another process, may have sealed and anchored on since.
            newer = newest_head(Layout(home), origin)
            if newer is None or newer.size <= head.size or attempt == _TRIES - 1:
                raise
            head = newer
        else:
            if not isinstance(receipt, str) or len(receipt.encode()) > _MOST:
                raise AnchorError("it gives what is no receipt")
            return head, receipt
    raise AssertionError("unreachable")


def ask_within(seconds: float, work: Callable[[], _T]) -> _T:
    """What an anchor answers, in a thread that is given up when the time is over: a client's own limit may begin anew with each byte.

    Raises:
        AnchorError: it takes too long.
        Exception: what the anchor raises.
    """
    answer: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        OWN.set(True)  # a call of the anchor's through a governed client is nobody's
        try:
            answer.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=Context().run, args=(run,), name="guardai-anchor", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had, at the end of the interpreter
        Context().run(run)
    else:
        thread.join(seconds + min(_GRACE, seconds * _QUARTER))
    if failed:
        raise failed[0]
    if not answer:
        raise AnchorError("no answer in time")
    return answer[0]


def receipts(home: Path, url: str) -> Iterator[Receipt]:
    """What an anchor gave, newest first. A line that cannot be read, such as one that a death cut short, is none.

    Raises:
        OSError: the file is there and cannot be read.
    """
    return read_receipts(_Files(home, url).receipts)


def read_receipts(path: Path) -> Iterator[Receipt]:
    """The receipts in a file, newest first."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in _backwards(file):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield _decode(line)


def _backwards(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, last first: of years of receipts the newest is wanted."""
    place, rest = file.seek(0, os.SEEK_END), b""
    while place:
        size = min(place, _MOST)
        place -= size
        file.seek(place)
        first, *lines = (file.read(size) + rest).split(b"\n")
        yield from reversed(lines)
        rest = first if len(first) <= _LINE else b""  # no receipt is that long
    yield rest


def standings(home: Path, urls: Iterable[str]) -> list[Anchorage]:
    """How every anchor stands: those that are configured, and those that once were."""
    configured = {sink_name(url): url for url in urls}
    found = [Anchorage(shown(url), True, _Files(home, url).read()) for url in configured.values()]
    for path in sorted(_folder(home).glob("*.json")):
        if path.stem not in configured and not path.name.startswith("."):
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                account = msgspec.json.decode(path.read_bytes(), type=Anchored)
                found.append(Anchorage(account.url, False, account))
    return found


def cosigned_head(home: Path, leaf: int) -> str | None:
    """The tree head above a leaf that most witnesses cosigned, of several the newest, with the signatures of all of them; None if none.

    Whether they hold is for the reader to say, who knows which witnesses count.
    """
    found: dict[str, tuple[int, dict[str, None]]] = {}
    for path in _folder(home).glob("*.receipts.jsonl"):
        for one in itertools.islice(read_receipts(path), _NEWEST):
            text, separator, signatures = one.receipt.partition("\n\n")
            if separator and signatures.startswith("— ") and one.size > leaf:
                found.setdefault(text, (one.size, {}))[1].update(dict.fromkeys(signatures.splitlines(keepends=True)))
    if not found:
        return None
    text, (_, lines) = max(
        found.items(), key=lambda item: (len({line[: line.rfind(" ") + 6] for line in item[1][1]}), item[1][0])
    )
    return f"{text}\n\n{''.join(lines)}"


def told(error: Exception, url: str) -> str:
    """What may be said of an anchor's failure. Of an exception that is not meant for it no word: a key may be among them."""
    if isinstance(error, (AnchorError, StoreError)):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{type(error).__name__}: {error.strerror}"
    else:
        text = type(error).__name__
    text = without_secrets(text, url.partition("#")[0])
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_WORDS]


def append(path: Path, one: Receipt) -> None:
    """Adds a receipt to a file; it is on the disk when this returns.

    Raises:
        OSError: it could not be written whole. What there is of it is no receipt to a reader.
    """
    line = _encode(one) + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if os.fstat(fd).st_size and not _ends_a_line(path):
            line = b"\n" + line  # behind what a death cut short
        if os.write(fd, line) != len(line):
            raise OSError(errno.ENOSPC, "the receipt could not be written whole")
        os.fsync(fd)
    finally:
        os.close(fd)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _folder(home: Path) -> Path:
    return Layout(home).ledger / "anchors"


def _now() -> int:
    return time.time_ns() // 1000
