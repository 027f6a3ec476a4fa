"""The labels: what the packs find, what the vocabulary knows, and the page that lists them are the same."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from guardai.model import Label
from guardai.model.labels import LABELS, OTHERS
from guardai.policy import vocabulary
from guardai.text import packs
from guardai.text.detectors.detector import Detector, Pack, PackError
from guardai.text.detectors.reference import CODE, entries

ROOT = Path(__file__).resolve().parents[2]
ALL = (packs.core(), packs.secrets(), *packs.countries("all"))


@pytest.fixture(scope="module")
def tool():
    """tools/labels.py."""
    spec = importlib.util.spec_from_file_location("labels", ROOT / "tools" / "labels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_labels_of_personal_data_are_those_that_packs_and_code_find():
    found = {kind.label for pack in ALL for kind in pack.kinds() if kind.label.startswith("pii.")}
    assert found | set(CODE) == set(LABELS)


def test_every_label_is_well_formed_and_said_in_one_line():
    for label, title in (*LABELS.items(), *OTHERS.items()):
        assert Label(label) == label
        assert title
        assert "\n" not in title


def test_the_vocabulary_of_policies_knows_every_label():
    assert set(LABELS) | set(OTHERS) <= vocabulary.LABELS
    assert all(vocabulary.known_label(kind.label, frozenset()) for pack in ALL for kind in pack.kinds())


def test_the_label_of_every_column_is_known():
    table = tomllib.loads((ROOT / "src" / "guardai" / "text" / "columns.toml").read_text("utf-8"))
    found = {
        entry["label"]
        for entries in table.values()
        if isinstance(entries, list)
        for entry in entries
        if "label" in entry
    }
    assert found
    assert {label for label in found if label.startswith("pii.")} <= set(LABELS) | set(OTHERS)


def test_the_page_and_the_vocabulary_are_what_the_tool_writes(tool):
    found = entries(ALL)
    assert tool.PAGE.read_text("utf-8") == tool.page(found)
    assert tool.MODULE.read_text("utf-8") == tool.module(found)


def test_every_label_of_a_pack_stands_on_the_page_with_an_example(tool):
    page = tool.PAGE.read_text("utf-8")
    for entry in entries(ALL):
        assert f"| `{entry.label}` |" in page
        assert entry.example


def test_a_label_without_a_title_is_refused():
    with pytest.raises(PackError, match="acme.badge"):
        entries([Pack("acme", (Detector(label="acme.badge", literals=("BDG-",), pattern="BDG-[0-9]{6}"),))])
