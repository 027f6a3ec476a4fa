"""What a policy can see and say: one table each for context, entities, labels and annotations.

Everything else is made from these tables: the Cedar schema (`schema.py`), the checks of a bundle (`faults.py`), how the
engine builds a question (`question.py`), and the reference for people. An attribute that is not here reaches no policy that
passes `guardai policy check`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from guardai.model import ACTIONS, GROUPS, MASKS, REVEAL, ancestors, labels

__all__ = [
    "ANNOTATIONS",
    "BEARERS",
    "CONTEXT",
    "COUNTERS",
    "ENTITIES",
    "ENTITY_CHOICES",
    "LABELS",
    "NUMBERS",
    "ON_FORBIDS",
    "ON_PERMITS",
    "OPEN_FAMILIES",
    "OWN",
    "PARENTS",
    "PRINCIPALS",
    "RECORDS",
    "RESOURCES",
    "SCALARS",
    "WINDOWS",
    "Attribute",
    "Type",
    "known_label",
    "known_label_or_group",
    "number",
    "verbs",
]

Type = Literal["String", "Bool", "Long", "Set<String>"]


class Attribute(NamedTuple):
    """One attribute of `context`.

    Attributes:
        name: dotted; `session.purpose` is `context.session.purpose` in a policy.
        type: its Cedar type.
        says: what it means, for the reference.
        choices: all the values that it can have (for a set: its members); empty if there is no such list.
    """

    name: str
    type: Type
    says: str
    choices: tuple[str, ...] = ()


_KINDS: Final = ("model", "tool", "host", "database", "index", "process", "person", "vault")
_TRUST: Final = ("internal", "listed", "unlisted")
_EFFECTS: Final = ("read", "write", "destroy", "admin", "exec", "file", "network", "session", "unknown")

#: Whether a record can be missing altogether, so that a policy has to write `context has sql && …` first.
RECORDS: Final = MappingProxyType(
    {
        "session": False,
        "sql": True,  # only a call that carries a SQL statement has it
        "model": True,  # only `llm.*` calls
        "tool": True,  # only where a tool is called
        "to": False,  # only the question `reveal`, and there always
        "count": False,
        "resource_count": False,
    }
)

#: Record → the actions whose calls can have it; every record that is not here is there for all. `reveal` asks in the
#: context of the call that has the data, whichever it is.
BEARERS: Final = MappingProxyType(
    {
        "sql": frozenset({*(verb for verb, group in ACTIONS.items() if group == "db"), REVEAL}),
        "model": frozenset({*(verb for verb, group in ACTIONS.items() if group == "llm"), REVEAL}),
        "tool": frozenset({"tool.call", "mcp.call", "process.exec", "data.export", REVEAL}),
        "to": frozenset({REVEAL}),
    }
)

#: Window of a counter → its seconds. A session's is forgotten so long after its last call.
WINDOWS: Final = MappingProxyType({"minute": 60, "hour": 3_600, "day": 86_400, "session": 86_400})
_PER_PRINCIPAL: Final = MappingProxyType(
    {
        "calls": "Calls of this principal, this one among them",
        "same_action": "Of these, calls of this action; in `reveal`, calls with labelled data",
        "same_resource": "Of these, calls on this resource; in `reveal`, calls that revealed this label to this kind of place",
        "rows": "Rows that databases have handed to this principal, before this call",
        "tokens": "Tokens of models that this principal has used, before this call",
    }
)
_PER_RESOURCE: Final = MappingProxyType(
    {
        "calls": "Calls of everybody on this resource, this one among them; in `reveal`, that revealed this label to this "
        "kind of place",
        "rows": "Rows that everybody has been handed from this table or database, before this call",
        "tokens": "Tokens that everybody has used of this model, before this call",
    }
)
_SPANS: Final = {"minute": "in this minute", "hour": "in this hour", "day": "in this day", "session": "in this session"}


def _counters() -> tuple[Attribute, ...]:
    """Nobody's context holds these: the gate counts what a bundle's policies read, and asks with it."""
    return tuple(
        Attribute(f"{record}.{measure}.{window}", "Long", f"{says}, {_SPANS[window]}.")
        for record, measures in (("count", _PER_PRINCIPAL), ("resource_count", _PER_RESOURCE))
        for measure, says in measures.items()
        for window in WINDOWS
        if (record, window) != ("resource_count", "session")
    )


#: The whole of `context`. There is no time of day, and no answer that depends on a counter is remembered: what is not here
#: cannot change an answer.
CONTEXT: Final[tuple[Attribute, ...]] = (
    Attribute("environment", "String", "Of the database, else of the process: `dev`, `prod`, …; empty if nobody said."),
    Attribute("region", "String", "Where this process runs; empty if nobody said."),
    Attribute("mode", "String", "Whether guardai enforces or only observes.", ("enforce", "observe")),
    Attribute("session.id", "String", "The session. A policy that reads it is asked anew in every session."),
    Attribute("session.purpose", "String", "What the session is for."),
    Attribute("session.audience", "String", "Who reads the answers.", ("process", "person")),
    Attribute("session.implicit", "Bool", "Nobody opened the session; guardai did."),
    Attribute("session.labels", "Set<String>", "Labels of all the data that the session has seen so far."),
    Attribute("sql.dialect", "String", "The dialect of the statement: `sqlite`, `postgres`, …"),
    Attribute("sql.statements", "Long", "How many statements there are."),
    Attribute("sql.unbounded", "Bool", "An UPDATE or DELETE is not bounded by a constant or a parameter."),
    Attribute("sql.effects", "Set<String>", "What the statement would do.", _EFFECTS),
    Attribute("sql.tables_read", "Set<String>", "The tables that it reads."),
    Attribute("sql.tables_written", "Set<String>", "The tables that it writes."),
    Attribute("sql.columns_read", "Set<String>", "The columns that it refers to, filters included: `customers.email`."),
    Attribute("sql.labels", "Set<String>", "The labels that the catalog gives to those columns."),
    Attribute("sql.functions", "Set<String>", "The functions that it calls."),
    Attribute("sql.reason", "String", "Why it was not understood; empty if it was."),
    Attribute("model.provider", "String", "Who runs the model; empty if the catalog does not say."),
    Attribute("model.region", "String", "Where it runs; `unknown` if the catalog does not say."),
    Attribute("model.trust", "String", "What the catalog says of it.", _TRUST),
    Attribute("model.name", "String", "The model that was asked for."),
    Attribute("model.host", "String", "The host that was asked."),
    Attribute("tool.name", "String", "The tool's name."),
    Attribute("tool.effects", "String", "What it does: `read`, `write`, `destroy`; `unknown` if nobody said."),
    Attribute("tool.resource", "String", "What it acts on, in its author's words; empty if nobody said."),
    Attribute("approvals", "Set<String>", "Groups of which a human has agreed to this call."),
    Attribute("grants", "Set<String>", "Short-lived permissions that cover this call."),
    Attribute("labels", "Set<String>", "Labels of what was found in the payload."),
    Attribute("opaque", "Set<String>", "Labels of parts that cannot be scanned: `opaque.image`, …"),
    Attribute("to.kind", "String", "Where the data would go (only `reveal`).", _KINDS),
    Attribute("to.provider", "String", "Who runs the destination; empty if unknown (only `reveal`)."),
    Attribute("to.region", "String", "Where it is, or `unknown` (only `reveal`)."),
    Attribute("to.trust", "String", "What the catalog says of it (only `reveal`).", _TRUST),
    *_counters(),
)

#: What is one call's own and no label's, so that it is empty in every `reveal` → what a policy of reveals has instead. A label
#: is asked about before it is known what else the call carries, once for all calls of its kind.
OWN: Final = MappingProxyType(
    {
        "approvals": "an approval lifts no mask",
        "labels": "the label asked about is the resource, and those that the session has seen are context.session.labels",
        "opaque": "the label asked about is the resource",
    }
)

#: The attributes that are counted.
COUNTERS: Final = frozenset(attribute.name for attribute in _counters())

#: Dotted name → attribute.
SCALARS: Final = MappingProxyType({attribute.name: attribute for attribute in CONTEXT})

#: Entity type → its attributes. All of them are there whenever such an entity is asked about.
ENTITIES: Final = MappingProxyType(
    {
        "User": (),
        "Agent": (("user", "String"), ("assurance", "String"), ("chain", "Set<String>")),
        "App": (("user", "String"), ("assurance", "String"), ("chain", "Set<String>")),
        "Provider": (),
        "Database": (("environment", "String"), ("region", "String")),
        "Table": (("environment", "String"), ("region", "String")),
        "Model": (("host", "String"), ("region", "String"), ("trust", "String")),
        "Tool": (("effects", "String"), ("trust", "String")),
        "Index": (("region", "String"), ("trust", "String")),
        "Host": (("region", "String"), ("trust", "String")),
        # `region` is the last word of `origin.<region>` and empty for every other label.
        "Label": (("region", "String"),),
    }
)

#: Attribute of an entity → all the values that it can have, where there is such a list.
ENTITY_CHOICES: Final = MappingProxyType({"assurance": ("asserted", "verified"), "trust": _TRUST})

#: Entity type → the type that it can be `in`.
PARENTS: Final = MappingProxyType(
    {"Agent": "User", "App": "User", "Table": "Database", "Model": "Provider", "Label": "Label"}
)

#: The types that can act.
PRINCIPALS: Final = ("Agent", "App")

#: Action → the types of resource that it can be done to.
RESOURCES: Final = MappingProxyType(
    {
        "llm.generate": ("Model",),
        "llm.embed": ("Model",),
        "tool.call": ("Tool",),
        "retrieval.query": ("Index",),
        "db.read": ("Database", "Table"),
        "db.write": ("Database", "Table"),
        "db.destroy": ("Database", "Table"),
        "db.admin": ("Database", "Table"),
        "db.unknown": ("Database", "Table"),
        "mcp.call": ("Tool",),
        "http.request": ("Host",),
        "process.exec": ("Host", "Tool"),
        "data.export": ("Database", "Host", "Index", "Table", "Tool"),
        REVEAL: ("Label",),
    }
)

#: Labels that are known without a catalog.
LABELS: Final = frozenset(
    {
        *labels.LABELS,
        *labels.OTHERS,
        "opaque.audio",
        "opaque.file",
        "opaque.image",
        "opaque.raw",
        "trust.trusted",
        "trust.untrusted",
    }
)

#: Families of which every `family.word` is known: kinds of keys, regions and data sets are countless.
OPEN_FAMILIES: Final = frozenset({"dataset", "origin", "secret"})

#: Annotation → the values that it may have (empty: any text). An annotation that is not here is an error, because an
#: obligation that nobody honours is worse than none.
ANNOTATIONS: Final = MappingProxyType(
    {
        "id": (),
        "reason": (),
        "severity": ("low", "medium", "high", "critical"),
        "mask": MASKS,
        "approval": (),
        "on_denied": ("raise", "abort"),
        "row_cap": (),
        "timeout": (),
        "affected_cap": (),
        "capture": ("before", "content"),
        "ledger": ("signed", "strict"),
    }
)

#: Annotations of permits: they say how a call that is allowed is done. All are of databases alone but `@capture("content")` and `@ledger`.
ON_PERMITS: Final = frozenset({"row_cap", "timeout", "affected_cap", "capture", "ledger"})
#: Those whose value is a number.
NUMBERS: Final = frozenset({"row_cap", "timeout", "affected_cap"})
#: Those of forbids: they say how a call that is denied is denied.
ON_FORBIDS: Final = frozenset({"mask", "approval", "on_denied"})
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


def number(annotation: str, value: str) -> int:
    """The number that an annotation says: rows, or seconds (`30s`, `5m`, `1h`).

    Raises:
        ValueError: it says none, and how it is written.
    """
    if annotation == "timeout":
        if re.fullmatch(r"[1-9][0-9]{0,5}[smh]", value):
            return int(value[:-1]) * _SECONDS[value[-1]]
        raise ValueError('write a time such as "30s", "5m" or "1h"')
    if re.fullmatch(r"0|[1-9][0-9]{0,11}", value):
        return int(value)
    raise ValueError('write a number of rows such as "1000"')


def known_label(label: str, extra: frozenset[str]) -> bool:
    """Whether the label is in the vocabulary; `extra` are the labels of the catalog."""
    if label in LABELS or label in extra:
        return True
    family, dot, word = label.partition(".")
    return bool(dot and word) and family in OPEN_FAMILIES


def known_label_or_group(name: str, extra: frozenset[str]) -> bool:
    """Whether it is a label of the vocabulary or covers one: `pii`, say."""
    if known_label(name, extra) or name in OPEN_FAMILIES:
        return True
    return any(name in ancestors(label) for label in (*LABELS, *extra))


def verbs(name: str) -> tuple[str, ...]:
    """The actions that an action literal stands for: a group's members, a verb itself; nothing if it is unknown."""
    if name in ACTIONS or name == REVEAL:
        return (name,)
    if name in GROUPS:
        return tuple(verb for verb, group in ACTIONS.items() if group == name)
    return ()
