"""The small parts by themselves: places in data, escapes, log probabilities that lag."""

import json

from hypothesis import given
from hypothesis import strategies as st

from guardai_openai.logprobs import Lag, neutral
from guardai_openai.paths import lift, put
from guardai_openai.request import host_of
from guardai_openai.unescape import Unescape

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.integers(0, 3))
def test_what_is_lifted_and_put_back_is_as_it_was(data, modulus):
    before = json.dumps(data)
    places = []
    without = lift(data, lambda key, value: 0 if isinstance(value, str) and len(value) % 4 == modulus else None, places)
    assert json.dumps(data) == before
    assert (without is data) == (not places)
    put(without, places)
    assert json.dumps(without) == before


def cut(text, cuts):
    pieces, at = [], 0
    for size in cuts:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


@given(JSON, st.lists(st.integers(0, 7), max_size=40), st.booleans())
def test_unescaped_json_means_the_same_wherever_it_is_cut(data, cuts, every):
    text = json.dumps(data)
    if every:  # as badly escaped as can be
        text = json.dumps(json.loads(text))
        text = "".join(c if c in '{}[]",:\\ ' or not c.isalpha() or c in "truefalsn" else c for c in text)
        text = text.replace("<", "\\u003c").replace("@", "\\u0040")
    one = Unescape()
    whole = "".join(one.feed(piece) for piece in cut(text, cuts)) + one.finish()
    assert json.loads(whole) == json.loads(text)
    other = Unescape()
    assert other.feed(text) + other.finish() == whole


@given(st.text(alphabet='\\u0041<"x'), st.lists(st.integers(0, 5), max_size=20))
def test_nothing_of_what_is_no_json_is_lost(text, cuts):
    one, other = Unescape(), Unescape()
    assert "".join(one.feed(p) for p in cut(text, cuts)) + one.finish() == other.feed(text) + other.finish()


def test_no_log_probability_leaves_before_its_text():
    lag = Lag()
    assert lag.pass_("ali", "", ["ali"]) == []
    assert lag.pass_("ce ", "alice ", ["ce", " "]) == ["ali", "ce", " "]
    assert lag.pass_("x@y", "", ["x", "@", "y"]) == []
    assert lag.pass_("", "<EMAIL_1>", None) == []
    assert lag.pass_("on", "on", ["on"]) == []


def test_log_probabilities_are_taken_off_where_the_text_differs_and_nowhere_else():
    before = [
        {"message": {"content": "a"}, "logprobs": {"content": [1]}},
        {"text": "b", "logprobs": [1]},
        {"text": "c", "logprobs": [1]},
    ]
    after = [{"message": {"content": "A"}, "logprobs": {"content": [1]}}, {"text": "B", "logprobs": [1]}, before[2]]
    neutral(before, after)
    assert [item["logprobs"] for item in after] == [None, [], [1]]


class Url:
    def __init__(self, scheme, host, port=None):
        self.scheme, self.host, self.port = scheme, host, port


def test_a_host_has_its_port_unless_it_is_the_scheme_s_own():
    assert host_of(Url("https", "api.openai.com")) == "api.openai.com"
    assert host_of(Url("https", "api.openai.com", 443)) == "api.openai.com"
    assert host_of(Url("http", "127.0.0.1", 8080)) == "127.0.0.1:8080"
    assert host_of(Url("http", "::1", 8080)) == "[::1]:8080"
