"""Presidio's analyzer as a recogniser. Tested with presidio-analyzer 2.2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from guardai.text import Finding, RecogniserError

__all__ = ["KINDS", "PresidioRecogniser", "recogniser"]

#: Presidio's entities that no pattern of guardai finds.
KINDS: Final[Mapping[str, str]] = {
    "PERSON": "pii.person",
    "LOCATION": "pii.location",
    "ORGANIZATION": "pii.organization",
}


class PresidioRecogniser:
    """Finds what an analyzer finds, of the kinds that it is asked for.

    Args:
        analyzer: a `presidio_analyzer.AnalyzerEngine`.
        language: of the texts, one that the analyzer supports.
        kinds: Presidio's entity → our label. Nothing else is asked for.
        threshold: findings with a lower score do not count.

    Raises:
        RecogniserError: the analyzer does not support the language, or one of the entities.
    """

    name = "presidio"

    def __init__(
        self, analyzer: Any, language: str = "en", kinds: Mapping[str, str] = KINDS, threshold: float = 0.5
    ) -> None:
        if language not in analyzer.supported_languages:
            raise RecogniserError(
                f"this Presidio analyzer reads {', '.join(analyzer.supported_languages)}, not {language!r}"
            )
        # An entity that no recogniser supports would be passed over with nothing but a warning.
        if missing := set(kinds) - set(analyzer.get_supported_entities(language)):
            raise RecogniserError(f"this Presidio analyzer finds no {', '.join(sorted(missing))}")
        self.labels = tuple(dict.fromkeys(kinds.values()))
        self._analyzer = analyzer
        self._language = language
        self._kinds = dict(kinds)
        self._threshold = threshold

    def recognise(self, text: str) -> list[Finding]:
        """The findings in a text."""
        kinds = self._kinds
        found = self._analyzer.analyze(
            text, language=self._language, entities=list(kinds), score_threshold=self._threshold
        )
        return [Finding(one.start, one.end, kinds[one.entity_type], one.score) for one in found]


def recogniser(
    model: str = "en_core_web_sm",
    language: str = "en",
    kinds: Mapping[str, str] | None = None,
    threshold: float = 0.5,
) -> PresidioRecogniser:
    """What `recognisers = ["presidio"]` stands for; its arguments stand under `[recogniser.presidio]`.

    The analyzer is one with Presidio's own recognisers around a spaCy pipeline.

    Args:
        model: an installed spaCy pipeline, or the folder of one. Nothing is downloaded.
        language: that the pipeline reads.
        kinds: Presidio's entity → our label, instead of `KINDS`.
        threshold: findings with a lower score do not count.

    Raises:
        RecogniserError: Presidio or the pipeline is not installed, or does not find what is asked for.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    except ImportError as error:
        raise RecogniserError(f"Presidio is not installed here: pip install presidio-analyzer ({error})") from error
    # Asked for one that is missing, Presidio downloads it.
    if not (spacy.util.is_package(model) or Path(model).exists()):
        raise RecogniserError(f"no spaCy pipeline {model!r} here: python -m spacy download {model}")
    engine = SpacyNlpEngine(
        models=[{"lang_code": language, "model_name": model}],
        ner_model_configuration=NerModelConfiguration(low_score_entity_names=[], labels_to_ignore=[]),
    )
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
    return PresidioRecogniser(analyzer, language, KINDS if kinds is None else kinds, threshold)
