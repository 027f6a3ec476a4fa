"""What a write carries: for each written column the columns that its new values come from.

The rules are those of lineage: an outer WHERE carries nothing, and what is not proven counts as every column of every
table that the statement reads. A written column whose table is not known by its columns is `table.*`.

It cannot be told of a statement that runs code, that is not understood, or that moves whole tables in a way of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardai.sql.judge import NotParsed
from guardai.sql.lexicon import DIALECTS
from guardai.sql.lineage import BEYOND, ENTRIES, SqlNotUnderstood, lineage_of
from guardai.sql.memory import LENGTH
from guardai.sql.prescan import Refused
from guardai.sql.relations import EVERYTHING, NOTHING, Relation, Scope, Unknowable
from guardai.sql.whole import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardai.model import LiveSchema
    from guardai.sql.inspection import Inspection
    from guardai.sql.lineage import Lineage
    from guardai.sql.reach import Reach
    from guardai.sql.relations import Sources

__all__ = ["flows"]

#: They destroy or arrange, and write nothing that was read.
_CARRY_NOTHING: Final = frozenset(
    """delete truncate drop grant revoke comment vacuum reindex set use begin start commit rollback savepoint release
    reset pragma""".split()  # noqa: SIM905
)
_CARRYING: Final = frozenset({"insert", "replace", "update", "merge", "with", "create", "select", "from"})
#: Something is run of which nothing is known: it may write anything, anywhere.
_CODE: Final = frozenset({"unknown", "exec"})


def flows(sql: str, dialect: str, schema: LiveSchema | Mapping[str, Sequence[str] | str]) -> dict[str, frozenset[str]]:
    """What a statement carries from columns to columns: written `table.column` → the columns it is made of.

    Args:
        sql: one statement.
        dialect: a dialect that `inspect` knows.
        schema: as `column_lineage` takes it. With a live schema what triggers write counts, too.

    Returns:
        Empty for a statement that writes nothing that comes from a column.

    Raises:
        SqlNotUnderstood: it cannot be told.
    """
    lineage = lineage_of(schema, dialect)
    found = lineage.carried.get(sql)
    if found is None:
        found = _fresh(lineage, sql)
        if len(lineage.carried) >= ENTRIES:
            lineage.carried.clear()
        if len(sql) <= LENGTH:
            lineage.carried[sql] = found
    if isinstance(found, str):
        raise SqlNotUnderstood(found)
    return dict(found)


def _fresh(lineage: Lineage, sql: str) -> dict[str, frozenset[str]] | str:
    if lineage.dialect not in DIALECTS:
        return "unknown-dialect"
    facts = lineage.inspect(sql)
    if facts.statements != 1:
        return {} if facts.statements == 0 else "not-one-statement"
    if facts.effects & _CODE:
        return facts.reason or "unknown-statement"
    if facts.effects <= {"read", "session"} and not facts.writes:
        return {}
    first = facts.verbs[0]
    if first not in _CARRYING and first not in _CARRY_NOTHING:
        return "unknown-statement"
    try:
        carried = _Carried(lineage, facts)
        carried.run(sql, first)
        return carried.told()
    except Unknowable:
        return "unknown-columns"
    except (NotParsed, Refused) as why:
        return str(why)
    except RecursionError:
        return "too-deep"
    except Exception:  # fail closed, as lineage does
        return "internal-error"


class _Carried:
    """What one statement carries, while it is gathered."""

    def __init__(self, lineage: Lineage, facts: Inspection) -> None:
        self.lineage = lineage
        self.facts = facts
        self.found: dict[str, Sources] = {}
        self.tree: Any = None

    def run(self, sql: str, first: str) -> None:
        from sqlglot import exp

        if first not in _CARRY_NOTHING:
            self.tree, _ = self.lineage.tree(sql)
            if isinstance(self.tree, exp.Create):
                self.created(self.tree)
            elif isinstance(self.tree, (exp.Insert, exp.Update, exp.Merge, exp.Delete, exp.Query)):
                self.changes(self.tree)
            else:
                raise NotParsed("unknown-statement")
            if self.facts.effects & BEYOND or self.lineage.clash(sql, self.tree):
                self.found = {name: sources | EVERYTHING for name, sources in self.found.items()}
        if self.lineage.reach is not None:
            self.besides(self.lineage.reach, sql)

    def changes(self, tree: Any) -> None:
        """A statement of DML, or a query that holds some, or makes a table of its rows."""
        from sqlglot import exp

        resolver = self.lineage.resolver()
        scope = resolver.with_ctes(tree, Scope())
        whens = tree.args.get("whens") if isinstance(tree, exp.Merge) else None
        within = {id(when.args.get("then")) for when in whens.expressions} if whens is not None else set()
        clause = tree.args.get("with_")
        own = {id(cte.this) for cte in clause.expressions} if clause is not None else set()
        for node in tree.find_all(exp.Insert, exp.Update, exp.Merge):
            if id(node) in within:
                continue
            if node is tree or id(node) in own:
                self.change(node, scope)
            else:
                self.anything(node.this)
        into = tree.args.get("into")
        if into is not None:
            self.new_table(into.this, resolver.query(tree, Scope()), [])
        for returning in tree.find_all(exp.Returning):
            if returning.args.get("into"):  # OUTPUT … INTO a table
                raise NotParsed("unknown-statement")

    def change(self, node: Any, around: Scope) -> None:
        from sqlglot import exp

        from guardai.sql.changes import new_values
        from guardai.sql.from_clause import add_join, add_source, table

        resolver = self.lineage.resolver()
        scope = resolver.with_ctes(node, Scope(outer=around, ctes=around.ctes))
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if not isinstance(target, exp.Table) or not isinstance(target.this, exp.Identifier):
            raise NotParsed("unknown-statement")
        others = node.args.get("from_").this if node.args.get("from_") is not None else None
        if target.args.get("joins") or (others is not None and self.renames(target, others)):
            self.joined(node, target if target.args.get("joins") else others, scope)
            return
        if isinstance(node, exp.Merge):
            add_source(resolver, node.args["using"], scope)
        elif others is not None:
            add_source(resolver, others, scope)
            for join in node.args["from_"].args.get("joins") or ():
                add_join(resolver, join, scope)
        name = (target.alias or target.name).lower()
        relation = table(resolver, target, scope)
        if isinstance(node, exp.Merge):
            scope.relations[name] = relation
            self.merge(node, target, relation, scope)
            return
        if isinstance(node, exp.Update):
            scope.relations[name] = relation
        self.add(target, new_values(resolver, node, relation, scope))

    def renames(self, target: Any, others: Any) -> bool:
        """SQL Server's `UPDATE u SET … FROM users u`: what is changed is named by its alias in FROM."""
        from sqlglot import exp

        name = target.name.lower()
        return (
            target.args.get("db") is None
            and any(name in {table.alias.lower(), table.name.lower()} for table in others.find_all(exp.Table))
            and self.lineage.dialect == "tsql"
        )

    def joined(self, node: Any, source: Any, scope: Scope) -> None:
        """An UPDATE of joined tables: each setting says by its qualifier which of them it writes."""
        from sqlglot import exp

        from guardai.sql.changes import set_values
        from guardai.sql.from_clause import add_source

        resolver = self.lineage.resolver()
        add_source(resolver, source, scope)
        tables = {(table.alias or table.name).lower(): table for table in source.find_all(exp.Table)}
        only = tables.get(node.this.name.lower()) if not node.this.args.get("joins") else None
        for setting in node.expressions:
            written: dict[str, Sources] = {}
            set_values(resolver, [setting], scope, written)
            qualifier = setting.this.text("table").lower() if isinstance(setting, exp.EQ) else ""
            named = tables.get(qualifier) or only
            for table in [named] if named is not None else tables.values():
                self.add(table, written)

    def merge(self, node: Any, target: Any, relation: Relation, scope: Scope) -> None:
        from sqlglot import exp

        from guardai.sql.changes import set_values
        from guardai.sql.relations import UNPROVEN, name_of

        resolver = self.lineage.resolver()
        whens = node.args.get("whens")
        for when in whens.expressions if whens is not None else ():
            then = when.args.get("then")
            written: dict[str, Sources] = {}
            if isinstance(then, exp.Update):
                set_values(resolver, then.expressions, scope, written)
            elif isinstance(then, exp.Insert):
                values = then.args.get("expression")
                cells = list(values.expressions) if isinstance(values, exp.Tuple) else []
                names = [name_of(c) for c in then.this.expressions] if isinstance(then.this, exp.Tuple) else None
                if names is None and then.this is None and relation.columns is not None:
                    names = [name for name, _ in relation.columns]
                if not cells or names is None or len(cells) > len(names) or "" in names:
                    written["*"] = UNPROVEN
                else:
                    written = {n: resolver.expression(cell, scope) for n, cell in zip(names, cells, strict=False)}
            elif not (isinstance(then, (exp.Delete, exp.Var))):
                written["*"] = UNPROVEN
            self.add(target, written)

    def created(self, tree: Any) -> None:
        """CREATE TABLE … AS, a materialised view, a clone."""
        from sqlglot import exp

        from guardai.sql.relations import name_of

        properties = tree.args.get("properties")
        kept = properties is not None and properties.find(exp.MaterializedProperty) is not None
        kind = str(tree.args.get("kind") or "").upper()
        if kind != "TABLE" and not (kind == "VIEW" and kept):
            return  # holds no data
        schema = tree.this if isinstance(tree.this, exp.Schema) else None
        target = schema.this if schema is not None else tree.this
        clone = tree.args.get("clone")
        if not isinstance(target, exp.Table):
            raise NotParsed("unknown-statement")
        if clone is not None:
            self.new_table(target, self.lineage.resolver().query(clone.this, Scope()), [])
        elif tree.expression is not None:
            names = [name_of(column) for column in schema.expressions] if schema is not None else []
            resolver = self.lineage.resolver()
            self.new_table(target, resolver.query(tree.expression, resolver.with_ctes(tree, Scope())), names)

    def new_table(self, target: Any, rows: Relation, names: list[str]) -> None:
        from guardai.sql.relations import UNPROVEN
        from guardai.sql.tables import table_name

        table = table_name(target)
        if rows.columns is None:
            self.carry(f"{table}.*", rows.row() | UNPROVEN)
            return
        for index, (name, sources) in enumerate(rows.columns):
            own = names[index] if index < len(names) else name
            self.carry(f"{table}.{own or '*'}", sources)

    def anything(self, target: Any) -> None:
        """A change of which nothing is proven but what it changes."""
        from guardai.sql.relations import UNPROVEN

        self.add(getattr(target, "this", target) if type(target).__name__ == "Schema" else target, {"*": UNPROVEN})

    def add(self, target: Any, written: dict[str, Sources]) -> None:
        """What is written to a table or view, by column."""
        from guardai.sql.tables import table_name

        name = table_name(target)
        if not name:
            raise NotParsed("unknown-statement")
        for column, sources in written.items():
            for own in self.written(name, column):
                self.carry(own, sources)

    def written(self, name: str, column: str) -> list[str]:
        """The columns of tables that a column of a table or view stands for; all of them for `*`."""
        relation = self.lineage.relation(name)
        if relation is None or relation.columns is None:
            if relation is not None and "??" in relation.row():
                raise NotParsed("unreadable-view")
            return [f"{name}.{column}"]
        found = relation.row() if column == "*" else relation.find(column)
        if found is None:
            known = self.lineage.schema.find(name)
            return [f"{known[0] if known is not None else name}.{column}"]
        if "??" in found or "?" in found:
            raise NotParsed("unreadable-view")
        return sorted(found)

    def carry(self, column: str, sources: Sources) -> None:
        self.found[column] = self.found.get(column, NOTHING) | sources

    def besides(self, reach: Reach, sql: str) -> None:
        """What triggers and functions write: made of anything that the statement or they touch."""
        lineage = self.lineage
        named = {self.own(name) for name in inspect(sql, lineage.dialect).writes}
        below = {column.rpartition(".")[0] for column in self.found}
        triggered = reach.fires(lineage.tokens(sql)[1], self.facts.writes)
        more = {self.own(name) for name in self.facts.writes} - named - below
        if not triggered and not more:
            return
        touched: Sources = NOTHING.union(
            *self.found.values(), *(lineage.row(name) for name in self.facts.reads | self.facts.writes)
        )
        # A trigger may change the row that is written, too.
        for name in more | below if triggered else more:
            found = lineage.schema.find(name)
            if found is None or isinstance(found[1], Relation):
                for column in self.written(name, "*"):
                    self.carry(column, touched)

    def own(self, name: str) -> str:
        found = self.lineage.schema.find(name)
        return found[0] if found is not None else name

    def told(self) -> dict[str, frozenset[str]]:
        """With what is not proven spelt out, and without what comes from no column."""
        names = list(self.found)
        sources = [self.found[name] for name in names]
        spelt = self.lineage.told(sources, self.tree) if self.tree is not None else tuple(sources)
        return {name: each for name, each in zip(names, spelt, strict=True) if each}
