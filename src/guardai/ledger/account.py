"""A sink's account: how far it has come, what it refused, how it is; to the event, and across deaths.

INVARIANT: delivered + quarantined + pruned + waiting = sealed. It holds by how the numbers are made: `next` parts what was dealt
with from what waits, and what was dealt with, was there and is not in quarantine was delivered. So three things are written in this
order: the event to the sink, or to the quarantine; then `next`. A death between them repeats a delivery; it loses none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from guardai.ledger.events import sealed_size
from guardai.ledger.layout import Layout, replace
from guardai.ledger.quarantine import Quarantine
from guardai.model import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Account", "SinkFiles", "Standing", "accounts", "first_waiting", "sink_name"]


class Account(msgspec.Struct, omit_defaults=True):
    """What is remembered of a sink between two deliveries.

    Attributes:
        next: the next leaf to deliver.
        pruned: how many of those before it had been taken out of the store before it could have them.
        last: the id of the event before it: a store that was set back is told by that.
        url: the sink's, as it may be shown.
        success: when it last took something; microseconds since 1970, as all times here.
        failure: when it last failed or refused something.
        error: what it said then, without a secret.
        failures: how often it failed since it last took something.
        again: when it is tried again.
    """

    next: int = 0
    pruned: int = 0
    last: str = ""
    url: str = ""
    success: int = 0
    failure: int = 0
    error: str = ""
    failures: int = 0
    again: int = 0


def sink_name(url: str) -> str:
    """What a sink's files are called: 16 digits that stay the same when its password or an option changes."""
    return hashlib.sha256(shown(url).encode()).hexdigest()[:16]


class SinkFiles:
    """Where a sink's account, quarantine and lock lie.

    Args:
        home: of the ledger.
        name: of the sink.
    """

    def __init__(self, home: Path, name: str) -> None:
        folder = _folder(home)
        self.folder = folder
        self.account = folder / f"{name}.json"
        self.quarantine = Quarantine(folder / f"{name}.quarantine.jsonl")
        self.lock = folder / f"{name}.lock"

    def read(self) -> Account:
        """The account. Without one that can be read: from the beginning, because at least once is the promise."""
        try:
            return msgspec.json.decode(self.account.read_bytes(), type=Account)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Account()

    def write(self, account: Account) -> None:
        """Keeps the account.

        Raises:
            OSError: it could not be kept; what was delivered since is delivered again.
        """
        replace(self.account, msgspec.json.encode(account), 0o600)


@dataclass(frozen=True)
class Standing:
    """A sink and its numbers: `delivered + quarantined + pruned + waiting == sealed`."""

    name: str
    url: str
    configured: bool
    sealed: int
    delivered: int
    quarantined: int
    pruned: int
    waiting: int
    account: Account


def accounts(home: Path, urls: Iterable[str]) -> list[Standing]:
    """How every sink stands: those that are configured, and those that once were.

    Args:
        home: of the ledger.
        urls: of the sinks that are configured.

    Raises:
        StoreError: the store cannot be read.
        OSError: a quarantine cannot be read.
    """
    configured = {sink_name(url): shown(url) for url in urls}
    former = {path.stem for path in _accounts(home)} - configured.keys()
    return [_standing(home, name, configured.get(name)) for name in (*configured, *sorted(former))]


def first_waiting(home: Path, urls: Iterable[str]) -> int | None:
    """The first leaf that some sink has not dealt with, of those that are configured or once were; None without a sink."""
    names = {sink_name(url) for url in urls} | {path.stem for path in _accounts(home)}
    return min((SinkFiles(home, name).read().next for name in names), default=None)


def _accounts(home: Path) -> Iterator[Path]:
    return (path for path in _folder(home).glob("*.json") if not path.name.startswith("."))


def _standing(home: Path, name: str, url: str | None) -> Standing:
    files = SinkFiles(home, name)
    # In this order: what is in quarantine from `next` on is not counted yet, and what is sealed only grows.
    account = files.read()
    refused = sum(kept.leaf < account.next for kept in files.quarantine.read())
    sealed = sealed_size(home)
    done = min(account.next, sealed)  # of a store that was set back less is sealed than was delivered
    refused = min(refused, done)
    pruned = min(account.pruned, done - refused)
    return Standing(
        name=name,
        url=account.url if url is None else url,
        configured=url is not None,
        sealed=sealed,
        delivered=done - refused - pruned,
        quarantined=refused,
        pruned=pruned,
        waiting=sealed - done,
        account=account,
    )


def _folder(home: Path) -> Path:
    return Layout(home).ledger / "sinks"
