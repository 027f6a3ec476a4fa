"""Least-privilege permits from what was used: who did what to what, and which labels went where.

INVARIANT: what is suggested permits nothing that was not done: an agent, an action, a resource and an environment that were
seen together in a call that policy allowed, a label that was revealed to that destination. A forbid stands only where the
ledger shows one at work on every such call: an approval that was always given, a mask that was always owed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guardai.gate.reports.recorded import Reader, Recorded, Scene
from guardai.ledger import events
from guardai.model import REVEAL, Destination

__all__ = ["Suggestion", "suggest"]

_EVERY: Final = 500
#: Resources and labels in one policy: more are hard to review.
_MEMBERS: Final = 50
_USERS: Final = 5


class _Act(NamedTuple):
    """What one permit of an act covers. A model is the model at its host; `host` is "" for everything else."""

    kind: str
    agent: str
    verb: str
    type: str
    host: str
    environment: str


class _Flow(NamedTuple):
    """What one permit of a reveal covers."""

    kind: str
    agent: str
    to: Destination


class _Seen:
    """How often something was done, when, for whom, and one of the events."""

    __slots__ = ("approvals", "event", "first", "last", "times", "users")

    def __init__(self) -> None:
        self.times = 0
        self.first = self.last = 0
        self.event = ""
        self.users: dict[str, None] = {}
        #: Groups that had agreed every time; None before the first.
        self.approvals: frozenset[str] | None = None

    def add(self, one: Recorded, approvals: frozenset[str]) -> None:
        self.times += 1
        self.first = self.first or one.ts
        self.last = one.ts
        self.event = self.event or one.id
        if len(self.users) <= _USERS:
            self.users[one.principal.user] = None
        self.approvals = approvals if self.approvals is None else self.approvals & approvals


class Suggestion(NamedTuple):
    """What was found.

    Attributes:
        cedar: a policy file; "" if nothing was used.
        calls: allowed calls that it covers.
        refused: calls that were not allowed: they are not covered.
        left_out: calls that cannot be read back, so that the file may not cover them.
        policies: how many there are in it.
    """

    cedar: str
    calls: int
    refused: int
    left_out: int
    policies: int


def suggest(home: Path, progress: Callable[[int], None] = lambda _: None) -> Suggestion:
    """Proposes a policy file that permits what was used and nothing else.

    Raises:
        StoreError: the store cannot be read.
    """
    used = _Used()
    reader = Reader(home)
    for number, data in enumerate(events(home), 1):
        if number % _EVERY == 0:
            progress(number)
        one = reader.read(data)
        if one is not None:
            used.take(one)
    written = list(_Writer(used).policies())
    head = _head(used, len(written))
    cedar = "\n".join((head, *written)) if written else ""
    return Suggestion(cedar, used.calls, used.refused, used.left_out, len(written))


class _Used:
    def __init__(self) -> None:
        self.calls = self.refused = self.left_out = 0
        self.acts: dict[_Act, dict[str, _Seen]] = {}
        self.shown: dict[_Flow, dict[str, _Seen]] = {}
        #: Labels that were masked, and as what: None where that was not always the same.
        self.hidden: dict[_Flow, dict[str, str | None]] = {}

    def take(self, one: Recorded) -> None:
        if one.scene is None:
            # The application's own calls need no permit; a call that was not judged was not allowed.
            self.left_out += one.kind == "call.intent" and one.why not in ("own", "unjudged")
            return
        if one.kind == "call.outcome":
            self._labels(one, one.scene.back, one.returned)
            return
        if one.effect != "allow":
            self.refused += one.effect == "deny"
            return
        self.calls += 1
        self._act(one, one.scene)
        self._labels(one, one.scene.to, {label: one.masks.get(label, "") for label in one.labels})
        # What cannot be masked and passed was revealed.
        self._labels(one, one.scene.to, dict.fromkeys(one.opaque, ""))
        self._labels(one, one.scene.back, dict.fromkeys(one.returns, ""))

    def _act(self, one: Recorded, scene: Scene) -> None:
        approvals = frozenset(one.own.get("approvals", ()))
        who, environment = one.principal, str(scene.context.get("environment", ""))
        for verb in scene.verbs:
            for resource in scene.resources:
                host = dict(resource.attrs).get("host", "")
                act = _Act(who.kind, who.agent, verb, resource.type, host, environment)
                self.acts.setdefault(act, {}).setdefault(resource.id, _Seen()).add(one, approvals)

    def _labels(self, one: Recorded, to: Destination, fates: dict[str, str]) -> None:
        flow = _Flow(one.principal.kind, one.principal.agent, to)
        for label, mask in fates.items():
            if mask:
                masks = self.hidden.setdefault(flow, {})
                masks[label] = mask if masks.get(label, mask) == mask else None
            else:
                self.shown.setdefault(flow, {}).setdefault(label, _Seen()).add(one, frozenset())


class _Writer:
    def __init__(self, used: _Used) -> None:
        self._used = used
        self._names: set[str] = set()

    def policies(self) -> Iterator[str]:
        """The policies, each with the comments above it."""
        for act in sorted(self._used.acts):
            yield from self._act(act, self._used.acts[act])
        for flow in sorted(self._used.shown):
            yield from self._shown(flow, self._used.shown[flow])
        for flow in sorted(self._used.hidden):
            yield from self._hidden(flow, self._used.hidden[flow])

    def _act(self, act: _Act, resources: dict[str, _Seen]) -> Iterator[str]:
        by_approvals: dict[tuple[str, ...], list[str]] = {}
        for name in sorted(resources):
            by_approvals.setdefault(tuple(sorted(resources[name].approvals or ())), []).append(name)
        for groups, names in by_approvals.items():
            for some in _batched(names, _MEMBERS):
                scope, condition = _members(act.type, some)
                head = f"{_who(act.kind, act.agent)}, action == Action::{_text(act.verb)}, {scope}"
                where = f"context.environment == {_text(act.environment)}"
                if act.type == "Model":
                    where = f"{where} && resource.host == {_text(act.host)}"
                when = f"when {{ {f'{where} && {condition}' if condition else where} }}"
                name = self._name(act.agent, act.verb)
                yield "\n".join(
                    (_told([resources[one] for one in some]), f'@id("{name}")', f"permit ({head})", f"{when};\n")
                )
                for group in groups:
                    note = f"// A human of {_comment(group)} agreed to every such call."
                    asks = f"unless {{ context.approvals.contains({_text(group)}) }};\n"
                    yield "\n".join(
                        (note, f'@id("{self._name(act.agent, act.verb, group)}")', f"@approval({_text(group)})",
                         f"forbid ({head})", when, asks)
                    )  # fmt: skip

    def _shown(self, flow: _Flow, labels: dict[str, _Seen]) -> Iterator[str]:
        for some in _batched(sorted(labels), _MEMBERS):
            scope, condition = _members("Label", some)
            where = _destination(flow.to)
            yield "\n".join(
                (
                    _told([labels[one] for one in some]),
                    f'@id("{self._name(flow.agent, REVEAL, flow.to.kind)}")',
                    f"permit ({_who(flow.kind, flow.agent)}, action == Action::{_text(REVEAL)}, {scope})",
                    f"when {{ {f'{where} && {condition}' if condition else where} }};\n",
                )
            )

    def _hidden(self, flow: _Flow, masks: dict[str, str | None]) -> Iterator[str]:
        by_mask: dict[str, list[str]] = {}
        for label, mask in masks.items():
            if mask is not None and label not in self._used.shown.get(flow, {}):
                by_mask.setdefault(mask, []).append(label)
        for mask, labels in sorted(by_mask.items()):
            for some in _batched(sorted(labels), _MEMBERS):
                scope, condition = _members("Label", some)
                where = _destination(flow.to)
                yield "\n".join(
                    (
                        "// Masked so every time. Without this it would be masked all the same, as catalog.toml says.",
                        f'@id("{self._name(flow.agent, "mask", flow.to.kind)}")',
                        f"@mask({_text(mask)})",
                        f"forbid ({_who(flow.kind, flow.agent)}, action == Action::{_text(REVEAL)}, {scope})",
                        f"when {{ {f'{where} && {condition}' if condition else where} }};\n",
                    )
                )

    def _name(self, *parts: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(parts)).strip("-")[:100] or "permit"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        return name


def _batched(names: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(names[start : start + size]) for start in range(0, len(names), size))


def _who(kind: str, agent: str) -> str:
    return f"principal == {kind}::{_text(agent)}"


def _members(kind: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The scope of one resource or several of a type, and the condition that several need."""
    if len(names) == 1:
        return f"resource == {kind}::{_text(names[0])}", ""
    listed = ", ".join(f"{kind}::{_text(name)}" for name in names)
    return f"resource is {kind}", f"[{listed}].contains(resource)"


def _destination(to: Destination) -> str:
    return " && ".join(f"context.to.{name} == {_text(value)}" for name, value in to._asdict().items())


def _text(value: str) -> str:
    """A string as Cedar writes it. Names come from statements and models: they must not end the string."""
    return f'"{"".join(map(_character, value))}"'


def _character(one: str) -> str:
    if one in '\\"':
        return f"\\{one}"
    return one if one.isprintable() else f"\\u{{{ord(one):x}}}"


def _comment(value: str) -> str:
    """What may stand in a comment: one line."""
    return "".join(one if one.isprintable() else "?" for one in value)


def _told(several: Iterable[_Seen]) -> str:
    seen = list(several)
    times = sum(one.times for one in seen)
    since, until = min(one.first for one in seen), max(one.last for one in seen)
    users = sorted({user for one in seen for user in one.users})
    named = ", ".join(_comment(user) for user in users[:_USERS]) + (" and others" if len(users) > _USERS else "")
    when = f"on {_day(since)}" if _day(since) == _day(until) else f"from {_day(since)} to {_day(until)}"
    return f"// {f'{times:,} times' if times > 1 else 'Once'} {when}, for {named or 'nobody named'}; for example event {seen[0].event}"


def _day(micros: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(micros / 1e6))


def _head(used: _Used, policies: int) -> str:
    lines = [
        f"// What {used.calls:,} recorded calls used, in {policies:,} policies, and nothing else. Review it before you use it:",
        "// a permit that looks odd is an agent that did something odd. What is not permitted here is denied, and a label that",
        "// is not revealed here is masked. Put it into the policies/ of a folder with your catalog.toml, in place of wider",
        "// permits; keep your forbids beside it. Then: guardai policy check DIR, guardai policy replay --bundle DIR",
    ]
    if used.refused:
        lines.append(f"// Refused calls are not covered; there were {used.refused:,}.")
    if used.left_out:
        lines.append(f"// {used.left_out:,} calls cannot be read back, so it may not cover them.")
    return "\n".join((*lines, ""))
