"""The bytes of an event: RFC 8785, whatever the event holds."""

import json
import random
import threading

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.errors import LedgerError
from guardai.ledger import Ledger, events, find, raw, verify
from guardai.ledger.canonical import MAX_EVENT, encode, is_canonical
from guardai.model import VERSION, Event

SAFE = 2**53 - 1
keys = st.text(st.characters(codec="ascii"), max_size=12)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ints = st.integers(-SAFE, SAFE)
plain = st.recursive(
    st.none() | st.booleans() | ints | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def build(**fields):
    given = {"principal": {"agent": "a"}, "kind": "call.intent", **fields}
    return Event(id="i", key="k", log="l", prev="p", seq=1, ts=2, v=VERSION, **given)


@settings(max_examples=400)
@given(
    body=st.dictionaries(keys, plain, max_size=4),
    content=st.dictionaries(keys, plain, max_size=3),
    findings=st.dictionaries(keys, ints, max_size=3),
    lineage=st.lists(st.dictionaries(keys, text, max_size=2), max_size=3),
    action=text,
    dur=st.none() | ints,
)
def test_bytes_are_those_of_rfc_8785(**fields):
    event = build(**fields)
    data = encode(event)
    assert data == rfc8785.dumps(json.loads(data))
    assert json.loads(data)["body"] == fields["body"]


class Chance(random.Random):
    """Random values within the profile; plain generators, because hypothesis takes a millisecond for each."""

    SIGNS = 'abcXYZ019 _.:/"\\\x00\x07\x1f\x7f\n\t\u00e9\u2028\ufeff\ufffd\U0001f600\U0010ffff'

    def word(self):
        return "".join(self.choices(self.SIGNS, k=self.randrange(10)))

    def key(self):
        return "".join(self.choices('abzAZ09_.:"\\\x00\x1f\x7f ', k=self.randrange(5)))

    def number(self):
        return self.choice((-1, 1)) * self.getrandbits(self.randrange(54))

    def value(self, depth=0):
        kind = self.randrange(6 if depth < 3 else 4)
        if kind == 0:
            return self.choice((None, True, False))
        if kind == 1:
            return self.number()
        if kind < 4:
            return self.word()
        if kind == 4:
            return [self.value(depth + 1) for _ in range(self.randrange(4))]
        return self.mapping(depth + 1)

    def mapping(self, depth=0):
        return {self.key(): self.value(depth) for _ in range(self.randrange(4))}


def test_bytes_of_100_000_random_events_are_those_of_rfc_8785():
    chance = Chance(8785)
    for _ in range(100_000):
        body = chance.mapping()
        data = encode(build(body=body, action=chance.word(), findings={chance.key(): chance.number()}))
        read = json.loads(data)
        assert data == rfc8785.dumps(read), body
        assert read["body"] == body
        assert is_canonical(data)


@settings(max_examples=400)
@given(
    body=st.dictionaries(keys, plain, max_size=3),
    at=st.integers(0, 200),
    sign=st.sampled_from([b" ", b"\t", b"\n", b"\r", b"0", b",", b'"', b"\\", b"\xef\xbb\xbf"]),
)
def test_bytes_with_a_sign_too_many_are_not_canonical_or_say_something_else(body, at, sign):
    data = encode(build(body=body))
    at %= len(data) + 1
    other = data[:at] + sign + data[at:]
    if is_canonical(other):
        # rfc8785 takes no number that a digit more made too large.
        plainly = json.dumps(json.loads(other), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert plainly.encode() == other
        assert json.loads(other) != json.loads(data)


@settings(max_examples=400)
@given(
    body=st.dictionaries(st.text(max_size=8), wild, max_size=3),
    usage=st.dictionaries(keys, st.integers() | st.floats()),
)
def test_what_is_outside_the_profile_is_brought_inside(body, usage):
    data = encode(build(body=body, usage=usage))
    read = json.loads(data)
    assert data == rfc8785.dumps(read)
    assert data.isascii() or all(key.isascii() for key in read["body"])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**53, "9007199254740992"),
        (-(2**70), str(-(2**70))),
        ("lone \udce9", "lone \\udce9"),
        ({"k\u00e9y": 1}, {"k\\xe9y": 1}),
        ({1, 2}, [1, 2]),
        ((1, (2, 3)), [1, [2, 3]]),
        (b"ab", "YWI="),
        (type("Label", (str,), {})("pii.email"), "pii.email"),
        (True, True),
        (None, None),
    ],
)
def test_value_outside_the_profile_is_written_as(value, written):
    assert json.loads(encode(build(body={"x": value})))["body"]["x"] == written


def test_integers_at_the_edge_stay_numbers():
    assert json.loads(encode(build(body={"x": SAFE, "y": -SAFE})))["body"] == {"x": SAFE, "y": -SAFE}


@pytest.mark.parametrize("field", ["action", "call", "kind", "session", "status", "parent"])
def test_lone_surrogates_in_any_text_field_are_escaped(field):
    data = encode(build(**{field: "a\ud800b"}))
    assert json.loads(data)[field] == "a\\ud800b"


@pytest.mark.parametrize("value", [object(), lambda: 0, threading.Lock(), {1: 2}, iter(())])
def test_value_without_a_form_is_refused_and_not_quoted(value):
    with pytest.raises(LedgerError, match="cannot be written as JSON") as caught:
        encode(build(body={"x": value}))
    assert "object at" not in str(caught.value)


def test_endless_nesting_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LedgerError):
        encode(build(body={"x": deep}))


@pytest.mark.parametrize(
    "smuggled",
    [b'{},"status":"ok"', b"", b"nonsense", b'{"a":1', b'{"a":1}{"b":2}', b"\xff"],
)
def test_encoded_part_that_is_no_json_is_refused(smuggled):
    with pytest.raises(LedgerError):
        encode(build(decision=msgspec.Raw(smuggled)))


@pytest.mark.parametrize(
    ("given", "written"),
    [(b'{"b":1, "a":2}', b'{"a":2,"b":1}'), (b'{"a":1.50}', b'{"a":"1.5"}'), (b'{"a":"\\u0041"}', b'{"a":"A"}')],
)
def test_encoded_part_that_is_not_canonical_is_made_so(given, written):
    data = encode(build(decision=msgspec.Raw(given)))
    assert b'"decision":' + written in data


def test_encoded_part_is_used_as_it_is():
    part = raw({"b": 1, "a": [1, 2, {"c": "é"}]})
    assert bytes(part) == '{"a":[1,2,{"c":"é"}],"b":1}'.encode()
    assert b'"decision":' + bytes(part) in encode(build(decision=part))


def test_event_that_is_too_large_is_refused_and_names_the_field(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    edges = [{"from": f"{n:016x}-1", "evidence": "possible"} for n in range(2000)]
    with pytest.raises(LedgerError, match="lineage"):
        ledger.append(event(lineage=edges))
    ledger.append(event())
    ledger.close()
    assert verify(home).verdict == 0


def test_outcome_that_is_too_large_is_recorded_in_short(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    name = ledger.append(event("call.outcome", body={"x": "y" * (MAX_EVENT + 1)}, status="ok"), outcome=True)
    found = json.loads(find(home, name))
    assert (found["kind"], found["status"], found["call"]) == ("call.outcome", "ok", "c-1")
    assert found["body"]["reduced"] == ["body"]


def test_outcome_that_cannot_be_written_is_recorded_in_short(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    name = ledger.append(event("call.outcome", body={"x": object()}, usage={"tokens": object()}), outcome=True)
    assert json.loads(find(home, name))["body"]["reduced"] == ["body", "usage"]
    name = ledger.append(event("call.outcome", principal=object()), outcome=True)
    assert json.loads(find(home, name))["principal"]["kind"] == ""
    ledger.close()
    assert verify(home).verdict == 0


def test_refused_intent_leaves_no_trace(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    with pytest.raises(LedgerError):
        ledger.append(event(body={"x": object()}))
    ledger.append(event())
    ledger.close()
    assert len(list(events(home))) == 3


@settings(max_examples=30)
@given(body=st.dictionaries(st.text(max_size=8), wild, max_size=3))
def test_whatever_was_recorded_is_whole(tmp_path_factory, body):
    home = tmp_path_factory.mktemp("any")
    ledger = Ledger.open(home)
    event = build(body=body)
    name = ledger.append(event)
    assert json.loads(find(home, name))["kind"] == "call.intent"
    ledger.close()
    assert verify(home).verdict == 0
