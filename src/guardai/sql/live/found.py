"""What an engine's catalog tells, put into one shape: every name lower-case, nothing claimed that is not certain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from guardai.model import LiveFunction, LiveSchema, LiveTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["EVENTS", "Found", "first_of", "query_of", "quoted", "text", "tokens"]

EVENTS: Final = frozenset({"insert", "update", "delete"})
_DANGER: Final = ("immutable", "stable", "volatile")

#: A quoted name or string, a comment, a word, or any other single character of SQL.
_TOKEN: Final = re.compile(
    r"""("(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*')|(--[^\n]*|/\*.*?(?:\*/|\Z))|(\w[\w$]*)|\S""",
    re.DOTALL,
)


class Found:
    """Collects relations, functions and triggers, and gives the schema.

    Names that differ in case alone are one name here. Of such relations nothing is certain but that they have the columns
    of all: the columns are put together, the key is dropped, and a view's query is not told.
    """

    def __init__(self) -> None:
        self._tables: dict[str, tuple[str, ...]] = {}
        self._views: dict[str, str] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._functions: dict[str, LiveFunction] = {}
        self._triggers: dict[str, tuple[LiveTrigger, ...]] = {}
        self._cascades: dict[str, tuple[LiveTrigger, ...]] = {}
        self._guarded: set[str] = set()
        self._origins: dict[tuple[int, int], str] = {}

    def table(self, name: str, columns: Iterable[str], key: Iterable[str] = ()) -> None:
        """A table, its columns in order, and those of its primary key."""
        name, lower = name.lower(), tuple(column.lower() for column in columns)
        if name in self._views:
            self._views[name] = ""
            self._columns[name] += lower
        elif name in self._tables:
            self._tables[name] += lower
            self._keys.pop(name, None)
        else:
            self._tables[name] = lower
            if keyed := tuple(column.lower() for column in key):
                self._keys[name] = keyed

    def view(self, name: str, columns: Iterable[str], query: str) -> None:
        """A view, its columns in order, and the text of its query."""
        name, lower = name.lower(), tuple(column.lower() for column in columns)
        query = query.strip().removesuffix(";").rstrip()
        if name in self._tables:
            lower, query = self._tables.pop(name) + lower, ""
            self._keys.pop(name, None)
        elif name in self._views:
            lower, query = self._columns[name] + lower, ""
        self._views[name], self._columns[name] = query, lower

    def numbered(self, name: str, relation: int, columns: Iterable[tuple[int, str]]) -> None:
        """By which numbers the engine knows a relation and its columns."""
        for number, column in columns:
            self._origins[relation, number] = f"{name}.{column}".lower()

    def function(self, name: str, function: LiveFunction) -> None:
        """A function. Of several with one name: the worst that any promises, and only what all have in common besides."""
        name = name.lower()
        other = self._functions.get(name)
        if other is not None and other != function:
            function = LiveFunction(
                volatility=max(other.volatility, function.volatility, key=_DANGER.index),
                language=function.language if function.language == other.language else "",
                body=function.body if function.body == other.body else "",
                definer=function.definer or other.definer,
            )
        self._functions[name] = function

    def trigger(self, table: str, events: Iterable[str], body: str) -> None:
        """A trigger of a table or view."""
        table = table.lower()
        self._triggers[table] = (*self._triggers.get(table, ()), LiveTrigger(frozenset(events), body))

    def cascade(
        self, parent: str, child: str, columns: Sequence[str], keys: Sequence[str], deletes: str, updates: str
    ) -> None:
        """A foreign key.

        Args:
            parent: the table that it names.
            child: the table that it is of, as a statement writes it.
            columns: the child's columns, as a statement writes them.
            keys: the parent's columns.
            deletes: `CASCADE`, `SET NULL`, `SET DEFAULT`, or what does nothing.
            updates: the same.
        """
        where = " AND ".join(f"{column} = 1" for column in columns)
        setting = ", ".join(f"{column} = NULL" for column in columns)
        changes = f"UPDATE {child} SET {setting} WHERE {where}"  # noqa: S608 - judged, never run
        followed = [
            ("delete", deletes, f"DELETE FROM {child} WHERE {where}" if deletes == "CASCADE" else changes),  # noqa: S608
            ("update", updates, changes),
        ]
        parent = parent.lower()
        for event, action, body in followed:
            if action in ("CASCADE", "SET NULL", "SET DEFAULT"):
                trigger = LiveTrigger(frozenset({event}), body, frozenset(key.lower() for key in keys))
                self._cascades[parent] = (*self._cascades.get(parent, ()), trigger)

    def guard(self, table: str) -> None:
        """A table with row-level policies."""
        self._guarded.add(table.lower())

    def schema(self, path: Iterable[str]) -> LiveSchema:
        """All of it, with the schemas whose tables need no qualifier."""
        return LiveSchema(
            tables=self._tables,
            views=self._views,
            columns=self._columns,
            keys=self._keys,
            functions=self._functions,
            triggers=self._triggers,
            cascades=self._cascades,
            guarded=frozenset(self._guarded),
            path=tuple(dict.fromkeys(schema.lower() for schema in path)),
            origins=self._origins,
        )


def quoted(*parts: str, mark: str = '"') -> str:
    """A name with its qualifiers, as a statement writes it."""
    return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in parts if part)


def text(cell: Any, codec: str = "utf-8") -> str:
    """A cell's text, however the driver gives it: str, bytes, a memoryview, or None for "". What is no text is replaced."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell if cell.isascii() else cell.encode("utf-8", "replace").decode()
    return bytes(cell).decode(codec, "replace")


def first_of(relations: Iterable[tuple[str, str]], path: Sequence[str]) -> dict[str, str]:
    """{lower-case name: the first schema of the path that has it}, from (schema, name): what an unqualified name means."""
    ranks = {schema: rank for rank, schema in reversed(list(enumerate(path)))}
    found: dict[str, str] = {}
    for schema, name in relations:
        lower = name.lower()
        if schema in ranks and (lower not in found or ranks[schema] < ranks[found[lower]]):
            found[lower] = schema
    return found


def tokens(sql: str) -> Iterable[tuple[str, int, int]]:
    """(lower-case word or character, depth of brackets, end) of a statement; what is quoted is told as `"`.

    Comments are left out. A bracket has the depth outside of it.
    """
    depth = 0
    for match in _TOKEN.finditer(sql):
        if match[2] is not None:
            continue
        word = '"' if match[1] is not None else match[0].lower()
        depth -= word == ")"
        yield word, depth, match.end()
        depth += word == "("


def query_of(sql: str) -> str:
    """The query of a `CREATE VIEW … AS query`; "" if that is not what it is."""
    seen_view = False
    for word, depth, end in tokens(sql):
        seen_view = seen_view or word == "view"
        if seen_view and depth == 0 and word == "as":
            return sql[end:].strip()
    return ""
