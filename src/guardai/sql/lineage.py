"""Column lineage: for each output column of a statement, by position, the columns that it comes from.

A source is what an output's value is made of: CASE conditions, FILTER, window PARTITION and ORDER, and everything within
a subquery or EXISTS of the select list. Outer WHERE, JOIN, GROUP, ORDER and DISTINCT ON are no sources; they stand in
`Inspection.columns_read`. What is not proven counts as every column of every table that the statement reads, and a
relation of which nothing is known (a table or view that the schema does not have, a function that may read anything) as
every column of the schema.

Not understood, and so not answered, are statements whose number of output columns cannot be told: `*` over an unknown
relation, SHOW, PRAGMA, EXPLAIN, and whatever does not parse. A caller masks every column of such a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardai.sql.judge import NotParsed, parsed
from guardai.sql.lexicon import DIALECTS
from guardai.sql.prescan import Refused, prescan
from guardai.sql.relations import EVERYTHING, NOTHING, Relation, Schema, Sources, Unknowable
from guardai.sql.split import statements
from guardai.sql.whole import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Lineage", "SqlNotUnderstood", "column_lineage"]

#: With one of these, something is read or run that no schema tells of.
_BEYOND: Final = frozenset({"unknown", "exec", "file", "network"})
_ENTRIES: Final = 1_024
_VIEW_DEPTH: Final = 12


class SqlNotUnderstood(ValueError):
    """It cannot be told how many columns a statement yields, or it is not one statement; the argument is a code."""


class Lineage:
    """Column lineage against one schema, remembered by exact text. Make a new one when the schema changes.

    Args:
        schema: table → its columns, in order; or view → the text of its query (or of its CREATE VIEW).
        dialect: a dialect that `inspect` knows.
    """

    def __init__(self, schema: Mapping[str, Sequence[str] | str], dialect: str) -> None:
        self.dialect = dialect
        self._schema = Schema(schema)
        self._views: dict[str, Relation] = {}
        self._opening: list[str] = []
        self._known: dict[str, tuple[frozenset[str], ...] | str] = {}

    def columns(self, sql: str) -> list[frozenset[str]]:
        """For each output column the columns `table.column` that it comes from; empty if nothing is returned.

        Raises:
            SqlNotUnderstood: see the module.
        """
        found = self._known.get(sql)
        if found is None:
            found = self._fresh(sql)
            if len(self._known) >= _ENTRIES:
                self._known.clear()
            self._known[sql] = found
        if isinstance(found, str):
            raise SqlNotUnderstood(found)
        return list(found)

    def _fresh(self, sql: str) -> tuple[frozenset[str], ...] | str:
        if self.dialect not in DIALECTS:
            return "unknown-dialect"
        try:
            tree = self._tree(sql)
            facts = inspect(sql, self.dialect)
            if facts.statements != 1:
                return "not-one-statement"
            resolver = _resolver(self.dialect, self._relation)
            outputs = resolver.outputs(tree)
            if facts.effects & _BEYOND:
                outputs = [sources | EVERYTHING for sources in outputs]
            return self._told(outputs, tree)
        except Unknowable:
            return "unknown-columns"
        except (NotParsed, Refused) as why:
            return str(why)
        except RecursionError:
            return "too-deep"
        except Exception:  # fail closed: whoever asks masks everything
            return "internal-error"

    def _tree(self, sql: str) -> Any:
        scan = prescan(sql, self.dialect)
        found = statements(scan, self.dialect)
        if len(found) != 1 or scan.versioned:
            raise NotParsed("not-one-statement")
        return parsed(sql, found[0], self.dialect, odd=scan.odd)

    def _relation(self, name: str) -> Relation | None:
        """A table's relation, or a view's, from its definition."""
        found = self._schema.find(name)
        if found is None:
            if name.startswith("information_schema."):  # tells of tables, not of what is in them
                return Relation(None, frozenset({f"{name}.*"}))
            return None
        own, relation = found
        if isinstance(relation, Relation):
            return relation
        if own not in self._views:
            self._views[own] = self._view(own, relation)
        return self._views[own]

    def _view(self, name: str, definition: str) -> Relation:
        from sqlglot import exp

        unknown = Relation(None, EVERYTHING | {f"{name}.*"})
        if name in self._opening or len(self._opening) > _VIEW_DEPTH:
            return unknown
        self._opening.append(name)
        try:
            tree = self._tree(definition)
            names: list[str] = []
            if isinstance(tree, exp.Create):
                if isinstance(tree.this, exp.Schema):
                    names = [column.name.lower() for column in tree.this.expressions]
                tree = tree.expression
            from guardai.sql.relations import Scope

            resolver = _resolver(self.dialect, self._relation)
            relation = resolver.query(tree, Scope()).renamed(names)
            if inspect(definition, self.dialect).effects & _BEYOND:
                return (
                    unknown
                    if relation.columns is None
                    else Relation([(n, s | EVERYTHING) for n, s in relation.columns])
                )
            if relation.columns is None:
                return unknown
            # Within a view, "every table read" is not the outer statement's: spelt out here.
            told = self._told([sources for _, sources in relation.columns], tree)
            return Relation([(n, s) for (n, _), s in zip(relation.columns, told, strict=True)])
        except (Unknowable, NotParsed, Refused, RecursionError):
            return unknown
        finally:
            self._opening.pop()

    def _told(self, outputs: list[Sources], tree: Any) -> tuple[Sources, ...]:
        """With the marks for what is not proven replaced by what they stand for."""
        marked: Sources = NOTHING.union(*outputs)
        everything = self._schema.everything if "??" in marked else NOTHING
        read = self._read(tree) if "?" in marked else NOTHING
        return tuple(
            (sources | (everything if "??" in sources else NOTHING) | (read if "?" in sources else NOTHING))
            - {"?", "??"}
            for sources in outputs
        )

    def _read(self, tree: Any) -> Sources:
        """Every column of every table that a tree names, wherever it stands."""
        from sqlglot import exp

        from guardai.sql.ctes import visible_cte
        from guardai.sql.tables import table_name

        found: set[str] = set()
        clauses: dict[int, dict[str, Any]] = {}
        for name in {table_name(table) for table in tree.find_all(exp.Table) if not visible_cte(table, clauses)} - {""}:
            relation = self._relation(name)
            found |= relation.row() if relation is not None else EVERYTHING | {f"{name}.*"}
        if "??" in found:
            found |= self._schema.everything
        return frozenset(found - {"?", "??"})


def _resolver(dialect: str, lookup: Any) -> Any:
    # sqlglot is imported at the first use, not with this room
    from guardai.sql.resolve import Resolver

    return Resolver(dialect, lookup)


def column_lineage(sql: str, dialect: str, schema: Mapping[str, Sequence[str] | str]) -> list[frozenset[str]]:
    """For each output column of one statement the columns that it comes from. `Lineage` does the same for many.

    Args:
        sql: one statement.
        dialect: a dialect that `inspect` knows.
        schema: table → its columns, in order; or view → the text of its query.

    Raises:
        SqlNotUnderstood: the number of output columns cannot be told.
    """
    return Lineage(schema, dialect).columns(sql)
