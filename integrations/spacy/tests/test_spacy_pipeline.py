"""A real spaCy pipeline: blank, with an entity ruler, written to disk and loaded as a published one is."""

import pytest

spacy = pytest.importorskip("spacy", reason="spaCy is not installed here; `nox -s recognisers` runs this with it")

from guardai_spacy import SpacyRecogniser, recogniser  # noqa: E402

import guardai  # noqa: E402
from guardai.text import Recogniser, RecogniserError, StreamMasker, configure, mask, scan  # noqa: E402

PATTERNS = [
    {"label": "PERSON", "pattern": "Ann Lee"},
    {"label": "PER", "pattern": "Zoë Ünal"},
    {"label": "GPE", "pattern": [{"LOWER": "bath"}]},
    {"label": "ORG", "pattern": "Acme Ltd"},
    {"label": "DATE", "pattern": "Tuesday"},
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    folder = tmp_path_factory.mktemp("pipeline")
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def chosen(pipeline):
    configure(recognisers=[recogniser(str(pipeline))])
    yield
    configure()


def test_entities_are_findings_with_character_offsets(pipeline):
    one = recogniser(str(pipeline))
    assert isinstance(one, Recogniser)
    text = "Zoë Ünal 🎉 met Ann Lee of Acme Ltd in Bath on Tuesday"
    assert [(text[f.start : f.end], f.label, f.score) for f in one.recognise(text)] == [
        ("Zoë Ünal", "pii.person", 0.85), ("Ann Lee", "pii.person", 0.85), ("Acme Ltd", "pii.organization", 0.85),
        ("Bath", "pii.location", 0.85),
    ]  # fmt: skip


def test_names_are_masked_beside_what_patterns_find(chosen):
    assert mask("Ann Lee, ann@b.example, of Bath") == "[PERSON], [EMAIL], of [LOCATION]"
    assert [finding.label for finding in scan("Ann Lee\nAcme Ltd")] == ["pii.person", "pii.organization"]


def test_stream_is_as_the_whole(chosen):
    text = "Dear Ann Lee,\nAcme Ltd of Bath calls +1 415 555 2671.\nAnn Lee"
    stream = StreamMasker()
    assert "".join(stream.feed(letter) for letter in text) + stream.finish() == mask(text)


def test_lone_surrogate_and_nul_are_no_error(chosen):
    assert mask("Ann Lee \ud800 \x00 Bath") == "[PERSON] \ud800 \x00 [LOCATION]"


def test_kinds_and_score_can_be_chosen(pipeline):
    one = recogniser(str(pipeline), kinds={"DATE": "pii.date"}, score=0.5)
    assert one.labels == ("pii.date",)
    assert [(f.label, f.score) for f in one.recognise("Ann Lee on Tuesday")] == [("pii.date", 0.5)]


def test_components_can_be_left_out(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)
    assert recogniser(str(tmp_path), exclude=["sentencizer"])._nlp.pipe_names == ["entity_ruler"]


def test_missing_pipeline_is_told_and_not_downloaded():
    with pytest.raises(
        RecogniserError, match=r"no spaCy pipeline 'xx_none_sm' here: python -m spacy download xx_none_sm"
    ):
        recogniser("xx_none_sm")


def test_pipeline_that_finds_no_names_is_refused():
    with pytest.raises(RecogniserError, match="looks for no names: it is empty"):
        SpacyRecogniser(spacy.blank("en"))


def test_policy_folder_chooses_it_and_policy_decides(pipeline, policy, home, events):
    folder = policy(
        """
        @id("all") permit (principal, action, resource);
        @id("names") @mask("token") forbid (principal, action == Action::"reveal", resource == Label::"pii.person");
        """
    )
    (folder / "detectors.toml").write_text(
        f"recognisers = ['spacy']\n[recogniser.spacy]\nmodel = '{pipeline.as_posix()}'\n"
    )
    guardai.init(home=home, policy=folder)

    @guardai.tool
    def note(text):
        return text

    with guardai.session():
        assert note("Ann Lee of Bath") == "<PERSON_1> of Bath"
    guardai.shutdown()
    assert events(kind="call.intent")[0]["findings"] == {"pii.location": 1, "pii.person": 1}
    assert mask("Ann Lee") == "Ann Lee"
