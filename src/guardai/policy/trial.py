"""The tests of a policy folder, run: each request is answered as the gate would, and compared with what is expected."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from guardai.model import Decision, Reveal
from guardai.policy.bundle import Bundle
from guardai.policy.cases import Case, Expected, Run
from guardai.policy.engine import Engine
from guardai.policy.explain import answers
from guardai.policy.source import Policy
from guardai.policy.vocabulary import ON_PERMITS

__all__ = ["Coverage", "Result", "coverage", "tried"]


class Result(NamedTuple):
    """What became of one request of a case.

    Attributes:
        case, run: which.
        failures: what is not as expected, each a sentence; empty if all is.
        decided: the policies that determined an answer, of the act or of a reveal.
        seconds: how long it took.
    """

    case: Case
    run: Run
    failures: tuple[str, ...]
    decided: frozenset[str]
    seconds: float

    @property
    def name(self) -> str:
        """The case's name, with the variant in brackets."""
        return f"{self.case.name} [{self.run.variant}]" if self.run.variant else self.case.name


class Coverage(NamedTuple):
    """Which policies decided something, and which never did."""

    decided: frozenset[str]
    never: tuple[Policy, ...]

    @property
    def percent(self) -> float:
        """100 if every policy decided something."""
        return 100 * len(self.decided) / (len(self.decided) + len(self.never))


def tried(bundle: Bundle, cases: Iterable[Case]) -> Iterator[Result]:
    """Runs cases, in their order.

    Args:
        bundle: whose policies.
        cases: as `cases.read` returned them.
    """
    engine = Engine(bundle)
    for case in cases:
        named = (case.expected.policies or frozenset()) | (case.expected.masked_by or frozenset())
        unknown = sorted(named - bundle.policies.keys())
        for run in case.runs:
            begin = time.perf_counter()
            if wrong := run.request.unknown(bundle.types):
                yield Result(case, run, (wrong,), frozenset(), 0.0)
                continue
            decision, reveals = answers(engine, run.request.asked())
            failures = [f"no policy has the id {name!r}" for name in unknown]
            failures += _differences(case.expected, decision, reveals)
            decided = {*decision.policies, *(name for reveal in reveals.values() for name in reveal.policies)}
            yield Result(case, run, tuple(failures), frozenset(decided), time.perf_counter() - begin)


def coverage(bundle: Bundle, results: Iterable[Result]) -> Coverage:
    """Which of the bundle's policies decided something in any of these results."""
    decided = frozenset().union(*(result.decided for result in results))
    return Coverage(decided, tuple(policy for name, policy in bundle.policies.items() if name not in decided))


def _differences(expected: Expected, decision: Decision, reveals: dict[str, Reveal]) -> Iterator[str]:
    for error in decision.errors:
        yield f"a policy failed: {error}"
    if expected.decision not in (None, decision.effect):
        by = f" by {', '.join(decision.policies)}" if decision.policies else ""
        because = f": {decision.reason}" if decision.reason else ""
        yield f"expected {expected.decision}, got {decision.effect}{by}{because}"
    if expected.policies not in (None, frozenset(decision.policies)):
        yield f"expected to be determined by {_names(expected.policies)}, was by {_names(decision.policies)}"
    approvals = frozenset(decision.obligations.approvals)
    if expected.approvals not in (None, approvals):
        yield f"expected approvals of {_names(expected.approvals)}, got {_names(approvals)}"
    obligations = decision.obligations
    said: dict[str, int | tuple[str, ...] | None] = {name: getattr(obligations, name) for name in ON_PERMITS}
    said["capture"] = ("before",) * obligations.capture + ("content",) * obligations.content
    said["ledger"] = (obligations.ledger,) * bool(obligations.ledger)
    # A limit of 0 is one: only None and () are none.
    owed = {name: value for name, value in said.items() if value is not None and value != ()}
    if expected.limits not in (None, owed):
        yield f"expected limits {_limits(expected.limits)}, got {_limits(owed)}"
    if expected.masks is not None:
        for label, reveal in reveals.items():
            wanted = expected.masks.get(label)
            if reveal.mask != wanted:
                by = f" by {', '.join(reveal.policies)}" if reveal.policies else ""
                yield f"{label}: expected {_fate(wanted)}, is {_fate(reveal.mask)}{by}"
    masking = frozenset(name for reveal in reveals.values() if reveal.mask for name in reveal.policies)
    if expected.masked_by not in (None, masking):
        yield f"expected to be masked by {_names(expected.masked_by)}, is by {_names(masking)}"


def _fate(mask: str | None) -> str:
    return f"masked with {mask}" if mask else "revealed"


def _limits(limits: Mapping[str, int | tuple[str, ...]] | None) -> str:
    told = {name: " and ".join(value) if isinstance(value, tuple) else value for name, value in (limits or {}).items()}
    return ", ".join(f"{name} {value}" for name, value in sorted(told.items())) or "none"


def _names(names: Iterable[str] | None) -> str:
    return ", ".join(sorted(names or ())) or "none"
