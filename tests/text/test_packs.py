"""Detector packs: ours, others', and ones that cannot be used."""

import importlib
from types import SimpleNamespace

import pytest

from guardai.text import Detector, Pack, PackError, packs
from guardai.text.detectors.file import load

scanning = importlib.import_module("guardai.text.scanner")


def entry(name, made, value="elsewhere:pack"):
    def loaded():
        if isinstance(made, Exception):
            raise made
        return made

    return SimpleNamespace(name=name, value=value, load=loaded)


@pytest.fixture
def installed(monkeypatch):
    """Other people's packs, as entry points."""

    def install(*entries):
        monkeypatch.setattr(
            packs.metadata, "entry_points", lambda group: list(entries) if group == "guardai.detectors" else []
        )

    return install


BADGE = Detector(label="acme.badge", literals=("BDG-",), pattern=r"BDG-[0-9]{6}", before="A-Za-z0-9", run="")


@pytest.mark.parametrize(
    "made", [Pack("acme", (BADGE,)), lambda: Pack("acme", (BADGE,)), lambda: [Pack("acme", (BADGE,))]]
)
def test_a_pack_of_somebody_else_is_found_by_its_entry_point(installed, made):
    installed(entry("acme", made))
    found = scanning.build("python").find(b"badge BDG-123456, XBDG-123456")
    assert [(start, end, label) for start, end, label, _ in found] == [(6, 16, "acme.badge")]


def test_our_packs_need_no_metadata(installed):
    installed()
    assert [pack.name for pack in packs.installed()] == ["core", "secrets"]


def test_our_own_entry_points_are_not_loaded_twice(installed):
    installed(
        entry("core", AssertionError(), "guardai.text.packs:core"),
        entry("secrets", AssertionError(), "guardai.text.packs:secrets"),
    )
    assert [pack.name for pack in packs.installed()] == ["core", "secrets"]


@pytest.mark.parametrize("made", [RuntimeError("no"), "not a pack", lambda: 7])
def test_a_pack_that_cannot_be_loaded_is_an_error_not_a_gap(installed, made):
    installed(entry("acme", made))
    with pytest.raises(PackError, match="acme"):
        scanning.build("python")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"literals": ()}, "literals"),
        ({"literals": ("x",)}, "literals"),
        ({"literals": ("two words",)}, "literals"),
        ({"literals": ()}, "anchors"),
        ({"anchors": ("[0-9]{6}",)}, "anchors"),
        ({"literals": (), "anchors": ("[0-9]",)}, "two bytes"),
        ({"literals": (), "anchors": ("[0-9]+",)}, "exact count"),
        ({"literals": (), "anchors": ("[^a-z]x",)}, "whitespace"),
        ({"literals": (), "anchors": ("a[é]",)}, "exact count"),
        ({"pattern": ""}, "pattern"),
        ({"label": "Acme Badge"}, "label"),
        ({"needs": "luck"}, "luck"),
        ({"needs": "word"}, "no words"),
        ({"needs": "valid"}, "validator or words"),
        ({"pattern": "BDG-("}, "acme.badge"),
        ({"before": "z-a"}, "acme.badge"),
        ({"validator": "luck"}, "luck"),
    ],
)
def test_a_detector_that_cannot_work_is_refused(change, told):
    fields = {"label": "acme.badge", "literals": ("BDG-",), "pattern": "BDG-[0-9]{6}"}
    with pytest.raises(PackError, match=told):
        Detector(**{**fields, **change})


@pytest.mark.parametrize("then", ["[0-9]+", "[0-9]{2,3}", "a|b", "(a)", ".", "a?", "[0-9"])
def test_what_follows_a_literal_has_a_fixed_width(then):
    with pytest.raises(PackError, match=r"acme\.badge"):
        Detector(label="acme.badge", literals=("BDG-",), pattern="BDG-[0-9]{6}", then=then)


def test_a_validator_may_be_a_function(installed):
    odd = Detector(
        label="acme.odd", literals=("N:",), pattern="N:(?P<value>[0-9]{3})", validator=lambda v: int(v) % 2 == 1, run=""
    )
    installed(entry("acme", Pack("acme", (odd,))))
    found = scanning.build("python").find(b"N:123 N:124")
    assert [(start, end) for start, end, *_ in found] == [(2, 5)]


def test_a_pack_brings_words_of_its_own(installed):
    installed(entry("acme", Pack("acme", words={"phone": ("belmenaar",)}, places={"phone": ("thuis",)})))
    scanner = scanning.build("python")
    assert [f[2] for f in scanner.find(b"belmenaar 5551234567 ok 555 1234567 thuis")] == ["pii.phone", "pii.phone"]


@pytest.mark.parametrize(
    "text",
    [
        "[[detector]]\nlabel = 1\n",
        "[[detector]]\nlabel='a'\ncolour='red'\n",
        "[[number]]\nlabel='a'\ncolour='red'\n",
        "[[number]]\nlabel='a.b'\n",
        "[[number]]\nlabel='a.b'\nform='[0-9]{7}'\nwords='one'\n",
        "[[number]]\nlabel='a.b'\nform='[0-9]{7}'\nwords=['one']\nscore=true\n",
        "[number]\nlabel='a.b'\n",
        "countries = [1]\n",
        "words = 7\n",
        "[nonsense]\n",
        "= 1",
    ],
)
def test_a_pack_file_that_is_wrong_says_so(tmp_path, text):
    file = tmp_path / "pack.toml"
    file.write_text(text)
    with pytest.raises(PackError, match="acme"):
        load(file, "acme")


def test_labels_are_well_formed():
    from guardai.model import Label

    for pack in (packs.core(), packs.secrets()):
        for detector in pack.detectors:
            assert Label(detector.label) == detector.label
