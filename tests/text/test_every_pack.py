"""Every pack there is, countries included: its own examples, streams over them, and that all engines agree."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import StreamMasker, mask, packs
from guardai.text.engines.plain import PlainEngine
from guardai.text.judging.program import Program

scanning = importlib.import_module("guardai.text.scanner")

_spec = importlib.util.spec_from_file_location("secret_samples", Path(__file__).with_name("secret_samples.py"))
samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(samples)

COUNTRIES = packs.countries("all")
ALL = (packs.core(), packs.secrets(), *COUNTRIES)
MATCHES = [(pack.name, kind.label, text) for pack in ALL for kind in pack.kinds() for text in kind.matches]
IGNORES = [(pack.name, kind.label, text) for pack in ALL for kind in pack.kinds() for text in kind.ignores]
TEXTS = [text for *_, text in MATCHES]
for _sample in samples.SAMPLES:
    _value = _sample.value()
    _before, _after = _sample.text(_value)
    TEXTS.append(f"{_before}{_value}{_after}")
BETWEEN = [
    "",
    " ",
    " ",
    "\n",
    ", ",
    ". ",
    ":",
    "-",
    "/",
    "(",
    "1",
    "x",
    "é",
    "电话",
    "\u00a0",
    "\x00",
    " the fox ran ",
    "order ",
    "phone ",
    '"',
]


#: What separates values for sure; a dash, say, may make one of two.
APART = [" ", "\n", ", ", " the fox ran ", "; ", '", "', " order ", " phone ", "\x00"]


@pytest.fixture(scope="module", params=scanning.ENGINES)
def engine(request):
    """Everything here runs on this engine, with the packs of all countries."""
    if request.param != "python":
        pytest.importorskip(request.param)
    before = scanning._configured._made
    made = scanning.search(countries="all").build(request.param)
    scanning._configured._made = made
    yield made
    scanning._configured._made = before


@pytest.fixture(scope="module")
def alone():
    """A pack's name → a scanner with our packs and that one alone: with others a passport may be another country's."""
    made = {}

    def scanner(name):
        if name not in made:
            program = Program([packs.core(), packs.secrets(), *(pack for pack in COUNTRIES if pack.name == name)])
            made[name] = scanning.Scanner(program, PlainEngine(program))
        return made[name]

    return scanner


def ids(entries):
    return [f"{label}-{at}" for at, (_, label, _) in enumerate(entries)]


@pytest.mark.parametrize(("pack", "label", "text"), MATCHES, ids=ids(MATCHES))
def test_what_a_pack_says_it_finds_is_found(alone, pack, label, text):
    assert label in {named for *_, named, _ in alone(pack).find(text.encode())}


@pytest.mark.parametrize(("pack", "label", "text"), IGNORES, ids=ids(IGNORES))
def test_what_a_pack_says_it_leaves_alone_is_left_alone(alone, pack, label, text):
    assert label not in {named for *_, named, _ in alone(pack).find(text.encode())}


def test_where_all_packs_are_used_no_byte_of_what_one_finds_is_left(engine, alone):
    for pack, label, text in MATCHES:
        start, end = next((start, end) for start, end, named, _ in alone(pack).find(text.encode()) if named == label)
        assert any(first <= start and end <= last for first, last, *_ in engine.find(text.encode())), text


def test_every_label_has_an_example():
    shown = {label for _, label, _ in MATCHES} | {sample.label for sample in samples.SAMPLES}
    assert {kind.label for pack in ALL for kind in pack.kinds()} <= shown


@settings(max_examples=300)
@given(data=st.data())
def test_every_example_survives_every_split(engine, data):
    parts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6))
    text = "".join(part + data.draw(st.sampled_from(BETWEEN)) for part in parts)
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=12))})
    masker = StreamMasker()
    out = "".join([masker.feed(text[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]) + masker.finish()
    assert out == mask(text)


@settings(max_examples=300)
@given(data=st.data())
def test_masking_what_was_masked_changes_nothing(engine, data):
    parts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5))
    once = mask("".join(part + data.draw(st.sampled_from(APART)) for part in parts))
    assert mask(once) == once


@settings(max_examples=200)
@given(data=st.data())
def test_every_engine_finds_the_same(engine, data):
    parts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6))
    utf8 = "".join(part + data.draw(st.sampled_from(BETWEEN)) for part in parts).encode("utf-8", "surrogatepass")
    assert engine.find(utf8) == scanning.Scanner(engine.program, PlainEngine(engine.program)).find(utf8)
