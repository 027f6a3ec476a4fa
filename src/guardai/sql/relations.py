"""What the resolver of lineage works with: relations whose columns have sources, scopes, and the schema."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardai.sql.names import own_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from guardai.model import LiveSchema

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "UNPROVEN",
    "LiveTables",
    "Relation",
    "Schema",
    "Scope",
    "Sources",
    "Unknowable",
    "View",
    "column_names",
    "name_of",
]

Sources = frozenset[str]
NOTHING: Final[Sources] = frozenset()
#: Stands for every column of every table that the statement reads.
UNPROVEN: Final[Sources] = frozenset({"?"})
#: Stands for every column of the schema: something is read of which nothing is known.
EVERYTHING: Final[Sources] = frozenset({"??"})

_SQLITE_SCHEMA: Final = ("type", "name", "tbl_name", "rootpage", "sql")
_BUILT_IN: Final = dict.fromkeys(
    ("sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"), _SQLITE_SCHEMA
)


class Unknowable(Exception):
    """Not even the number of columns can be told."""


class Relation:
    """Columns in order, each with its sources.

    Attributes:
        columns: (lower-case name, sources), or None where the columns are not known.
        taint: the sources of a column that is not listed.
        touched: what decides which rows there are, of a relation that a statement or a view makes.
    """

    __slots__ = ("columns", "taint", "touched")

    def __init__(
        self, columns: list[tuple[str, Sources]] | None, taint: Sources = UNPROVEN, touched: Sources = NOTHING
    ) -> None:
        self.columns = columns
        self.taint = taint
        self.touched = touched

    def find(self, name: str) -> Sources | None:
        """The sources of a column; None if there is none of that name for certain."""
        if self.columns is None:
            return self.taint
        found = [sources for column, sources in self.columns if column == name]
        return NOTHING.union(*found) if found else None

    def row(self) -> Sources:
        """The sources of a whole row."""
        if self.columns is None:
            return self.taint
        return NOTHING.union(*(sources for _, sources in self.columns))

    def known(self) -> list[tuple[str, Sources]]:
        """The columns.

        Raises:
            Unknowable: they are not known.
        """
        if self.columns is None:
            raise Unknowable
        return self.columns

    def renamed(self, names: Sequence[str]) -> Relation:
        """With the first columns renamed, as an alias with a column list does."""
        if not names:
            return self
        if self.columns is None:
            return Relation([(name, self.taint) for name in names], self.taint)
        if len(names) > len(self.columns):
            return Relation(None, UNPROVEN)
        kept = [sources for _, sources in self.columns]
        rest = [name for name, _ in self.columns[len(names) :]]
        return Relation(list(zip([*names, *rest], kept, strict=True)), self.taint)


class Scope:
    """The relations that a SELECT can name, within those of the queries around it.

    Attributes:
        star: what the joins since the last comma bring to an unqualified `*`, in order; None where that is not known.
        settled: the same of what stands before that comma.
        aliases: earlier aliases of the same select list, where the dialect lets later items use them.
    """

    __slots__ = ("aliases", "ctes", "outer", "relations", "settled", "star", "windows")

    def __init__(self, outer: Scope | None = None, ctes: dict[str, Relation] | None = None) -> None:
        self.outer = outer
        self.ctes = ctes if ctes is not None else {}
        self.relations: dict[str, Relation] = {}
        self.star: list[tuple[str, Sources]] | None = []
        self.settled: list[tuple[str, Sources]] | None = []
        self.aliases: dict[str, Sources] = {}
        self.windows: Sources = NOTHING

    def all_columns(self) -> list[tuple[str, Sources]] | None:
        """What an unqualified `*` stands for, in order; None where that is not known."""
        return None if self.star is None or self.settled is None else self.settled + self.star

    def relation(self, name: str) -> Relation | None:
        """The relation of a name, here or further out."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.relations.get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def column(self, name: str) -> Sources:
        """The sources of an unqualified name: a column, a whole row, or an alias of the select list.

        A relation whose columns are not known may or may not have it: then it may be a query's further out, too.
        """
        found: list[Sources] = []
        scope: Scope | None = self
        certain = False
        while scope is not None and not certain:
            for relation in scope.relations.values():
                sources = relation.find(name)
                if sources is not None:
                    found.append(sources)
                    certain |= relation.columns is not None
            if name in scope.aliases:
                found.append(scope.aliases[name])
            if name in scope.relations:
                found.append(scope.relations[name].row())
                certain = True
            scope = scope.outer
        return NOTHING.union(*found) if found else UNPROVEN

    def names(self, name: str) -> bool:
        """Whether a name could be a column here or further out."""
        scope: Scope | None = self
        while scope is not None:
            if any(
                relation.columns is not None and relation.find(name) is not None
                for relation in scope.relations.values()
            ):
                return True
            scope = scope.outer
        return False


class View(NamedTuple):
    """A view, as far as a schema tells.

    Attributes:
        definition: the text of its query, "" where it may not be read.
        columns: the names of its columns, in order; empty where only the query tells.
    """

    definition: str
    columns: Sequence[str] = ()


class Schema:
    """Tables with their columns, and views with their definitions, by lower-case name.

    Args:
        tables: name → the column names of a table, in order; or the text of a view's query. An entry `column=table.column`
            tells what a view's column is; the entries of such a view that do not tell are not proven.
    """

    def __init__(self, tables: Mapping[str, Sequence[str] | str]) -> None:
        self._tables: dict[str, Sequence[str] | str] = {
            name.lower().removeprefix("view "): columns for name, columns in tables.items()
        }
        self._short: dict[str, str | None] = {}
        for name in self._tables:
            last = name.rpartition(".")[2]
            self._short[last] = None if last in self._short else name

    @cached_property
    def everything(self) -> Sources:
        """Every column of every table."""
        return frozenset(
            f"{name}.{column.partition('=')[0].lower()}"
            for name, columns in self._tables.items()
            if not isinstance(columns, str)
            for column in columns
        )

    def find(self, name: str) -> tuple[str, Relation | View] | None:
        """A table's own name and relation, or a view's name and query; None if it is not known."""
        full = name if name in self._tables else self._short.get(name.rpartition(".")[2])
        if full is None:
            return _built_in(name)
        columns = self._tables[full]
        if isinstance(columns, str):
            return full, View(columns)
        if any("=" in column for column in columns):
            return full, Relation([_defined(column) for column in columns])
        return full, _table(full, columns)


class LiveTables:
    """The same of a live schema, of which it holds the contents alone."""

    def __init__(self, schema: LiveSchema) -> None:
        self._tables, self._views, self._columns = schema.tables, schema.views, schema.columns
        self._path = schema.path
        self._found: dict[str, Relation] = {}

    @cached_property
    def everything(self) -> Sources:
        """Every column of every table."""
        return frozenset(f"{name}.{column}" for name, columns in self._tables.items() for column in columns)

    def find(self, name: str) -> tuple[str, Relation | View] | None:
        """A table's own name and relation, or a view's name and query; None if it is not known."""
        own = own_name(name, self._path, self._views, self._tables, self._columns)
        if own is not None and name.count(".") > 1 and own != name:
            return None  # perhaps of another database
        if own is None:
            return _built_in(name)
        if own in self._views or own not in self._tables:
            return own, View(self._views.get(own, ""), self._columns.get(own, ()))
        if own not in self._found:
            self._found[own] = _table(own, self._tables[own])
        return own, self._found[own]


def _built_in(name: str) -> tuple[str, Relation | View] | None:
    last = name.rpartition(".")[2]
    return (last, _table(last, _BUILT_IN[last])) if last in _BUILT_IN else None


def _table(name: str, columns: Iterable[str]) -> Relation:
    return Relation([(column.lower(), frozenset({f"{name}.{column.lower()}"})) for column in columns])


def _defined(column: str) -> tuple[str, Sources]:
    name, _, source = column.lower().partition("=")
    return name.strip(), frozenset({source.strip()}) if source.strip() else EVERYTHING


def name_of(node: Any) -> str:
    """The lower-case name of an identifier or column; sqlglot's own `name` recurses without bound."""
    for _ in range(3):
        node = node.args.get("this")
        if isinstance(node, str):
            return node.lower()
        if node is None:
            break
    return ""


def column_names(node: Any) -> list[str]:
    """The column list of a node's alias."""
    alias = node.args.get("alias")
    columns = alias.args.get("columns") if alias is not None else None
    return [name_of(column) for column in columns or ()]
