"""What a running database tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["LiveFunction", "LiveSchema", "LiveTrigger"]

Volatility = Literal["immutable", "stable", "volatile"]


class LiveFunction(msgspec.Struct, frozen=True):
    """A function or procedure that is not of the engine itself.

    Attributes:
        volatility: what its owner promises: `volatile` where the engine does not say.
        language: `sql`, `plpgsql`, `c`, …; "" where the engine does not say.
        body: its text, "" where the user may not read it or there is none.
        definer: it runs with its owner's rights.
    """

    volatility: Volatility = "volatile"
    language: str = ""
    body: str = ""
    definer: bool = False


class LiveTrigger(msgspec.Struct, frozen=True):
    """What happens besides, when a table is written.

    Attributes:
        events: of `insert`, `update`, `delete`, `truncate`.
        body: the statements that it runs, or the name of the function it calls, as the engine tells it; "" if it may not
            be read.
        columns: an update counts only if it sets one of these; empty: any does.
    """

    events: frozenset[str]
    body: str = ""
    columns: frozenset[str] = frozenset()


class LiveSchema(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """Read once for each connection target and epoch, with the rights of the application's own user.

    Another reading is another schema, whatever is in it.

    All names are lower-case. A table of the default schema stands under its plain name, any other under `schema.table`.

    Attributes:
        tables: table → its columns, in order.
        views: view → the text of its query, "" where it may not be read.
        columns: view → its columns, in order.
        keys: table → the columns of its primary key, in order; without an entry it has none.
        functions: name → the user-defined function; of several with one name the most dangerous.
        triggers: table → its triggers.
        cascades: table → what foreign keys of other tables do when its rows are deleted or their keys change, each as the
            statement that it amounts to.
        guarded: tables with row-level policies.
        path: the schemas whose tables need no qualifier, in order.
        origins: PostgreSQL's numbers of a relation and of its column → `table.column`, of views too: by them a result says
            where its columns come from.
    """

    tables: Mapping[str, tuple[str, ...]] = {}
    views: Mapping[str, str] = {}
    columns: Mapping[str, tuple[str, ...]] = {}
    keys: Mapping[str, tuple[str, ...]] = {}
    functions: Mapping[str, LiveFunction] = {}
    triggers: Mapping[str, tuple[LiveTrigger, ...]] = {}
    cascades: Mapping[str, tuple[LiveTrigger, ...]] = {}
    guarded: frozenset[str] = frozenset()
    path: tuple[str, ...] = ()
    origins: Mapping[tuple[int, int], str] = {}
