"""A question to the policy, memoised and fresh, at 100 and at 10,000 policies. Run: `python benchmarks/policy_bench.py [--smoke]`.

Prints a table, or with --json the figures: microseconds of one question (median, mean, p99), of loading, and megabytes.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cedarpy

from guardai.model import Destination, Principal, Resource
from guardai.policy import Bundle, Engine
from guardai.policy.engine import ask

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


def timed(work, rounds: int) -> dict[str, float]:
    gc.collect()
    gc.disable()
    spent = []
    clock = time.perf_counter_ns
    for number in range(rounds):
        begin = clock()
        work(number)
        spent.append(clock() - begin)
    gc.enable()
    spent.sort()
    return {
        "median": round(statistics.median(spent) / 1000, 2),
        "mean": round(statistics.fmean(spent) / 1000, 2),
        "p99": round(spent[int(len(spent) * 0.99)] / 1000, 2),
    }


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policies").mkdir()
        (Path(folder) / "policies" / "bench.cedar").write_text(policies(count))
        before = megabytes()
        begin = time.perf_counter()
        bundle = Bundle.load(Path(folder))
        load = time.perf_counter() - begin
        memory = megabytes() - before
    engine = Engine(bundle)

    def table(number: int) -> tuple[Resource, ...]:
        name = number % (count - 3)
        return (Resource("Table", f"shop.t{name}", ("Database", "shop"), (("environment", "prod"), ("region", "eu"))),)

    same = table(1)
    to = Destination("model", "openai", "us", "listed")
    result: dict[str, object] = {"policies": count, "load_s": round(load, 3), "memory_mb": round(memory, 1)}
    engine.act(PRINCIPAL, "db.read", same, CONTEXT)
    result["act, memoised"] = timed(lambda _: engine.act(PRINCIPAL, "db.read", same, CONTEXT), rounds)
    result["act, memoised, resource built anew"] = timed(
        lambda _: engine.act(PRINCIPAL, "db.read", table(1), CONTEXT), rounds
    )
    engine.reveal(PRINCIPAL, "pii.email", to, CONTEXT)
    result["reveal, memoised"] = timed(lambda _: engine.reveal(PRINCIPAL, "pii.email", to, CONTEXT), rounds)
    contexts = [{**CONTEXT, "environment": f"e{number}"} for number in range(min(rounds, 900))]
    result["act, context new"] = timed(
        lambda number: engine.act(PRINCIPAL, "db.read", same, contexts[number]), len(contexts)
    )
    # Every table once, its policies parsed for the first time; then by another agent: a new question to known policies.
    tables = [table(number) for number in range(min(count - 3, 3_500))]
    result["act, first question about a table"] = timed(
        lambda number: engine.act(PRINCIPAL, "db.read", tables[number], CONTEXT), len(tables)
    )
    other = Principal("Agent", "other-bot", "u-7")
    result["act, fresh"] = timed(lambda number: engine.act(other, "db.read", tables[number], CONTEXT), len(tables))
    labels = [f"dataset.d{number}" for number in range(min(rounds, 2_000))]
    result["reveal, fresh"] = timed(lambda number: engine.reveal(PRINCIPAL, labels[number], to, CONTEXT), len(labels))
    others = [Principal("Agent", f"bot-{number}", "u") for number in range(min(rounds, 2_000))]
    result["reveal, agent never seen before"] = timed(
        lambda number: engine.reveal(others[number], "pii.email", to, CONTEXT), len(others)
    )
    whole = cedarpy.PolicySet.from_str(policies(count))
    plan = engine._plans.get((PRINCIPAL, "db.read", same))
    assert plan is not None
    question = plan.questions[0]._replace(policies=whole)
    document = json.dumps({"environment": "prod", "sql": {"unbounded": False}, "approvals": []})
    result["bare cedarpy, whole set"] = timed(lambda _: ask(question, document), min(rounds, 50))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="few rounds: does it run at all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes, rounds = ((100,), 200) if arguments.smoke else ((100, 10_000), 20_000)
    results = [measure(count, rounds) for count in sizes]
    if arguments.json:
        json.dump(results, sys.stdout, indent=2)
        return
    for result in results:
        print(f"{result['policies']} policies: loaded in {result['load_s']} s, {result['memory_mb']} MB")
        for name, figures in result.items():
            if isinstance(figures, dict):
                print(f"  {name:38} {figures['median']:>10} µs   mean {figures['mean']:>10}   p99 {figures['p99']:>10}")


if __name__ == "__main__":
    main()
