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

__all__ = ["changed", "new_values", "set_values"]

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
    relation = _with_new_values(resolver, node, relation, scope)
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


def _with_new_values(resolver: Resolver, node: Any, relation: Relation, scope: Scope) -> Relation:
    """The changed table's columns, with the sources of what is written to them."""
    if relation.columns is None:
        return relation
    written = new_values(resolver, node, relation, scope)
    every = written.get("*", NOTHING)
    return Relation([(name, sources | written.get(name, NOTHING) | every) for name, sources in relation.columns])


def new_values(resolver: Resolver, node: Any, relation: Relation, scope: Scope) -> dict[str, Sources]:
    """What an INSERT or UPDATE writes: column → sources, `*` for what may go to any column.

    Args:
        resolver: of the statement.
        node: the INSERT or UPDATE.
        relation: the changed table; its columns may be unknown.
        scope: what the values may name.
    """
    written: dict[str, Sources] = {}
    if isinstance(node, exp.Insert):
        query = node.args.get("expression")
        if query:
            rows = resolver.query(query, scope)
            names = [name_of(c) for c in node.this.expressions] if isinstance(node.this, exp.Schema) else None
            if names is None and node.args.get("by_name"):
                names = [name for name, _ in rows.columns] if rows.columns is not None else None
            elif names is None and relation.columns is not None:
                names = [name for name, _ in relation.columns]
            if rows.columns is None or names is None or len(rows.columns) > len(names) or "" in names:
                proven = rows.columns is not None and names is None
                written["*"] = rows.row() | (NOTHING if proven else UNPROVEN)
            else:
                written = {name: sources for name, (_, sources) in zip(names, rows.columns, strict=False)}
        conflict = node.args.get("conflict")
        settings = list(conflict.expressions) if conflict is not None else []
        inner = Scope(outer=scope, ctes=scope.ctes)
        inner.relations.update(scope.relations)
        if settings:
            every = written.get("*", NOTHING)
            columns = relation.columns if relation.columns is not None else [(name, NOTHING) for name in written]
            excluded = Relation([(name, written.get(name, NOTHING) | every) for name, _ in columns])
            target = node.this.this if isinstance(node.this, exp.Schema) else node.this
            inner.relations[(target.alias or target.name).lower()] = relation
            inner.relations["excluded"] = excluded if relation.columns is not None else Relation(None, excluded.row())
            set_values(resolver, settings, inner, written)
    elif isinstance(node, exp.Update):
        set_values(resolver, node.expressions, scope, written)
    return written


def set_values(resolver: Resolver, settings: list[Any], scope: Scope, written: dict[str, Sources]) -> None:
    """Adds what the settings of a SET write, each column under its plain name."""
    for setting in settings:
        for name, sources in _set(resolver, setting, scope):
            written[name] = written.get(name, NOTHING) | sources


def _set(resolver: Resolver, setting: Any, scope: Scope) -> list[tuple[str, Sources]]:
    """One setting: `a = x`, `(a, b) = (x, y)`, `(a, b) = (SELECT …)`; anything else may write any column."""
    if isinstance(setting, exp.EQ) and isinstance(setting.this, exp.Column):
        return [(setting.this.name.lower(), resolver.expression(setting.expression, scope))]
    if isinstance(setting, exp.EQ) and isinstance(setting.this, exp.Tuple):
        targets = [name_of(column) for column in setting.this.expressions]
        value = setting.expression
        cells = value.expressions if isinstance(value, exp.Tuple) else ()
        if len(cells) == len(targets) and "" not in targets:
            return [(name, resolver.expression(cell, scope)) for name, cell in zip(targets, cells, strict=True)]
        anything = resolver.expression(value, scope)
        if "" not in targets:
            return [(name, anything) for name in targets]
    if isinstance(setting, exp.Star):
        return [("*", UNPROVEN)]
    return [("*", resolver.expression(setting, scope) | UNPROVEN)]
