"""Which columns of which tables a statement touches, what they are labelled, and what it carries from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from guardai.model import Call, LiveSchema
from guardai.sql import Inspection, SqlNotUnderstood, flows, lineage_of, own_name

if TYPE_CHECKING:
    from guardai.policy import Catalog

__all__ = ["Touched", "carried", "plain", "touched"]

_UNKNOWN = LiveSchema()
#: What SQLite calls a row's number, in every table.
_ROW = frozenset({"*", "rowid", "oid", "_rowid_"})


class Touched(NamedTuple):
    """What is known of a statement's data before it runs. Tables by their own names.

    Attributes:
        read: the columns that the statement refers to, `table.column`; no text of its own is among them.
        columns: table → the columns that the statement reads, filters included; `*` where it cannot be told which.
        labels: `table.column` → its labels, of those that have some.
        all_labels: those labels together, and what may be among the columns that cannot be told.
        keys: table → its primary key, if the statement selects the whole of it as it is: then each row has an address.
    """

    read: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, frozenset[str]]
    all_labels: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]

    def told(self, uri: str, table: str) -> dict[str, object]:
        """One table in an event."""
        entry: dict[str, object] = {"dir": "read", "uri": uri}
        columns = self.columns.get(table, ())
        if columns:
            entry["columns"] = columns
        labels = {label for column in columns for label in self.labels.get(f"{table}.{column}", ())}
        if labels:
            entry["labels"] = sorted(labels)
        if table in self.keys:
            entry["key"] = self.keys[table]
        return entry


def _columns_of(inspection: Inspection, call: Call) -> frozenset[str]:
    """The columns that a statement refers to, as policies and events tell them: `table.column`.

    SECURITY INVARIANT: no text of the statement is among them. SQLite takes `"ann@example.com"` for a string where there is no
    such column, so there a name counts only if the live schema has it; of a table that it does not have, all columns do.
    """
    if call.dialect != "sqlite":
        return inspection.columns_read
    schema = call.schema if call.schema is not None else _UNKNOWN
    tables = inspection.reads | inspection.writes
    found: set[str] = set()
    for read in inspection.columns_read:
        # A string may have dots in it, so the table is what stands before one of them.
        named = max((table for table in tables if read.startswith(f"{table}.")), key=len, default="")
        column = read[len(named) + 1 :] if named else read
        owners = (plain(table, call) for table in ((named,) if named else tables))
        known = [schema.tables.get(own) or schema.columns.get(own) for own in owners]
        if column in _ROW or any(column in one for one in known if one):
            found.add(read)
        elif not all(known):
            found.add(f"{named}.*" if named else "*")
    return frozenset(found)


def touched(catalog: Catalog, inspection: Inspection, call: Call) -> Touched:
    """What a statement touches. INVARIANT: a column that it may read is never missing from `all_labels`."""
    schema = call.schema if call.schema is not None else _UNKNOWN
    columns: dict[str, set[str]] = {}
    refers = _columns_of(inspection, call)
    for read in refers:
        named, _, column = read.rpartition(".")
        for table in (named,) if named else inspection.reads | inspection.writes:
            columns.setdefault(plain(table, call), set()).add(column)
    if "destroy" in inspection.effects or "delete" in inspection.verbs:
        for table in inspection.writes:  # whole rows go
            columns.setdefault(plain(table, call), set()).add("*")
    unknown = False
    for table, names in columns.items():
        if "*" in names and table in schema.tables:
            names.remove("*")
            names.update(schema.tables[table])
        unknown |= "*" in names
    labels = {
        f"{table}.{name}": found
        for table, names in columns.items()
        for name in names
        if (found := catalog.column_labels(table, name))
    }
    every = frozenset().union(*labels.values(), catalog.labels if unknown and catalog.has_columns else ())
    return Touched(
        refers,
        {table: tuple(sorted(names)) for table, names in columns.items()},
        labels,
        tuple(sorted(every)),
        _keys(inspection, schema, call) if schema.keys else {},
    )


def carried(call: Call) -> dict[str, list[str]]:
    """What a write carries: written column → the columns that it is made of; empty where that cannot be told."""
    try:
        found = flows(call.statement or "", call.dialect or "", call.schema or _UNKNOWN)
    except SqlNotUnderstood:
        return {}
    return {written: sorted(sources) for written, sources in sorted(found.items()) if sources}


def plain(table: str, call: Call) -> str:
    """A table's name without the schema that is there anyway, so that one table has one name in policies and events."""
    schema = call.schema
    known = own_name(table, schema.path, schema.tables, schema.views) if schema is not None else None
    if known is not None:
        return known
    return table.removeprefix("main.") if call.dialect == "sqlite" else table


def _keys(inspection: Inspection, schema: LiveSchema, call: Call) -> dict[str, tuple[str, ...]]:
    if not inspection.reads or inspection.statements != 1:
        return {}
    try:
        outputs = lineage_of(schema, call.dialect or "").columns(call.statement or "")
    except SqlNotUnderstood:
        return {}
    alone = {next(iter(sources)) for sources in outputs if len(sources) == 1}
    return {
        table: key
        for table in (plain(one, call) for one in inspection.reads)
        if (key := schema.keys.get(table)) and all(f"{table}.{column}" in alone for column in key)
    }
