"""What a policy folder names and a ledger has never seen: what is misspelt protects nothing, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from guardai.ledger import events
from guardai.policy import Bundle, Catalog, Problem
from guardai.policy.catalog import Entry
from guardai.policy.places import Places
from guardai.policy.tomllines import Lines
from guardai.policy.tree import entity_literals

__all__ = ["Seen", "seen", "unknown", "unseen"]


class _Row(msgspec.Struct):
    """The part of an event that this needs."""

    resource: list[dict[str, Any]] | None = None


_decode: Final = msgspec.json.Decoder(_Row).decode


class Seen(msgspec.Struct):
    """What the calls of a ledger were about.

    Attributes:
        databases: their addresses.
        columns: `table.column` of what was read.
        tables: those of which it is not known which columns were touched: read whole, or written.
        models: (host, name).
        tools, hosts, indexes: their names.
        everything: (address, table) of all tables that were touched.
    """

    databases: set[str] = msgspec.field(default_factory=set)
    columns: set[str] = msgspec.field(default_factory=set)
    tables: set[str] = msgspec.field(default_factory=set)
    models: set[tuple[str, str]] = msgspec.field(default_factory=set)
    tools: set[str] = msgspec.field(default_factory=set)
    hosts: set[str] = msgspec.field(default_factory=set)
    indexes: set[str] = msgspec.field(default_factory=set)
    everything: set[tuple[str, str]] = msgspec.field(default_factory=set)

    def add(self, one: dict[str, Any]) -> None:
        """Takes in one resource of an event."""
        uri = str(one.get("uri", ""))
        if uri.startswith(("model://", "host://")):
            host, _, name = uri.partition("://")[2].partition("/")
            self.models.add((host, name))
            if uri.startswith("host://"):
                self.hosts.add(host)
        elif uri.startswith("index://"):
            self.indexes.add(uri.removeprefix("index://"))
        elif uri.startswith("tool://"):
            self.tools.add(uri.removeprefix("tool://"))
        elif uri:
            self._database(uri, one)

    def _database(self, uri: str, one: dict[str, Any]) -> None:
        address, mark, table = uri.rpartition("#")
        self.databases.add(address if mark else uri)
        if not mark:
            return
        self.everything.add((address, table))
        columns = [str(column) for column in one.get("columns") or ()]
        self.columns.update(f"{table}.{column}" for column in columns if column != "*")
        if one.get("dir") == "write" or "*" in columns:
            self.tables.add(table)


def seen(home: Path) -> Seen:
    """What a home's ledger has seen.

    Args:
        home: the folder that `ledger/` is in.

    Raises:
        StoreError: the store cannot be read.
    """
    found = Seen()
    for data in events(home):
        try:
            row = _decode(data)
        except msgspec.MsgspecError:
            continue  # not what an event looks like: `verify` names it
        for one in row.resource or ():
            found.add(one)
    return found


def unseen(catalog: Catalog, text: str, found: Seen, file: str = "catalog.toml") -> Iterator[Problem]:
    """Warnings of entries that match nothing, each with its line.

    Of a kind of which nothing was seen at all nothing is said but that: then the ledger is no witness.

    Args:
        catalog: whose entries.
        text: the file that it was read from.
        found: what was seen.
        file: the file's name, for messages.
    """
    lines = Lines(text)
    witnessed = {
        "databases": found.databases,
        "columns": found.columns | found.tables,
        "models": found.models,
        "tools": found.tools,
    }
    silent = set()
    for entry in catalog.entries:
        if not witnessed[entry.table]:
            silent.add(entry.table)
        elif not _matched(entry, found):
            line = _line(entry, lines)
            message = f'{entry.table}."{entry.key}" matches nothing that the ledger has seen: {_example(entry, found)}'
            yield Problem("warning", file, line, "", message)
    for table in sorted(silent):
        yield Problem("warning", file, 0, "", f"the ledger has seen none of its {table}, so nothing is said of them")


def unknown(bundle: Bundle, found: Seen) -> Iterator[Problem]:
    """Warnings of databases, tables, models, tools, hosts and indexes that a policy names and the ledger has not seen.

    Of a kind of which nothing was seen at all nothing is said.

    Args:
        bundle: whose policies, and whose catalog names the databases.
        found: what was seen.
    """
    names = _names(bundle.catalog, found)
    for policy in bundle.policies.values():
        places = Places(policy)
        for kind, name in dict.fromkeys((kind, name) for kind, name, _ in entity_literals(policy.tree)):
            if names.get(kind) and name not in names[kind]:
                line, column = places.word(kind, "::", f'"{name}"')
                like = get_close_matches(name, names[kind], n=1)
                hint = f"; did you mean {like[0]!r}?" if like else ""
                message = f'{kind}::"{name}" is nothing that the ledger has seen{hint}'
                yield Problem("warning", policy.file, line, policy.id, message, column)


def _names(catalog: Catalog, found: Seen) -> dict[str, set[str]]:
    """Type of entity → the names under which policies were asked about what was seen."""
    database = {address: catalog.database(address).name for address in found.databases}
    return {
        "Database": set(database.values()),
        "Table": {f"{database[address]}.{table}" for address, table in found.everything},
        "Model": {name or host for host, name in found.models},
        "Tool": found.tools,
        "Host": found.hosts,
        "Index": found.indexes,
    }


def _matched(entry: Entry, found: Seen) -> bool:
    match entry.table:
        case "databases":
            return any(map(entry.matches, found.databases))
        case "models":
            return any(entry.matches(host, name) for host, name in found.models)
        case "tools":
            return any(map(entry.matches, found.tools))
        case _:
            return any(map(entry.matches, found.columns)) or any(_may_hold(entry, table) for table in found.tables)


def _may_hold(entry: Entry, table: str) -> bool:
    """Whether a column that it matches may be one of a table whose columns are not known."""
    pattern = entry.key.lower().rpartition(".")[0]
    name = table.lower()
    forms = [name, *(name.split(".", n)[n] for n in range(1, name.count(".") + 1))]
    return any(fnmatchcase(form, pattern) for form in forms)


def _line(entry: Entry, lines: Lines) -> int:
    if entry.table == "models":
        return lines.of_array("models", entry.number)
    if entry.table == "columns":
        return lines.of_key(entry.key, lines.of_key("columns"))
    return lines.of_head(entry.table, entry.key)


def _example(entry: Entry, found: Seen) -> str:
    """What was seen instead: the names are no secret, the ledger tells them too."""
    several = {
        "databases": sorted(found.databases),
        "columns": sorted(found.columns) or sorted(f"{table}.*" for table in found.tables),
        "models": sorted(f"{host} {name}" for host, name in found.models),
        "tools": sorted(found.tools),
    }[entry.table]
    more = f", … ({len(several)} in all)" if len(several) > 3 else ""
    return f"it saw {', '.join(several[:3])}{more}"
