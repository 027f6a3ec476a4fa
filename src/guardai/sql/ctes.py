"""Which of the CTEs of a statement a table's name stands for.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

__all__ = ["visible_cte"]


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
            # A CTE sees those before it, and itself only if recursive.
            if found is not None and (
                node is not clause or clause.args.get("recursive") or found[0] < known[f" {id(within)}"]
            ):
                return found[1]
        node = parent
    return None
