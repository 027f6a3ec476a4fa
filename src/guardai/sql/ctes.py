"""Which of the CTEs of a statement a table's name stands for.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import Any, Final

from sqlglot import exp

from guardai.sql.lexicon import FOLDS

__all__ = ["SEES_ITSELF", "clashes", "is_changed", "mentions", "reads_itself", "visible_cte"]

#: Here a CTE may read itself without the word RECURSIVE.
SEES_ITSELF: Final = frozenset({"sqlite", "tsql", "oracle", "snowflake"})

#: These keep names apart that differ in case, quoted or not; MySQL where its files do.
_AS_WRITTEN: Final = frozenset({"mysql", "mariadb", "clickhouse"})


def is_changed(table: Any, dialect: str) -> bool:
    """Whether a table is what a statement changes: never a CTE, but in SQL Server, which changes the table below."""
    holder = table.parent.parent if isinstance(table.parent, exp.Schema) else table.parent
    return (
        dialect != "tsql"
        and table.arg_key == "this"
        and isinstance(holder, (exp.Insert, exp.Update, exp.Delete, exp.Merge))
    )


def clashes(tree: Any, dialect: str) -> set[str]:
    """The lower-case names by which different relations are called that differ in case alone."""
    fold = FOLDS.get(dialect) or (str if dialect in _AS_WRITTEN else None)
    forms: dict[str, set[str]] = {}
    for node in tree.find_all(exp.TableAlias, exp.Table) if fold is not None else ():
        name = node.args.get("this")
        if fold is not None and isinstance(name, exp.Identifier):
            forms.setdefault(name.name.lower(), set()).add(name.name if name.args.get("quoted") else fold(name.name))
    return {name for name, found in forms.items() if len(found) > 1}


def mentions(cte: Any, names: set[str]) -> bool:
    """Whether a CTE reads something that is called by one of these names, without a schema."""
    return any(not table.args.get("db") and table.name.lower() in names for table in cte.this.find_all(exp.Table))


def reads_itself(cte: Any) -> bool:
    """Whether a CTE adds to itself what it reads of itself, where that needs no word of its own."""
    return isinstance(cte.this, exp.SetOperation) and mentions(cte, {cte.alias.lower()})


def visible_cte(table: Any, clauses: dict[int, dict[str, Any]]) -> Any:
    """The CTE that a table's name stands for where it stands, or None.

    Args:
        table: a node of the tree.
        clauses: what is remembered of the tree's WITH clauses from one call to the next.
    """
    if table.args.get("db") is not None or not isinstance(table.args.get("this"), exp.Identifier):
        return None
    name = table.name.lower()
    node, within = table, None
    while node.parent is not None:
        parent = node.parent
        if type(parent) is exp.With:
            within = node
        clause = parent.args.get("with_")
        if clause is not None:
            known = clauses.get(id(clause))
            if known is None:
                known = clauses[id(clause)] = {}
                for order, cte in enumerate(clause.expressions):
                    known.setdefault(cte.alias.lower(), (order, cte))
                    known[f" {id(cte)}"] = order
            found = known.get(name)
            # A CTE sees those before it, and itself only if recursive. Some engines let it see those after it, too: then
            # the table of that name counts as well as what the later one reads.
            if found is not None and (
                node is not clause or found[0] < known[f" {id(within)}"] + (1 if clause.args.get("recursive") else 0)
            ):
                return found[1]
        node = parent
    return None
