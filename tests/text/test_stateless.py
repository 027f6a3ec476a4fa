"""Masking without a session, in every style."""

import datetime as dt
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import ConfigError
from guardai.model import MASKS
from guardai.text import StreamMasker, mask, mask_payload, scan
from guardai.text.masks.styles import replacer

pytestmark = pytest.mark.usefixtures("engine")

TEXT = "from a@b.co to c@d.co and a@b.co, card 4111 1111 1111 1111"
#: What they make is meant to look real, or leaves a gap across which a new value may be read.
NOT_FINAL = ("shift", "fpe", "drop", "null")


@pytest.mark.parametrize(
    ("style", "made"),
    [
        (None, "from [EMAIL] to [EMAIL] and [EMAIL], card [CARD]"),
        ("redact", "from [EMAIL] to [EMAIL] and [EMAIL], card [CARD]"),
        ("partial", "from a***@b***.co to c***@d***.co and a***@b***.co, card ************1111"),
        ("token", "from <EMAIL_1> to <EMAIL_2> and <EMAIL_1>, card <CARD_1>"),
        ("null", "from  to  and , card "),
        ("drop", "from  to  and , card "),
        ("shift", "from [EMAIL] to [EMAIL] and [EMAIL], card [CARD]"),
    ],
)
def test_each_style_reads_as_documented(style, made):
    assert mask(TEXT, style=style) == made


def test_hashes_are_equal_for_equal_values_within_a_process():
    found = re.findall(r"\[EMAIL:([a-p]{16})\]", mask(TEXT, style="hash"))
    assert found[0] == found[2] != found[1]
    assert found == re.findall(r"\[EMAIL:([a-p]{16})\]", mask(TEXT, style="hash"))


def test_hashes_of_two_processes_cannot_be_compared():
    program = "from guardai.text import mask; print(mask('a@b.co', style='hash'))"
    made = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(made) == 2


def test_a_card_becomes_another_card():
    made = mask(TEXT, style="fpe").rpartition("card ")[2]
    assert re.fullmatch(r"4111 11\d\d \d\d\d\d 1111", made)
    assert [finding.label for finding in scan(f"card {made}")] == ["pii.card"]


def test_every_text_has_tokens_of_its_own():
    assert mask("c@d.co", style="token") == mask("a@b.co", style="token") == "<EMAIL_1>"


@pytest.mark.parametrize("make", [lambda s: mask("x", style=s), lambda s: mask_payload({}, style=s), replacer])
@pytest.mark.parametrize("style", ["blur", "", "REDACT"])
def test_an_unknown_style_is_refused_and_the_known_ones_are_named(make, style):
    with pytest.raises(ConfigError, match="drop, null, redact, hash, shift, fpe, partial, token"):
        make(style)


@given(st.data())
def test_a_stream_in_any_style_is_the_whole(examples, data):
    style = data.draw(st.sampled_from(MASKS))
    parts = data.draw(st.lists(st.sampled_from(examples), min_size=1, max_size=5))
    text = " and ".join(before + value for _, value, before in parts)
    stream, out, at = StreamMasker(style), "", 0
    while at < len(text):
        step = data.draw(st.integers(1, 40))
        out += stream.feed(text[at : at + step])
        at += step
    assert out + stream.finish() == mask(text, style=style)


@pytest.mark.parametrize("style", [style for style in MASKS if style not in NOT_FINAL])
def test_what_is_masked_for_good_is_not_found_again(examples, style):
    masked = mask("\n".join(before + value for _, value, before in examples), style=style)
    assert mask(masked, style=style) == masked


@pytest.mark.parametrize("style", MASKS)
def test_no_style_leaves_the_value(examples, style):
    for _, value, before in examples:
        after = "@host" if before.startswith("postgres") else '"' if before.endswith('"') else " "
        assert value not in mask(before + value + after, style=style)


class TestPayload:
    def test_types_are_kept(self):
        given = {
            "to": ["a@b.co", ("c@d.co", 7)], "card": 4111111111111111, "when": dt.date(2024, 1, 1), "raw": b"a@b.co",
            "nested": '{"deep": "[\\"a@b.co\\"]"}', "ok": True, "none": None,
        }  # fmt: skip
        assert mask_payload(given) == {
            "to": ["[EMAIL]", ("[EMAIL]", 7)], "card": "[CARD]", "when": dt.date(2024, 1, 1), "raw": b"[EMAIL]",
            "nested": '{"deep": "[\\"[EMAIL]\\"]"}', "ok": True, "none": None,
        }  # fmt: skip

    def test_one_payload_has_one_table_of_tokens(self):
        made = mask_payload({"a": "a@b.co", "b": ["c@d.co", {"c": "a@b.co"}]}, style="token")
        assert made["a"] == made["b"][1]["c"] != made["b"][0]

    def test_a_lookalike_anywhere_in_it_is_not_issued(self):
        made = mask_payload({"a": "a@b.co", "b": "I am <EMAIL_1>"}, style="token")
        assert made == {"a": "<EMAIL_2>", "b": "I am <EMAIL_1>"}

    def test_a_number_stays_one_under_fpe_and_becomes_a_word_elsewhere(self):
        made = mask_payload({"phone": 4155552671, "text": '{"phone": 4155552671}'}, style="fpe")
        assert type(made["phone"]) is int
        assert len(str(made["phone"])) == 10
        assert made["text"] == f'{{"phone": {made["phone"]}}}'
        assert mask_payload({"phone": 4155552671}) == {"phone": "[PHONE]"}

    def test_a_plain_text_stays_a_text(self):
        for style in MASKS:
            assert type(mask_payload("a@b.co", style=style)) is str

    def test_an_object_is_refused_and_told_of_by_its_type(self):
        from dataclasses import dataclass

        from guardai.text import PayloadError

        @dataclass
        class Person:
            mail: str

        with pytest.raises(PayloadError, match="Person") as told:
            mask_payload([Person("a@b.co")])
        assert "a@b" not in str(told.value)


def test_a_token_is_none_that_the_text_holds_already():
    text = "see <EMAIL_1>, write to jane@example.com"
    assert mask(text, style="token") == "see <EMAIL_1>, write to <EMAIL_2>"
    for size in (1, 3, 100):
        masker = StreamMasker("token")
        out = [masker.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(out) + masker.finish() == mask(text, style="token")
    assert mask_payload({"a": "jane@example.com", "b": "<EMAIL_1>"}, style="token")["a"] == "<EMAIL_2>"
