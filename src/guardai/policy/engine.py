"""The two questions of every call: may this be done, and may data of this label go there. Cedar is the only judge.

What stands around it is only bookkeeping: the slice of policies that can concern the question, the entities, and the
answers so far, remembered by exactly what the slice reads.

SECURITY INVARIANT: Cedar skips a policy that fails to evaluate, so a failing forbid would not forbid. Any error of any
policy in the slice is a denial (of a reveal: `redact`), and is never remembered: it can be the asking thread's (a small
stack makes Cedar stop early), not the question's.

SECURITY INVARIANT: an answer that depends on a counter is never remembered: the next call has another number.

SECURITY INVARIANT: an answer is remembered under everything it was made from: principal, action, resources (or label and
destination), and every attribute of the context that a policy of the slice reads, with its type where Python takes two
types to be equal (`True == 1`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain
from typing import Any, Final

from msgspec import structs

from guardai.model import (
    REVEAL,
    Decision,
    Destination,
    Mask,
    Obligations,
    Principal,
    Resource,
    Reveal,
    strictest,
    strongest,
)
from guardai.policy.ask import Answer, Question, ask
from guardai.policy.bundle import Bundle
from guardai.policy.lens import Lens
from guardai.policy.limits import Limits
from guardai.policy.obligations import asking, owed_by
from guardai.policy.plans import Context, Plan, Scene, null
from guardai.policy.question import (
    Entity,
    Refused,
    action_uid,
    context_document,
    label_entity,
    principal_entity,
    resource_entity,
    scene,
    uids,
    with_entity,
)
from guardai.policy.recent import Recent
from guardai.policy.source import Policy
from guardai.policy.tally import Tally
from guardai.policy.tree import merge
from guardai.policy.vocabulary import verbs

__all__ = ["Answer", "Engine"]

#: Questions without their context: an agent asks about some hundred tables, tools and labels; 8,192 are kept.
_PLANS: Final = 4_096
#: Answers in all, before the older ones are dropped: about 20 MB.
_ANSWERS: Final = 32_768
#: Contexts for one question, before its answers are dropped.
_CONTEXTS: Final = 1_024
_SCENES: Final = 512

_NOTHING_OWED: Final = Obligations()


class Engine:
    """Answers from one bundle. It can be shared by threads: only its caches change, each step one operation of a dict."""

    __slots__ = ("_answers", "_asking", "_plans", "_reveals", "_scenes", "bundle")

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        #: The permits that ask for anything: most bundles have few.
        self._asking = frozenset(asking(bundle.policies))
        self._plans: Recent[tuple[Principal, str, tuple[Resource, ...]], Plan] = Recent(_PLANS)
        self._reveals: Recent[tuple[Principal, str, Destination], Plan] = Recent(_PLANS)
        self._scenes: Recent[tuple[Principal, str], Scene] = Recent(_SCENES)
        self._answers = 0

    def annotations(self, policy: str) -> dict[str, str]:
        """A policy's annotations; empty for an unknown id."""
        found = self.bundle.policies.get(policy)
        return found.annotations if found else {}

    def act(
        self,
        principal: Principal,
        action: str,
        resources: tuple[Resource, ...],
        context: Context,
        tally: Tally | None = None,
    ) -> Decision:
        """May the principal do this to all of these? Each resource is asked about; the strictest answer counts.

        Args:
            principal: who acts.
            action: the verb, `db.read`.
            resources: what is acted on; at least one.
            context: flat, with dotted names: strings, booleans, integers, sets of strings as tuples.
            tally: the call's counters. Without it they are what the context says, else 0: nothing has been counted.
        """
        try:
            plan = self._plans.young.get((principal, action, resources))
            if plan is not None and plan.simple:
                values = tuple(map(context.get, plan.names))
                key = (values, tuple(map(type, values))) if plan.typed else values
                decision: Decision | None = plan.answers.get(key)
                if decision is not None and (None not in values or not null(plan.names, context)):
                    return decision
        except TypeError:
            pass  # something cannot be hashed; the long way says what
        return self._act(principal, action, resources, context, tally)

    def reveal(
        self, principal: Principal, label: str, to: Destination, context: Context, tally: Tally | None = None
    ) -> Reveal:
        """May data of this label go there, and if not, what does it become?

        Args:
            principal: who acts.
            label: the kind of data.
            to: where it would go, `context.to` in policies.
            context: as for `act`.
            tally: as for `act`.
        """
        try:
            plan = self._reveals.young.get((principal, label, to))
            if plan is not None and plan.simple:
                values = tuple(map(context.get, plan.names))
                key = (values, tuple(map(type, values))) if plan.typed else values
                answer: Reveal | None = plan.answers.get(key)
                if answer is not None and (None not in values or not null(plan.names, context)):
                    return answer
        except TypeError:
            pass
        return self._reveal(principal, label, to, context, tally)

    def _act(
        self,
        principal: Principal,
        action: str,
        resources: tuple[Resource, ...],
        context: Context,
        tally: Tally | None,
    ) -> Decision:
        about = (principal, action, resources)
        try:
            plan = self._plans.get(about)
            if plan is None:
                plan = self._plan_act(principal, action, resources)
                self._plans.put(about, plan)
            key = plan.key(context)
            remembered: Decision | None = plan.answers.get(key)
            if remembered is not None and not null(plan.names, context):
                return remembered
            decision = self._decide(plan, action, context, tally)
        except Refused as refused:
            return _failed((str(refused),))
        if not decision.errors and not plan.lens.counted:
            self._remember(self._plans, about, plan, key, context, decision)
        return decision

    def _reveal(
        self, principal: Principal, label: str, to: Destination, context: Context, tally: Tally | None
    ) -> Reveal:
        if not self.bundle.knows(label):
            # In no group of anybody's policy as far as we can tell: not revealed, and nothing left of it.
            return Reveal("redact", (), "the label is not in the vocabulary")
        about = (principal, label, to)
        try:
            plan = self._reveals.get(about)
            if plan is None:
                plan = self._plan([(label_entity(label), "label")], principal, REVEAL, to.kind)
                self._reveals.put(about, plan)
            key = plan.key(context)
            remembered: Reveal | None = plan.answers.get(key)
            if remembered is not None and not null(plan.names, context):
                return remembered
            values, records = plan.lens.values(context), plan.lens.records(context)
            limits = Limits(plan.lens.counted, REVEAL, context, tally) if plan.lens.counted else None
            asked = limits.added(values, plan.questions[0].what) if limits is not None else values
            answer = ask(plan.questions[0], context_document(asked.items(), records, to))
        except Refused as refused:
            return Reveal("redact", (), str(refused))
        reveal = self._judge(label, answer)
        if limits is not None:
            if reveal.mask is not None and not answer.errors:
                reached = limits.reached(plan.questions[0], answer, self.bundle.policies, (asked, records, to))
                reveal = structs.replace(reveal, reason="; ".join((reveal.reason, *(reached or ()))))
        elif not answer.errors:
            self._remember(self._reveals, about, plan, key, context, reveal)
        return reveal

    def _plan_act(self, principal: Principal, action: str, resources: tuple[Resource, ...]) -> Plan:
        if verbs(action) != (action,) or action == REVEAL:
            raise Refused(f"{action!r} is not an action")
        if not resources:
            raise Refused("no resource is named")
        return self._plan([(resource_entity(one), one.type) for one in resources], principal, action)

    def _plan(self, about: list[tuple[Entity, str]], principal: Principal, action: str, *place: str) -> Plan:
        shared = self._scene(principal, action)
        find = self.bundle.index.find
        slices = [find(action, shared.principal, uids(entity)) for entity, _ in about]
        questions = tuple(
            Question(
                found.set,
                # A table that no policy asks anything about but its name need not be among the entities: 8 µs saved.
                with_entity(shared.entities, entity) if found.looks else shared.entities,
                {**shared.request, "resource": entity["uid"]},
                kind,
                found.ids,
                (entity["uid"]["type"], entity["uid"]["id"], *place),
            )
            for found, (entity, kind) in zip(slices, about, strict=True)
        )
        lens = slices[0].lens if len(slices) == 1 else Lens(merge(found.reads for found in slices))
        return Plan(questions, lens)

    def _scene(self, principal: Principal, action: str) -> Scene:
        found = self._scenes.get((principal, action))
        if found is None:
            who = principal_entity(principal)
            request = {"principal": who["uid"], "action": action_uid(action)}
            found = Scene(scene(who, action), uids(who), request)
            self._scenes.put((principal, action), found)
        return found

    def _remember(
        self,
        plans: Recent[Any, Plan],
        about: Hashable,
        plan: Plan,
        key: Hashable,
        context: Context,
        answer: Decision | Reveal,
    ) -> None:
        if plan.simple and not plan.typed and any(isinstance(context.get(name), int) for name in plan.names):
            # A name that the vocabulary does not know, or knows as text, has a number here.
            plan = plan.with_types()
            key = plan.key(context)
            plans.put(about, plan)
        if len(plan.answers) >= _CONTEXTS:
            plan.answers = {}
        plan.answers[key] = answer
        self._answers += 1
        if self._answers >= _ANSWERS:
            self._answers = 0
            self._plans.age()
            self._reveals.age()

    def _decide(self, plan: Plan, action: str, context: Context, tally: Tally | None) -> Decision:
        values, records = plan.lens.values(context), plan.lens.records(context)
        if plan.lens.counted:
            limits = Limits(plan.lens.counted, action, context, tally)
            asked = [limits.added(values, question.what) for question in plan.questions]
            documents = [context_document(one.items(), records, None) for one in asked]
        else:
            limits, asked = None, [values] * len(plan.questions)
            documents = [context_document(values.items(), records, None)] * len(plan.questions)
        answers = list(map(ask, plan.questions, documents))
        if len(answers) == 1 and answers[0].allowed:
            return Decision("allow", answers[0].reasons, obligations=self._owed(answers[0].reasons))
        errors = _union(answer.errors for answer in answers)
        denials = [answer for answer in answers if not answer.allowed]
        reasons = _union(answer.reasons for answer in denials or answers)
        if errors:
            return _failed(errors, reasons)
        if not denials:
            return Decision("allow", reasons, obligations=self._owed(reasons))
        forbids = [self.bundle.policies[name] for name in reasons]
        says = [policy.annotations.get("reason") or f"{policy.id} forbids it" for policy in forbids]
        reached: list[list[str] | None] = []
        for question, answer, numbered in zip(plan.questions, answers, asked, strict=True):
            if answer.allowed:
                continue
            if not answer.reasons:
                says.append(f"no policy permits {action} on this {question.about}")
            if limits is not None:
                reached.append(limits.reached(question, answer, self.bundle.policies, (numbered, records, None)))
        # What keeps one resource from being touched keeps the call from it, whatever ends elsewhere.
        if None not in reached:
            says += chain.from_iterable(filter(None, reached))
        abort = any(policy.annotations.get("on_denied") == "abort" for policy in forbids)
        groups = self._lifting(plan, denials, forbids, asked, records)
        reason = "; ".join(dict.fromkeys(says))
        return Decision("pause" if groups else "deny", reasons, reason, Obligations(groups, abort))

    def _owed(self, reasons: Iterable[str]) -> Obligations:
        """What the permits that decided ask for: the smallest of each number."""
        if self._asking.isdisjoint(reasons):
            return _NOTHING_OWED
        return strictest(owed_by(self.bundle.policies[name].annotations) for name in reasons)

    @staticmethod
    def _lifting(
        plan: Plan,
        denials: list[Answer],
        forbids: list[Policy],
        asked: list[dict[str, object]],
        records: list[str],
    ) -> tuple[str, ...]:
        """The groups whose approval would lift the denial; none if an approval would not help.

        It would if every policy that denied waits for one *and* asking again with all of them allows.
        """
        if not all(answer.reasons for answer in denials) or not all("approval" in one.annotations for one in forbids):
            return ()
        groups = tuple(sorted({policy.annotations["approval"] for policy in forbids}))
        for question, values in zip(plan.questions, asked, strict=True):
            given = values.get("approvals", ())
            assert isinstance(given, (tuple, frozenset))
            approved = {**values, "approvals": tuple(sorted({*given, *groups}))}
            answer = ask(question, context_document(approved.items(), records, None))
            if not answer.allowed or answer.errors:
                return ()
        return groups

    def _judge(self, label: str, answer: Answer) -> Reveal:
        if answer.errors:
            return Reveal("redact", answer.reasons, _could_not(answer.errors))
        if answer.allowed:
            return Reveal(None, answer.reasons)
        default = self.bundle.catalog.mask(label)
        forbids = [self.bundle.policies[name] for name in answer.reasons]
        owed: list[Mask] = [policy.annotations.get("mask", default) for policy in forbids]  # type: ignore[misc]
        says = dict.fromkeys(policy.annotations.get("reason") or f"{policy.id} forbids it" for policy in forbids)
        return Reveal(strongest(owed or [default]), answer.reasons, "; ".join(says) or "no policy permits it")


def _union(several: Any) -> tuple[str, ...]:
    return tuple(sorted({name for names in several for name in names}))


def _could_not(errors: tuple[str, ...]) -> str:
    return f"policy could not be evaluated ({'; '.join(errors)})"


def _failed(errors: tuple[str, ...], policies: tuple[str, ...] = ()) -> Decision:
    return Decision("deny", policies, _could_not(errors), errors=errors)
