"""docs/policy-reference.md, written from the tables that check and engine work with: `python -m guardai.policy.reference FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from guardai.model import ACTIONS, GROUPS, MASKS, REVEAL
from guardai.policy.meaning import (
    ACTIONS_MEAN,
    ANNOTATIONS_MEAN,
    ATTRIBUTES_MEAN,
    ENTITIES_MEAN,
    FAMILIES_MEAN,
    MASKS_MEAN,
)
from guardai.policy.vocabulary import (
    ANNOTATIONS,
    BEARERS,
    CONTEXT,
    ENTITIES,
    LABELS,
    NUMBERS,
    ON_FORBIDS,
    ON_PERMITS,
    OPEN_FAMILIES,
    OWN,
    PARENTS,
    RECORDS,
    RESOURCES,
)

__all__ = ["page"]

_INTRODUCTION = """# Policy reference

Everything that a policy can see and say. This page is written from the tables that `guardai policy check` and the engine
work with (`python -m guardai.policy.reference docs/policy-reference.md`). How to write and test a policy is told in the
[policy guide](policy-guide.md).

    guardai policy schema

prints the same as a Cedar schema, for editors and other tools; `guardai policy schema DIR` with what the folder adds.
"""
_CONTEXT = """
## Context

What `context` holds. Sets are of strings. There is no time of day. Some of it stands in records, and a policy that reads a
record that the call does not have fails, which denies the call; so it asks first. `reveal` has the records of the call that
has the data; what one call alone has, it does not, and `check` refuses a policy of `reveal` alone that reads it.

"""
_LABELS = """
## Labels

What data can bear; each is listed in [labels](labels.md). Labels of your own stand in `catalog.toml`, under `[labels]` or
`[columns]`, or are given by a detector of `detectors.toml`.

"""
_ANNOTATIONS = """
## Annotations

An annotation that is not here is an error. Of several policies that decide, the strictest counts: the strongest mask, the
smallest number.

"""
_OWN = """
## Types and context of your own

`schema.cedarschema` in the policy folder adds to the schema: entity types, context that an integration of yours hands over
(`Call.facts`, with dotted names), resource types of an action. It may be the printed schema with additions, or the additions
alone:

```
entity Ticket { queue: String };
type Call = { crm?: { ticket: String, urgent: Bool } };
action "tool.call" appliesTo { resource: [Ticket] };
```

Nothing of guardai's own can be changed or taken away. Added context is optional, so a policy asks first:
`context has crm && context.crm.urgent`. What is added to `Call` is there for `reveal` too. A value can be a String, a Bool, a
Long, a Set<String> or a record of these, because nothing else reaches a policy. Actions cannot be added: guardai asks about
its own.
"""


def page() -> str:
    """The page."""
    return "".join(
        (
            _INTRODUCTION,
            '\n## Actions\n\nA policy names an action, or its group: `action in Action::"db"`.\n\n',
            *_table(("action", "group", "done to", "what it is"), _actions()),
            _CONTEXT,
            *_table(("record", "there can be one for", "asking first"), _records()),
            "\n",
            *_table(("attribute", "type", "what it means", "one of"), _context()),
            "\n## Entities\n\n",
            *_table(("type", "can be in", "what it is"), _entities()),
            "\nTheir attributes, which are there whenever the entity is asked about:\n\n",
            *_table(("attribute", "of", "type", "what it means"), _attributes()),
            _LABELS,
            *_table(("family", "what it is", "known without a catalog"), _families()),
            _ANNOTATIONS,
            *_table(("annotation", "on", "value", "what it does"), _annotations()),
            "\n## Masks\n\nStrongest first ([what each does](masking.md)):\n\n",
            *(f"{place}. `{mask}`: {MASKS_MEAN[mask]}\n" for place, mask in enumerate(MASKS, 1)),
            _OWN,
        )
    )


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n| {' | '.join('---' for _ in head)} |\n"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n"


def _actions() -> Iterator[tuple[str, ...]]:
    for action, types in RESOURCES.items():
        group = f"`{ACTIONS[action]}`" if action in ACTIONS else "–"
        yield f"`{action}`", group, ", ".join(types), ACTIONS_MEAN[action]


def _records() -> Iterator[tuple[str, ...]]:
    for record, optional in RECORDS.items():
        where = _where(record) if record in BEARERS else "every question"
        yield f"`{record}`", where, f"`context has {record} && …`" if optional else "is not needed"


def _context() -> Iterator[tuple[str, ...]]:
    for one in CONTEXT:
        says = f"{one.says} Always empty in `{REVEAL}`: {OWN[one.name]}." if one.name in OWN else one.says
        yield f"`{one.name}`", one.type.replace("<String>", "&lt;String&gt;"), says, _choices(one.choices)


def _where(record: str) -> str:
    """Which calls can have it, by groups where the whole group can."""
    bearers = BEARERS[record]
    told = [
        name
        for group in GROUPS
        for name in (
            [f"{group}.*"]
            if all(verb in bearers for verb, other in ACTIONS.items() if other == group)
            else [verb for verb, other in ACTIONS.items() if other == group and verb in bearers]
        )
    ]
    return ", ".join(f"`{name}`" for name in (*told, REVEAL))


def _entities() -> Iterator[tuple[str, ...]]:
    for name in ENTITIES:
        yield f"`{name}`", PARENTS.get(name, "–"), ENTITIES_MEAN[name]


def _attributes() -> Iterator[tuple[str, ...]]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, attributes in ENTITIES.items():
        for attribute, kind in attributes:
            kinds.setdefault((attribute, kind), []).append(name)
    for (attribute, kind), names in sorted(kinds.items()):
        yield f"`{attribute}`", ", ".join(names), kind.replace("<String>", "&lt;String&gt;"), ATTRIBUTES_MEAN[attribute]


def _families() -> Iterator[tuple[str, ...]]:
    for family, says in FAMILIES_MEAN.items():
        known = sorted(label for label in LABELS if label.startswith(f"{family}."))
        few = ", ".join(f"`{label}`" for label in known) if len(known) <= 4 else f"{len(known)} labels"
        yield f"`{family}`", says, few if family not in OPEN_FAMILIES else f"every `{family}.…`"


def _annotations() -> Iterator[tuple[str, ...]]:
    for name, choices in ANNOTATIONS.items():
        where = "permits of `db`" if name in ON_PERMITS else "forbids" if name in ON_FORBIDS else "every policy"
        if name == "mask":
            where = f"forbids of `{REVEAL}`"
        if name == "capture":
            where = "permits; `before`: of `db`"
        if name == "ledger":
            where = "permits"
        value = _choices(choices) or ("a number" if name in NUMBERS and name != "timeout" else "text")
        yield f"`@{name}`", where, "a time" if name == "timeout" else value, ANNOTATIONS_MEAN[name]


def _choices(choices: tuple[str, ...]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
