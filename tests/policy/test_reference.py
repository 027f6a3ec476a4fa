"""docs/policy-reference.md is what the tables say, and they say something of every word."""

import subprocess
import sys
from pathlib import Path

from guardai.model import ACTIONS, MASKS, REVEAL
from guardai.policy import meaning, vocabulary
from guardai.policy.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "policy-reference.md"


def test_the_page_is_what_the_source_generates():
    assert PAGE.read_text(encoding="utf-8") == page(), f"stale: python -m guardai.policy.reference {PAGE.name}"


def test_the_command_on_the_page_writes_the_page(tmp_path):
    made = tmp_path / "page.md"
    subprocess.run([sys.executable, "-m", "guardai.policy.reference", str(made)], check=True, timeout=60)
    assert made.read_text(encoding="utf-8") == page()


def test_every_word_has_a_meaning_and_no_meaning_lacks_a_word():
    assert set(meaning.ACTIONS_MEAN) == {*ACTIONS, REVEAL}
    assert set(meaning.ENTITIES_MEAN) == set(vocabulary.ENTITIES)
    assert set(meaning.ATTRIBUTES_MEAN) == {
        name for attributes in vocabulary.ENTITIES.values() for name, _ in attributes
    }
    assert set(meaning.ANNOTATIONS_MEAN) == set(vocabulary.ANNOTATIONS)
    assert set(meaning.MASKS_MEAN) == set(MASKS)
    assert set(meaning.FAMILIES_MEAN) == {label.partition(".")[0] for label in vocabulary.LABELS} | set(
        vocabulary.OPEN_FAMILIES
    )


def test_every_word_stands_on_the_page():
    text = page()
    for name in (*ACTIONS, REVEAL, *vocabulary.ENTITIES, *vocabulary.SCALARS, *MASKS):
        assert f"`{name}`" in text, name
    for name in vocabulary.ANNOTATIONS:
        assert f"`@{name}`" in text
    for choice in {choice for one in vocabulary.CONTEXT for choice in one.choices}:
        assert f"`{choice}`" in text


def test_every_record_that_can_be_missing_has_calls_that_bear_it():
    assert {record for record, optional in vocabulary.RECORDS.items() if optional} <= set(vocabulary.BEARERS)
    assert set(vocabulary.BEARERS) <= set(vocabulary.RECORDS)
