"""Names of persons, places and organisations, as a spaCy pipeline finds them."""

from guardai_spacy.recogniser import SpacyRecogniser, recogniser

__all__ = ["SpacyRecogniser", "recogniser"]
