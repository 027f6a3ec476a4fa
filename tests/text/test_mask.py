"""What a value becomes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import Masking, mask, scan
from guardai.text.render import hashed, partial, redact

pytestmark = pytest.mark.usefixtures("engine")

#: What is put between examples: what text has between its words, and what it seldom has.
BETWEEN = st.sampled_from(
    [" ", "  ", "\n", "\t", ", ", ". ", "; ", '"', "(", ") ", "> ", " = ", " - ", " | ", "\u00a0", " é ", " 电话 "]
)


def test_the_name_is_the_last_part_of_the_label():
    assert redact("pii.us_ssn") == "[US_SSN]"
    assert redact("pii.email") == "[EMAIL]"
    assert redact("secret.aws_access_key") == "[SECRET:AWS_ACCESS_KEY]"


def test_masked_text_reads_as_documented():
    text = "john@example.com, +1 415 555 2671, 4111 1111 1111 1111, DE89370400440532013000, 078-05-1120, 10.20.30.40"
    assert mask(text) == "[EMAIL], [PHONE], [CARD], [IBAN], [US_SSN], [IP]"


@given(data=st.data())
def test_masking_a_masked_text_changes_nothing(examples, data):
    parts = data.draw(st.lists(st.sampled_from(examples), min_size=1, max_size=6))
    text = "".join(before + value + data.draw(BETWEEN) for _, value, before in parts)
    masked = mask(text)
    assert mask(masked) == masked


@given(st.text())
def test_masking_any_text_twice_is_masking_it_once(text):
    masked = mask(text)
    assert mask(masked) == masked


def test_no_mask_leaves_something_that_is_found_again(example):
    label, value, before = example
    for how in ("redact", "hash", "partial"):
        masking = Masking(lambda _: how, key=b"k")
        for text in (f"{before}{value}", f"call phone card ssn {before}{value} mobile"):
            masked = masking.text(text)
            assert scan(masked) == [], how


def test_nothing_is_left_of_a_value_that_is_masked(example):
    label, value, before = example
    after = "@host" if label == "secret.url_password" else '"' if before.endswith('"') else " "
    assert value not in mask(before + value + after)


def test_a_hash_is_the_same_for_the_same_value_under_the_same_key_only():
    one = hashed("pii.email", "John@Example.com", b"k1")
    assert one == hashed("pii.email", "john@example.com", b"k1") != hashed("pii.email", "john@example.com", b"k2")
    assert re.fullmatch(r"\[EMAIL:[a-p]{16}\]", one)
    assert hashed("pii.card", "4111 1111 1111 1111", b"") == hashed("pii.card", "4111111111111111", b"")


@pytest.mark.parametrize(
    ("label", "value", "left"),
    [
        ("pii.email", "john.doe@example.com", "j***@e***.com"),
        ("pii.card", "4111 1111 1111 1111", "************1111"),
        ("pii.phone", "+1 (415) 555-2671", "*********71"),
        ("pii.phone", "415-555-2671 x123", "********71"),
        ("pii.iban", "GB29 NWBK 6016 1331 9268 19", "GB****************6819"),
        ("pii.us_ssn", "078-05-1120", "***-**-1120"),
        ("pii.ip", "10.20.30.40", "10.***"),
        ("pii.ip", "2001:db8::1", "2001:***"),
        ("secret.generic", "hunter2X99!", "[SECRET:GENERIC]"),
        ("dataset.note", "anything", "a***"),
    ],
)
def test_a_partial_mask_keeps_what_was_agreed(label, value, left):
    assert partial(label, value) == left


def test_masking_counts_what_it_found_and_says_what_it_masked():
    masking = Masking({"pii.email": "redact", "pii.phone": None}.get)
    assert masking.text("a@b.co and c@d.co, +14155552671") == "[EMAIL] and [EMAIL], +14155552671"
    assert masking.found == {"pii.email": 2, "pii.phone": 1}
    assert masking.masked == {"pii.email": "redact"}


def test_what_is_owed_is_asked_once_a_label():
    asked = []
    masking = Masking(lambda label: asked.append(label) or "redact")
    masking.text("a@b.co c@d.co")
    masking.text("e@f.co")
    assert asked == ["pii.email"]


def test_a_text_whose_findings_may_pass_is_returned_itself():
    text = "write to a@b.co"
    assert Masking(lambda _: None).text(text) is text


def test_a_labelled_value_is_masked_as_a_whole():
    masking = Masking({"pii.name": "redact", "dataset.salary": "partial"}.get)
    assert masking.value("pii.name", "Jane Doe") == "[NAME]"
    assert masking.value("dataset.salary", 52000) == "5***"
    assert masking.value("other", "x") == "x"
    assert masking.value("pii.name", None) is None
    assert Masking(lambda _: "token", foreign="pass").value("pii.face", b"\xff\xd8") == "[FACE]"
