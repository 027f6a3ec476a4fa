"""Kinds of digits, anchors that are expressions, values with spaces, words: what a pack may ask for, and streams keep."""

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import StreamMasker, mask, packs, scan
from guardai.text.detectors import detector
from guardai.text.judging.program import Program

scanning = importlib.import_module("guardai.text.scanner")


def odd(value):
    """The last digit of the sum is odd: a check digit of a sort."""
    return sum(c - 48 for c in value if 48 <= c < 58) % 2 == 1


PACK = detector.Pack(
    "acme",
    detectors=(
        detector.Detector(
            label="acme.code",
            anchors=("[A-Z]{3}-[0-9]{2}",),
            pattern="[A-Z]{3}-[0-9]{4}(?![0-9A-Za-z_])",
            run="",
            words=("badge", "acme pass"),
            needs="word",
        ),
        detector.Detector(
            label="acme.day",
            literals=("hired", "eingestellt", "né"),
            pattern=r"(?:hired|eingestellt am|né le)[ :]{1,4}(?P<value>[0-9]{1,2} [A-Z][a-z]{2,8} [0-9]{4})",
            run="",
            ignore_case=False,
            spaced=True,
        ),
        detector.Detector(
            label="acme.pair", anchors=("[0-9]{2}/[0-9]{2}",), pattern="[0-9]{2}/[0-9]{2}Z", run="", before="0-9"
        ),
    ),
    numbers=(
        detector.Number(
            label="acme.member", form="[0-9]{4}[ -]?[0-9]{4}(?![0-9])", validator=odd, words=("member",), needs="valid"
        ),
        detector.Number(label="acme.staff", form="[0-9]{7}[A-Z]", words=("staff no", "personal"), needs="word"),
        detector.Number(
            label="acme.car",
            form="[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
            head="[A-Z]{2} ?",
            needs="nothing",
            validator=lambda v: None,
        ),
    ),
)


@pytest.fixture(scope="module", params=scanning.ENGINES, autouse=True)
def engine(request):
    """Everything here runs on this engine, with a pack that uses all there is."""
    if request.param != "python":
        pytest.importorskip(request.param)
    before, installed = scanning._configured._made, packs.installed
    packs.installed = lambda *_: (packs.core(), packs.secrets(), PACK)
    try:
        made = scanning.build(request.param)
    finally:
        packs.installed = installed
    scanning._configured._made = made
    yield made
    scanning._configured._made = before


def labels(text, **given):
    return [f.label for f in scan(text, **given)]


def test_an_expression_is_an_anchor_and_a_word_makes_it_count():
    assert mask("badge ABC-1234, or ABC-1234 (badge)") == "badge [CODE], or [CODE] (badge)"
    assert labels("the part ABC-1234 of it") == []
    assert labels("badge ABC-12345, badge XABC-1234") == []


def test_anchors_may_overlap():
    assert mask("12/34/56Z") == "12/[PAIR]"


def test_the_nearest_word_decides_about_an_anchor_too():
    assert labels("badge, order no ABC-1234") == []
    assert labels("order no, badge ABC-1234") == ["acme.code"]


def test_a_phrase_is_a_word_and_identifiers_are_taken_apart():
    assert labels("acme pass ABC-1234") == ["acme.code"]
    assert labels("pass ABC-1234") == []
    for name in ("acmePass", "acme_pass", "user.acme.pass", "ACME_PASS", "theAcmePass"):
        assert labels(f'{{"{name}": "ABC-1234"}}') == ["acme.code"]
        assert labels("ABC-1234", hint=name) == ["acme.code"]


def test_a_value_may_hold_spaces():
    assert mask("hired 12 March 1980 by us, né le 3 Mai 1990") == "hired [DAY] by us, né le [DAY]"
    assert mask("eingestellt am: 12 May 1980") == "eingestellt am: [DAY]"


def test_a_number_that_is_valid_needs_no_word_unless_another_word_speaks_against_it():
    assert mask("it is 1234 5670, 12345670") == "it is 1234 5670, 12345670"
    assert mask("it is 1234 5671, 12345671") == "it is [MEMBER], [MEMBER]"
    assert mask("order 1234-5671") == "order [MEMBER]"
    assert mask("order 12345671, the 12345671") == "order 12345671, the 12345671"
    assert mask("member 12345670") == "member 12345670"  # invalid is dropped


def test_a_number_that_needs_a_word_finds_it_before_or_behind():
    assert labels("staff no 1234567Z") == ["acme.staff"]
    assert labels("1234567Z personal") == ["acme.staff"]
    assert labels("1234567Z") == labels("staff 1234567Z") == labels("staff no, order 1234567Z") == []
    assert labels("1234567Z", hint="staffNo") == ["acme.staff"]


def test_letters_before_a_number_belong_to_it():
    assert mask("AB123456C, AB 12 34 56 D. xAB123456C AB123456CD") == "[CAR], [CAR]. xAB123456C AB123456CD"


def test_a_number_that_goes_on_is_none():
    for text in ("12345671-9", "9-12345671", "12345671.5", "12345671a", "a12345671", "+12345671", "1/12345671"):
        assert "acme.member" not in labels(text)


def test_the_word_decides_between_two_kinds_that_fit():
    assert labels("phone: 12345671") == ["pii.phone"]
    assert labels("phone, member 12345671") == ["acme.member"]


EXAMPLES = [
    "badge ABC-1234",
    "ABC-1234 (badge)",
    "ABC-1234",
    "hired 12 March 1980",
    "né le 3 Mai 1990",
    "12/34/56Z",
    "1234 5671",
    "12345671",
    "member 12345671",
    "staff no 1234567Z",
    "1234567Z personal",
    "AB123456C",
    "AB 12 34 56 D",
    "2001:db8::1",
    "10.20.30.40",
    "+1 415 555 2671",
    "john@example.com",
    "-----BEGIN ",
]
BETWEEN = [
    "",
    " ",
    "  ",
    "\n",
    ", ",
    "-",
    "/",
    ".",
    ":",
    "AB",
    "x",
    "7",
    "call ",
    "order ",
    "hired ",
    "é",
    "电",
    "\x00",
    " the fox ran on ",
]


@settings(max_examples=300)
@given(data=st.data())
def test_what_a_pack_asks_for_survives_every_split(data):
    parts = data.draw(st.lists(st.one_of(st.sampled_from(EXAMPLES), st.sampled_from(BETWEEN)), min_size=1, max_size=10))
    text = "".join(part + data.draw(st.sampled_from(BETWEEN)) for part in parts)
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=12))})
    masker = StreamMasker()
    out = "".join([masker.feed(text[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]) + masker.finish()
    assert out == mask(text)


@given(st.text(alphabet="ABCab 0123456789-/.+(hired)é\n", max_size=150))
def test_every_engine_finds_the_same_in_letters_and_digits(engine, text):
    plain = importlib.import_module("guardai.text.engines.plain").PlainEngine(engine.program)
    utf8 = text.encode()
    assert engine.find(utf8) == scanning.Scanner(engine.program, plain).find(utf8)


def test_nothing_is_held_for_long_where_no_more_can_come():
    masker = StreamMasker()
    for _ in range(1500):
        masker.feed("hired AB ABC-1234 ")
        assert masker.held <= 700
