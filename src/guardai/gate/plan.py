"""What is known of a call before its data is looked at: the other side, and what a statement would do. Kept, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from guardai.gate.touched import carried, plain, touched
from guardai.model import Call, Destination, Resource, Target
from guardai.sql import Inspection, inspect

if TYPE_CHECKING:
    from guardai.policy import Catalog, DatabaseEntry
    from guardai.settings import Settings

__all__ = ["NOT_UNDERSTOOD", "Plan", "Plans"]

Context = dict[str, str | int | bool | tuple[str, ...]]

_ENTRIES: Final = 2048
#: Characters of a statement whose plan is kept: with the above, at most some 10 MB.
_LONGEST: Final = 4 * 1024
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Plan(NamedTuple):
    """One kind of call.

    Attributes:
        action: the verb, as events tell it.
        asked: the verbs that policy is asked about: for a list of statements each that goes beyond reading and writing.
        resources: what policy is asked about, one question each.
        to: where the payload goes.
        facts: what this adds to the context of the questions.
        uris: the event's `resource`, encoded; None if nothing is known of it.
        model: the event's `model`, encoded; None for calls that are no model's.
        inspection: of a SQL statement.
        sources: the outcome's `resource`, encoded, where more is known of it: columns, labels, keys.
        carried: of a statement that writes, written column → the columns that it is made of.
        labelled: of a statement, the labelled columns that it touches → their labels.
        target: the other side, as the integration knows it.
        said: a tool's effects in its author's words; "" where only a catalog tells them.
    """

    action: str
    asked: tuple[str, ...]
    resources: tuple[Resource, ...]
    to: Destination
    facts: Context
    uris: msgspec.Raw | None
    model: dict[str, str] | None = None
    inspection: Inspection | None = None
    sources: msgspec.Raw | None = None
    carried: dict[str, list[str]] = {}  # noqa: RUF012 - never changed
    labelled: Mapping[str, frozenset[str]] = {}
    target: Target | None = None
    said: str = ""

    # What an integration asks of a statement. INVARIANT: one that was not understood may do anything.

    @property
    def reads(self) -> bool:
        """Whether it is taken for a read, or for control of a transaction."""
        return self.action == "db.read"

    @property
    def writes(self) -> bool:
        """Whether it does anything but read, as far as is known."""
        return self.inspection is None or not self.inspection.effects <= {"read"}

    @property
    def changes(self) -> bool:
        """Whether this is one statement that changes rows, and nothing else."""
        known = self.inspection
        return known is not None and known.statements == 1 and bool(known.writes) and known.effects <= {"read", "write"}

    @property
    def redefines(self) -> bool:
        """Whether it may change what tables and views there are, or which of them a name means."""
        return self.inspection is None or not self.inspection.effects <= {"read", "write"}

    @property
    def statements(self) -> int:
        """How many statements the text is taken for; 0 if it was not understood."""
        return 0 if self.inspection is None else self.inspection.statements


#: Of a call that is not yet understood, or cannot be.
NOT_UNDERSTOOD: Final = Plan(action="", asked=(), resources=(), to=Destination("unknown"), facts={}, uris=None)


class Plans:
    """Plans by what they depend on."""

    __slots__ = ("_catalog", "_plans", "_settings")

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._plans: dict[tuple[object, ...], Plan] = {}

    def of(self, call: Call) -> Plan:
        """The plan of a call."""
        # All that a plan is made from besides catalog and settings, which do not change.
        key = (call.action, call.target, call.statement, call.dialect, call.schema, tuple(call.facts.items()))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make(call)
            said = str(call.facts.get("tool.effects") or "")
            plan = plan._replace(facts={**plan.facts, **call.facts}, target=call.target, said=said)
            if call.statement is None or len(call.statement) <= _LONGEST:
                if len(self._plans) >= _ENTRIES:
                    self._plans.clear()
                self._plans[key] = plan
        return plan

    def _make(self, call: Call) -> Plan:
        match call.target.kind:
            case "database":
                return self._database(call)
            case "model":
                return self._model(call)
            case "host":
                return self._host(call)
            case kind:
                return self._local(call, kind)

    def _database(self, call: Call) -> Plan:
        entry = self._catalog.database(call.target.host)
        if call.statement is None:
            return self._whole_database(call, entry)
        inspection = inspect(call.statement, call.dialect or "", schema=call.schema)
        written = {plain(table, call) for table in inspection.writes}
        tables = sorted(written | {plain(table, call) for table in inspection.reads})
        parent = ("Database", entry.name)
        environment = entry.environment or self._settings.environment
        attrs = (("environment", environment), ("region", entry.region))
        resources = tuple(Resource("Table", f"{entry.name}.{table}", parent, attrs) for table in tables)
        seen = touched(self._catalog, inspection, call)
        uris: list[dict[str, object]] = [
            {"dir": "write" if table in written else "read", "uri": f"{call.target.host}#{table}"} for table in tables
        ]
        sources = [
            {**seen.told(str(entry["uri"]), table), "dir": entry["dir"]}
            for table, entry in zip(tables, uris, strict=True)
        ]
        action, asked = _verbs(inspection)
        return Plan(
            action=action,
            asked=asked,
            resources=resources or (Resource("Database", entry.name, None, attrs),),
            to=Destination("database", entry.name, entry.region, "listed" if entry.environment else "unlisted"),
            facts={
                "environment": environment,
                "sql.dialect": call.dialect or "",
                "sql.statements": inspection.statements,
                "sql.unbounded": inspection.unbounded,
                "sql.effects": tuple(sorted(inspection.effects)),
                "sql.tables_read": tuple(sorted(inspection.reads)),
                "sql.tables_written": tuple(sorted(inspection.writes)),
                "sql.columns_read": tuple(sorted(seen.read)),
                "sql.labels": seen.all_labels,
                "sql.functions": tuple(sorted(inspection.functions)),
                "sql.reason": inspection.reason or "",
            },
            uris=msgspec.Raw(_encode(uris or [{"dir": "read", "uri": call.target.host}])),
            sources=msgspec.Raw(_encode(sources)) if sources else None,
            carried=carried(call) if written and action in {"db.write", "db.destroy"} else {},
            inspection=inspection,
            labelled=seen.labels,
        )

    def _whole_database(self, call: Call, entry: DatabaseEntry) -> Plan:
        """A call without a statement: a backup, say. The integration names the verb."""
        environment = entry.environment or self._settings.environment
        attrs = (("environment", environment), ("region", entry.region))
        return Plan(
            action=call.action,
            asked=(call.action,),
            resources=(Resource("Database", entry.name, None, attrs),),
            to=Destination("database", entry.name, entry.region, "listed" if entry.environment else "unlisted"),
            facts={"environment": environment},
            uris=msgspec.Raw(_encode([{"dir": "read", "uri": call.target.host}])),
        )

    def _model(self, call: Call) -> Plan:
        host, name = call.target.host, call.target.name
        entry = self._catalog.model(host, name)
        to = Destination("model", entry.provider, entry.region, entry.trust)
        facts: Context = {
            "environment": self._settings.environment,
            "model.host": host,
            "model.name": name,
            "model.provider": entry.provider,
            "model.region": entry.region,
            "model.trust": entry.trust,
        }
        attrs = (("host", host), ("region", entry.region), ("trust", entry.trust))
        return Plan(
            action=call.action,
            asked=(call.action,),
            resources=(Resource("Model", name or host, ("Provider", entry.provider or host), attrs),),
            to=to,
            facts=facts,
            uris=msgspec.Raw(_encode([{"dir": "out", "uri": f"model://{host}/{name}"}])),
            model={"host": host, "provider": entry.provider, "region": entry.region, "requested": name},
        )

    def _host(self, call: Call) -> Plan:
        # An endpoint of a model host is that host: what it may see does not depend on the path.
        entry = self._catalog.model(call.target.host, call.target.name)
        attrs = (("region", entry.region), ("trust", entry.trust))
        return Plan(
            action=call.action,
            asked=(call.action,),
            resources=(Resource("Host", call.target.host, None, attrs),),
            to=Destination("host", entry.provider, entry.region, entry.trust),
            facts={"environment": self._settings.environment},
            uris=msgspec.Raw(_encode([{"dir": "out", "uri": f"host://{call.target.host}/{call.target.name}"}])),
        )

    def _local(self, call: Call, kind: str) -> Plan:
        """A tool or an index: in this process, unless the catalog says otherwise."""
        name = call.target.name
        to = Destination(kind, "local", self._settings.region or "local", "internal")
        facts: Context = {"environment": self._settings.environment}
        if kind == "tool":
            entry = self._catalog.tool(name)
            if entry.trust != "unlisted":
                # A function here may hand on what it gets to somewhere else; the catalog knows.
                to = Destination(kind, entry.provider, entry.region, entry.trust)
            effects = str(call.facts.get("tool.effects") or entry.effects)
            facts |= {"tool.name": name, "tool.effects": effects, "tool.resource": ""}
            attrs = (("effects", effects), ("trust", to.trust))
        else:
            attrs = (("region", to.region), ("trust", to.trust))
        return Plan(
            action=call.action,
            asked=(call.action,),
            resources=(Resource(kind.capitalize(), name, None, attrs),),
            to=to,
            facts=facts,
            uris=msgspec.Raw(_encode([{"dir": "out", "uri": f"{kind}://{name}"}])),
        )


#: Effects that go beyond reading and writing, and their verbs.
_VERBS: Final = {
    "destroy": "db.destroy",
    "admin": "db.admin",
    "exec": "db.admin",
    "file": "db.admin",
    "network": "db.admin",
    "session": "db.admin",
    "unknown": "db.unknown",
}


def _verbs(inspection: Inspection) -> tuple[str, tuple[str, ...]]:
    """The verb of a statement, and those to ask about: a list is permitted only if each of its statements is."""
    if inspection.reason == "transaction-control" and inspection.effects == {"session"}:
        # BEGIN, COMMIT, SAVEPOINT: by themselves they neither read nor change anything.
        return "db.read", ("db.read",)
    asked = {_VERBS[effect] for effect in inspection.effects if effect in _VERBS}
    if inspection.unbounded:
        asked.add("db.destroy")
    return inspection.action, tuple(sorted(asked)) or (inspection.action,)
