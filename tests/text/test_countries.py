"""Country packs: what an entry owes, what a bare run of digits may not do, and all of them at once."""

import importlib
import json
import os
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import packs
from guardai.text.judging.forms import Kinds
from guardai.text.judging.judge import judge
from guardai.text.engines.plain import PlainEngine
from guardai.text.judging.program import Program

scanning = importlib.import_module("guardai.text.scanner")

ALL = packs.countries("all")
ENTRIES = [(pack, kind) for pack in ALL for kind in pack.kinds()]
IDS = [f"{kind.label}-{at}" for at, (_, kind) in enumerate(ENTRIES)]
_made = {}


def _program(names):
    """Our packs with those of these countries, and an engine that needs nothing."""
    if names not in _made:
        chosen = tuple(pack for pack in ALL if names is None or pack.name in names)
        program = Program([packs.core(), packs.secrets(), *chosen])
        _made[names] = program, PlainEngine(program)
    return _made[names]


def found(text, pack=None):
    """(label, value) of what is found with one country's pack, or with all."""
    program, engine = _program(None if pack is None else (pack.name,))
    data = text.encode()
    return [(label, data[start:end].decode()) for start, end, label, _ in judge(program, data, engine.scan(data))[0]]


def labels(text, pack=None):
    return {label for label, _ in found(text, pack)}


def country(code):
    return next(pack for pack in ALL if pack.name == f"countries.{code}")


# ---- what an entry owes ----


def test_there_are_more_than_forty_countries():
    assert len(ALL) > 40
    assert packs.available() == tuple(pack.name.partition(".")[2] for pack in ALL)


@pytest.mark.parametrize(("pack", "kind"), ENTRIES, ids=IDS)
def test_an_entry_says_whose_it_is_and_shows_what_it_does(pack, kind):
    assert kind.label.startswith(f"pii.{pack.name.partition('.')[2]}_")
    assert len(kind.matches) >= 2
    assert len(kind.ignores) >= 2


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
def test_every_label_has_a_title_and_an_example_that_is_found(pack):
    for label in {kind.label for kind in pack.kinds()}:
        mine = [kind for kind in pack.kinds() if kind.label == label]
        titled = [kind for kind in mine if kind.title]
        words = [word for kind in mine for word in kind.words]
        assert titled
        for kind in titled:
            assert kind.example
            texts = [f"{word}: {kind.example}" for word in words] + [f"x {kind.example} y", *kind.matches]
            assert any((label, kind.example) in found(text, pack) for text in texts)


def _worded(kind):
    """A value that `kind` needs a word for, and that word."""
    return next(word for word in kind.words if word.isascii() and len(word.split()) < 3) if kind.words else None


WORDED = [
    (pack, kind)
    for pack, kind in ENTRIES
    if kind.words and kind.example and any(w.isascii() and len(w.split()) < 3 for w in kind.words)
]


@pytest.mark.parametrize(("pack", "kind"), WORDED, ids=[kind.label for _, kind in WORDED])
def test_it_is_found_in_a_sentence_in_json_in_csv_and_under_a_hint(pack, kind):
    word = _worded(kind)
    key = re.sub(r"\W+", "_", word)
    camel = "".join(part.capitalize() for part in word.split())
    for text in (
        f"Please note that the {word} is {kind.example}.",
        f"({word.upper()}: {kind.example})",
        json.dumps({"name": "Ann", key: kind.example, "city": "Ulm"}),
        json.dumps([{f"customer{camel}": kind.example}]),
        f"Ann;{word};{kind.example};Ulm",
        f"name,{key}\n\n{kind.example}\n",
        f"{key}={kind.example}&next=1",
        f"{word}: {kind.example}",  # what a hint becomes
    ):
        assert (kind.label, kind.example) in found(text, pack), text


# ---- digits alone ----


@pytest.mark.parametrize("size", range(6, 20))
def test_digits_without_a_word_are_somebodys_number_once_in_a_thousand_at_most(size):
    """A single check digit passes by chance once in ten; only what has more of a form needs no word."""
    pick, seen = random.Random(size), 0
    for _ in range(1000):
        text = f"see {''.join(pick.choices('0123456789', k=size))} now"
        seen += any(re.match(r"pii\.[a-z]{2}_", label) for label in labels(text))
    assert seen <= 3


@pytest.mark.parametrize(
    "form",
    [
        "%Y%m%d%H%M%S",
        "%Y%m%d-%H%M",
        "%Y%m%d%H%M",
        "%y%m%d-%H%M",
        "%Y%m%d-%H%M%S",
        "%y%m%d%H%M%S",
        "%y%m%d %H%M",
        "%d%m%y-%H%M",
    ],
)
def test_a_time_stamp_is_nobodys_number(form):
    pick = random.Random(form)
    for _ in range(300):
        moment = datetime(2000, 1, 1) + timedelta(seconds=pick.randrange(800_000_000))
        assert labels(f"at {moment.strftime(form)} it began") == set()


@pytest.mark.parametrize(
    "before", ["order ", "invoice no. ", "ticket #", "trace_id=", '{"sku": "', "v", "sha1:", "bytes "]
)
def test_a_number_that_a_word_calls_something_else_is_nobodys(before):
    pick = random.Random(before)
    for _ in range(400):
        digits = "".join(pick.choices("0123456789", k=pick.randrange(7, 19)))
        assert not any(re.match(r"pii\.[a-z]{2}_", label) for label in labels(f"{before}{digits}"))


def test_source_code_holds_nobodys_number():
    files = sorted(Path(os.__file__).parent.glob("*.py"))[::8]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert len(text) > 200_000
    assert sum(bool(re.match(r"pii\.[a-z]{2}_", label)) for label, _ in found(text)) <= len(text) // 200_000


# ---- all at once ----


@pytest.mark.parametrize(("pack", "kind"), ENTRIES, ids=IDS)
def test_with_all_countries_nothing_is_missed_and_another_label_has_the_same_word_and_no_weaker_check(pack, kind):
    for text in kind.matches:
        together = found(text)
        assert together, text
        if kind.label in {label for label, _ in together}:
            continue
        winner = next(label for label, _ in together if label.startswith("pii."))
        other = country(winner[4:6])
        # It would be found with that country's pack alone: the word and the form are those of both.
        assert winner in labels(text, other)
        assert any(kind.rank <= one.rank or one.validator for one in other.kinds() if one.label == winner)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        # A phrase says more than its last word.
        ("Korean passport PM1234567", "pii.kr_passport"),
        ("Argentine passport AAB123456", "pii.ar_passport"),
        ("Indian passport A1234567", "pii.in_passport"),
        ("British passport 533380006", "pii.uk_passport"),
        ("Reisepass C01X00T478", "pii.de_reisepass"),
        # Eleven digits with the same word: the check digits decide.
        ("national id 37605030299", "pii.ee_isikukood"),
        ("tax id 12345678903", "pii.hr_oib"),
        ("tin 86095742719", "pii.de_steuer_id"),
        # Ten digits, a date and modulo 11: the nearest word decides.
        ("not an EGN but a kennitala: 1201743399", "pii.is_kennitala"),
        ("NHS number 943 476 5919, not an order", "pii.uk_nhs"),
        ("RUT 12.345.678-5", "pii.cl_rut"),
        ("CPF 123.456.789-09", "pii.br_cpf"),
        # A US number keeps its own word, although others have it in a longer phrase.
        ("social security number 123456789", "pii.us_ssn"),
        ("social security: 123-45-6789", "pii.us_ssn"),
    ],
)
def test_the_nearest_and_most_precise_word_chooses_the_label(text, label):
    assert label in labels(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("call 1237 010180 please", "pii.at_svnr"),
        ("phone 943 476 5919", "pii.uk_nhs"),
        ("card 2341 2341 2346", "pii.in_aadhaar"),
    ],
)
def test_a_word_of_another_kind_keeps_a_countrys_label_away(text, label):
    assert label not in labels(text)


def test_a_number_with_letters_in_their_places_is_no_phone():
    assert found("my number is AB 12 34 56 C.") == [("pii.uk_nino", "AB 12 34 56 C")]


def test_the_last_groups_of_a_longer_number_are_no_card():
    assert found("PhilSys 1234-5678-9012-3456", country("ph")) == [("pii.ph_psn", "1234-5678-9012-3456")]
    assert found("IHI 8003 6081 6669 0503", country("au")) == [("pii.au_ihi", "8003 6081 6669 0503")]


@pytest.mark.parametrize(
    "text",
    [
        "NIR\u00a0: 1850578006084",
        "\u201cNIR\u201d 1850578006084",
        "\u00abNIR\u00bb 1850578006084",
        "NIR\u202f: 1850578006084",
        "NIR\u21161850578006084",
    ],
)
def test_a_typesetters_signs_are_no_part_of_a_word(text):
    assert found(text, country("fr")) == [("pii.fr_nir", "1850578006084")]


TEXTS = [text for _, kind in ENTRIES for text in (*kind.matches, *kind.ignores)]


@given(
    st.lists(
        st.sampled_from(TEXTS)
        | st.text("0123456789 .-/AXZ", max_size=16)
        | st.sampled_from(["order", "phone", "(BSN)", " CPF"]),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([" ", "\n", ", ", '": "', "; "]),
)
def test_leaving_out_kinds_that_no_word_announces_changes_nothing(pieces, between):
    program, engine = _program(None)
    data = between.join(pieces).encode()
    hits = engine.scan(data)
    some = judge(program, data, list(hits))
    kept = Kinds.near
    try:
        Kinds.near = lambda self, *_: tuple(self)
        every = judge(program, data, list(hits))
    finally:
        Kinds.near = kept
    assert some == every
