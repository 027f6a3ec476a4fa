"""What Cedar cannot find wrong with a policy: words that nobody knows, annotations that nobody honours.

Cedar takes any annotation, any label and any action for granted: a misspelt one matches nothing, for ever and in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, Literal

from guardai.model import ACTIONS, GROUPS, REVEAL, ancestors
from guardai.policy.declarations import Field
from guardai.policy.extension import NOTHING, Extension
from guardai.policy.places import Places
from guardai.policy.problem import Problem
from guardai.policy.source import Policy
from guardai.policy.tree import Tree, approvals, compared, entity_literals, nodes, path_of, scope
from guardai.policy.vocabulary import (
    ANNOTATIONS,
    COUNTERS,
    ENTITY_CHOICES,
    LABELS,
    NUMBERS,
    ON_FORBIDS,
    ON_PERMITS,
    OPEN_FAMILIES,
    OWN,
    SCALARS,
    known_label,
    known_label_or_group,
    number,
    verbs,
)

__all__ = ["doubts", "faults"]

#: Severity, message, and the tokens where it is.
_Fault = tuple[Literal["error", "warning"], str, tuple[str, ...]]
#: Attributes of the context that hold labels.
_LABELS: Final = ("labels", "session.labels", "opaque", "sql.labels")
_NEVER_OF_LABELS: Final = ("resource_count.rows.", "resource_count.tokens.")
_DATABASE: Final = frozenset(verb for verb, group in ACTIONS.items() if group == "db")


def faults(policy: Policy, labels: frozenset[str]) -> Iterator[Problem]:
    """What a bundle is refused for, and what it is warned of. `labels` are those of the catalog."""
    tree = policy.tree
    found = (*_annotations(policy, tree), *_literals(tree, labels))
    places = Places(policy) if found else None
    for severity, message, at in found:
        line, column = places.word(*at) if places and at else (policy.line, policy.column)
        yield Problem(severity, policy.file, line, policy.id, message, column)


def doubts(policy: Policy, labels: frozenset[str], extension: Extension = NOTHING) -> Iterator[Problem]:
    """What `check` calls an error besides: what an attribute can never be, what nobody's context has, and what a reveal never has."""
    places = Places(policy)
    yield from _not_of_labels(policy, places)
    yield from _of_nobody(policy, places, extension)
    for (variable, path), node in compared(places.conditions):
        literal = node["Value"]
        choices = _choices(variable, path)
        if choices and literal not in choices:
            message = f"{variable}.{path} is never {literal!r}{_suggest(literal, choices)}"
        elif variable == "context" and path in _LABELS and not known_label(literal, labels):
            message = f"context.{path} never holds {literal!r}{_suggest(literal, (*LABELS, *labels))}"
        else:
            continue
        line, column = places.of(node)
        yield Problem("error", policy.file, line, policy.id, message, column)


def _of_nobody(policy: Policy, places: Places, extension: Extension) -> Iterator[Problem]:
    """Parts of the context of which a policy asks whether they are there, and of which Cedar says nothing: they never are."""
    known = {*_prefixes(SCALARS), *_inside(extension.call), *_inside(extension.reveal)}
    seen: set[str] = set()
    for node, _ in nodes(places.conditions):
        if "has" not in node or (of := path_of(node["has"]["left"])) is None or of[0] != "context":
            continue
        path = ".".join(part for part in (of[1], node["has"]["attr"]) if part)
        if path not in known and path not in seen:
            seen.add(path)
            line, column = places.of(node)
            message = f"nobody's context has {path}{_suggest(path, tuple(known))}"
            if not get_close_matches(path, known, n=1):
                message += "; what an integration of your own hands over stands in schema.cedarschema"
            yield Problem("error", policy.file, line, policy.id, message, column)


def _prefixes(names: Iterable[str]) -> Iterator[str]:
    """`session`, `session.purpose` of `session.purpose`."""
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


def _inside(record: Mapping[str, Field], above: str = "") -> Iterator[str]:
    """The paths of a record that a folder's own schema adds."""
    for name, field in record.items():
        yield f"{above}{name}"
        if not isinstance(field.kind, str):
            yield from _inside(field.kind, f"{above}{name}.")


def _not_of_labels(policy: Policy, places: Places) -> Iterator[Problem]:
    """What every reveal is asked without: the call's own, and the rows and tokens of its resource, which is a label."""
    if scope(policy.tree).actions != (REVEAL,):
        return  # the other actions that it covers have it
    seen: set[tuple[str, int, int]] = set()
    for node, _ in nodes(places.conditions):
        path = _read(node)
        if path in OWN:
            message = f"context.{path} is always empty in a policy of {REVEAL}: {OWN[path]}"
        elif path in COUNTERS and path.startswith(_NEVER_OF_LABELS):
            instead = path.removeprefix("resource_")
            message = (
                f"context.{path} is always 0 in a policy of {REVEAL}: no rows and tokens are counted of a label; "
                f"the principal's own are context.{instead}"
            )
        else:
            continue
        line, column = places.of(node)
        if (path, line, column) not in seen:
            seen.add((path, line, column))
            yield Problem("error", policy.file, line, policy.id, message, column)


def _read(node: Tree) -> str:
    """The path of the context that an expression reads, or of which it asks whether it is there; "" if none."""
    if "has" in node and path_of(node["has"]["left"]) == ("context", ""):
        return str(node["has"]["attr"])
    variable, path = path_of(node) or ("", "")
    return path if variable == "context" else ""


def _choices(variable: str, path: str) -> tuple[str, ...]:
    if variable == "context":
        return SCALARS[path].choices if path in SCALARS else ()
    return ENTITY_CHOICES.get(path, ())


def _annotations(policy: Policy, tree: Tree) -> Iterator[_Fault]:
    given = policy.annotations
    for name, value in given.items():
        if name not in ANNOTATIONS:
            yield "error", f"@{name} is not an annotation of guardai{_suggest(name, tuple(ANNOTATIONS))}", ("@", name)
        elif not value.strip():
            yield "error", f"@{name} says nothing", ("@", name)
        elif (choices := ANNOTATIONS[name]) and value not in choices:
            yield "error", f"@{name} is {value!r}{_suggest(value, choices)}", ("@", name)
        elif name in NUMBERS:
            try:
                number(name, value)
            except ValueError as why:
                yield "error", f"@{name} is {value!r}; {why}", ("@", name)
    if "id" not in given:
        yield "warning", f"it has no @id and is called {policy.id!r}, which changes with every line above it", ()
    if policy.effect == "permit":
        for name in sorted(ON_FORBIDS & given.keys()):
            yield "error", f"@{name} on a permit does nothing; it belongs on the forbid that denies", ("@", name)
    for name in sorted(ON_PERMITS & given.keys()):
        if policy.effect == "forbid":
            yield "error", f"@{name} on a forbid does nothing; it belongs on the permit that allows", ("@", name)
        elif given[name] == "content" or name == "ledger":
            if {REVEAL}.issuperset(scope(tree).actions):
                yield "error", f"@{name} does nothing on a permit of {REVEAL} alone", ("@", name)
        elif _DATABASE.isdisjoint(scope(tree).actions):
            yield "error", f"@{name} does nothing on a permit that covers no action of databases", ("@", name)
    if policy.effect == "forbid" and "mask" in given and REVEAL not in scope(tree).actions:
        yield "error", f'@mask does nothing on a forbid that does not cover Action::"{REVEAL}"', ("@", "mask")
    asked, against = approvals(tree)
    if "approval" in given and against:
        yield (
            "error",
            f"an approval of {', '.join(sorted(against))} counts against its `unless`: what waits for an approval must not be denied by it",
            ("unless",),
        )
    elif "approval" in given and asked != {given["approval"]}:
        written = ", ".join(sorted(asked)) or "nothing"
        wanted = f'unless {{ context.approvals.contains("{given["approval"]}") }}'
        yield (
            "error",
            f"@approval is {given['approval']!r}, its `unless` asks for {written}; write {wanted}",
            ("@", "approval"),
        )
    elif (asked or against) and "approval" not in given and policy.effect == "forbid":
        yield "warning", "its `unless` asks for an approval, but without @approval nobody is ever asked", ("unless",)


def _literals(tree: Tree, labels: frozenset[str]) -> Iterator[_Fault]:
    for kind, name, how in entity_literals(tree):
        at = (kind, "::", f'"{name}"')
        if kind == "Action":
            if not verbs(name):
                yield "error", f'Action::"{name}" is unknown{_suggest(name, (*ACTIONS, *GROUPS, REVEAL))}', at
            elif how == "==" and name in GROUPS and name not in ACTIONS:
                yield "error", f'Action::"{name}" is a group, which == never matches; write `action in`', at
        elif kind == "Label":
            if not known_label_or_group(name, labels):
                known = {*LABELS, *labels, *OPEN_FAMILIES}
                known.update(*(ancestors(label) for label in (*LABELS, *labels)))
                hint = _suggest(name, tuple(known))
                yield (
                    "error",
                    f'Label::"{name}" is unknown{hint}; a label of your own stands in catalog.toml, [labels]',
                    at,
                )
            elif how == "==" and not known_label(name, labels):
                yield "error", f'Label::"{name}" is a group, which == never matches; write `resource in`', at


def _suggest(word: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 24 else ""
