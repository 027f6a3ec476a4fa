"""The quick look at an event's spelling answers as the careful one does, whatever it is shown."""

import json
import random

import msgspec
import pytest

from guardai.ledger import spelling
from guardai.ledger.canonical import encode, is_canonical
from guardai.ledger.reading import decode_link
from guardai.ledger.spelling import SpellingError, read_canonical
from guardai.model import VERSION, Event

PRINCIPAL = {"agent": "report-bot", "chain": [], "kind": "Agent", "user": "ü-1042"}


def written(**fields):
    given = {
        "id": "0123456789abcdef-1",
        "key": "k",
        "kind": "call.intent",
        "log": "0123456789abcdef",
        "prev": "ab" * 32,
    }
    return encode(
        Event(**{**given, "principal": PRINCIPAL, "seq": 1, "ts": 1_700_000_000_000_000, "v": VERSION, **fields})
    )


def carefully(data):
    """What is read, and whether it is canonical; None if it is no event."""
    try:
        link = decode_link(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.structs.astuple(link), is_canonical(data)


def quickly(data):
    try:
        link = read_canonical(data)
    except SpellingError:
        return msgspec.structs.astuple(decode_link(data)), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return (link.id, link.kind, link.log, link.prev, link.seq, link.ts, link.v), True


FULL = {
    "action": "db.read",
    "body": {"a": [1, {"b": None}], "z": "x\\y\u2028"},
    "call": "c-1",
    "content": {"in": {"bytes": 812, "commit": "ab" * 16}},
    "decision": {"effect": "allow", "masks": {"pii.email": "token"}, "policies": ["reads", "more"]},
    "dur": 17,
    "findings": {"pii.email": 3, "pii.phone": 1},
    "lineage": [{"evidence": "possible", "from": "0123456789abcdef-0"}],
    "model": {"provider": "openai", "requested": "gpt"},
    "resource": [{"columns": ["name", "email"], "uri": "sqlite:///shop.db#customers"}],
    "status": "ok",
    "trace": {"span_id": "1", "trace_id": "2"},
    "usage": {"in": 1, "out": 2},
}
EVENTS = {
    "bare": written(),
    "full": written(**FULL),
    "long": written(body={"text": "x" * 3000}),
}

#: Second spellings, in a field of which the bytes are kept, in others, and around them.
OTHERS = {
    "space in a kept field": lambda data: data.replace(b'"agent":', b'"agent": '),
    "order in a kept field": lambda data: data.replace(b'"chain":[],"kind":"Agent"', b'"kind":"Agent","chain":[]'),
    "twice in a kept field": lambda data: data.replace(b'"kind":"Agent"', b'"kind":"Agent","kind":"Agent"'),
    "escape in a kept field": lambda data: data.replace("ü".encode(), b"\\u00fc"),
    "number in a kept field": lambda data: data.replace(b'"chain":[]', b'"chain":[1e2]'),
    "minus nothing": lambda data: data.replace(b'"chain":[]', b'"chain":[-0]'),
    "broken text in a kept field": lambda data: data.replace("ü".encode(), b"\xff"),
    "half a pair": lambda data: data.replace("ü".encode(), b"\\ud800"),
    "a kept field twice": lambda data: data.replace(b'"principal":', b'"principal":{},"principal":'),
    "space around a kept field": lambda data: data.replace(b'"principal":', b'"principal": '),
    "space behind a kept field": lambda data: data.replace(b',"seq"', b' ,"seq"'),
    "space": lambda data: data.replace(b'"seq":', b'"seq" :'),
    "space at the end": lambda data: data + b" ",
    "newline before": lambda data: b"\n" + data,
    "escape": lambda data: data.replace(b"call.intent", b"call.\\u0069ntent"),
    "escaped key": lambda data: data.replace(b'"seq":', b'"s\\u0065q":'),
    "float": lambda data: data.replace(b'"seq":1', b'"seq":1.0'),
    "exponent": lambda data: data.replace(b'"seq":1', b'"seq":1e0'),
    "plus": lambda data: data.replace(b'"seq":1', b'"seq":+1'),
    "zero before": lambda data: data.replace(b'"seq":1', b'"seq":01'),
    "twice": lambda data: data.replace(b'"seq":1', b'"seq":2,"seq":1'),
    "order": lambda data: data.replace(b'"v":1}', b'"a":1,"v":1}'),
    "default written": lambda data: data.replace(b'"seq":1', b'"scene":"","seq":1'),
    "nothing written": lambda data: data.replace(b'"seq":1', b'"resource":null,"seq":1'),
    "unknown at its place": lambda data: data.replace(b'"v":1}', b'"v":1,"w":{"b":1}}'),
    "unknown, spelt otherwise": lambda data: data.replace(b'"v":1}', b'"v":1,"w":{"b": 1}}'),
    "unknown, nested deep": lambda data: data.replace(b'"v":1}', b'"v":1,"w":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "kept, nested deep": lambda data: data.replace(b'"chain":[]', b'"chain":' + b"[" * 5000 + b"]" * 5000),
    "without a field that all have": lambda data: data.replace(b'"key":"k",', b""),
    "another type": lambda data: data.replace(b'"key":"k"', b'"key":7'),
    "no event": lambda data: data.replace(b'"prev"', b'"perv"'),
    "a list": lambda data: b"[" + data + b"]",
    "cut": lambda data: data[:-1],
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("which", EVENTS)
@pytest.mark.parametrize("remembered", [False, True], ids=["new", "remembered"])
def test_event_as_it_was_written_is_canonical(which, remembered):
    spelling._seen.clear()
    for _ in range(1 + remembered):
        assert quickly(EVENTS[which]) == carefully(EVENTS[which])
        assert quickly(EVENTS[which])[1]


@pytest.mark.parametrize("which", EVENTS)
@pytest.mark.parametrize("other", OTHERS)
def test_second_spelling_is_told_as_the_careful_look_tells_it(which, other):
    changed = OTHERS[other](EVENTS[which])
    assert changed != EVENTS[which]
    for _ in range(2):
        assert quickly(changed) == carefully(changed)
    read_canonical(EVENTS[which])
    assert quickly(changed) == carefully(changed)


def test_whatever_is_changed_in_an_event_is_told_as_the_careful_look_tells_it():
    rng = random.Random(6)
    signs = [
        b"",
        b" ",
        b"\t",
        b"0",
        b"1",
        b",",
        b":",
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"e",
        b".",
        b"-",
        b"\xc3",
        b"\xff",
    ]
    told = set()
    for _ in range(20_000):
        data = rng.choice((EVENTS["bare"], EVENTS["full"]))
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(data))
            data = data[:at] + rng.choice(signs) + data[at + rng.randrange(3) :]
        answer = quickly(data)
        assert answer == carefully(data), data
        told.add(answer and answer[1])
    assert told == {None, True, False}


def test_objects_written_in_any_order_are_told_as_the_careful_look_tells_them():
    rng = random.Random(7)

    def shuffled(value):
        if isinstance(value, dict):
            items = [(key, shuffled(one)) for key, one in value.items()]
            if not rng.randrange(12):
                rng.shuffle(items)
            return dict(items)
        return [shuffled(one) for one in value] if isinstance(value, list) else value

    told = set()
    for _ in range(3000):
        data = json.dumps(shuffled(json.loads(EVENTS["full"])), separators=(",", ":"), ensure_ascii=False).encode()
        answer = quickly(data)
        assert answer == carefully(data), data
        told.add(answer[1])
    assert told == {True, False}


def test_every_field_of_an_event_is_read():
    read = spelling._Read
    assert read.__struct_fields__ == Event.__struct_fields__
    for name in spelling._RAW:
        assert name in Event.__struct_fields__
    assert quickly(EVENTS["full"]) == carefully(EVENTS["full"])


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(spelling, "_MOST", 10)
    spelling._seen.clear()
    for n in range(100):
        assert quickly(written(body={"n": n}))[1]
        assert quickly(written(body={"text": "x" * 2000, "n": n}))[1]
        assert len(spelling._seen) <= 10
    assert all(len(data) <= 1024 for data in spelling._seen)
