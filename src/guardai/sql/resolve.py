"""From which columns each output column of a query comes, over the parser's tree.

SECURITY INVARIANT: a source is never missed silently. Each construct is either handled here, or its columns are
UNPROVEN, which stands for every column of every table that the statement reads.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from guardai.sql.changes import changed
from guardai.sql.ctes import SEES_ITSELF, mentions, reads_itself, visible_cte
from guardai.sql.from_clause import add_join, add_source
from guardai.sql.relations import (
    EVERYTHING,
    NOTHING,
    UNPROVEN,
    Relation,
    Scope,
    Sources,
    Unknowable,
    column_names,
    name_of,
)
from guardai.sql.tables import searched
from guardai.sql.words import functions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Resolver"]

#: Here a later item of a select list may use an earlier one's alias.
_LATERAL_ALIASES: Final = frozenset({"snowflake", "redshift", "databricks", "duckdb", "clickhouse", "bigquery"})
_QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)
_DML: Final = (exp.Insert, exp.Update, exp.Delete)
#: Columns that every table has and no schema lists; sqlite's may be another name of a key.
_ROW_IDS: Final = frozenset(
    {"rowid", "_rowid_", "oid", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax", "ora_rowscn"}
)


#: Become several columns each.
_SPREADING: Final = (exp.Aliases, exp.Inline, exp.Stack, exp.JSONTable, exp.Posexplode)
_SPREADING_NAMES: Final = frozenset({"untuple", "json_tuple", "posexplode_outer", "inline_outer", "stack"})
#: Here unfolding a struct or a map gives a column for each field.
_SPREADS_STRUCTS: Final = frozenset({"duckdb", "databricks"})
#: They tell the least and the greatest values of the columns of a table that a text names.
_TELLING: Final = frozenset({"pragma_storage_info"})
#: More in one FROM is not looked into: every name would be looked up in each.
_MAX_RELATIONS: Final = 200


class Resolver:
    """Resolves one statement.

    Args:
        dialect: a known dialect.
        lookup: a table's name → its relation, None if nothing is known of it.
        call: the name of a function that is not the engine's → what its value is made of besides its arguments.
    """

    def __init__(self, dialect: str, lookup: Callable[[str], Relation | None], call: Callable[[str], Sources]) -> None:
        self.dialect = dialect
        self.lookup = lookup
        self.call = call
        self.harmless = functions(dialect).harmless
        #: while not None, everything that is referenced is added: within a subquery of a select list
        self.deep: set[str] | None = None
        #: how many queries we are within; 0 only around the outermost, whose columns are counted by whoever asks
        self.within = 1

    def outputs(self, tree: Any) -> list[Sources]:
        """The sources of each output column of a statement.

        Raises:
            Unknowable: not even their number can be told.
        """
        if isinstance(tree, _DML) or type(tree) is exp.Merge:
            if tree.args.get("returning") is None:
                return []
            return [sources for _, sources in changed(self, tree, Scope()).known()]
        self.within = 0
        return [sources for _, sources in self.query(tree, Scope()).known()]

    # Queries

    def query(self, node: Any, around: Scope) -> Relation:
        """The relation that a query yields. `around` is the scope of the query that holds it."""
        if isinstance(node, exp.Subquery):
            inner = self.with_ctes(node, around)
            self.clauses(node, inner)
            if node.args.get("joins") or node.args.get("pivots") or node.args.get("laterals"):
                return Relation(None)
            return self.query(node.this, inner)
        if isinstance(node, exp.Select):
            return self.select(node, around)
        if isinstance(node, exp.SetOperation):
            return self.both(node, self.with_ctes(node, around))
        if isinstance(node, exp.Values):
            return self.values(node, around)
        if isinstance(node, _DML):
            return changed(self, node, around)
        if isinstance(node, exp.Table):
            scope = Scope(outer=around, ctes=around.ctes)
            add_source(self, node, scope)
            return Relation(scope.all_columns())
        return Relation(None)

    def with_ctes(self, node: Any, around: Scope) -> Scope:
        """A scope with the CTEs of a node added."""
        scope = Scope(outer=around, ctes=around.ctes)
        clause = node.args.get("with_")
        if clause is not None:
            scope.ctes = dict(around.ctes)
            later = {cte.alias.lower() for cte in clause.expressions}
            recursive = bool(clause.args.get("recursive"))
            for cte in clause.expressions:
                later.discard(cte.alias.lower())
                if clause.args.get("search") or clause.args.get("cycle"):  # which add columns
                    scope.ctes[cte.alias.lower()] = Relation(None, touched=UNPROVEN)
                elif ((recursive or self.dialect == "sqlite") and mentions(cte, later)) or (
                    not recursive and self.dialect in SEES_ITSELF and reads_itself(cte)
                ):  # it sees those after it, or itself
                    unproven = Relation(None).renamed(column_names(cte))
                    scope.ctes[cte.alias.lower()] = Relation(unproven.columns, touched=UNPROVEN)
                else:
                    scope.ctes[cte.alias.lower()] = self.cte(cte, scope, recursive=recursive)
        return scope

    def cte(self, cte: Any, scope: Scope, *, recursive: bool) -> Relation:
        """What a CTE yields."""
        self.within += 1
        # It may be named first within a select list later on.
        before, self.deep = self.deep, set()
        try:
            found = self.shared(cte, scope, recursive=recursive)
            return Relation(found.columns, found.taint, frozenset(self.deep))
        finally:
            self.deep = before
            self.within -= 1

    def shared(self, cte: Any, scope: Scope, *, recursive: bool) -> Relation:
        name, names = cte.alias.lower(), column_names(cte)
        body = cte.this
        clauses: dict[int, dict[str, Any]] = {}
        if not (
            recursive
            and isinstance(body, exp.SetOperation)
            and any(visible_cte(t, clauses) is cte for t in body.find_all(exp.Table))
        ):
            return self.query(body, scope).renamed(names)
        inner = Scope(outer=scope.outer, ctes=dict(scope.ctes))
        found = self.query(body.this, inner).renamed(names)
        while True:  # what the recursive part adds, until it adds nothing more
            inner.ctes[name] = found
            again = self.query(body, inner).renamed(names)
            if again.columns is None or found.columns is None or again.columns == found.columns:
                return again
            found = again

    def both(self, node: Any, scope: Scope) -> Relation:
        """UNION, EXCEPT, INTERSECT: each column has the sources of both sides."""
        # A chain of unions leans to the left and may be long, so it is not walked by recursion.
        parts = []
        while isinstance(node, exp.SetOperation):
            if node.args.get("by_name") or node.args.get("on") or node.args.get("side") or node.args.get("kind"):
                return Relation(None)
            self.clauses(node, scope)
            parts.append(self.query(node.expression, scope))
            node = node.this
            if node.args.get("with_") is not None:
                break
        parts.append(self.query(node, scope))
        first = parts.pop()
        if first.columns is None or any(
            part.columns is None or len(part.columns) != len(first.columns) for part in parts
        ):
            return Relation(None, NOTHING.union(first.row(), *(part.row() for part in parts)) | UNPROVEN)
        rows = [first.columns, *(part.known() for part in parts)]
        return Relation(
            [(column[0][0], NOTHING.union(*(cell[1] for cell in column))) for column in zip(*rows, strict=True)]
        )

    def values(self, node: Any, scope: Scope) -> Relation:
        rows = [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        if not rows or any(len(row) != len(rows[0]) for row in rows):
            return Relation(None)
        columns = [
            (f"column{index}", NOTHING.union(*(self.expression(cell, scope) for cell in column)))
            for index, column in enumerate(zip(*rows, strict=True), 1)
        ]
        return Relation(columns).renamed(column_names(node))

    def select(self, node: Any, around: Scope) -> Relation:
        self.within += 1
        try:
            return self.selected(node, around)
        finally:
            self.within -= 1

    def selected(self, node: Any, around: Scope) -> Relation:
        scope = self.with_ctes(node, around)
        if len(node.args.get("joins") or ()) > _MAX_RELATIONS:
            return Relation(None)
        if node.args.get("pivots") or node.args.get("match") or (node.args.get("kind") and self.dialect == "bigquery"):
            return Relation(None)
        if node.args.get("from_") is not None:
            add_source(self, node.args["from_"].this, scope)
        for join in node.args.get("joins") or ():
            add_join(self, join, scope)
        for lateral in node.args.get("laterals") or ():
            add_source(self, lateral, scope)
        for window in node.args.get("windows") or ():
            scope.windows |= self.expression(window, scope)
        if self.dialect == "clickhouse":
            self.named_anywhere(node, scope)
        columns: list[tuple[str, Sources]] = []
        try:
            for item in node.expressions:
                found = self.item(item, scope)
                columns += found
                if self.dialect in _LATERAL_ALIASES and isinstance(item, exp.Alias):
                    scope.aliases[item.alias.lower()] = found[0][1]
        except Unknowable:
            return Relation(None)
        self.clauses(node, scope)
        if self.deep is not None:
            for _, sources in columns:
                self.deep |= sources
        if node.args.get("for_") is not None:  # FOR JSON and FOR XML put all rows into one cell
            return Relation([("", NOTHING.union(*(sources for _, sources in columns)))])
        return Relation(columns)

    def named_anywhere(self, node: Any, scope: Scope) -> None:
        """ClickHouse: a name that is given anywhere in a query holds everywhere in it, and wins over a column."""
        given = [alias for alias in node.find_all(exp.Alias) if alias.parent_select is node]
        clause = node.args.get("with_")
        given += [c for c in (clause.expressions if clause is not None else ()) if not isinstance(c.this, exp.Query)]
        for _ in given:  # one may be made of another, in any order
            before = dict(scope.aliases)
            for alias in given:
                name = alias.alias.lower()
                scope.aliases[name] = before.get(name, NOTHING) | self.expression(alias.this, scope)
            if scope.aliases == before:
                break

    def clauses(self, node: Any, scope: Scope) -> None:
        """Within a subquery of a select list, filters and order count as sources, too."""
        if self.deep is None:
            return
        for key in (
            "where",
            "group",
            "having",
            "qualify",
            "order",
            "limit",
            "offset",
            "distinct",
            "prewhere",
            "connect",
            "sort",
            "cluster",
        ):
            clause = node.args.get(key)
            if clause is not None and not isinstance(clause, bool):
                self.deep |= self.expression(clause, scope)

    def item(self, item: Any, scope: Scope) -> list[tuple[str, Sources]]:
        """One item of a select list: a column, or those that a star stands for."""
        star = (
            item
            if isinstance(item, exp.Star)
            else item.this
            if isinstance(item, exp.Column) and isinstance(item.this, exp.Star)
            else None
        )
        if star is None:
            if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
                return self.whole_row(item.this, scope)
            if self.spreads(item):
                raise Unknowable
            return [(_output_name(item), self.expression(item, scope))]
        if isinstance(item, exp.Star):
            found = scope.all_columns()
            if found is None:
                raise Unknowable
            columns = found
        else:
            relation = scope.relation(item.text("table").lower())
            if relation is None:
                raise Unknowable
            columns = relation.known()
        if star.args.get("rename") or star.args.get("replace") or star.args.get("except_") or star.args.get("ilike"):
            return self.altered(star, columns, scope)
        return columns

    def spreads(self, item: Any) -> bool:
        """Whether an item of a select list may become several columns."""
        if item.find(exp.Columns, exp.Apply) is not None:
            return True
        while isinstance(item, (exp.Alias, exp.Paren)):
            item = item.this
        if isinstance(item, _SPREADING) or (isinstance(item, exp.Anonymous) and item.name.lower() in _SPREADING_NAMES):
            return True
        # Outermost it shows in the number of columns; further in it would shift the names of those after it.
        return self.within > 1 and self.dialect in _SPREADS_STRUCTS and isinstance(item, exp.Explode)

    def whole_row(self, row: Any, scope: Scope) -> list[tuple[str, Sources]]:
        """`(u).*`: the columns of a whole row."""
        while isinstance(row, exp.Paren):
            row = row.this
        relation = scope.relation(row.name.lower()) if isinstance(row, exp.Column) and not row.text("table") else None
        if relation is None or any(
            r.columns is None or r.find(row.name.lower()) is not None for r in scope.relations.values()
        ):
            raise Unknowable
        return relation.known()

    def altered(self, star: Any, columns: list[tuple[str, Sources]], scope: Scope) -> list[tuple[str, Sources]]:
        """`* EXCEPT (…) REPLACE (…) RENAME (…)`."""
        if star.args.get("ilike"):
            raise Unknowable
        left_out = {name_of(column) for column in star.args.get("except_") or ()}
        replaced = {item.alias.lower(): self.expression(item, scope) for item in star.args.get("replace") or ()}
        renamed = {name_of(item.this): item.alias.lower() for item in star.args.get("rename") or ()}
        return [
            (renamed.get(name, name), replaced.get(name, sources)) for name, sources in columns if name not in left_out
        ]

    # Expressions

    def expression(self, node: Any, scope: Scope) -> Sources:
        """All that an expression is made of."""
        found: set[str] = set()
        pending = [node]
        while pending:
            part = pending.pop()
            kind = type(part)
            if kind is exp.Column:
                found |= self.column(part, scope)
            elif isinstance(part, (*_QUERIES, *_DML)):
                found |= self.nested(part, scope)
            elif kind is exp.Star:
                if type(part.parent) is not exp.Count:
                    found |= NOTHING.union(*(relation.row() for relation in scope.relations.values()))
            elif kind is exp.Anonymous and part.name.lower() == "values" and (new := scope.relation("excluded")):
                found |= new.find(name_of(part.expressions[0])) or new.row()  # of ON DUPLICATE KEY UPDATE
            elif kind is exp.Dot and (row := self.member(part, scope)) is not None:
                found |= row
            elif kind is exp.Dot and (name := self.qualified(part, scope)):
                found |= self.call(name)
                pending.extend(part.expression.iter_expressions())
            elif kind is exp.Identifier or kind is exp.Var:
                if scope.names(part.name.lower()):
                    found |= scope.column(part.name.lower())
            elif kind is exp.PositionalColumn or (kind is exp.Parameter and self.dialect == "snowflake"):
                found |= NOTHING.union(*(relation.row() for relation in scope.relations.values())) or UNPROVEN
            elif kind is exp.In and (name := searched(part, self.dialect)):
                table = scope.ctes.get(name) or self.lookup(name)
                found |= table.row() | table.touched if table is not None else EVERYTHING
                pending.append(part.this)
            elif kind is exp.Alias:
                pending.append(part.this)
            elif kind is exp.DataType or kind is exp.TableAlias:
                continue
            else:
                if kind is exp.Anonymous and part.name.lower() in _TELLING:
                    found |= EVERYTHING
                elif kind is exp.Anonymous and part.name.lower() not in self.harmless and part.name.lower() != "row":
                    found |= self.call(part.name.lower()) if type(part.parent) is not exp.Dot else EVERYTHING
                if kind is exp.Window:
                    found |= scope.windows
                pending.extend(part.iter_expressions())
        return frozenset(found)

    def nested(self, query: Any, scope: Scope) -> Sources:
        """A query within an expression: everything that it touches."""
        before, self.deep = self.deep, set()
        try:
            relation = self.query(query, scope)
            found = frozenset(self.deep) | relation.row()
        finally:
            self.deep = before
        if self.deep is not None:
            self.deep |= found
        return found

    def column(self, node: Any, scope: Scope) -> Sources:
        name, table = node.name.lower(), node.text("table").lower()
        if isinstance(node.this, exp.Star):
            relation = scope.relation(table)
            return relation.row() if relation is not None else UNPROVEN
        if not table:
            if name == "default" and not node.this.args.get("quoted"):
                return NOTHING
            found = scope.column(name)
            return self.row_id(scope) if found is UNPROVEN and name in _ROW_IDS else found
        relation = scope.relation(table)
        if relation is None:
            return scope.column(table)  # a field of a structured column, or nothing that is known
        sources = relation.find(name)
        if sources is not None:
            return sources
        return relation.row() if name in _ROW_IDS else UNPROVEN

    def row_id(self, scope: Scope) -> Sources:
        return NOTHING.union(*(relation.row() for relation in scope.relations.values())) or UNPROVEN

    def qualified(self, node: Any, scope: Scope) -> str:
        """The name of a function that is called with its schema, "" where what stands before it could be data."""
        schema = node.this
        if not isinstance(node.expression, exp.Anonymous) or not isinstance(schema, (exp.Column, exp.Identifier)):
            return ""
        name = schema.name.lower()
        plain = isinstance(schema, exp.Identifier) or not schema.args.get("table")
        return f"{name}.{node.expression.name.lower()}" if plain and scope.column(name) is UNPROVEN else ""

    def member(self, node: Any, scope: Scope) -> Sources | None:
        """`(u).ssn`: a column of a whole row."""
        row = node.this
        while isinstance(row, exp.Paren):
            row = row.this
        if not isinstance(row, exp.Column) or row.text("table") or not isinstance(node.expression, exp.Identifier):
            return None
        name = row.name.lower()
        relation = scope.relations.get(name)
        if relation is None or any(r.columns is None or r.find(name) is not None for r in scope.relations.values()):
            return None
        return relation.find(node.expression.name.lower())


def _output_name(item: Any) -> str:
    """What an item is called from outside, "" where engines differ; sqlglot's own `output_name` recurses."""
    for _ in range(8):
        if isinstance(item, exp.Alias):
            return str(item.alias).lower()
        if isinstance(item, exp.Column):
            return name_of(item)
        if not isinstance(item, (exp.Cast, exp.Paren)):
            return ""
        item = item.this
    return ""
