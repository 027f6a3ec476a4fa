"""What stands in FROM, as relations for the resolver of lineage.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from guardai.sql.ctes import is_changed
from guardai.sql.lexicon import MYSQL
from guardai.sql.relations import EVERYTHING, NOTHING, Relation, Scope, Sources, column_names, name_of
from guardai.sql.tables import table_name

if TYPE_CHECKING:
    from guardai.sql.resolve import Resolver

__all__ = ["add_join", "add_source", "table"]

#: Where the order of `*` over USING is tried: standard puts the shared columns first, sqlite and duckdb leave them.
_STANDARD_USING: Final = frozenset({"postgres", "redshift", "mysql", "mariadb"})
_LEFT_USING: Final = frozenset({"sqlite", "duckdb"})
_QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


def add_join(resolver: Resolver, join: Any, scope: Scope) -> None:
    """Adds what a join brings, and works out what `*` then stands for."""
    told = {key: str(join.args.get(key) or "").upper() for key in ("kind", "side", "method")}
    plain = not any(told.values()) and join.args.get("on") is None and not join.args.get("using")
    if plain and resolver.dialect != "sqlite":  # a comma, which binds less than JOIN; in sqlite it is a JOIN like any
        scope.settled = None if scope.settled is None or scope.star is None else scope.settled + scope.star
        scope.star = []
    before = scope.star
    shared = [name_of(column) for column in join.args.get("using") or ()]
    scope.star = []
    add_source(resolver, join.this, scope)
    right, scope.star = scope.star, None
    if resolver.deep is not None and join.args.get("on") is not None:
        resolver.deep |= resolver.expression(join.args["on"], scope)
    if {told["kind"], told["side"]} & {"SEMI", "ANTI"}:
        scope.star = before
        return
    if before is None or right is None:
        return
    if told["method"] == "NATURAL":
        names = {name for name, _ in right}
        shared = [name for name, _ in before if name in names]
    if not shared:
        scope.star = before + right
        return
    if resolver.deep is not None:
        for name, sources in before + right:
            if name in shared:
                resolver.deep |= sources
    scope.star = merged(resolver, before, right, shared, told["side"])


def merged(
    resolver: Resolver, left: list[tuple[str, Sources]], right: list[tuple[str, Sources]], shared: list[str], side: str
) -> list[tuple[str, Sources]]:
    """The columns of a join that names shared ones."""
    if resolver.dialect in MYSQL:  # which has them in the order of the first table, and not of the USING
        shared = [name for name, _ in left if name in shared]
    both = {name: NOTHING.union(*(s for column, s in left + right if column == name)) for name in shared}
    rest_left = [column for column in left if column[0] not in both]
    rest_right = [column for column in right if column[0] not in both]
    turned = side == "RIGHT" and resolver.dialect in MYSQL  # where it is a LEFT JOIN turned round
    if resolver.dialect in _STANDARD_USING and not turned:
        return [*both.items(), *rest_left, *rest_right]
    if resolver.dialect in _LEFT_USING:
        return [(name, both.get(name, sources)) for name, sources in left] + rest_right
    any_of = NOTHING.union(*(sources for _, sources in left + right))
    return [(name, any_of) for name, _ in [*both.items(), *rest_left, *rest_right]]


def add_source(resolver: Resolver, node: Any, scope: Scope) -> None:
    """Adds what a part of FROM brings."""
    relation = source(resolver, node, scope)
    if relation is None:
        return
    alias = node.args.get("alias")
    names = column_names(node) if not isinstance(node, exp.Values) else []
    relation = relation.renamed(names)
    name = (
        alias.name if alias is not None and alias.this is not None else node.name if isinstance(node, exp.Table) else ""
    ).lower()
    if isinstance(node, exp.Unnest) and resolver.dialect == "bigquery" and names and not name:
        name = names[0]
    scope.relations[name or f" {len(scope.relations)}"] = relation
    scope.star = None if scope.star is None or relation.columns is None else scope.star + relation.columns
    if isinstance(node, exp.Table):
        for join in node.args.get("joins") or ():
            add_join(resolver, join, scope)
        for lateral in node.args.get("laterals") or ():
            add_source(resolver, lateral, scope)


def _bracketed(resolver: Resolver, node: Any, scope: Scope) -> None:
    """Brackets around a join: its tables can be named from outside, its columns come together."""
    star, settled = scope.star, scope.settled
    scope.star, scope.settled = [], []
    add_source(resolver, node, scope)
    inner = scope.all_columns()
    scope.star, scope.settled = None if star is None or inner is None else star + inner, settled


def source(resolver: Resolver, node: Any, scope: Scope) -> Relation | None:
    """The relation that a part of FROM stands for; None if it was added whole."""
    if node.args.get("pivots") or node.args.get("match"):
        return Relation(None)
    if isinstance(node, exp.Table):
        return table(resolver, node, scope)
    if isinstance(node, exp.Lateral):
        if isinstance(node.this, _QUERIES):
            return resolver.query(node.this, scope)
        return Relation(None, resolver.expression(node.this, scope))
    if isinstance(node, exp.Subquery):
        if isinstance(node.this, exp.Table) and node.args.get("alias") is None:
            _bracketed(resolver, node.this, scope)
            return None
        outer = Scope(outer=scope.outer, ctes=scope.ctes)
        return resolver.query(node, outer)
    if isinstance(node, exp.Values):
        return resolver.values(node, scope)
    if isinstance(node, exp.Unnest):
        return Relation(None, resolver.expression(node, scope))
    return Relation(None)


def table(resolver: Resolver, node: Any, scope: Scope) -> Relation:
    if not isinstance(node.this, exp.Identifier):
        # A function in the place of a table: what it yields depends on what it is given, if it only computes.
        return Relation(None, resolver.expression(node.this, scope)) if node.this is not None else Relation(None)
    name = table_name(node)
    if node.args.get("db") is None and name in scope.ctes and not is_changed(node, resolver.dialect):
        made = scope.ctes[name]
        if resolver.deep is not None:
            resolver.deep |= made.touched
        return made
    if node.args.get("db") is not None and node.args.get("catalog") is None:
        row = scope.relations.get(node.text("db").lower())
        if row is not None:
            return Relation(None, row.row())  # `FROM t, t.items`
    found = resolver.lookup(name)
    if found is not None and resolver.deep is not None:
        resolver.deep |= found.touched
    return found if found is not None else Relation(None, EVERYTHING | {f"{name}.*"})
