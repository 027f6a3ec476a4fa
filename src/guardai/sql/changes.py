"""INSERT, UPDATE and DELETE that return rows, as relations for the resolver of lineage.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from guardai.sql.from_clause import add_join, add_source, table
from guardai.sql.relations import NOTHING, UNPROVEN, Relation, Scope, Sources, Unknowable, name_of

if TYPE_CHECKING:
    from guardai.sql.resolve import Resolver

__all__ = ["changed"]

#: Rows before and after a change, under the names that RETURNING and OUTPUT have for them.
_BEFORE_AFTER: Final = ("old", "new", "inserted", "deleted", "excluded")


def changed(resolver: Resolver, node: Any, around: Scope) -> Relation:
    returning = node.args.get("returning")
    if returning is None or type(node) is exp.Merge:
        return Relation(None) if returning is not None else Relation([])
    scope = resolver.with_ctes(node, around)
    target = node.this.this if isinstance(node.this, exp.Schema) else node.this
    if not isinstance(target, exp.Table) or target.args.get("joins") or node.args.get("tables"):
        return Relation(None)
    relation = table(resolver, target, scope)
    others = Scope(outer=scope.outer, ctes=scope.ctes)
    for other in [node.args["from_"].this] if node.args.get("from_") is not None else node.args.get("using") or ():
        add_source(resolver, other, others)
    if node.args.get("from_") is not None:
        for join in node.args["from_"].args.get("joins") or ():
            add_join(resolver, join, others)
    scope.relations.update(others.relations)
    scope.relations[(target.alias or target.name).lower()] = relation
    relation = with_new_values(resolver, node, relation, scope)
    scope.relations[(target.alias or target.name).lower()] = relation
    for name in _BEFORE_AFTER:
        scope.relations.setdefault(name, relation)
    scope.star = relation.columns
    if others.relations and resolver.dialect != "sqlite":
        scope.star = None  # engines differ in whether `*` has the other tables' columns
    try:
        columns = [column for item in returning.expressions for column in resolver.item(item, scope)]
    except Unknowable:
        return Relation(None)
    return Relation(columns)


def with_new_values(resolver: Resolver, node: Any, relation: Relation, scope: Scope) -> Relation:
    """The changed table's columns, with the sources of what is written to them."""
    if relation.columns is None:
        return relation
    written: dict[str, Sources] = {}
    if isinstance(node, exp.Insert):
        query = node.args.get("expression")
        if query is not None:
            rows = resolver.query(query, scope)
            names = (
                [name_of(c) for c in node.this.expressions]
                if isinstance(node.this, exp.Schema)
                else [n for n, _ in relation.columns]
            )
            if rows.columns is None or len(rows.columns) > len(names):
                written = dict.fromkeys((n for n, _ in relation.columns), rows.row() | UNPROVEN)
            else:
                written = {name: sources for name, (_, sources) in zip(names, rows.columns, strict=False)}
        conflict = node.args.get("conflict")
        settings = list(conflict.expressions) if conflict is not None else []
    else:
        settings = node.expressions if isinstance(node, exp.Update) else []
    for setting in settings:
        if isinstance(setting, exp.EQ) and isinstance(setting.this, exp.Column):
            name = setting.this.name.lower()
            written[name] = written.get(name, NOTHING) | resolver.expression(setting.expression, scope)
        else:
            anything = resolver.expression(setting, scope)
            written = {n: written.get(n, NOTHING) | anything for n, _ in relation.columns}
    return Relation([(name, sources | written.get(name, NOTHING)) for name, sources in relation.columns])
