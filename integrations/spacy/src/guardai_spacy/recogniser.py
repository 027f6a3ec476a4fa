"""A spaCy pipeline as a recogniser. Tested with spaCy 3.8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from guardai.text import Finding, RecogniserError

__all__ = ["KINDS", "SpacyRecogniser", "recogniser"]

#: What the pipelines that spaCy publishes call the three kinds. Nationalities, dates and sums are none of them.
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("PERSON", "PER", "PRS", "PS", "persName"), "pii.person"),
    **dict.fromkeys(("GPE", "LOC", "FAC", "LC", "placeName", "geogName"), "pii.location"),
    **dict.fromkeys(("ORG", "OG", "orgName"), "pii.organization"),
}


class SpacyRecogniser:
    """Finds what a pipeline puts into `doc.ents`.

    Args:
        nlp: the pipeline.
        kinds: the pipeline's label → ours. What is not in it is not found.
        score: of every finding, 0 to 1: spaCy gives none.

    Raises:
        RecogniserError: nothing in the pipeline looks for names.
    """

    name = "spacy"

    def __init__(self, nlp: Any, kinds: Mapping[str, str] = KINDS, score: float = 0.85) -> None:
        if not any("doc.ents" in nlp.get_pipe_meta(pipe).assigns for pipe in nlp.pipe_names):
            raise RecogniserError(
                f"the spaCy pipeline {nlp.lang} looks for no names: {', '.join(nlp.pipe_names) or 'it is empty'}"
            )
        self.labels = tuple(dict.fromkeys(kinds.values()))
        self._nlp = nlp
        self._kinds = dict(kinds)
        self._score = score

    def recognise(self, text: str) -> list[Finding]:
        """The names in a text."""
        kinds, score = self._kinds, self._score
        return [
            Finding(entity.start_char, entity.end_char, kinds[entity.label_], score)
            for entity in self._nlp(text).ents
            if entity.label_ in kinds
        ]


def recogniser(
    model: str = "en_core_web_sm",
    exclude: Iterable[str] = (),
    kinds: Mapping[str, str] | None = None,
    score: float = 0.85,
) -> SpacyRecogniser:
    """What `recognisers = ["spacy"]` stands for; its arguments stand under `[recogniser.spacy]`.

    Args:
        model: an installed pipeline, or the folder of one. Nothing is downloaded.
        exclude: components to leave out, those that names do not need: `parser`, `lemmatizer`.
        kinds: the pipeline's label → ours, instead of `KINDS`.
        score: of every finding.

    Raises:
        RecogniserError: spaCy or the pipeline is not installed, or finds no names.
    """
    try:
        import spacy
    except ImportError as error:
        raise RecogniserError(f"spaCy is not installed here: pip install spacy ({error})") from error
    try:
        nlp = spacy.load(model, exclude=list(exclude))
    except OSError as error:
        raise RecogniserError(f"no spaCy pipeline {model!r} here: python -m spacy download {model}") from error
    return SpacyRecogniser(nlp, KINDS if kinds is None else kinds, score)
