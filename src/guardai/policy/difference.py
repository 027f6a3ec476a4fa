"""What one bundle answers otherwise than another, found by asking both; each difference with the smallest request that shows it.

INVARIANT: nothing is told that both engines have not just answered so, and no request is given that `guardai policy explain
--request` answers otherwise. That nothing is told proves nothing: requests are a sample, made from the policies that differ
(see `probes`) or given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final, Literal, NamedTuple

from guardai.model import MASKS, REVEAL, Decision, Destination, Principal, Reveal
from guardai.policy.asked import Asked, judge
from guardai.policy.bundle import Bundle
from guardai.policy.change import put
from guardai.policy.engine import Engine
from guardai.policy.explain import answers, as_request
from guardai.policy.probes import blank, literals, probes
from guardai.policy.question import Refused, label_entity, principal_entity, resource_entity, uids
from guardai.policy.request import Request

__all__ = ["Difference", "Found", "Said", "answer", "between", "made_up"]

#: Requests that are made up at most: some seconds.
_MADE_UP: Final = 40_000
_EVERY: Final = 200
#: Policies that Cedar looks at on behalf of requests that are made up: some ten seconds.
_QUESTIONS: Final = 3_000_000
#: Of what a difference concerns, so much is named.
_NAMED: Final = 40
_FAILED: Final = "policy could not be evaluated"
_EFFECTS: Final = ("allow", "pause", "deny")

Which = Literal["more", "less", "other"]
#: A request as A's catalog sees it, as B's does, and the event that recorded it, or "".
Try = tuple[Asked, Asked, str]


class Said(NamedTuple):
    """What one bundle answers.

    Attributes:
        effect: `allow`, `pause`, `deny`; of a label `revealed` or its mask.
        policies: that decided.
        owed: approvals and limits, `approvals`, `row_cap`, ….
        failed: a policy could not be evaluated, which denies.
    """

    effect: str
    policies: tuple[str, ...]
    owed: tuple[tuple[str, Any], ...] = ()
    failed: bool = False


class Difference(NamedTuple):
    """One kind of request that is answered otherwise.

    Attributes:
        which: B permits `more`, `less`, or it is the same permission under `other` conditions.
        what: what it concerns, each tried: `db.read on Table`, or of a reveal `pii.email to model`.
        a, b: what each answers.
        asked: the smallest request that was found to show it; as B's catalog sees it, if it was recorded.
        request: the same as a file for `guardai policy explain --request`; None if none shows it, which only the `event` does:
            it had several verbs, say.
        event: a recorded call that shows it; "" if it is made up.
        times: how many of the requests that were tried.
    """

    which: Which
    what: tuple[str, ...]
    a: Said
    b: Said
    asked: Asked
    request: dict[str, Any] | None
    event: str
    times: int

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "which": self.which,
            "what": list(self.what),
            "a": _said(self.a),
            "b": _said(self.b),
            "request": self.request,
            "event": self.event or None,
            "times": self.times,
        }


def _said(said: Said) -> dict[str, Any]:
    return {"effect": said.effect, "policies": list(said.policies), "failed": said.failed, **dict(said.owed)}


def answer(engine: Engine, asked: Asked) -> Said:
    """What a bundle says to one question: an act, or without a verb the reveal of one label."""
    if not asked.verbs:
        to = asked.to or Destination("unknown")
        return _of_label(engine.reveal(asked.principal, asked.labels[0], to, asked.shared))
    return _of_act(judge(engine, asked))


def _of_label(reveal: Reveal) -> Said:
    return Said(reveal.mask or "revealed", reveal.policies, failed=reveal.reason.startswith(_FAILED))


def _of_act(decision: Decision) -> Said:
    obligations = decision.obligations
    owed = {
        name: value
        for name in ("approvals", "row_cap", "timeout", "affected_cap", "capture", "content", "ledger", "abort")
        if (value := getattr(obligations, name)) is not None and value is not False and value not in ((), "")
    }
    return Said(decision.effect, decision.policies, tuple(owed.items()), bool(decision.errors))


def _explained(engine: Engine, asked: Asked) -> Said | None:
    """What `explain` says to the question as a file holds it; None if no file can."""
    try:
        request = Request.read(as_request(asked))
    except ValueError:
        return None
    if request.unknown(engine.bundle.types):
        return None
    decision, fates = answers(engine, request.asked())
    return _of_act(decision) if asked.verbs else _of_label(fates[asked.labels[0]])


def made_up(a: Bundle, b: Bundle) -> Iterator[Asked]:
    """Requests made up from what differs between two bundles; none if nothing does."""
    ours, theirs = ({policy.json for policy in one.policies.values()} for one in (a, b))
    about = [one for one in a.policies.values() if one.json not in theirs]
    about += [one for one in b.policies.values() if one.json not in ours]
    every = [*a.policies.values(), *(one for one in b.policies.values() if one.json not in ours)]
    known = sorted(a.labels | b.labels | set(literals(every)))
    masked = [
        label for label in known if a.catalog.mask(label) != b.catalog.mask(label) or a.knows(label) != b.knows(label)
    ]
    # A catalog can give a mask to a whole group, of which then one label stands here.
    masked += [
        name for name in ("pii.email", "secret.any", "origin.eu") if a.catalog.mask(name) != b.catalog.mask(name)
    ]
    return chain(_reveals(masked), islice(probes(about, every, known, _MADE_UP), _MADE_UP) if about else ())


def _reveals(labels: list[str]) -> Iterator[Asked]:
    for label in labels:
        base = blank(REVEAL, Principal("Agent", "an-agent", "a-user"), label)
        for kind in ("model", "tool", "host", "database", "index", "process", "person", "vault"):
            for trust in ("internal", "listed", "unlisted"):
                yield base._replace(to=Destination(kind, "", "unknown", trust))


class Found(NamedTuple):
    """What was found.

    Attributes:
        differences: one for each kind.
        tried: how many different requests.
        whole: all that were made up were tried; of very many policies only so many questions are asked.
    """

    differences: list[Difference]
    tried: int
    whole: bool


def between(
    a: Bundle, b: Bundle, recorded: Iterable[Try] = (), progress: Callable[[int], None] = lambda _: None
) -> Found:
    """The differences that recorded requests show, and requests that are made up from both bundles' conditions.

    Args:
        a: the one bundle.
        b: the other.
        recorded: requests that are tried first, all of them.
        progress: told now and then how many requests have been tried.
    """
    one, other = Engine(a), Engine(b)
    found: dict[tuple[Any, ...], Difference] = {}
    seen: set[int] = set()
    left = _QUESTIONS
    whole = True
    for for_a, for_b, event in chain(recorded, ((one, one, "") for one in made_up(a, b))):
        key = hash((_key(for_a), _key(for_b)))
        if key in seen:
            continue
        if not event:
            left -= _cost(a, for_a) + _cost(b, for_b)
            if left < 0:
                whole = False
                break
        seen.add(key)
        if len(seen) % _EVERY == 0:
            progress(len(seen))
        try:
            says_a, says_b = answer(one, for_a), answer(other, for_b)
        except Refused:
            continue
        if _same(says_a, says_b):
            continue
        kind = (bool(for_b.verbs), says_a, says_b, bool(event))
        known = found.get(kind)
        if known is not None:
            what = _what(for_b)
            more = (*known.what, what) if what not in known.what and len(known.what) < _NAMED else known.what
            found[kind] = known._replace(what=more, times=known.times + 1)
            continue
        shown = for_b if event else _smallest(one, other, for_b, (says_a, says_b))
        request: dict[str, Any] | None = as_request(shown)
        if (_explained(one, shown), _explained(other, shown)) != (says_a, says_b):
            if not event:
                continue  # nobody can make this request; another of its kind, perhaps
            request = None
        found[kind] = Difference(_which(says_a, says_b), (_what(for_b),), says_a, says_b, shown, request, event, 1)
    order = ("more", "less", "other")
    ordered = sorted(found.values(), key=lambda one: (order.index(one.which), not one.asked.verbs, -one.times))
    return Found(ordered, len(seen), whole)


def _cost(bundle: Bundle, asked: Asked) -> int:
    """How many policies Cedar looks at, roughly; besides them a question costs as much as some thirty."""
    who = uids(principal_entity(asked.principal))
    if not asked.verbs:
        return 30 + len(bundle.index.names(REVEAL, who, uids(label_entity(asked.labels[0]))))
    return sum(
        30 + len(bundle.index.names(verb, who, uids(resource_entity(one))))
        for verb in asked.verbs
        for one in asked.resources
    )


def _what(asked: Asked) -> str:
    if asked.verbs:
        return f"{', '.join(asked.verbs)} on {asked.resources[0].type}"
    return f"{asked.labels[0]} to {asked.to.kind if asked.to else 'unknown'}"


def _key(asked: Asked) -> tuple[Any, ...]:
    context = asked.whole if asked.verbs else asked.shared
    return (
        asked.principal, asked.verbs, asked.resources, tuple(sorted((n, _hashable(v)) for n, v in context.items())),
        asked.labels if not asked.verbs else (), asked.to, asked.opaque, asked.returns, asked.back,
    )  # fmt: skip


def _hashable(value: Any) -> tuple[str, Any]:
    # True and 1 are one key otherwise, and two questions; and only values of one type can be sorted.
    return type(value).__name__, str(value)


def _same(a: Said, b: Said) -> bool:
    return a.effect == b.effect and a.owed == b.owed


def _which(a: Said, b: Said) -> Which:
    before, after = _rank(a.effect), _rank(b.effect)
    return "more" if after < before else "less" if after > before else "other"


def _rank(effect: str) -> int:
    """0 is the most that can be permitted."""
    if effect in _EFFECTS:
        return _EFFECTS.index(effect)
    return 0 if effect == "revealed" else len(MASKS) - MASKS.index(effect)


def _smallest(one: Engine, other: Engine, asked: Asked, says: tuple[Said, Said]) -> Asked:
    """The request without what makes no difference to either answer: left out where it can be, plain where it cannot."""

    def still(tried: Asked) -> bool:
        try:
            return all((say(one, tried), say(other, tried)) == says for say in (answer, _explained))
        except Refused:
            return False

    for name in list(asked.context):
        less = asked._replace(context={key: value for key, value in asked.context.items() if key != name})
        if still(less):
            asked = less
    verb = asked.verbs[0] if asked.verbs else REVEAL
    plain = blank(verb, asked.principal, asked.resources[0] if asked.verbs else asked.labels[0])
    for name in list(asked.context):
        if name in plain.context and still(simpler := put(asked, f"context.{name}", plain.context[name])):
            asked = simpler
    for simple in ({"chain": (), "assurance": "asserted"}, {"user": ""}, {"agent": "an-agent"}):
        tried = asked._replace(principal=asked.principal._replace(**simple))
        if still(tried):
            asked = tried
    return asked
