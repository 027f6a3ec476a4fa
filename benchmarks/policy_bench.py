"""A question to the policy, memoised and fresh, at 100 and at 10,000 policies on one action and type; loading them."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cedarpy

from benchmarks.measure import Measure, Row
from guardai.model import Destination, Principal, Resource
from guardai.policy import Bundle, Counters, Engine, Tally, stored_index
from guardai.policy.ask import ask as _ask

TITLE = "Policy"

PRINCIPAL = Principal("Agent", "report-bot", "u-1042")
CONTEXT = {
    "environment": "prod",
    "region": "eu",
    "mode": "enforce",
    "session.id": "s-1",
    "session.purpose": "report",
    "session.audience": "process",
    "session.implicit": False,
    "session.labels": ("pii.email",),
    "sql.dialect": "postgres",
    "sql.statements": 1,
    "sql.unbounded": False,
    "sql.effects": ("read",),
    "sql.tables_read": ("customers",),
    "sql.tables_written": (),
    "sql.functions": (),
    "sql.reason": "",
    "approvals": (),
    "grants": (),
    "labels": (),
    "opaque": (),
}


def policies(count: int) -> str:
    """Four permits to one forbid, all on one action and one type: the worst case for a set that is not sliced."""
    lines = [
        '@id("base") permit (principal is Agent, action in Action::"db", resource) when { context.environment == "prod" };',
        '@id("pii") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
        "unless { context.to.region == context.region };",
        '@id("open") permit (principal, action == Action::"reveal", resource);',
    ]
    for number in range(count - len(lines)):
        effect = "forbid" if number % 5 == 0 else "permit"
        condition = (
            'context.environment == "dev" && context.sql.unbounded' if effect == "forbid" else "!context.sql.unbounded"
        )
        lines.append(
            f'@id("p{number}") {effect} (principal is Agent, action == Action::"db.read", '
            f'resource == Table::"shop.t{number}") when {{ {condition} }};'
        )
    return "\n".join(lines)


def rows(measure: Measure) -> Iterator[Row]:
    for count in (100,) if measure.smoke else (100, 10_000):
        yield from _at(measure, count)
    yield from _limited(measure)
    yield from _loading(measure, 100 if measure.smoke else 10_000)


def _limited(measure: Measure) -> Iterator[Row]:
    """A call that a limit of calls a minute is asked about: never remembered, so always fresh."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policies").mkdir()
        limit = '@id("l") forbid (principal, action, resource) when { context.count.calls.minute > 1000000 };'
        (Path(folder) / "policies" / "bench.cedar").write_text(f"{policies(100)}\n{limit}")
        engine = Engine(Bundle.load(Path(folder)))
    counters, counted = Counters(), engine.bundle.counted
    assert counted is not None
    what = (Resource("Table", "shop.t1", ("Database", "shop"), (("environment", "prod"), ("region", "eu"))),)

    def call() -> None:
        tally = Tally(counters, counted, PRINCIPAL, "s-1")
        tally.act(("db.read",), what)
        engine.act(PRINCIPAL, "db.read", what, CONTEXT, tally)
        tally.keep()

    yield measure.alone("act, limited by calls a minute, counted, 100 policies", call, limit=40, rounds=5_000)


def _loading(measure: Measure, count: int) -> Iterator[Row]:
    at = f"{count:,} policies"
    with tempfile.TemporaryDirectory() as folder:
        root, index = Path(folder) / "policy", Path(folder) / "index"
        (root / "policies").mkdir(parents=True)
        (root / "policies" / "bench.cedar").write_text(policies(count))
        index.write_bytes(stored_index(root))
        data = index.read_bytes()
        yield measure.alone(f"load {at} from a folder", lambda: Bundle.load(root), limit=2_000, rounds=3, unit="ms")
        indexed = f"load {at} with the index of a signed bundle"
        yield measure.alone(indexed, lambda: Bundle.load(root, index=data), limit=2_000, rounds=9, unit="ms")
        code = (
            f"from pathlib import Path\nfrom guardai.policy import Bundle, Engine\nroot = Path({str(root)!r})\n"
            "engine = Engine(Bundle.load(root{}))"
        )
        yield measure.memory(f"memory of guardai.policy and {at}", code.format(""), limit=60)
        given = f", index=Path({str(index)!r}).read_bytes()"
        yield measure.memory("the same with the index", code.format(given), limit=60)


def _at(measure: Measure, count: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policies").mkdir()
        (Path(folder) / "policies" / "bench.cedar").write_text(policies(count))
        bundle = Bundle.load(Path(folder))
    engine = Engine(bundle)

    def table(number: int) -> tuple[Resource, ...]:
        name = number % (count - 3)
        return (Resource("Table", f"shop.t{name}", ("Database", "shop"), (("environment", "prod"), ("region", "eu"))),)

    def one_after_another(ask: Callable[[int], object]) -> Callable[[], object]:
        numbers = itertools.count()
        return lambda: ask(next(numbers))

    same, to = table(1), Destination("model", "openai", "us", "listed")
    # Few policies make few tables, and forty rounds measure the noise: others ask about the same ones.
    tables = count - 4
    fresh = measure.rounds(3_000)
    others = [Principal("Agent", f"other-bot-{number}", "u-7") for number in range(fresh // tables + 2)]
    for number in range(min(fresh + 50, count - 3)):
        engine.act(PRINCIPAL, "db.read", table(number), CONTEXT)  # the policies are parsed, the questions are not asked
    for other in others:
        engine.act(other, "db.read", table(0), CONTEXT)  # who they are is known, what they will ask is not
    at = f"{count:,} policies"
    for what, ask, limit, rounds in (
        (f"act, memoised, {at}", lambda _: engine.act(PRINCIPAL, "db.read", same, CONTEXT), 2, 20_000),
        (f"reveal, memoised, {at}", lambda _: engine.reveal(PRINCIPAL, "pii.email", to, CONTEXT), 2, 20_000),
        (
            f"act, fresh, {at}",
            lambda n: engine.act(others[n // tables], "db.read", table(1 + n % tables), CONTEXT),
            40,
            fresh,
        ),
        (f"reveal, fresh, {at}", lambda n: engine.reveal(PRINCIPAL, f"dataset.d{n}", to, CONTEXT), 40, fresh),
    ):
        yield measure.alone(what, one_after_another(ask), limit=limit, rounds=rounds)
    whole = cedarpy.PolicySet.from_str(policies(count))
    plan = engine._plans.get((PRINCIPAL, "db.read", same))
    assert plan is not None
    question = plan.questions[0]._replace(policies=whole)
    document = json.dumps({"environment": "prod", "sql": {"unbounded": False}, "approvals": []})
    yield measure.alone(f"bare cedarpy, {at}, parsed", lambda: _ask(question, document), limit=None, rounds=50)
