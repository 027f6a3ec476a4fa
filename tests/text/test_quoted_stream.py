"""A stream of JSON, a tool call's arguments say, stays JSON, and is masked as the document is."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import Masking, StreamMasker, Tokens, mask, mask_payload, outline, payload

pytestmark = pytest.mark.usefixtures("engine")


def through(text, size=1, style=None):
    masker = StreamMasker(style, quoted=True)
    return "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.finish()


@pytest.mark.parametrize(
    "document",
    [
        {"text": "hi\njane@example.com"},
        {"card": 4111111111111111},
        {"a": [4111111111111111, 1.5, None, True], "b": 1},
        {"phone": 2125550187},
        {"phone": 2125550187.0, "x": 1},
        {"phones": [2125550187, 3105550144]},
        # What a key further out says of a value.
        {"tel": {"home": "2125550187", "work": "3105550144"}},
        {"contact": {"phone": {"number": "2125550187"}}},
        {"ssn": {"value": "123456789"}},
        {"ssn": [{"value": 123456789}]},
        {"birth": {"date": "1980-03-12"}},
        {"Authorization": ["Bearer x1y2z3a4b5c6d7e8f9"]},
        {"tel": {"note": "none", "order": "2125550187"}},
        {"telecom": [{"system": "phone", "value": "2125550187"}]},
        {"name": "DB_PASSWORD", "value": "Xy12zkSecret9"},
        {"name": "DB_PASSWORD", "type": "string", "value": "Xy12zkSecret9"},
        {"type": "string", "name": "DB_PASSWORD", "label": "", "value": "Xy12zkSecret9"},
        {"name": "", "key": "DB_PASSWORD", "kind": "env", "value": "Xy12zkSecret9", "label": "x"},
        {"name": "order", "type": "string", "value": "Xy12zkSecret9"},
        [{"name": "DB_PASSWORD", "value": "Xy12zkSecret9"}, {"name": "DB_HOST", "value": "Xy12zkSecret9"}],
        {"jane@example.com": {"phone": "2125550187"}},
        # What is said besides stands between a word and what that is of.
        {"order": ["--password", "S3cretPw9"]},
        {"account": {"password": "Bearer x1y2z3a4b5c6d7e8f9"}},
        {"location": ["52.520008, 13.404954"], "phones": ["--token", "S3cretPw9"]},
        # Under a password's name a value is one to its end.
        {"password": {"new": "Blue42!x"}},
        {"passwords": {"bob": "Blue42!x", "eve": "hunter2abc"}},
        {"password": {"old": "hunter2 abc"}, "m": "hunter2 abc"},
        {"password": ["Xy12 zkSe cret9"], "next": ["Xy12 zkSe cret9"]},
        {"user": {"DB_PASSWORD": {"jane doe": "hunter2 abc", "count": 3}}},
        {"api_key": {"tax id": "A12345678"}},
        {"credentials": {"id": "A12345678"}},
        {"password": {"rules": "at least eight characters", "set": True}},
        {"secret": ["the plan", "a b"], "token": {"note": "call after nine"}},
        {"a": "ca\u00f1\u00f3n \u00e9 jane@example.com", "\u96fb\u8a71": "2125550187"},
        {"body": json.dumps({"text": "to jane@example.com\nx"})},
    ],
)
@pytest.mark.parametrize("style", ["redact", "null", "token", "partial", "hash"])
def test_a_document_in_pieces_is_masked_as_the_whole(document, style):
    expected = mask_payload(document, style=style)
    for text in (json.dumps(document), json.dumps(document, indent=2), json.dumps(document, ensure_ascii=False)):
        made = through(text, style=style)
        for size in (2, 3, 7, 50, 1000):
            assert through(text, size, style) == made
        if style == "null":
            # What has left cannot be taken back: of a string, its quotes.
            assert _nothing(json.loads(made)) == _nothing(expected)
        else:
            assert json.loads(made) == expected


def _nothing(value):
    """Without what is empty or null, which is the same here."""
    if isinstance(value, dict):
        return {key: made for key, one in value.items() if (made := _nothing(one)) not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_nothing(one) for one in value]
    return None if value == "" else value


@pytest.mark.parametrize("written", ['{"card": -4111111111111111}', '{"card":4111111111111111.0}'])
def test_half_a_number_is_never_left(written):
    for size in range(1, 9):
        assert "[CARD]" in str(json.loads(through(written, size)))


NUMBERS = ["-4111111111111111", "4111111111111111.5", "2125550187e3", "-73.985428", "-2125550187", "0.4111111111111111"]
NUMBERS += [
    "1.4155552671",
    "-123456789.00",
    "1.5e-7",
    "-0.0",
    "100000000000000000000004111111111111111",
    "2125550187.0",
]


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4), min_size=1, max_size=5),
    key=st.sampled_from(["tel", "ssn", "location", "a", "card"]),
    between=st.sampled_from([",", ", ", ",\n  "]),
)
def test_no_sign_or_digit_of_a_number_leaves_before_it_is_replaced(rows, key, between):
    text = f'{{"{key}": [' + between.join(f"[{between.join(row)}]" for row in rows) + "]}"
    whole = through(text, 10_000)
    json.loads(whole)
    for size in (1, 3, 20):
        assert through(text, size) == whole


def test_a_finding_over_several_values_leaves_what_separates_them():
    text = '{"args": ["--password", "S3cretPw9"], "at": "x"}'
    assert json.loads(through(text)) == {"args": ["--password", "[SECRET:GENERIC]"], "at": "x"}


@pytest.mark.parametrize("key", ["a", "location", "geo"])
@pytest.mark.parametrize("place", [[52.520008, 13.404954], {"type": "Point", "coordinates": [-73.985428, 40.748817]}])
def test_a_place_under_a_key_is_one_as_in_a_text(key, place):
    text = json.dumps({key: place, "next": [1.5, 2.5]})
    whole = through(text, 1000)
    assert ("[GEO]" in whole) == ("[GEO]" in mask(text))
    assert json.loads(whole)["next"] == [1.5, 2.5]
    for size in (1, 2, 3, 7, 50):
        assert through(text, size) == whole


@pytest.mark.parametrize("key", ["jane@example.com", "+1 212 555 0187", "4111 1111 1111 1111"])
@pytest.mark.parametrize("inner", ["2125550187", ["2125550187"], {"value": "2125550187"}, 2125550187])
def test_a_key_that_is_itself_found_names_nothing_and_what_is_around_it_does(key, inner):
    text = json.dumps({"phones": {key: inner}, "n": "x" * 21, "m": "word " * 30})
    whole = through(text, 1000)
    assert '"[PHONE]"' in whole.split('"n"', maxsplit=1)[0].split(": ", 2)[2]
    for size in (1, 2, 3, 7, 20, 50):
        assert through(text, size) == whole


def test_a_key_that_is_found_only_by_what_is_around_it_is_not_said():
    text = json.dumps({"phones": {"2125550187": "3105550144"}, "n": "x" * 21, "m": "word " * 30})
    whole = through(text, 1000)
    assert whole.startswith('{"phones": {"[PHONE]": "[PHONE]"}, ')
    assert [through(text, size) for size in (1, 3, 20)] == [whole] * 3


def test_a_key_that_is_found_names_nothing_that_nothing_around_it_names():
    text = json.dumps({"orders": {"jane@example.com": {"n": 2125550187}}})
    assert through(text) == '{"orders": {"[EMAIL]": {"n": 2125550187}}}'


def test_one_value_that_is_found_in_both_ways_is_masked_once():
    seen = []
    masker = StreamMasker.using(lambda label, value: seen.append((label, value)) or "-", quoted=True)
    text = '{"tel": {"home": "2125550187", "mail": "jane@example.com"}, "account": {"password": "Bearer x1y2z3a4b5c6d7e8f9"}}'
    made = "".join(map(masker.feed, text)) + masker.finish()
    assert made == '{"tel": {"home": "-", "mail": "-"}, "account": {"password": "-"}}'
    assert [label for label, _ in seen] == ["pii.phone", "pii.email", "secret.generic"]


def test_one_person_has_one_token_in_a_text_and_alone():
    tokens = Tokens()
    masker = Masking(lambda _: "token", tokens=tokens).stream(quoted=True)
    text = json.dumps({"a": "jane@example.com", "b": "x\njane@example.com", "c": "Jane\u0040example.com"})
    out = "".join(map(masker.feed, text)) + masker.finish()
    assert json.loads(out) == {"a": "<EMAIL_1>", "b": "x\n<EMAIL_1>", "c": "<EMAIL_1>"}


def test_a_value_is_known_as_its_reader_will_know_it():
    seen = []
    masker = StreamMasker.using(lambda label, value: seen.append(value), quoted=True)
    text = json.dumps({"mail": "пётр@пример.com", "inner": json.dumps({"mail": "пётр@пример.com"})})
    assert "".join(map(masker.feed, text)) + masker.finish() == text
    assert seen == ["пётр@пример.com", "пётр@пример.com"]


@pytest.mark.parametrize(
    "text", ["mail jane@example.com now", '{"a": jane@example.com}', 'it"s jane@example.com', "}]jane@example.com,"]
)
def test_what_is_no_json_is_masked_all_the_same(text):
    assert "jane" not in through(text) and "[EMAIL]" in through(text)


PIECES = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    '"',
    '\\"',
    "\\",
    " ",
    "1",
    "-",
    ".0",
    "tel",
    "phone",
    "2125550187",
    "name",
]
PIECES += [
    "value",
    "4111111111111111",
    "jane@example.com",
    "\\n",
    "null",
    '{"tel":{"home":"',
    '"ssn": [',
    "é",
    "x" * 70,
]


@settings(max_examples=150)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=25), size=st.integers(1, 9))
def test_where_a_text_is_split_makes_no_difference(parts, size):
    text = "".join(parts)
    assert through(text, size) == through(text, 1000)


#: Keys that say nothing, and keys that say something of what is in them.
KEYS = ["key", "inner", "value", "order", "password", "passwords", "phones", "location", "account", "birth", "ssn"]
#: What is found because of what stands before it in the text, which nothing may come between.
VALUES = [
    [52.520008, 13.404954],
    {"type": "Point", "coordinates": [-73.985428, 40.748817]},
    ["--password", "S3cretPw9"],
    {"password": "Bearer x1y2z3a4b5c6d7e8f9"},
    {"phones": ["212-555-0187", "310-555-0144"]},
    {"phone": 2125550187.0},
    {"name": "jane@example.com", "value": "2125550187"},
    [["2125550187"], 1.5, None, "none"],
]


@settings(max_examples=150)
@given(data=st.data())
def test_what_masking_the_text_takes_away_is_taken_away(examples, data):
    """And what is left is JSON, and the same wherever it is split."""
    some = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(examples).map(lambda one: one[2] + one[1]),
        st.sampled_from(examples).map(lambda one: one[1]),
    )
    keys = st.sampled_from(KEYS)
    document = data.draw(
        st.dictionaries(keys, st.one_of(some, st.dictionaries(keys, some, min_size=1, max_size=2), st.lists(some)))
    )
    text = json.dumps(document)
    made = through(text, data.draw(st.sampled_from([1, 3, 10, 100])))
    json.loads(made)
    assert made == through(text, 10_000)
    masked = mask(text)
    for value in set(LEAF.findall(text)):
        assert made.count(value) <= masked.count(value)


#: A string, or a number.
LEAF = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.]*')


#: What only the name of what it is in gives away.
SECRETS = ["Blue42!x", "hunter2abc", "hunter2 abc", "Xy12 zkSe cret9"]


@settings(max_examples=60)
@given(
    outer=st.sampled_from(["password", "passwords", "DB_PASSWORD", "user password"]),
    inner=st.dictionaries(
        st.sampled_from(["new", "old", "bob", "jane doe", "id"]), st.sampled_from(SECRETS), min_size=1
    ),
    around=st.sampled_from(KEYS),
    size=st.sampled_from([1, 3, 10, 1000]),
)
def test_what_a_key_further_out_gives_away_is_taken_away(outer, inner, around, size):
    for document in ({outer: inner}, {around: {outer: inner}}, {outer: list(inner.values())}):
        made = through(json.dumps(document), size)
        assert json.loads(made) == mask_payload(document)
        assert "[SECRET:GENERIC]" in made


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"tel":', "}")])
def test_however_deep_a_text_is_nested_little_is_kept_of_it(opening, closing):
    deep = payload.MAX_DEPTH + 50
    text = (
        '{"tel": {"a": ' + opening * deep + '"2125550187"' + closing * deep + ', "b": "2125550187"}, "c": "2125550187"}'
    )
    masker = StreamMasker(quoted=True)
    out = masker.feed(text[: 20 + len(opening) * deep])
    assert len(masker._outline._frames) <= payload.MAX_DEPTH + 2
    out += masker.feed(text[20 + len(opening) * deep :]) + masker.finish()
    assert out.endswith(', "b": "[PHONE]"}, "c": "2125550187"}')
    assert [through(text, size) for size in (1, 7, 100)] == [out] * 3
    assert len(masker._outline._frames) == 1


@pytest.mark.parametrize("number", ["1.5", "1e400"])
@pytest.mark.parametrize(
    "written, masked",
    [
        ('{"value": "Xy12zkSecret9", "name": "DB_PASSWORD"}', '{"value": "[SECRET:GENERIC]", "name": "DB_PASSWORD"}'),
        ('{"value": 2125550187, "system": "phone"}', '{"value": "[PHONE]", "system": "phone"}'),
        ('{"value": "Xy12zkSecret9", "name": "DB_HOST"}', '{"value": "Xy12zkSecret9", "name": "DB_HOST"}'),
        ('{"value": {"name": "DB_PASSWORD"}, "val": "Xy12zkSecret9"}', None),
    ],
)
def test_what_stands_behind_a_value_counts_in_a_document_that_cannot_be_written_anew(written, masked, number):
    around = '[{{"n": {}}}, [{{}}, {}, {{"value": "Xy12zkSecret9"}}]]'
    text = around.format(number, written)
    made = mask_payload({"arguments": text})["arguments"]
    assert made == around.format(number, masked or written)


def test_what_stands_behind_a_value_cannot_count_in_a_stream():
    text = '{"value": "Xy12zkSecret9", "name": "DB_PASSWORD"}'
    assert [through(text, size) for size in (1, 7, 100)] == [text] * 3


def test_however_many_values_a_string_holds_it_is_read_once(monkeypatch):
    read = []
    original = outline.Depth.read
    monkeypatch.setattr(outline.Depth, "read", lambda self, text: read.append(len(text)) or original(self, text))
    mails = [f"user{at}@example.com" for at in range(500)]
    text = json.dumps({"body": json.dumps(mails).replace("@", "\\u0040")})
    seen = []
    masker = StreamMasker.using(lambda label, value: seen.append(value) or f'"{len(seen)}"', quoted=True)
    made = masker.feed(text) + masker.finish()
    assert seen == mails
    assert json.loads(json.loads(made)["body"]) == [f'"{at}"' for at in range(1, 501)]
    assert sum(read) < 4 * len(text)
