"""What a statement does besides, by what a running database tells of itself: through views, triggers and functions.

Each thing that is reached is judged once, by its own text, and what a statement reaches is the union of all that. A
stranger among the functions stays `unknown` unless its body is SQL that is judged like any other text. What a live
schema does not tell is not seen: defaults and generated columns, policies of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.bodies import called_routine, judge_body, judge_view, made_columns
from guardai.sql.calls import known_call
from guardai.sql.facts import Facts
from guardai.sql.judge import verb
from guardai.sql.names import ROWID, candidates, own_name
from guardai.sql.phrases import NAMES, assigned
from guardai.sql.words import GRAMMAR, functions

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from guardai.model import LiveSchema, LiveTrigger
    from guardai.sql.prescan import Token

__all__ = ["Reach"]

#: What something does by itself, and which kinds of changes it can make.
Judged = tuple[Facts, frozenset[str]]

_CHANGES: Final = frozenset(
    {"insert", "update", "delete", "merge", "replace", "with", "truncate", "copy", "load", "explain", "analyze"}
)
_EVENTS: Final = frozenset({"insert", "update", "delete", "truncate"})
#: More than this is reached by no statement that anybody means to run.
_MOST: Final = 400
#: Languages whose functions bring what extensions bring; the dialects' tables of harmless functions know these by name.
_COMPILED: Final = frozenset({"c", "internal"})
_POSTGRES: Final = frozenset({"postgres", "redshift"})
#: PostgreSQL's own functions for triggers; they change nothing but the row.
_OWN_TRIGGERS: Final = frozenset(
    {"suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"}
)


class Reach:
    """What is reached in one live schema. Holds what the schema holds, but not the schema itself.

    Args:
        schema: what a running database tells.
        dialect: a known dialect.
    """

    def __init__(self, schema: LiveSchema, dialect: str) -> None:
        self.dialect = dialect
        self.path = schema.path
        self.tables, self.views = schema.tables, schema.views
        self.functions, self.triggers, self.cascades = schema.functions, schema.triggers, schema.cascades
        self._judged: dict[tuple[str, str], Judged] = {}
        self._made: dict[str, frozenset[str]] = {}

    def settle(self, tokens: list[Token], facts: Facts) -> None:
        """Adds to the facts of one statement what it does besides, and says of each stranger what it does."""
        _Closure(self, facts).run(self.events(tokens), tokens)

    def view(self, name: str) -> Judged:
        """What reading a view does by itself."""
        return self._once("view", name, lambda: (judge_view(self.views[name], self.dialect), frozenset()))

    def made(self, view: str) -> frozenset[str]:
        """The columns of a view that may have one value in all its rows."""
        found = self._made.get(view)
        if found is None:
            found = self._made[view] = made_columns(self.views[view], self.dialect)
        return found

    def function(self, name: str) -> Judged:
        """What calling a function does by itself; `unknown` where that is not proven."""
        return self._once("function", name, lambda: self._function(name))

    def trigger(self, table: str, number: int) -> Judged:
        """What one trigger of a table does by itself."""
        return self._once(f"trigger {number}", table, lambda: self._trigger(self.triggers[table][number].body))

    def cascade(self, table: str, number: int) -> Judged:
        """What one foreign key does when rows of the table that it names change."""
        body = self.cascades[table][number].body
        return self._once(
            f"cascade {number}", table, lambda: (judge_body(body, self.dialect, trigger=True), _events_of(body[:7]))
        )

    def called(self, name: str) -> list[str]:
        """The declared functions that a call may mean."""
        if name.count(".") > 1:  # of another database
            return []
        return [found for found in candidates(name, self.path) if found in self.functions]

    def own(self, name: str) -> str:
        """A table's name in the schema: what the engine stores of views and bodies is qualified as it pleases."""
        return own_name(name, self.path, self.tables, self.views) or name

    def closure(self, name: str) -> Facts:
        """What calling a function does, with all that it reaches."""
        facts = Facts()
        facts.stranger(name)
        _Closure(self, facts).run(frozenset(), [])
        return facts

    def fires(self, tokens: list[Token], tables: Iterable[str]) -> bool:
        """Whether a statement that writes these tables runs a trigger of one."""
        events = self.events(tokens)
        for table in tables:
            own = own_name(table, self.path, self.triggers)
            if own is not None and any(not t.events or t.events & events for t in self.triggers[own]):
                return True
        return False

    def events(self, tokens: list[Token]) -> frozenset[str]:
        """Which kinds of changes a statement can make."""
        changes = verb(tokens) in _CHANGES
        return _events({token[1] for token in tokens if token[0] == lx.WORD}) if changes else frozenset()

    def overloads(self, name: str) -> list[str]:
        """The functions that a database declares under a name of the engine's own: a call may mean either."""
        if name not in GRAMMAR and not known_call(name, self.dialect, functions(self.dialect)):
            return []
        return [found for found in self.called(name) if self.functions[found].language.lower() not in _COMPILED]

    def members(self, tokens: list[Token], columns: Iterable[str]) -> set[str]:
        """PostgreSQL calls `f(t)` for `t.f`, and for `(t).f`, where a table has no column of that name."""
        found: set[str] = set()
        if self.dialect not in _POSTGRES or not self.functions:
            return found
        for column in columns:
            table, _, name = column.rpartition(".")
            own = own_name(table, self.path, self.tables) if table and self.called(name) else None
            if own is not None and name not in self.tables[own]:
                found.add(name)
        for index in range(2, len(tokens)):
            kind, name, *_ = tokens[index]
            if tokens[index - 1][1] == "." and tokens[index - 2][1] == ")" and kind in NAMES and self.called(name):
                found.add(name)
        return found

    def _once(self, kind: str, name: str, judge: Callable[[], Judged]) -> Judged:
        found = self._judged.get((kind, name))
        if found is None:
            found = self._judged[kind, name] = judge()
        return found

    def _function(self, name: str) -> Judged:
        declared = self.functions[name]
        if declared.language.lower() != "sql" or not declared.body or declared.definer:
            return _unknown(f"unknown-function:{name.rpartition('.')[2]}")
        return judge_body(declared.body, self.dialect, trigger=False), _events_of(declared.body)

    def _trigger(self, body: str) -> Judged:
        routine = called_routine(body, self.dialect)
        if not routine:
            if not body:
                return _unknown("unreadable-trigger")
            return judge_body(body, self.dialect, trigger=True), _events_of(body)
        named = self.called(routine)
        if not named:
            own = routine.rpartition(".")[2] in _OWN_TRIGGERS and self.dialect in _POSTGRES
            return (Facts(), frozenset()) if own else _unknown("unreadable-trigger")
        facts, events = Facts(), frozenset[str]()
        for name in named:
            declared = self.functions[name]
            if declared.language.lower() not in {"sql", "plpgsql"} or not declared.body or declared.definer:
                return _unknown(f"unknown-function:{name.rpartition('.')[2]}")
            facts.add(judge_body(declared.body, self.dialect, trigger=True))
            events |= _events_of(declared.body)
        return facts, events


class _Closure:
    """One statement's facts, grown by all that it reaches."""

    def __init__(self, reach: Reach, total: Facts) -> None:
        self.reach = reach
        self.total = total
        self.seen: set[tuple[str, ...]] = set()
        #: each thing reached, with the events that its writes are
        self.pending: list[tuple[Facts, frozenset[str]]] = []
        #: columns that the statement itself sets, if it is an UPDATE and sets no others
        self.sets: set[str] | None = None

    def run(self, events: frozenset[str], tokens: list[Token]) -> None:
        reach, total = self.reach, self.total
        strangers, total.strangers = total.strangers, {}
        reasons, total.reasons = total.reasons, []
        begun = Facts()
        begun.reads, begun.writes, begun.strangers = set(total.reads), set(total.writes), strangers
        begun.functions, begun.columns, begun.reasons = set(total.functions), set(total.columns), reasons
        begun.spelled = total.spelled
        for name in reach.members(tokens, begun.columns):
            begun.strangers.setdefault(name, f"unknown-function:{name}")
        self.pending.append((begun, events))
        self.sets = assigned(tokens) if tokens and verb(tokens) == "update" else None
        while self.pending:
            facts, events = self.pending.pop()
            self.take(facts, events)
            self.sets = None
            if len(self.seen) > _MOST:
                total.unknown("too-deep")
                return

    def add(self, facts: Facts, events: frozenset[str]) -> None:
        total = self.total
        total.effects |= facts.effects
        total.called |= facts.called
        total.reads |= {self.reach.own(name) for name in facts.reads}
        total.writes |= {self.reach.own(name) for name in facts.writes}
        total.functions |= facts.functions
        total.columns |= facts.columns
        total.unbounded |= facts.unbounded
        self.pending.append((facts, events))

    def take(self, facts: Facts, events: frozenset[str]) -> None:
        """Goes on from what one text names."""
        for reason in facts.reasons:
            if reason not in facts.strangers.values():
                self.total.give(reason)
        for stranger, reason in facts.strangers.items():
            self.call(stranger, reason)
        for name in facts.functions | facts.spelled:
            self.overloaded(name)
        for name in facts.reads:
            self.read(name)
        if events:
            for name in facts.writes:
                self.write(name, events)

    def once(self, *key: str) -> bool:
        """Whether something is met for the first time."""
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def read(self, name: str) -> None:
        view = own_name(name, self.reach.path, self.reach.tables, self.reach.views)
        if view is not None and view in self.reach.views and self.once("read", view):
            self.add(*self.reach.view(view))

    def write(self, name: str, events: frozenset[str]) -> None:
        reach = self.reach
        own = own_name(name, reach.path, reach.tables, reach.views, reach.triggers)
        if own is None or not self.once("write", own, *sorted(events)):
            return
        if own in reach.views:
            view, _ = reach.view(own)
            if "unreadable-view" in view.reasons:
                self.total.unknown("unreadable-view")
            used = {column.rpartition(".")[2] for column in self.total.columns}
            if events & {"update", "delete"} and not used.isdisjoint(reach.made(own)):
                self.total.unbounded = True  # by such a column, perhaps, which bounds nothing
            self.read(own)
            self.total.writes |= {reach.own(base) for base in view.reads}
            for base in view.reads:
                self.write(base, events)
        for number, trigger in enumerate(reach.triggers.get(own, ())):
            if (not trigger.events or trigger.events & events) and self.once("trigger", own, str(number)):
                self.add(*reach.trigger(own, number))
        for number, cascade in enumerate(reach.cascades.get(own, ())):
            # A trigger may set the key itself.
            follows = bool(reach.triggers.get(own)) or self.keyed(cascade, events)
            if cascade.events & events and follows and self.once("cascade", own, str(number)):
                self.add(*reach.cascade(own, number))

    def keyed(self, cascade: LiveTrigger, events: frozenset[str]) -> bool:
        """Whether a change can be one that a foreign key follows: not an update that leaves the key as it is."""
        if events != {"update"} or self.sets is None or not cascade.columns or not self.sets.isdisjoint(ROWID):
            return True
        return not cascade.columns.isdisjoint(self.sets)

    def call(self, name: str, reason: str) -> None:
        found = self.reach.called(name)
        if not found:
            self.total.unknown(reason)
            self.total.called.add("unknown")
        for function in found:
            if self.once("function", function):
                self.add(*self.reach.function(function))

    def overloaded(self, name: str) -> None:
        for function in self.reach.overloads(name):
            if self.once("function", function):
                self.add(*self.reach.function(function))


def _events(words: Container[str]) -> frozenset[str]:
    """Which kinds of changes a text can make: each has its word."""
    found = {event for event in _EVENTS if event in words}
    if "merge" in words:
        found |= {"insert", "update", "delete"}
    if "replace" in words:
        found |= {"insert", "delete"}
    if "copy" in words or "load" in words:
        found.add("insert")
    return frozenset(found)


def _events_of(body: str) -> frozenset[str]:
    return _events(body.lower())


def _unknown(reason: str) -> Judged:
    facts = Facts()
    facts.unknown(reason)
    facts.called.add("unknown")
    return facts, frozenset()
