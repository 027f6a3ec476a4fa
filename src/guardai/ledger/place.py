"""Which store a home has, and how to open it: `store.db` in the home, or where `store.url` says.

What is sealed belongs together with the tree head that the home remembers (`checkpoint`); a store that does not go on from that is
refused by the sealer, whatever address led to it. So the address need not be kept from whoever may write the home.

A password is not written down: a process that was given one remembers it, others have it from where libpq looks for one
(`PGPASSWORD`, a password file, a service file).
"""

from __future__ import annotations

import contextlib
import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from guardai.errors import ConfigError, LedgerError
from guardai.ledger.address import Address
from guardai.ledger.layout import Layout, replace
from guardai.ledger.sqlitestore import open_sqlite, read_sqlite

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from guardai.ledger.store import Store

__all__ = [
    "address_of",
    "forget",
    "has_store",
    "is_shared",
    "move",
    "open_store",
    "prepare",
    "read_store",
    "remember",
    "use",
]

#: Home → the address that this process was given for its store.
_given: Final[dict[Path, str]] = {}


def use(home: Path, url: str) -> None:
    """In this process the home's store is at this address; "" leaves it where the home says.

    Raises:
        LedgerError: the home has a store of its own.
        ConfigError: it is no address, or what it needs is not installed.
    """
    if not url:
        return
    layout = Layout(home)
    if layout.store.exists() and not layout.address.exists():
        raise LedgerError(
            f"the ledger of {home} is {layout.store}: `guardai ledger migrate` moves it into an empty store in PostgreSQL; "
            "for one in which other hosts have sealed, give these programs a new home (GUARDAI_HOME)"
        )
    Address(url)
    if find_spec("psycopg") is None:
        raise ConfigError("a ledger in PostgreSQL needs psycopg: pip install 'guardai-sdk[postgres]'")
    _given[home.absolute()] = url


def prepare(layout: Layout) -> None:
    """Imports what the home's store needs, in the caller's thread.

    A child that is forked while another thread is halfway through an import has half a module for ever.

    Raises:
        ConfigError: what is written down is no address.
    """
    if address_of(layout) is not None:
        with contextlib.suppress(ImportError):  # whoever opens the store says so
            importlib.import_module("psycopg")
            importlib.import_module("guardai.ledger.postgresstore")


def remember(layout: Layout) -> None:
    """Writes down where the store is, for whoever opens the home later.

    Raises:
        OSError: the home cannot be written.
    """
    url = _given.get(layout.home.absolute())
    if url is not None:
        _write(layout, url)


def _write(layout: Layout, url: str) -> None:
    text = f"{Address(url).written}\n".encode()
    if not layout.address.exists() or layout.address.read_bytes() != text:
        replace(layout.address, text, 0o600)


def move(layout: Layout, url: str) -> None:
    """From now on the home's store is at this address.

    Raises:
        OSError: the home cannot be written.
    """
    _write(layout, url)
    _given[layout.home.absolute()] = url


def forget(home: Path) -> None:
    """This process does not know any more what address it was given."""
    _given.pop(home.absolute(), None)


def address_of(layout: Layout) -> Address | None:
    """Where the home's store is; None if it is in the home.

    Raises:
        ConfigError: what is written down is no address.
    """
    url = _given.get(layout.home.absolute())
    if url is None:
        try:
            url = layout.address.read_text("utf-8").strip()
        except FileNotFoundError:
            return None
    return Address(url)


def is_shared(home: Path) -> bool:
    """Whether the home's store is one that hosts share."""
    layout = Layout(home)
    return home.absolute() in _given or layout.address.exists()


def has_store(layout: Layout) -> bool:
    """Whether there may be something in the home's store."""
    return address_of(layout) is not None or layout.store.exists()


def open_store(layout: Layout) -> AbstractContextManager[Store]:
    """Opens the home's store for writing, making it if there is none.

    Raises:
        StoreError: it is of another version, or cannot be opened or reached, read or written.
        ConfigError: what it needs is not installed, or what is written down is no address.
    """
    address = address_of(layout)
    if address is None:
        return open_sqlite(layout.store)
    from guardai.ledger.postgresstore import open_postgres

    return open_postgres(address)


def read_store(layout: Layout, *, gated: bool = True) -> AbstractContextManager[Store | None]:
    """A consistent view of the home's store, through which nothing can be changed; None if there is none.

    Args:
        layout: of the home.
        gated: hold up a fork while a file is open (see `forks`). Not where the caller takes its time.

    Raises:
        StoreError: it is of another version, or cannot be opened, reached or read.
        ConfigError: what it needs is not installed, or what is written down is no address.
    """
    address = address_of(layout)
    if address is None:
        return read_sqlite(layout.store, gated=gated)
    from guardai.ledger.postgresstore import read_postgres

    return read_postgres(address)
