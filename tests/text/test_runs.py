"""Runs of digits: what an engine leaves out holds no number, and the short way to a phone says what the long one says."""

import importlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardai.text.detectors.detector import Number, Pack

scanning = importlib.import_module("guardai.text.scanner")
forms = importlib.import_module("guardai.text.judging.forms")
phones = importlib.import_module("guardai.text.judging.phones")
program = importlib.import_module("guardai.text.judging.program")
runs = importlib.import_module("guardai.text.judging.runs")

GROUPS = ["20", "19", "2024", "1987", "02", "15", "1", "10", "2", "123", "4111", "1111", "123456", "078", "05", "1120"]
GROUPS += ["912", "78", "1234", "555", "7", "12345", "4111111111111111"]
SEPARATORS = [" ", "-", ".", "/", "  ", " -", "\u200b", "\u2011", "   ", "    ", "(", ") "]
BEFORE = ["", "phone ", "card ", "ssn ", "x", "+", "(", '"', "itin ", "a1-", "a1 ", "phone: a", "tel 2024-01-15 "]
BEFORE += ["phone 2024-01-15 10:", "#", "ssn 2024-", "-", "a@b.co ", "1.2.3.4 "]
BEHIND = [
    "",
    " fax",
    "T",
    ":",
    "a",
    " a",
    ".",
    " items",
    "x12",
    "ext 5",
    " ext 5",
    "poste 4",
    "dw 3",
    "_",
    'Z"',
    '"',
    "\u00a0fax",
]
BEHIND += [
    "\u20ac",
    " \u20ac",
    "\u2011a",
    "fax",
    " mobile",
    ":30 fax",
    '"phone"',
    "E",
    "An 5",
    "dura 12",
    "@b.co",
    ", fax",
    " and 2",
    ", anexo 12",
    " int. 4",
    " extn. 3",
    ", ramal 7",
    " kg",
    " USD",
    ", did",
    ". B",
]


@st.composite
def texts(draw, groups=st.sampled_from(GROUPS), separators=st.sampled_from(SEPARATORS)):
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        run = draw(groups)
        for _ in range(draw(st.integers(0, 5))):
            run += draw(separators) + draw(groups)
        parts += [draw(st.sampled_from(BEFORE)), run, draw(st.sampled_from(BEHIND))]
    return "".join(parts)


@settings(max_examples=500)
@given(texts())
@example('"+2021-45 fax')
@example("4111111111111111@b.co")
@example("555 1234ext 5")
@example("tel 7946 0958\u201110.20.30.40078-05-1120itin")
@example("4111 1111 1111 1111 +44 20 7946 0958, fax")
@example("phone 2024-01-15 10:20 415 555 2671")
def test_what_a_native_engine_leaves_out_holds_no_number(native, plain, text):
    data = text.encode()
    assert native.find(data) == plain.find(data)


ABROAD = st.builds(
    lambda code, groups, end: f"+{code}{groups}{end}",
    st.from_regex(r"\A[1-9][0-9]{0,3}\Z"),
    st.from_regex(r"\A([ \-./][0-9]{1,8}){1,5}\Z"),
    st.sampled_from(BEHIND),
)


@settings(max_examples=500)
@given(
    st.lists(st.tuples(st.sampled_from(BEFORE), ABROAD), min_size=1, max_size=3).map(
        lambda p: "".join(a + b for a, b in p)
    )
)
@example("+1 686-55-9516")
@example("+1 4111-1111-1111")
@example("+12-05-1987 12")
@example("10:20 +1-92040 236-253-45. 1-+77 52 0261373>")
@example("+1/0phone +100-00000000 fax")
def test_the_short_way_to_a_phone_says_what_the_long_way_says(text):
    pytest.importorskip("hyperscan")
    scanner = hyperscan()
    data = text.encode()
    short = scanner.find(data)
    known, phones.plain = phones.plain, lambda _data, _start: -1
    try:
        assert scanner.find(data) == short
    finally:
        phones.plain = known


_made = []


def hyperscan():
    if not _made:
        _made.append(scanning.build("hyperscan"))
    return _made[0]


def test_the_short_way_knows_how_phones_are_written():
    for text in ("+1-686-555-9516", "+44 20 7946 0958", "+49 170 1234567", "+91 98765 43210"):
        assert phones.plain(f'"{text}"'.encode(), 2) == len(text) + 1


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-15",
        '"2024-01-15T10:20:30Z"',
        "at 2024-01-15 10:20:30,123 it",
        "3ceb3ffd-97b7-48b5-a216-ea7b5eb561a4",
        "commit 4781935c02",
        "12 34 56a",
    ],
)
def test_dates_and_parts_of_words_are_left_to_the_engine(text):
    pytest.importorskip("hyperscan")
    hits = hyperscan().engine.scan(text.encode())
    assert [anchor for _, anchor, _ in hits if anchor == program.NUMBER] == []


@pytest.mark.parametrize("form", ["[0-9]{8}[A-Z]", r"[0-9]{6}\w", "[0-9]{7}[^0-9]"])
def test_where_letters_belong_to_a_number_no_run_is_left_out(form):
    made = program.Program([Pack("own", numbers=(Number("pii.member_id", form, needs="nothing"),))])
    assert made.anchors[program.NUMBER].expression == runs.WIDE
    assert made.hints == []


@pytest.mark.parametrize(
    ("form", "free"),
    [
        ("[0-9]{9}", (True, None)),
        ("[0-9]{3}-?[0-9]{6}", (True, None)),
        ("[0-9]{3}-[0-9]{6}", (False, None)),
        (r"[0-9]{3}\.[0-9]{6}", (False, (6, ""))),
        (r"[0-9]{2}\.[0-9]{4,8}, ?[0-9]", (False, (4, "\\x2c"))),
        (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}", (False, None)),
    ],
)
def test_what_a_kind_needs_no_word_for_is_read_from_its_form(form, free):
    assert forms.unannounced([Number("pii.member_id", form, needs="nothing")]) == free


def test_what_needs_a_word_is_not_looked_for_without_one():
    assert forms.unannounced([Number("pii.member_id", "[0-9]{9}", words=("member",), needs="word")]) == (False, None)


@pytest.mark.parametrize(
    ("text", "runs_seen"),
    [
        ('{"id": 12345678, "created": 1700000000123, "total": 1234.56}', 0),
        ('{"mobile": 12345678}', 1),
        ("homeTel 12345678", 1),
        ("a hotel for 12345678", 0),
        ("12345678 (office)", 1),
        ("номер 12345678", 1),
        ('"id": 4111111111111111', 1),
    ],
)
def test_digits_alone_are_seen_only_with_a_word_or_as_a_card(text, runs_seen):
    pytest.importorskip("hyperscan")
    scanner = hyperscan()
    numbers = {program.NUMBER, scanner.program.named, scanner.program.followed}
    assert sum(anchor in numbers for _, anchor, _ in scanner.engine.scan(text.encode())) == runs_seen


@given(texts(), st.integers(0, 20))
def test_a_run_begins_where_everything_before_it_is_something_else(text, low):
    data = text.encode()
    for found in re.finditer(rb"[0-9](?:[ .\-/()]{0,3}[0-9]){5,}(?=[\"a:])", data):
        begins = runs.begins(data, min(low, found.start()), found.end() + 1)
        assert min(low, found.start()) <= begins <= found.start()
