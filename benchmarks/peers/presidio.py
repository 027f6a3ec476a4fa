"""Presidio's pattern recognisers: all that are on by default for English, with a blank spaCy model for their context."""

from __future__ import annotations

from benchmarks.peers import Find

NAME = "Presidio, patterns"
DISTRIBUTION = "presidio-analyzer"


def load(threshold: float = 0.0, *, every: bool = False) -> Find:
    """`every`: the recognisers of all countries too, which are off by default."""
    import logging

    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from spacy.language import Language

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)

    # The list of public suffixes that it ships is used, not one from the network.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

    # Words near a value are compared by their lemmas, and a blank model has none: then context does nothing.
    @Language.component("lower_case_lemmas")
    def lemmas(doc):
        for token in doc:
            token.lemma_ = token.lower_
        return doc

    class Blank(SpacyNlpEngine):
        def __init__(self):
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            blank = spacy.blank("en")
            blank.max_length = 1 << 30
            blank.add_pipe("lower_case_lemmas")
            self.nlp = {"en": blank}

        def load(self):
            pass

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.remove_recognizer("SpacyRecognizer")
    if every:
        from presidio_analyzer import PatternRecognizer, predefined_recognizers

        there = {type(recogniser) for recogniser in registry.recognizers}
        for name in dir(predefined_recognizers):
            kind = getattr(predefined_recognizers, name)
            if isinstance(kind, type) and issubclass(kind, PatternRecognizer) and kind not in there:
                registry.add_recognizer(kind(supported_language="en"))
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=Blank(), default_score_threshold=threshold)
    analyze = analyzer.analyze

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(found.start, found.end, found.entity_type) for found in analyze(text, language="en")]

    return find
