"""What Cedar cannot find wrong with a policy: words that nobody knows, annotations that nobody honours.

Cedar takes any annotation, any label and any action for granted: a misspelt one matches nothing, for ever and in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from guardai.model import ACTIONS, GROUPS, REVEAL, ancestors
from guardai.policy.problem import Problem
from guardai.policy.source import Policy
from guardai.policy.tree import Tree, approvals, comparisons, entity_literals, scope
from guardai.policy.vocabulary import (
    ANNOTATIONS,
    LABELS,
    NUMBERS,
    ON_FORBIDS,
    ON_PERMITS,
    OPEN_FAMILIES,
    SCALARS,
    known_label,
    known_label_or_group,
    number,
    verbs,
)

__all__ = ["doubts", "faults"]

_DATABASE: Final = frozenset(verb for verb, group in ACTIONS.items() if group == "db")


def faults(policy: Policy, labels: frozenset[str]) -> Iterator[Problem]:
    """What a bundle is refused for, and what it is warned of. `labels` are those of the catalog."""
    tree = policy.tree
    for severity, message in (*_annotations(policy, tree), *_literals(tree, labels)):
        yield Problem(severity, policy.file, policy.line, policy.id, message)  # type: ignore[arg-type]


def doubts(policy: Policy, labels: frozenset[str]) -> Iterator[Problem]:
    """What `check` calls an error besides: a comparison with something that the attribute can never be."""
    for path, literal in comparisons(policy.tree):
        attribute = SCALARS.get(path)
        if attribute is None:
            continue
        if attribute.choices and literal not in attribute.choices:
            message = f"context.{path} is never {literal!r}{_suggest(literal, attribute.choices)}"
        elif path in ("labels", "session.labels", "opaque") and not known_label(literal, labels):
            message = f"context.{path} never holds {literal!r}{_suggest(literal, (*LABELS, *labels))}"
        else:
            continue
        yield Problem("error", policy.file, policy.line, policy.id, message)


def _annotations(policy: Policy, tree: Tree) -> Iterator[tuple[str, str]]:
    given = policy.annotations
    for name, value in given.items():
        if name not in ANNOTATIONS:
            yield "error", f"@{name} is not an annotation of guardai{_suggest(name, tuple(ANNOTATIONS))}"
        elif not value.strip():
            yield "error", f"@{name} says nothing"
        elif (choices := ANNOTATIONS[name]) and value not in choices:
            yield "error", f"@{name} is {value!r}{_suggest(value, choices)}"
        elif name in NUMBERS:
            try:
                number(name, value)
            except ValueError as why:
                yield "error", f"@{name} is {value!r}; {why}"
    if "id" not in given:
        yield "warning", f"it has no @id and is called {policy.id!r}, which changes with every line above it"
    if policy.effect == "permit":
        for name in sorted(ON_FORBIDS & given.keys()):
            yield "error", f"@{name} on a permit does nothing; it belongs on the forbid that denies"
    for name in sorted(ON_PERMITS & given.keys()):
        if policy.effect == "forbid":
            yield "error", f"@{name} on a forbid does nothing; it belongs on the permit that allows"
        elif _DATABASE.isdisjoint(scope(tree).actions):
            yield "error", f"@{name} does nothing on a permit that covers no action of databases"
    if policy.effect == "forbid" and "mask" in given and REVEAL not in scope(tree).actions:
        yield "error", f'@mask does nothing on a forbid that does not cover Action::"{REVEAL}"'
    asked = approvals(tree)
    if "approval" in given and asked != {given["approval"]}:
        written = ", ".join(sorted(asked)) or "nothing"
        wanted = f'unless {{ context.approvals.contains("{given["approval"]}") }}'
        yield "error", f"@approval is {given['approval']!r}, its `unless` asks for {written}; write {wanted}"
    elif asked and "approval" not in given and policy.effect == "forbid":
        yield "warning", "its `unless` asks for an approval, but without @approval nobody is ever asked"


def _literals(tree: Tree, labels: frozenset[str]) -> Iterator[tuple[str, str]]:
    for kind, name, how in entity_literals(tree):
        if kind == "Action":
            if not verbs(name):
                yield "error", f'Action::"{name}" is unknown{_suggest(name, (*ACTIONS, *GROUPS, REVEAL))}'
            elif how == "==" and name in GROUPS and name not in ACTIONS:
                yield "error", f'Action::"{name}" is a group, which == never matches; write `action in`'
        elif kind == "Label":
            if not known_label_or_group(name, labels):
                known = {*LABELS, *labels, *OPEN_FAMILIES}
                known.update(*(ancestors(label) for label in (*LABELS, *labels)))
                hint = _suggest(name, tuple(known))
                yield "error", f'Label::"{name}" is unknown{hint}; a label of your own stands in catalog.toml, [labels]'
            elif how == "==" and not known_label(name, labels):
                yield "error", f'Label::"{name}" is a group, which == never matches; write `resource in`'


def _suggest(word: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 24 else ""
