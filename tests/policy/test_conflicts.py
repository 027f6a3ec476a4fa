"""Conflicts: of several policies that apply the strictest counts, whatever their number and order. One property each.

Every policy here says by a flag of the context whether it applies, so what has to come out is known without Cedar.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.model import MASKS, Destination, Principal, Resource
from guardai.policy import Bundle, Engine
from guardai.policy.vocabulary import number

BOT = Principal("Agent", "bot", "u")
TABLES = tuple(Resource("Table", f"shop.{name}", ("Database", "shop")) for name in "abc")
MODEL = Destination("model", "p", "us", "listed")
GROUPS = ("dba", "owner", "dpo")
ROWS = st.integers(0, 10**9).map(str)
TIMES = st.tuples(st.integers(1, 999), st.sampled_from("smh")).map(lambda one: f"{one[0]}{one[1]}")
TRIED = settings(max_examples=60, derandomize=True, deadline=None)


class Made(NamedTuple):
    effect: str
    on: bool
    table: str | None
    notes: dict


def made(effect, notes, tables=(None, "a", "b", "c")):
    return st.builds(Made, st.just(effect), st.booleans(), st.sampled_from(tables), notes)


def optional(**values):
    return st.fixed_dictionaries({}, optional=values)


def engine(policies, *, reveal=False, catalog=""):
    cedar = []
    for n, one in enumerate(policies):
        action = 'action == Action::"reveal"' if reveal else 'action == Action::"db.read"'
        resource = f'resource == Table::"shop.{one.table}"' if one.table and not reveal else "resource"
        group = one.notes.get("approval")
        unless = f' unless {{ context.approvals.contains("{group}") }}' if group else ""
        notes = " ".join(f'@{name}("{value}")' for name, value in {"id": f"p{n}", **one.notes}.items())
        cedar.append(f"{notes} {one.effect} (principal, {action}, {resource}) when {{ context.own.p{n} }}{unless};")
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "policies").mkdir()
        (Path(root) / "policies" / "p.cedar").write_text(
            "\n".join(cedar) or '@id("none") permit (principal == Agent::"", action, resource);'
        )
        (Path(root) / "catalog.toml").write_text(catalog)
        return Engine(Bundle.load(Path(root)))


def context(policies, approvals=()):
    return {"approvals": tuple(approvals), **{f"own.p{n}": one.on for n, one in enumerate(policies)}}


def applying(policies, effect, table, approvals=()):
    return {
        f"p{n}": one
        for n, one in enumerate(policies)
        if one.effect == effect and one.on and one.table in (None, table) and one.notes.get("approval") not in approvals
    }


ACTS = st.lists(
    st.one_of(made("permit", st.just({})), made("forbid", optional(approval=st.sampled_from(GROUPS)))), max_size=7
)
ON = st.sets(st.sampled_from("abc"), min_size=1).map(sorted)


@TRIED
@given(ACTS, ON, st.sets(st.sampled_from(GROUPS)))
def test_one_forbid_beats_any_number_of_permits_and_every_table_counts(policies, names, given_):
    tables = tuple(table for table in TABLES if table.id[-1] in names)
    decision = engine(policies).act(BOT, "db.read", tables, context(policies, given_))
    forbids = [applying(policies, "forbid", name, given_) for name in names]
    permits = [applying(policies, "permit", name) for name in names]
    assert not decision.errors
    if any(forbids) or not all(permits):
        assert decision.effect != "allow"
        assert set(decision.policies) == set().union(*forbids)
    else:
        assert decision.effect == "allow"
        assert set(decision.policies) == set().union(*permits)


@TRIED
@given(ACTS, ON, st.sets(st.sampled_from(GROUPS)))
def test_a_call_pauses_only_if_approvals_lift_every_forbid_and_a_permit_is_left(policies, names, given_):
    tables = tuple(table for table in TABLES if table.id[-1] in names)
    answers = engine(policies)
    decision = answers.act(BOT, "db.read", tables, context(policies, given_))
    forbids = [applying(policies, "forbid", name, given_) for name in names]
    denying = {name: one for found in forbids for name, one in found.items()}
    permitted = all(applying(policies, "permit", name) for name in names)
    liftable = bool(denying) and permitted and all("approval" in one.notes for one in denying.values())
    assert (decision.effect == "pause") is liftable
    asked = set(decision.obligations.approvals)
    assert asked == ({one.notes["approval"] for one in denying.values()} if liftable else set())
    if liftable:
        # What it waits for is enough, and nothing less is.
        assert answers.act(BOT, "db.read", tables, context(policies, {*given_, *asked})).effect == "allow"
        for group in asked:
            fewer = {*given_, *asked} - {group}
            assert answers.act(BOT, "db.read", tables, context(policies, fewer)).effect == "pause"


LIMITED = st.lists(
    made(
        "permit",
        optional(
            row_cap=ROWS,
            timeout=TIMES,
            affected_cap=ROWS,
            capture=st.sampled_from(["before", "content"]),
            ledger=st.sampled_from(["signed", "strict"]),
        ),
    ),
    min_size=1,
    max_size=6,
)


@TRIED
@given(LIMITED, ON)
def test_the_smallest_limit_of_all_permits_that_apply_counts(policies, names):
    tables = tuple(table for table in TABLES if table.id[-1] in names)
    decision = engine(policies).act(BOT, "db.read", tables, context(policies))
    permits = [applying(policies, "permit", name) for name in names]
    if not all(permits):
        assert decision.effect == "deny"
        return
    notes = [one.notes for found in permits for one in found.values()]
    owed = decision.obligations
    for name in ("row_cap", "timeout", "affected_cap"):
        said = [number(name, one[name]) for one in notes if name in one]
        assert getattr(owed, name) == (min(said) if said else None)
    kept = {one["capture"] for one in notes if "capture" in one}
    assert ({"before"} if owed.capture else set()) | ({"content"} if owed.content else set()) == kept
    modes = {one["ledger"] for one in notes if "ledger" in one}
    assert owed.ledger == ("strict" if "strict" in modes else "signed" if modes else "")


MASKED = st.lists(
    st.one_of(made("permit", st.just({}), (None,)), made("forbid", optional(mask=st.sampled_from(MASKS)), (None,))),
    max_size=6,
)


@TRIED
@given(MASKED, st.sampled_from(MASKS))
def test_the_strongest_mask_of_all_forbids_that_apply_counts(policies, default):
    answers = engine(policies, reveal=True, catalog=f'[labels]\npii = "{default}"\n')
    reveal = answers.reveal(BOT, "pii.email", MODEL, context(policies))
    forbids, permits = applying(policies, "forbid", None), applying(policies, "permit", None)
    if permits and not forbids:
        assert reveal.mask is None
    else:
        owed = [one.notes.get("mask", default) for one in forbids.values()] or [default]
        assert MASKS.index(reveal.mask) == min(map(MASKS.index, owed))
        assert set(reveal.policies) == set(forbids)


@TRIED
@given(ACTS, st.randoms(use_true_random=False))
def test_the_order_of_policies_changes_nothing(policies, random):
    order = list(range(len(policies)))
    random.shuffle(order)
    shuffled = [policies[n] for n in order]
    one = engine(policies).act(BOT, "db.read", TABLES, context(policies))
    other = engine(shuffled).act(BOT, "db.read", TABLES, context(shuffled))
    assert (one.effect, one.obligations) == (other.effect, other.obligations)
    assert set(one.policies) == {f"p{order[int(name[1:])]}" for name in other.policies}


@TRIED
@given(st.lists(made("forbid", optional(on_denied=st.sampled_from(("raise", "abort")))), max_size=5))
def test_one_forbid_that_aborts_aborts(policies):
    decision = engine(policies).act(BOT, "db.read", TABLES, context(policies))
    applied = [one for table in "abc" for one in applying(policies, "forbid", table).values()]
    assert decision.obligations.abort is any(one.notes.get("on_denied") == "abort" for one in applied)


@TRIED
@given(ACTS, made("forbid", optional(approval=st.sampled_from(GROUPS))), ON)
def test_one_more_forbid_never_allows_more(policies, more, names):
    """Nor does it turn a denial into a pause."""
    strictness = ("allow", "pause", "deny")
    tables = tuple(table for table in TABLES if table.id[-1] in names)
    before = engine(policies).act(BOT, "db.read", tables, context(policies))
    several = [*policies, more]
    after = engine(several).act(BOT, "db.read", tables, context(several))
    permitted = all(applying(policies, "permit", name) for name in names)
    if permitted:
        assert strictness.index(after.effect) >= strictness.index(before.effect)
    else:
        assert before.effect == after.effect == "deny"
