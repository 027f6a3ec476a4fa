"""A real AnalyzerEngine: around a blank spaCy pipeline with an entity ruler, and with recognisers of its own."""

import pytest

presidio = pytest.importorskip(
    "presidio_analyzer", reason="Presidio is not installed here; `nox -s recognisers` runs this with it"
)

import spacy  # noqa: E402
from guardai_presidio import PresidioRecogniser, recogniser  # noqa: E402
from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: E402

from guardai.text import Recogniser, RecogniserError, StreamMasker, configure, mask  # noqa: E402

PATTERNS = [
    {"label": "PERSON", "pattern": "Ann Lee"},
    {"label": "GPE", "pattern": "Bath"},
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


@pytest.fixture(scope="module")
def analyzer(pipeline):
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": str(pipeline)}])
    made = presidio.AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    ship = presidio.Pattern("ship", r"\bHMS [A-Z][a-z]+", 0.6)
    made.registry.add_recognizer(presidio.PatternRecognizer("SHIP", patterns=[ship]))
    return made


@pytest.fixture(scope="module")
def by_name(pipeline):
    return recogniser(model=str(pipeline))


def test_entities_are_findings_with_character_offsets(by_name):
    assert isinstance(by_name, Recogniser)
    text = "Zoë 🎉 met Ann Lee of Acme Ltd in Bath on Tuesday"
    assert sorted((text[f.start : f.end], f.label) for f in by_name.recognise(text)) == [
        ("Acme Ltd", "pii.organization"), ("Ann Lee", "pii.person"), ("Bath", "pii.location"),
    ]  # fmt: skip


def test_what_was_not_asked_for_is_not_found(by_name):
    assert by_name.recognise("ann@b.example, 078-05-1120, Tuesday") == []


def test_names_are_masked_beside_what_patterns_find(by_name):
    configure(recognisers=[by_name])
    try:
        text = "Ann Lee, ann@b.example\nof Bath"
        assert mask(text) == "[PERSON], [EMAIL]\nof [LOCATION]"
        stream = StreamMasker()
        assert "".join(stream.feed(letter) for letter in text) + stream.finish() == mask(text)
    finally:
        configure()


def test_recogniser_of_ones_own_counts_with_a_label_of_ones_own(analyzer):
    one = PresidioRecogniser(analyzer, kinds={"SHIP": "fleet.ship"})
    assert [(f.start, f.end, f.label, f.score) for f in one.recognise("on HMS Victory")] == [(3, 14, "fleet.ship", 0.6)]
    assert PresidioRecogniser(analyzer, kinds={"SHIP": "fleet.ship"}, threshold=0.7).recognise("on HMS Victory") == []


def test_entity_that_nothing_finds_is_refused_instead_of_passed_over(analyzer):
    with pytest.raises(RecogniserError, match="finds no SPACESHIP"):
        PresidioRecogniser(analyzer, kinds={"SPACESHIP": "fleet.ship"})


def test_language_that_it_does_not_read_is_refused(analyzer):
    with pytest.raises(RecogniserError, match="reads en, not 'de'"):
        PresidioRecogniser(analyzer, language="de")


def test_missing_pipeline_is_told_and_not_downloaded(monkeypatch):
    monkeypatch.setattr(spacy.cli, "download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(
        RecogniserError, match=r"no spaCy pipeline 'xx_none_sm' here: python -m spacy download xx_none_sm"
    ):
        recogniser(model="xx_none_sm")


def test_it_is_chosen_by_name_with_its_arguments(pipeline):
    from guardai.text import Own

    own = Own.read(
        f"recognisers = ['presidio']\n[recogniser.presidio]\nmodel = '{pipeline.as_posix()}'\nthreshold = 0.4\n"
    )
    configure(recognisers=own.loaded())
    try:
        assert mask("Ann Lee") == "[PERSON]"
    finally:
        configure()
