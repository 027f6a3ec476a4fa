"""The adapter against a stand-in with the signatures of gliner 0.2.29: the real one needs torch and a model.

The stand-in knows names by heart, and as the real one it reads no more words than its configuration says.
"""

import re
import sys
import types
import warnings

import pytest
from guardai_gliner import GlinerRecogniser, recogniser
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import Recogniser, RecogniserError, StreamMasker, configure, mask

NAMES = {"Ann Lee": "person", "Bath": "location", "Acme Ltd": "organization", "HMS Victory": "ship"}
#: How gliner splits a text into words.
WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


class GLiNER:
    def __init__(self, max_len=384):
        self.config = types.SimpleNamespace(max_len=max_len)
        self.texts = []

    @classmethod
    def from_pretrained(
        cls, model_id, revision=None, cache_dir=None, force_download=False, proxies=None, resume_download=False,
        local_files_only=False, token=None, map_location="cpu", strict=False, **model_kwargs,
    ):  # fmt: skip
        if model_kwargs:
            raise TypeError(f"unexpected {model_kwargs}")
        if model_id != "there" and local_files_only:
            raise OSError("not in the cache")
        return cls()

    def predict_entities(
        self, text, labels, flat_ner=True, threshold=0.5, multi_label=False, return_class_probs=False, *,
        return_vectors=False, return_label_vectors=False, **kwargs,
    ):  # fmt: skip
        assert isinstance(text, str)
        assert isinstance(labels, list)
        assert all(isinstance(label, str) for label in labels)
        assert isinstance(flat_ner, bool)
        assert isinstance(threshold, float)
        assert not kwargs
        self.texts.append(text)
        words = list(WORD.finditer(text))
        if len(words) > self.config.max_len:
            warnings.warn(f"Sentence of length {len(words)} has been truncated to {self.config.max_len}", stacklevel=2)
            text = text[: words[self.config.max_len - 1].end()]
        return [
            {"start": found.start(), "end": found.end(), "text": found[0], "label": NAMES[found[0]], "score": 0.75}
            for found in re.finditer("|".join(map(re.escape, NAMES)), text)
            if NAMES[found[0]] in labels and threshold <= 0.75
        ]


@pytest.fixture
def library(monkeypatch):
    module = types.ModuleType("gliner")
    module.GLiNER = GLiNER
    monkeypatch.setitem(sys.modules, "gliner", module)


def test_predictions_are_findings_with_character_offsets():
    one = GlinerRecogniser(GLiNER())
    assert isinstance(one, Recogniser)
    text = "Zoë 🎉 met Ann Lee of Acme Ltd in Bath on HMS Victory"
    assert [(text[f.start : f.end], f.label, f.score) for f in one.recognise(text)] == [
        ("Ann Lee", "pii.person", 0.75), ("Acme Ltd", "pii.organization", 0.75), ("Bath", "pii.location", 0.75),
    ]  # fmt: skip


def test_whatever_it_is_asked_for_is_found_under_a_label_of_ones_own():
    one = GlinerRecogniser(GLiNER(), kinds={"ship": "fleet.ship"})
    assert [f.label for f in one.recognise("Ann Lee on HMS Victory")] == ["fleet.ship"]
    assert GlinerRecogniser(GLiNER(), threshold=0.8).recognise("Ann Lee") == []


@given(
    st.lists(st.sampled_from(["Ann Lee", "Bath", "Acme Ltd", "word", "a", ".", "-" * 50, "x" * 400, "🎉"]), max_size=200),
    st.sampled_from([384, 100, 16]), st.sampled_from([" ", "", "\n"]),
)  # fmt: skip
def test_however_long_the_text_nothing_of_it_is_left_unread(parts, max_len, between):
    text = between.join(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the model's only word for what it did not read
        found = GlinerRecogniser(GLiNER(max_len)).recognise(text)
    if max_len >= 100:
        whole = {(m.start(), m.end()) for m in re.finditer("Ann Lee|Bath|Acme Ltd", text)}
        assert {(f.start, f.end) for f in found} == whole


def test_text_that_is_longer_than_what_it_reads_is_masked_throughout():
    configure(recognisers=[GlinerRecogniser(GLiNER())])
    try:
        text = "Ann Lee of Bath, " * 300 + "\nAcme Ltd"
        assert mask(text) == "[PERSON] of [LOCATION], " * 300 + "\n[ORGANIZATION]"
        stream = StreamMasker()
        assert "".join(stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)) + stream.finish() == mask(text)
    finally:
        configure()


class TestByName:
    def test_it_is_loaded_from_this_machine(self, library):
        configure(recognisers=[recogniser("there")])
        try:
            assert mask("Ann Lee") == "[PERSON]"
        finally:
            configure()

    def test_model_that_is_not_here_is_told_and_not_fetched(self, library):
        with pytest.raises(
            RecogniserError, match=r"no GLiNER model 'else' here \(OSError\); name its folder, or say download"
        ):
            recogniser("else")

    def test_it_is_fetched_if_that_is_said(self, library):
        assert recogniser("else", download=True).labels == ("pii.person", "pii.location", "pii.organization")

    def test_missing_library_is_told_with_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gliner", None)
        with pytest.raises(RecogniserError, match="GLiNER is not installed here: pip install gliner"):
            recogniser("there")

    def test_model_has_to_be_named(self, library):
        with pytest.raises(RecogniserError, match="'gliner' .* cannot be made: TypeError"):
            configure(recognisers=["gliner"])
