"""What a parsed statement does: a walk over the parser's tree in which only listed nodes pass.

SECURITY INVARIANT: a node of a kind that is not listed here makes the statement `unknown`. sqlglot turns what it does
not know into commands, aliases and columns; these are refused by the list of roots and the list of kinds.

Imports sqlglot, so it is imported at the first inspection and not before (85 ms).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from guardai.sql.bounded import bounds, column_of, joined
from guardai.sql.calls import known_call
from guardai.sql.ctes import SEES_ITSELF, clashes, is_changed, reads_itself, visible_cte
from guardai.sql.lexicon import MYSQL
from guardai.sql.nodes import LEAVES, LOCKING_HINTS, NOT_CALLED, PLAIN
from guardai.sql.tables import judge_read, judge_write, searched, table_name
from guardai.sql.words import functions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.sql.facts import Facts

__all__ = ["QUERY_ROOTS", "judge_tree"]

QUERY_ROOTS: Final = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery, exp.Table, exp.Pivot, exp.Summarize)
_DML_ROOTS: Final = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.MultitableInserts)

#: What makes rows from nothing.
_SERIES: Final = tuple(
    getattr(exp, name)
    for name in (
        "GenerateSeries",
        "ExplodingGenerateSeries",
        "GenerateDateArray",
        "GenerateTimestampArray",
        "RangeN",
        "Generator",
    )
    if hasattr(exp, name)
)
_SERIES_NAMES: Final = frozenset(
    """array_fill generate_array generate_series generate_subscripts generator numbers range repeat sequence
    zeros""".split()  # noqa: SIM905
)
#: These make one value of many rows that cannot be taken apart into rows again.
_SUMS: Final = (exp.Avg, exp.Count, exp.Max, exp.Min, exp.Sum)
_SEQUENCE_TABLE: Final = re.compile(r"seq_\d+_to_\d+")
_PSEUDO_ROWS: Final = frozenset({"old", "new", "prior"})
_SEQUENCE: Final = frozenset({"oracle", "snowflake", "databricks"})


def judge_tree(tree: Any, dialect: str, facts: Facts, *, replacing: bool = False) -> set[str]:
    """Adds what a tree does; tells the names that the statement gives to relations.

    Args:
        tree: of one statement.
        dialect: a known dialect.
        facts: what is gathered.
        replacing: it is a REPLACE, or an INSERT OR REPLACE, of which the tree does not tell.
    """
    if not isinstance(tree, (*QUERY_ROOTS, *_DML_ROOTS)) or (
        isinstance(tree, exp.Table) and tree.args.get("this") is None
    ):
        facts.unknown(f"unknown-node:{type(tree).__name__}")
        return set()
    walk = _Walk(dialect, facts, replacing=replacing)
    walk.run(tree)
    return walk.relations


class _Walk:
    """One walk over one tree."""

    def __init__(self, dialect: str, facts: Facts, *, replacing: bool) -> None:
        self.dialect = dialect
        self.facts = facts
        self.replacing = replacing
        self.tree: Any = None
        self.tables: list[Any] = []
        self.columns: list[Any] = []
        self.stars: list[Any] = []
        #: a column is named by its number
        self.positions = False
        #: ids of nodes that name a target, or repeat an alias, and are not read
        self.not_read: set[int] = set()
        #: names that the statement gives to relations, which may be followed by a column list
        self.relations: set[str] = set()
        #: every alias of a relation
        self.named: set[str] = set()
        self.has_ctes = False
        self.clauses: dict[int, dict[str, Any]] = {}
        #: alias → names of the tables that it stands for, here or there, all lower-case
        self.aliases: dict[str, set[str]] = {}
        #: ids of targets that are named by an alias
        self.by_alias: set[int] = set()
        #: columns of what is changed may be named
        self.names_target = False
        #: what `clashing` tells
        self.clashes: set[str] | None = None

    def run(self, tree: Any) -> None:
        facts, dialect = self.facts, self.dialect
        self.tree = tree
        dml = []
        pending = [tree]
        if not isinstance(tree, _DML_ROOTS):
            facts.effects.add("read")
        while pending:
            node = pending.pop()
            kind = type(node)
            if kind in LEAVES:
                continue
            if kind is exp.Column:
                self.columns.append(node)
                if type(node.this) is exp.Identifier:
                    continue
            if kind is exp.Table:
                self.tables.append(node)
            elif kind is exp.Star:
                self.stars.append(node)
            elif kind is exp.PositionalColumn or (kind is exp.Parameter and dialect == "snowflake"):
                self.positions = True
            elif kind is exp.TableAlias:
                self.named.add(node.name.lower())
                if node.args.get("columns") and node.this is not None:
                    self.relations.add(node.name.lower())
                continue
            elif kind not in PLAIN:
                self.special(node, kind)
                if kind in _DML_ROOTS:
                    dml.append(node)
                elif kind is exp.WithTableHint:
                    continue
            elif kind is exp.Select:
                self.select(node)
            elif kind is exp.With:
                self.has_ctes = True
            elif kind is exp.Schema:
                if isinstance(node.this, exp.Table):
                    self.relations |= {node.this.name.lower(), node.this.alias.lower()}
            elif kind is exp.Window and node.args.get("alias") is not None:
                self.relations.add(node.text("alias").lower())
            pending.extend(node.iter_expressions())
        for table in self.tables:
            alias = table.args.get("alias")
            if alias is not None and alias.this is not None and table_name(table):
                self.aliases.setdefault(alias.name.lower(), set()).add(table_name(table))
        for node in dml:
            self.change(node)
        for table in self.tables:
            if id(table) not in self.not_read and not self.cte(table):
                judge_read(table, dialect, facts)
        self.name_columns()

    def select(self, node: Any) -> None:
        if node.args.get("into") is not None:
            self.facts.effects.add("admin")
        if node.args.get("settings"):
            self.facts.effects.add("session")
        if self.dialect == "tsql":
            for item in node.expressions:
                if isinstance(item, exp.EQ) and isinstance(item.this, exp.Parameter):
                    self.facts.effects.add("session")
                    self.facts.give("user-variable")

    def search(self, name: str) -> None:
        clause = self.tree.args.get("with_")
        if name and not any(cte.alias.lower() == name for cte in (clause.expressions if clause is not None else ())):
            self.facts.effects.add("read")
            self.facts.reads.add(name)
            self.facts.columns.add(f"{name}.*")

    def special(self, node: Any, kind: type) -> None:
        facts = self.facts
        if issubclass(kind, exp.Anonymous):
            name = str(node.name).lower()
            table = functions(self.dialect)
            effect = table.effect(name)
            if effect is not None:
                facts.called |= effect
            elif name not in NOT_CALLED and not known_call(name, self.dialect, table) and not _member(node):
                facts.stranger(name)
        elif kind is exp.NextValueFor:
            facts.effects.add("write")
        elif issubclass(kind, exp.Func) or kind in _DML_ROOTS:
            pass
        elif kind is exp.Lock:
            facts.effects.add("write")
            self.not_read.update(id(table) for table in node.find_all(exp.Table))
        elif kind is exp.WithTableHint:
            if any(hint.name.lower() in LOCKING_HINTS for hint in node.expressions):
                facts.effects.add("write")
        elif kind is exp.Into:
            facts.effects.add("admin")
            for table in node.find_all(exp.Table):
                self.not_read.add(id(table))
                facts.writes.add(table_name(table))
        elif kind is exp.QueryTransform:
            facts.effects.add("exec")
        elif kind is exp.Directory or (kind is exp.Summarize and isinstance(node.this, exp.Literal)):
            facts.effects.add("file")
        elif kind is exp.In:
            self.search(searched(node, self.dialect))
        elif kind is exp.Summarize:
            pass
        else:
            facts.unknown(f"unknown-node:{kind.__name__}")

    def change(self, node: Any) -> None:
        """INSERT, UPDATE, DELETE, MERGE."""
        facts = self.facts
        if isinstance(node, exp.MultitableInserts):
            facts.effects.add("write")
            return
        if isinstance(node.parent, exp.When):
            return  # part of a MERGE
        facts.effects.add("write")
        self.names_target |= not isinstance(node, exp.Insert) or any(map(node.args.get, ("returning", "conflict")))
        targets = self.targets(node)
        for target in targets:
            self.not_read.add(id(target))
            self.written(target, self.changed_name(node, target))
        if isinstance(node, exp.Insert):
            self.insert(node, targets)
        elif isinstance(node, exp.Merge):
            self.merge(node)
        else:
            if self.dialect == "tsql" and any(isinstance(item.this, exp.Parameter) for item in node.expressions):
                facts.effects.add("session")
                facts.give("user-variable")
            where = node.args.get("where")
            others = self.others(node, targets)
            joins = [join.args["on"] for join in _joins(node) if join.args.get("on") is not None]
            tables = self.tables_of(node) - self.clashing()
            for target in targets:
                names = _called(target)
                names |= (
                    {alias for alias, real in self.aliases.items() if table_name(target) in real}
                    if not others
                    else set()
                )
                condition = where.this if where is not None else None
                if not names & tables or not bounds(
                    condition, names - {""}, self.dialect, alone=not others, joins=joins, tables=tables
                ):
                    facts.unbounded = True
            if not targets:
                facts.unbounded = True
        returning = node.args.get("returning")
        if returning is not None and isinstance(returning.args.get("into"), exp.Identifier):
            judge_write(returning.args["into"].name.lower(), self.dialect, facts)  # OUTPUT … INTO
        if returning is not None and returning.find(exp.Column, exp.Star):
            for target in targets:
                judge_read(target, self.dialect, facts)

    def targets(self, node: Any) -> list[Any]:
        """The tables that a statement changes, as they are named in it."""
        this = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(node, exp.Delete) and node.args.get("tables"):
            for table in node.args["tables"]:
                self.not_read.add(id(table))
            return list(node.args["tables"])
        if isinstance(node, exp.Update) and isinstance(this, exp.Table) and this.args.get("joins"):
            named = {item.this.text("table").lower() for item in node.expressions if isinstance(item.this, exp.Column)}
            within = list(this.find_all(exp.Table))
            if named and "" not in named:
                chosen = [t for t in within if t.alias.lower() in named or t.name.lower() in named]
                if chosen:
                    return chosen
            return within
        if isinstance(this, exp.Table) and not (isinstance(node, exp.Delete) and this.args.get("joins")):
            return [this]
        if this is None:
            return []
        # A change through a subquery changes what stands in it; MySQL deletes from several: `FROM a, b USING …`.
        return list(this.find_all(exp.Table))

    def changed_name(self, change: Any, target: Any) -> str:
        """The table that is changed: MySQL and SQL Server name it by its alias in the FROM of the same statement."""
        name = table_name(target)
        if self.dialect in {*MYSQL, "tsql"} and isinstance(change, (exp.Update, exp.Delete)) and not target.alias:
            for table in self.tables:
                if table.alias.lower() == name and table.find_ancestor(exp.Query, *_DML_ROOTS) is change:
                    self.by_alias.add(id(target))
                    return table_name(table)
        return name

    def tables_of(self, change: Any) -> set[str]:
        """What the tables are called that take part in a change, and what has no columns but those of tables.

        Any other column of a subquery, of a CTE or of a function may have one value in all its rows.
        """
        found: set[str] = set()
        made: set[str] = set()
        for node in change.find_all(exp.Table, exp.Subquery, exp.UDTF):
            if node.find_ancestor(exp.Query, *_DML_ROOTS) is change:
                (found if self.has_columns_of_tables(node) else made).update(_called(node))
        return found - made - {""}

    def has_columns_of_tables(self, node: Any) -> bool:
        """Whether a relation is a table, or a query that only chooses among the columns of tables."""
        cte = self.cte(node) if isinstance(node, exp.Table) else None
        if isinstance(node, exp.Table) and cte is None:
            return isinstance(node.this, exp.Identifier)
        query = (cte or node).this
        if not isinstance(query, exp.Select) or query.find(exp.Subquery, exp.UDTF) is not None:
            return False
        items = [item.unalias() for item in query.expressions]
        return all(item.is_star or column_of(item, self.dialect) is not None for item in items) and all(
            isinstance(table.this, exp.Identifier) and not self.cte(table) for table in query.find_all(exp.Table)
        )

    def others(self, node: Any, targets: list[Any]) -> bool:
        """Whether tables take part that are not changed."""
        if node.args.get("using") or (isinstance(node.this, exp.Table) and node.this.args.get("joins")):
            return True
        from_ = node.args.get("from_")
        if from_ is None:
            return False
        if self.dialect != "tsql":  # where FROM names the changed table again
            return True
        tables = [t for t in from_.find_all(exp.Table) if not t.find_ancestor(exp.Subquery)]
        only = len(tables) == 1 and not from_.find(exp.Subquery, exp.Lateral, exp.Unnest)
        return not (only and targets and table_name(targets[0]) in {tables[0].alias.lower(), table_name(tables[0])})

    def written(self, target: Any, name: str) -> None:
        cte = self.cte(target)
        if cte:
            # SQL Server changes the table below through a CTE.
            for table in cte.find_all(exp.Table):
                judge_write(table_name(table), self.dialect, self.facts)
        else:
            judge_write(name, self.dialect, self.facts)

    def insert(self, node: Any, targets: list[Any]) -> None:
        facts = self.facts
        if node.args.get("overwrite") or (self.dialect == "databricks" and node.args.get("where") is not None):
            facts.effects.add("destroy")
        conflict = node.args.get("conflict")
        if (self.replacing or (conflict is not None and conflict.expressions)) and (
            self.counts_up()
            or _numbers_rows(node.args.get("expression"))
            or any(self.reads_freely(target, node) for target in targets)
        ):
            facts.unbounded = True  # rows that are there are written over, and not a given few: an UPDATE of all
        if node.args.get("is_function") and not facts.called - {"unknown"}:
            facts.unknown("unknown-function:insert")
        named = (
            node.this.expressions if self.dialect == "sqlite" and isinstance(node.this, exp.Schema) and targets else ()
        )
        if any(column.name.lower() == targets[0].name.lower() for column in named):
            # A full-text index takes commands as values of a column that bears its own name.
            facts.effects.add("admin")
            facts.give("fts-command")

    def merge(self, node: Any) -> None:
        whens = node.args.get("whens")
        names = _called(node.this) - {""}
        itself = self.counts_up() or self.reads_freely(node.this, node)
        for when in whens.expressions if whens is not None else ():
            then = when.args.get("then")
            changes = isinstance(then, (exp.Update, exp.Delete)) or (
                isinstance(then, exp.Var) and then.name.upper() in {"DELETE", "UPDATE"}
            )
            if not changes or (not when.args.get("matched") and not when.args.get("source")):
                continue
            condition = when.args.get("condition")
            if when.args.get("source"):
                tied = bounds(condition, names, self.dialect, alone=False)
            elif itself:  # each row meets itself, or a number that was made for it
                tied = any(bounds(c, names, self.dialect, alone=False) for c in (condition, node.args.get("on")))
            else:
                tied = joined(node.args.get("on"), names, self.dialect)
            if not tied:
                self.facts.unbounded = True

    def stands_for(self, name: str) -> set[str]:
        """The tables that a qualifier may mean: the same alias may stand for others within a subquery."""
        found = self.aliases.get(name)
        if found is None:
            return {name}
        own = any(not t.alias and t.name.lower() == name and id(t) not in self.by_alias for t in self.tables)
        return found | {name} if own else found

    def reads_freely(self, target: Any, change: Any) -> bool:
        """Whether a statement also reads the table that it changes, without bounds, to change it by what it reads."""
        returning = change.args.get("returning")
        for table in self.tables:
            if table is target or table_name(table) != table_name(target) or self.cte(table):
                continue
            if returning is not None and table.find_ancestor(exp.Returning) is returning:
                continue
            select = table.find_ancestor(exp.Select)
            where = select.args.get("where") if select is not None else None
            alone = select is not None and not select.args.get("joins") and not select.args.get("laterals")
            if where is not None and bounds(where.this, _called(table), self.dialect, alone=alone):
                continue
            if select is None or not _one_value(select):
                return True
        return False

    def counts_up(self) -> bool:
        """Whether rows are made from nothing, as many as anybody likes: by a series, or by a recursive query."""
        for node in self.tree.find_all(exp.With, exp.Func, exp.Table):
            if isinstance(node, exp.With):
                if node.args.get("recursive") or (
                    self.dialect in SEES_ITSELF and any(map(reads_itself, node.expressions))
                ):
                    return True
            elif isinstance(node, exp.Table):
                if self.dialect == "mariadb" and _SEQUENCE_TABLE.match(node.name.lower()):
                    return True
            elif isinstance(node, _SERIES) or _function_name(node) in _SERIES_NAMES:
                return True
        return False

    def cte(self, table: Any) -> Any:
        """The CTE that a table's name stands for, or None."""
        if not self.has_ctes or is_changed(table, self.dialect):
            return None
        return None if table.name.lower() in self.clashing() else visible_cte(table, self.clauses)

    def clashing(self) -> set[str]:
        """The names that stand for different relations in different cases."""
        if self.clashes is None:
            self.clashes = clashes(self.tree, self.dialect)
        return self.clashes

    def name_columns(self) -> None:
        """`columns_read`: each column under the real name of its table, as far as that can be told without a schema."""
        facts = self.facts
        real = {table_name(t) for t in self.tables if id(t) not in self.not_read and not self.cte(t)} - {""}
        # A condition, a SET and RETURNING may name columns of what is changed.
        near = real | facts.writes if self.names_target or not real else real
        only = next(iter(near)) if len(near) == 1 else ""
        known = self.named | {t.name.lower() for t in self.tables} | _PSEUDO_ROWS
        for column in self.columns:
            if _set_target(column):
                continue
            name, table = column.name.lower(), column.text("table").lower()
            if isinstance(column.this, exp.Star):
                facts.columns |= {f"{stands}.*" for stands in self.stands_for(table)}
                continue
            if self.dialect in _SEQUENCE and name in {"nextval", "currval"}:
                facts.effects |= {"write"} if name == "nextval" else set()
                continue
            if table:
                facts.columns |= {f"{stands}.{name}" for stands in self.stands_for(table)}
                if self.dialect == "oracle" and table not in known:
                    facts.called.add("unknown")  # a function of a package needs no brackets
                    facts.give(f"unknown-function:{name}")
            elif name in self.aliases or name in real:
                facts.columns |= {f"{stands}.*" for stands in self.stands_for(name)}  # a whole row
            else:
                facts.columns.add(f"{only}.{name}" if only else name)
        for star in self.stars:
            if isinstance(star.parent, (exp.Select, exp.Returning)):
                facts.columns |= {f"{table}.*" for table in real or facts.writes}
        if self.positions:
            facts.columns |= {f"{table}.*" for table in real or facts.writes}


def _called(table: Any) -> set[str]:
    """What a statement calls a table by: its alias if it has one, for then its own name may stand for another."""
    alias = table.alias.lower()
    return {alias} if alias or not isinstance(table, exp.Table) else {table_name(table), table.name.lower()}


def _one_value(select: Any) -> bool:
    """Whether a query yields one row for certain, and no list of the values of many: a sum without groups."""
    items = [item.this if isinstance(item, exp.Alias) else item for item in select.expressions]
    plain = not select.args.get("group") and not select.args.get("joins")
    return plain and bool(items) and all(isinstance(item, _SUMS) for item in items)


def _numbers_rows(query: Any) -> bool:
    """Whether a query yields the numbers of its rows, which are the keys of any others."""
    return isinstance(query, exp.Select) and any(item.find(exp.RowNumber) is not None for item in query.expressions)


def _function_name(call: Any) -> str:
    return str(call.name if isinstance(call, exp.Anonymous) else call.sql_name()).lower()


def _joins(node: Any) -> Iterator[Any]:
    """The joins of an UPDATE or DELETE, not those of its subqueries."""
    for part in (node.this, node.args.get("from_"), *(node.args.get("using") or ())):
        table = part.this if isinstance(part, exp.From) else part
        for holder in (part, table):
            if isinstance(holder, exp.Expression):
                yield from holder.args.get("joins") or ()


def _member(node: Any) -> bool:
    """Part of a dotted name, which calls.py judges with its qualifier."""
    return isinstance(node.parent, exp.Dot)


def _set_target(column: Any) -> bool:
    """The left side of `SET column = …`, which is written and not read."""
    parent = column.parent
    return (
        isinstance(parent, exp.EQ)
        and parent.this is column
        and isinstance(parent.parent, (exp.Update, exp.OnConflict))
        and parent.arg_key == "expressions"
    )
