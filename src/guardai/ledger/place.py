"""Which store a home has, and how to open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardai.ledger.sqlitestore import open_sqlite, read_sqlite

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from guardai.ledger.layout import Layout
    from guardai.ledger.store import Store

__all__ = ["has_store", "open_store", "read_store"]


def has_store(layout: Layout) -> bool:
    """Whether there may be something in the home's store."""
    return layout.store.exists()


def open_store(layout: Layout) -> AbstractContextManager[Store]:
    """Opens the home's store for writing, making it if there is none.

    Raises:
        StoreError: it is of another version, or cannot be opened, read or written.
    """
    return open_sqlite(layout.store)


def read_store(layout: Layout, *, gated: bool = True) -> AbstractContextManager[Store | None]:
    """A consistent view of the home's store, through which nothing can be changed; None if there is none.

    Args:
        layout: of the home.
        gated: hold up a fork meanwhile (see `forks`). Not where the caller takes its time.

    Raises:
        StoreError: it is of another version, or cannot be opened or read.
    """
    return read_sqlite(layout.store, gated=gated)
