"""Without spaCy, or without the pipeline, the adapter says so; it is never taken for one that finds nothing."""

import sys

import pytest
from guardai_spacy import SpacyRecogniser, recogniser

from guardai.text import RecogniserError, configure, mask


@pytest.fixture
def without_spacy(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)


def test_missing_library_is_told_with_what_to_install(without_spacy):
    with pytest.raises(RecogniserError, match="spaCy is not installed here: pip install spacy"):
        recogniser()


def test_it_is_found_by_name_and_its_failure_leaves_scans_as_they_were(without_spacy):
    with pytest.raises(RecogniserError, match="spaCy is not installed here"):
        configure(recognisers=["spacy"])
    assert mask("Ann, ann@b.example") == "Ann, [EMAIL]"


def test_policy_folder_that_wants_it_is_refused(without_spacy, policy, home):
    import guardai

    folder = policy("permit (principal, action, resource);")
    (folder / "detectors.toml").write_text('recognisers = ["spacy"]')
    with pytest.raises(guardai.BundleError, match=r"detectors\.toml: spaCy is not installed here"):
        guardai.init(home=home, policy=folder)


def test_pipeline_in_which_nothing_looks_for_names_is_refused():
    class Pipe:
        assigns = ("token.tag",)

    class Empty:
        lang, pipe_names = "en", ["tagger"]

        def get_pipe_meta(self, name):
            return Pipe()

    with pytest.raises(RecogniserError, match="looks for no names: tagger"):
        SpacyRecogniser(Empty())
