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

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from guardai.model import LiveSchema
from guardai.sql.judge import NotParsed, parsed
from guardai.sql.lexicon import DIALECTS, FOLDS
from guardai.sql.memory import LENGTH, PerSchema
from guardai.sql.names import own_name
from guardai.sql.phrases import NAMES
from guardai.sql.prescan import Refused, prescan
from guardai.sql.relations import EVERYTHING, NOTHING, LiveTables, Relation, Schema, Sources, Unknowable, View
from guardai.sql.split import statements
from guardai.sql.whole import against, inspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardai.sql.inspection import Inspection
    from guardai.sql.prescan import Scan, Token
    from guardai.sql.reach import Reach
    from guardai.sql.resolve import Resolver
    from guardai.sql.whole import Against

__all__ = ["BEYOND", "ENTRIES", "Lineage", "SqlNotUnderstood", "column_lineage", "lineage_of"]

#: With one of these, something is read or run that no schema tells of: a variable of the session holds what an earlier
#: statement put into it.
BEYOND: Final = frozenset({"unknown", "exec", "file", "network", "session"})
ENTRIES: Final = 1_024
_VIEW_DEPTH: Final = 12
#: These tell of tables and not of what is in them. Others of that schema do: histograms, words of a full-text index,
#: statements that are running.
_TELLS_OF_TABLES: Final = frozenset(
    f"information_schema.{name}"
    for name in """applicable_roles character_sets check_constraints collations column_privileges columns constraint_column_usage
    constraint_table_usage domains element_types enabled_roles engines key_column_usage parameters partitions
    referential_constraints role_table_grants routines schemata sequences statistics table_constraints table_privileges tables triggers
    user_privileges view_column_usage view_table_usage views""".split()  # noqa: SIM905
)


class SqlNotUnderstood(ValueError):
    """It cannot be told how many columns a statement yields, or it is not one statement; the argument is a code."""


class Lineage:
    """Column lineage against one schema, remembered by exact text. Make a new one when the schema changes.

    Args:
        schema: what a running database tells of itself; or table → its columns, in order; or view → the text of its
            query (or of its CREATE VIEW).
        dialect: a dialect that `inspect` knows.
    """

    def __init__(self, schema: LiveSchema | Mapping[str, Sequence[str] | str], dialect: str) -> None:
        self.dialect = dialect
        self._against: Against | None = None
        self.reach: Reach | None = None
        if isinstance(schema, LiveSchema):
            self._against = against(schema)
            self.reach = self._against.reach(dialect) if dialect in DIALECTS else None
            self.schema: Schema | LiveTables = LiveTables(schema)
        else:
            self.schema = Schema(schema)
        self._views: dict[str, Relation] = {}
        self._calls: dict[str, Sources] = {}
        #: the views that each thread is within
        self._within = threading.local()
        self._known: dict[str, tuple[frozenset[str], ...] | str] = {}
        #: what `flows` remembers
        self.carried: dict[str, dict[str, frozenset[str]] | str] = {}

    def columns(self, sql: str) -> list[frozenset[str]]:
        """For each output column the columns `table.column` that it comes from; empty if nothing is returned.

        Raises:
            SqlNotUnderstood: see the module.
        """
        found = self._known.get(sql)
        if found is None:
            found = self._fresh(sql)
            if len(self._known) >= ENTRIES:
                self._known.clear()
            if len(sql) <= LENGTH:
                self._known[sql] = found
        if isinstance(found, str):
            raise SqlNotUnderstood(found)
        return list(found)

    def _fresh(self, sql: str) -> tuple[frozenset[str], ...] | str:
        if self.dialect not in DIALECTS:
            return "unknown-dialect"
        try:
            tree, tokens = self.tree(sql)
            facts = self.inspect(sql)
            if facts.statements != 1:
                return "not-one-statement"
            outputs = self.resolver().outputs(tree)
            if self.clash(sql, tree):
                outputs = [EVERYTHING] * len(outputs)
            besides = self.besides(facts, tokens)
            return self.told([sources | besides for sources in outputs], tree)
        except Unknowable:
            return "unknown-columns"
        except (NotParsed, Refused) as why:
            return str(why)
        except RecursionError:
            return "too-deep"
        except Exception:  # fail closed: whoever asks masks everything
            return "internal-error"

    def clash(self, sql: str, tree: Any) -> bool:
        """Whether relations are called by names that differ in case alone, which are one name to the resolver."""
        from guardai.sql.ctes import clashes

        return (self.dialect not in FOLDS or '"' in sql) and bool(clashes(tree, self.dialect))

    def inspect(self, sql: str) -> Inspection:
        """What a statement does, against the live schema if there is one."""
        return inspect(sql, self.dialect) if self._against is None else self._against.inspect(sql, self.dialect)

    def tree(self, sql: str) -> tuple[Any, list[Token]]:
        """The parser's tree of one statement, and its tokens.

        Raises:
            NotParsed, Refused: with a reason code.
        """
        scan, tokens = self.tokens(sql)
        return parsed(sql, tokens, self.dialect, odd=scan.odd), tokens

    def tokens(self, sql: str) -> tuple[Scan, list[Token]]:
        """The pre-scan of a text and the tokens of its only statement.

        Raises:
            NotParsed, Refused: with a reason code.
        """
        scan = prescan(sql, self.dialect)
        found = statements(scan, self.dialect)
        if len(found) != 1 or scan.versioned:
            raise NotParsed("not-one-statement")
        return scan, found[0]

    def resolver(self) -> Resolver:
        """A resolver of one statement."""
        # sqlglot is imported at the first use, not with this room
        from guardai.sql.resolve import Resolver

        return Resolver(self.dialect, self.relation, self.call)

    def besides(self, facts: Inspection, tokens: list[Token]) -> Sources:
        """What may be in any value of a statement.

        Of things read of which nothing is known; of what triggers put into written rows; of functions that are called
        by a name of the engine's own or as if they were columns.
        """
        if facts.effects & BEYOND:
            return EVERYTHING
        reach = self.reach
        if reach is None:
            return NOTHING
        called = reach.members(tokens, facts.columns_read) or any(
            after[1] == "(" and token[0] in NAMES and reach.overloads(token[1]) for token, after in pairwise(tokens)
        )
        if called or any(own_name(table, reach.path, reach.triggers) for table in facts.writes):
            return NOTHING.union(*(self.row(table) for table in facts.reads | facts.writes))
        return NOTHING

    def call(self, name: str) -> Sources:
        """What the value of a function that is not the engine's is made of, besides its arguments."""
        reach = self.reach
        if reach is None:
            return EVERYTHING
        found = self._calls.get(name)
        if found is None:
            facts = reach.closure(name)
            found = EVERYTHING
            if not facts.effects & BEYOND:
                found = NOTHING.union(*(self.row(table) for table in facts.reads | facts.writes))
            self._calls[name] = found
        return found

    def row(self, table: str) -> Sources:
        """Every column of a table or view."""
        relation = self.relation(table)
        return relation.row() if relation is not None else EVERYTHING | {f"{table}.*"}

    def relation(self, name: str) -> Relation | None:
        """A table's relation, or a view's, from its definition."""
        found = self.schema.find(name)
        if found is None:
            if name in _TELLS_OF_TABLES:
                return Relation(None, frozenset({f"{name}.*"}))
            return None
        own, relation = found
        if isinstance(relation, Relation):
            return relation
        if own not in self._views:
            self._views[own] = self._view(own, relation)
        return self._views[own]

    def _view(self, name: str, view: View) -> Relation:
        from sqlglot import exp

        from guardai.sql.relations import Scope

        taint = EVERYTHING | {f"{name}.*"}
        unknown = Relation([(column, taint) for column in view.columns] or None, taint, taint)
        opening: list[str] = self._within.__dict__.setdefault("views", [])
        if not view.definition or name in opening or len(opening) > _VIEW_DEPTH:
            return unknown
        opening.append(name)
        try:
            tree, tokens = self.tree(view.definition)
            names: list[str] = list(view.columns)
            if isinstance(tree, exp.Create):
                if isinstance(tree.this, exp.Schema) and not names:
                    names = [column.name.lower() for column in tree.this.expressions]
                tree = tree.expression
            resolver = self.resolver()
            resolver.deep = set()
            relation = resolver.query(tree, Scope())
            if relation.columns is None or (view.columns and len(view.columns) != len(relation.columns)):
                return unknown
            if self.clash(view.definition, tree):
                return unknown
            relation = relation.renamed(names)
            besides = self.besides(self.inspect(view.definition), tokens)
            # Within a view, "every table read" is not the outer statement's: spelt out here.
            *told, touched = self.told(
                [*(sources | besides for _, sources in relation.known()), frozenset(resolver.deep)], tree
            )
            columns = [(n, s) for (n, _), s in zip(relation.known(), told, strict=True)]
            return Relation(columns, touched=touched)
        except (Unknowable, NotParsed, Refused, RecursionError):
            return unknown
        finally:
            opening.pop()

    def told(self, outputs: Sequence[Sources], tree: Any) -> tuple[Sources, ...]:
        """With the marks for what is not proven replaced by what they stand for."""
        marked: Sources = NOTHING.union(*outputs)
        everything = self.schema.everything if "??" in marked else NOTHING
        read = self.read(tree) if "?" in marked else NOTHING
        return tuple(
            (sources | (everything if "??" in sources else NOTHING) | (read if "?" in sources else NOTHING))
            - {"?", "??"}
            for sources in outputs
        )

    def read(self, tree: Any) -> Sources:
        """Every column of every table that a tree names, wherever it stands."""
        from sqlglot import exp

        from guardai.sql.ctes import is_changed, visible_cte
        from guardai.sql.tables import table_name

        clauses: dict[int, dict[str, Any]] = {}
        named = {
            table_name(table)
            for table in tree.find_all(exp.Table)
            if is_changed(table, self.dialect) or not visible_cte(table, clauses)
        } - {""}
        found: Sources = NOTHING.union(*(self.row(name) for name in named))
        if "??" in found:
            found |= self.schema.everything
        return found - {"?", "??"}


def _none_yet(_schema: LiveSchema) -> dict[str, Lineage]:
    return {}


_of_schema = PerSchema(_none_yet)


def lineage_of(schema: LiveSchema | Mapping[str, Sequence[str] | str], dialect: str) -> Lineage:
    """The lineage of a live schema, which is kept as long as the schema is; of a dictionary, a new one."""
    if not isinstance(schema, LiveSchema):
        return Lineage(schema, dialect)
    kept = _of_schema.of(schema)
    found = kept.get(dialect)
    if found is None:
        found = kept[dialect] = Lineage(schema, dialect)
    return found


def column_lineage(
    sql: str, dialect: str, schema: LiveSchema | Mapping[str, Sequence[str] | str]
) -> list[frozenset[str]]:
    """For each output column of one statement the columns that it comes from. `Lineage` does the same for many.

    Args:
        sql: one statement.
        dialect: a dialect that `inspect` knows.
        schema: what a running database tells of itself, for which answers are remembered as long as it lives; or table →
            its columns, in order; or view → the text of its query.

    Raises:
        SqlNotUnderstood: the number of output columns cannot be told.
    """
    return lineage_of(schema, dialect).columns(sql)
