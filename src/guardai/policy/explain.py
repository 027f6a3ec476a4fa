"""Why a call is answered as it is, and what would have to change.

The answer is the engine's own. What stands beside it is found by asking Cedar about parts: each policy that can concern the
call alone, each of its conditions alone; and by asking the engine again about the call as it would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from guardai.model import Decision, Destination, Principal, Resource, Reveal
from guardai.policy.asked import Asked, decide, judge, reveals
from guardai.policy.bundle import Bundle
from guardai.policy.change import can_allow, candidates, quoted, read, smallest, with_a_permit
from guardai.policy.engine import Engine
from guardai.policy.leaves import ABSENT, ANOTHER, leaves, settings
from guardai.policy.parts import Part, Situation, reveal_situation, situations, text
from guardai.policy.question import Refused, context_document
from guardai.policy.request import Request
from guardai.policy.source import Policy
from guardai.policy.vocabulary import OWN

__all__ = ["Request", "answers", "as_request", "examine", "explain", "told", "words"]

#: Permits that came near are worth telling; the hundredth is not.
_NEAR: Final = 3
#: Policies of one question that are looked into; a bundle can have 10,000 for one action.
_LOOKED_INTO: Final = 200
#: By what data goes to a destination: a request for a reveal alone has to name some action.
_ANSWERS: Final = ("llm.generate", "Model")
_GOES_BY: Final = {
    "tool": ("tool.call", "Tool"),
    "host": ("http.request", "Host"),
    "database": ("db.read", "Database"),
    "index": ("retrieval.query", "Index"),
}


def explain(bundle: Bundle, request: dict[str, Any]) -> dict[str, Any]:
    """How a request is answered, as data.

    A context value that policies have no type for is an error here even where no policy reads it; the engine looks only
    at what is read.

    Args:
        bundle: whose policies.
        request: as `Request` describes it.

    Returns:
        What `examine` returns.

    Raises:
        ValueError: it is no request, or names a type of entity that the bundle does not know.
    """
    made = Request.read(request)
    if unknown := made.unknown(bundle.types):
        raise ValueError(unknown)
    return examine(bundle, made.asked())


def words(bundle: Bundle, request: dict[str, Any]) -> list[str]:
    """The same in plain words: what was decided, by which policies, and what would have to change.

    Raises:
        ValueError: it is no request.
    """
    return told(explain(bundle, request))


def examine(bundle: Bundle, asked: Asked) -> dict[str, Any]:
    """How a call is answered, and why.

    Returns:
        `decision` (allow, deny, pause), `policies` (the ids that determined it), `masks` (label → mask, for each label
        that may not be revealed), `approvals` (groups that would lift a pause), `errors`; and `reason`, `request` (what
        was asked), `reveals` (label → mask, policies, reason, changes), `considered` (of the policies that can concern it
        those that decided or came near, with each condition, whether it holds and what it would need), `changes` (the
        smallest sets of changes that would allow it; empty if it is allowed).
    """
    engine = Engine(bundle)
    decision, fates = answers(engine, asked)
    answer = _answer(asked, decision, fates)
    if decision.errors and _refused(asked):
        return answer
    asking = [(one, _policies(bundle, one, decision)) for one in _asking(engine, asked, decision)]
    answer["considered"] = list(_considered(asked, decision, asking))
    if decision.effect != "allow" and not decision.errors:
        permit = with_a_permit(bundle) if not decision.policies else None
        found = smallest(asked, candidates(asked, asking), can_allow(engine), permit)
        answer["changes"] = [[change.data() for change in one] for one in found]
    for label, fate in fates.items():
        if fate.mask is not None and asked.to is not None and bundle.knows(label):
            situation = reveal_situation(asked, label, asked.to)
            tries = [
                one
                for one in candidates(asked, [(situation, _policies(bundle, situation, fate))])
                # A label's region is its name, and what is the call's own is not asked about.
                if one.path != "resource.region" and one.path.removeprefix("context.") not in OWN
            ]
            found = smallest(asked, tries, _can_reveal(engine, label))
            answer["reveals"][label]["changes"] = [[change.data() for change in one] for one in found]
    return answer


def answers(engine: Engine, asked: Asked) -> tuple[Decision, dict[str, Reveal]]:
    """The answers to a request: whether it may be done, and for each label whether it may be revealed."""
    why = _refused(asked)
    if why:
        return Decision("deny", reason=why, errors=(why,)), {
            label: Reveal("redact", reason=why) for label in asked.labels
        }
    return judge(engine, asked), reveals(engine, asked)


def _refused(asked: Asked) -> str:
    """Why nothing can be asked with this context; "" if it can."""
    try:
        context_document(asked.whole.items(), (), None)
    except Refused as refused:
        return str(refused)
    return ""


def _can_reveal(engine: Engine, label: str) -> Callable[[Asked], bool]:
    def wish(asked: Asked) -> bool:
        return asked.to is not None and engine.reveal(asked.principal, label, asked.to, asked.shared).mask is None

    return wish


def _answer(asked: Asked, decision: Decision, fates: dict[str, Reveal]) -> dict[str, Any]:
    return {
        "decision": decision.effect,
        "policies": list(decision.policies),
        "masks": {label: fate.mask for label, fate in fates.items() if fate.mask is not None},
        "approvals": list(decision.obligations.approvals),
        "errors": list(decision.errors),
        "reason": decision.reason,
        "request": _request(asked),
        "reveals": {
            label: {"mask": fate.mask, "policies": list(fate.policies), "reason": fate.reason, "changes": []}
            for label, fate in fates.items()
        },
        "considered": [],
        "changes": [],
    }


def _request(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {
        "principal": _who(asked.principal),
        "actions": list(asked.verbs),
        "resources": [_thing(one) for one in asked.resources],
        "context": {name: list(value) if isinstance(value, tuple) else value for name, value in asked.whole.items()},
        "labels": list(asked.labels),
        "opaque": [*asked.opaque, *asked.returns],
    }
    if asked.to is not None:
        found["to"] = asked.to._asdict()
    return found


def as_request(asked: Asked) -> dict[str, Any]:
    """A question as a file for `--request` holds it; with several verbs or resources, the first."""
    found: dict[str, Any] = {
        "principal": _who(asked.principal),
        "action": asked.verbs[0] if asked.verbs else _GOES_BY.get(asked.to.kind if asked.to else "", _ANSWERS)[0],
        "resource": _thing(asked.resources[0])
        if asked.resources
        else {"type": _GOES_BY.get(asked.to.kind if asked.to else "", _ANSWERS)[1], "id": "any"},
        "context": {name: list(value) if isinstance(value, tuple) else value for name, value in asked.whole.items()},
    }
    if asked.labels:
        found |= {"labels": list(asked.labels), "to": (asked.to or Destination("unknown"))._asdict()}
    return found


def _who(one: Principal) -> dict[str, Any]:
    return {
        "type": one.kind,
        "id": one.agent,
        "user": one.user,
        "chain": list(one.chain),
        "assurance": one.assurance,
    }


def _thing(one: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {"type": one.type, "id": one.id, "attrs": dict(one.attrs)}
    if one.parent:
        found["parent"] = {"type": one.parent[0], "id": one.parent[1]}
    return found


def _asking(engine: Engine, asked: Asked, decision: Decision) -> Iterator[Situation]:
    """The questions that the decision is the answer to: the act's, or those about parts that cannot be masked."""
    act = decide(engine, asked.principal, asked.verbs, asked.resources, asked.whole)
    if decision.effect != "deny" or act.effect == "deny":
        yield from situations(asked)
        return
    for labels, to in ((asked.opaque, asked.to), (asked.returns, asked.back)):
        if to is None:
            continue
        for label in labels:
            if engine.reveal(asked.principal, label, to, asked.shared).mask is not None:
                yield reveal_situation(asked, label, to)


def _policies(bundle: Bundle, situation: Situation, answer: Decision | Reveal) -> list[Policy]:
    """The policies that can concern a question: of very many not all are looked into, but those that decided, and permits first."""
    found = [bundle.policies[name] for name in bundle.index.names(*situation.head)]
    found.sort(key=lambda one: (one.id not in answer.policies, one.effect != "permit"))
    return found[:_LOOKED_INTO]


def _considered(
    asked: Asked, decision: Decision, asking: list[tuple[Situation, list[Policy]]]
) -> Iterator[dict[str, Any]]:
    """What decided, and, where no permit applies, the permits that came nearest. A policy once for each verb."""
    seen: set[tuple[str, str]] = set()
    for situation, policies in asking:
        permits = [one for one in policies if one.effect == "permit"]
        applying = {one.id for one in policies if situation.applies(one)}
        deciding = [one for one in policies if one.id in decision.policies and one.id in applying]
        failing = [one for one in policies if situation.applies(one) is None]
        near: list[tuple[int, Policy]] = []
        if decision.effect != "allow" and not any(one.id in applying for one in permits):
            near = [(sum(part.holds is not True for part in situation.parts(one)), one) for one in permits]
            near.sort(key=lambda one: one[0])
        for one in (*deciding, *failing, *(policy for _, policy in near[:_NEAR])):
            if (one.id, situation.verb) not in seen:
                seen.add((one.id, situation.verb))
                yield _policy(asked, situation, one)


def _policy(asked: Asked, situation: Situation, policy: Policy) -> dict[str, Any]:
    return {
        "policy": policy.id,
        "effect": policy.effect,
        "file": policy.file,
        "line": policy.line,
        "reason": policy.annotations.get("reason", ""),
        "severity": policy.annotations.get("severity", ""),
        "action": situation.verb,
        "resource": {"type": situation.what["uid"]["type"], "id": situation.what["uid"]["id"]},
        "applies": situation.applies(policy),
        "conditions": [_condition(asked, situation, part) for part in situation.parts(policy)],
    }


def _condition(asked: Asked, situation: Situation, part: Part) -> dict[str, Any]:
    negated = part.kind == "unless"
    needs = [] if part.holds else list(_needs(asked, situation, part))
    return {"kind": part.kind, "text": text(part.node, negated=negated), "holds": part.holds, "needs": needs}


def _needs(asked: Asked, situation: Situation, part: Part) -> Iterator[dict[str, Any]]:
    """Of each comparison that is not as the condition needs it: what is compared, what it is, and what it would have to be."""
    seen: set[tuple[str, str]] = set()
    for leaf in leaves(part.node, wanted=part.kind == "when"):
        if situation.true(leaf.node) is leaf.wanted:
            continue
        found: dict[str, list[Any]] = {}
        for path, value in settings(leaf.node, lambda path: read(asked, path), lambda _: (), truth=leaf.wanted):
            found.setdefault(path, []).append(value)
        for path, values in found.items():
            now = read(asked, path)
            need: dict[str, Any] = {
                "attribute": path,
                "is": list(now) if isinstance(now, tuple) else now,
                "must": _must(now, values),
            }
            if type(now) is int and type(values[0]) is int:
                need["by"] = abs(values[0] - now)
            if (path, need["must"]) not in seen:
                seen.add((path, need["must"]))
                yield need


def _must(now: Any, values: list[Any]) -> str:
    first = values[0]
    if first is ABSENT:
        return "not be there"
    if isinstance(first, tuple):
        held = set(now) if isinstance(now, tuple) else set()
        joins = sorted({str(one) for value in values for one in value if one not in held})
        gone = sorted({str(one) for one in held for value in values if one not in value})
        return f"hold {' or '.join(map(quoted, joins))}" if joins else f"not hold {' and '.join(map(quoted, gone))}"
    if first == ANOTHER:
        return f"not be {quoted(now)}"
    if type(first) is int and type(now) is int:
        return f"be {first} or {'more' if first > now else 'less'}"
    return f"be {' or '.join(map(quoted, dict.fromkeys(values)))}"


# ---- in words ----


def told(answer: dict[str, Any]) -> list[str]:
    """What `examine` found, in plain words."""
    request = answer["request"]
    who = request["principal"]
    verdict = {"allow": "is allowed", "deny": "is denied", "pause": "waits for approval"}[answer["decision"]]
    things = ", ".join(f'{one["type"]}::"{one["id"]}"' for one in request["resources"])
    lines = [f'{who["type"]}::"{who["id"]}" {", ".join(request["actions"])} on {things} {verdict}.']
    lines += [f"Error: {error}. What cannot be evaluated is denied." for error in answer["errors"]]
    deciding = [one for one in answer["considered"] if one["policy"] in answer["policies"]]
    lines += dict.fromkeys(_line(one) for one in deciding)
    if answer["reason"] and not deciding and not answer["errors"]:
        lines.append(f"{answer['reason'][0].upper()}{answer['reason'][1:]}.")
    if answer["decision"] == "pause":
        lines.append(f"It would be allowed if a human of each of these agrees: {', '.join(answer['approvals'])}.")
    if answer["decision"] == "deny" and not answer["errors"]:
        lines += _denied(answer)
    if answer["decision"] == "deny" and answer["policies"] and not answer["changes"] and not answer["errors"]:
        lines.append(
            f"No small change of the call was found that would allow it: {', '.join(answer['policies'])} would have to say otherwise."
        )
    lines += _options("It would be allowed if", answer["changes"] if answer["decision"] == "deny" else [])
    for label, fate in answer["reveals"].items():
        lines.append(_fate(label, request["to"]["kind"], fate))
        lines += _options(f"{label} would be revealed if", fate["changes"])
    return lines


def _options(begin: str, found: list[list[dict[str, Any]]]) -> list[str]:
    return [
        f"{begin if not n else '  or if'} {' and '.join(one['says'] for one in several)}."
        for n, several in enumerate(found)
    ]


def _fate(label: str, kind: str, fate: dict[str, Any]) -> str:
    by = f" by {', '.join(fate['policies'])}" if fate["policies"] else ""
    because = f" ({fate['reason']})" if fate["reason"] else ""
    becomes = "is revealed" if fate["mask"] is None else f"is masked with {fate['mask']}"
    return f"{label}, on its way to the {kind}, {becomes}{by}{because}."


def _line(one: dict[str, Any]) -> str:
    reason = f": {one['reason']}" if one["reason"] else ""
    severity = f", severity {one['severity']}" if one["severity"] else ""
    return f"Decided by {one['effect']} {one['policy']} ({one['file']}:{one['line']}{severity}){reason}."


def _denied(answer: dict[str, Any]) -> Iterator[str]:
    forbids = [one for one in answer["considered"] if one["effect"] == "forbid" and one["applies"]]
    for one in forbids:
        fired = [part["text"] for part in one["conditions"] if part["holds"]]
        if fired:
            yield f"{one['policy']} would not deny if one of these were otherwise: {'; '.join(fired)}."
        else:
            yield f"{one['policy']} denies every such call: it has no condition that could change."
    permits = [one for one in answer["considered"] if one["effect"] == "permit"]
    request = answer["request"]
    if not permits and not forbids and not answer["policies"]:
        if answer["request"]["opaque"]:
            return  # the reason says what cannot be masked; no permit for it stands anywhere
        actions, kinds = ", ".join(request["actions"]), "/".join(dict.fromkeys(r["type"] for r in request["resources"]))
        yield f"No permit covers {actions} on this {kinds} for this principal: one has to be written."
    for one in permits:
        failed = [part for part in one["conditions"] if part["holds"] is not True]
        if failed:
            yield f"{one['policy']} ({one['file']}:{one['line']}) would permit it if: {'; '.join(part['text'] for part in failed)}."
            for need in (need for part in failed for need in part["needs"]):
                yield f"  {need['attribute']} is {_shown(need['is'])}; it would have to {need['must']}{_by(need)}."


def _shown(value: Any) -> str:
    return "not there" if value is None else quoted(value)


def _by(need: dict[str, Any]) -> str:
    return f" (by {need['by']})" if "by" in need else ""
