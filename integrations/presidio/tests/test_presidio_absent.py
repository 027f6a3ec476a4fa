"""Without Presidio the adapter says so; it is never taken for one that finds nothing."""

import sys

import pytest
from guardai_presidio import recogniser

from guardai.text import RecogniserError, configure, mask


@pytest.fixture
def without_presidio(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)


def test_missing_library_is_told_with_what_to_install(without_presidio):
    with pytest.raises(RecogniserError, match="Presidio is not installed here: pip install presidio-analyzer"):
        recogniser()


def test_it_is_found_by_name_and_its_failure_leaves_scans_as_they_were(without_presidio):
    with pytest.raises(RecogniserError, match="Presidio is not installed here"):
        configure(recognisers=["presidio"])
    assert mask("Ann, ann@b.example") == "Ann, [EMAIL]"
