"""Names, and whatever else can be said in a word, as a GLiNER model finds them."""

from guardai_gliner.recogniser import GlinerRecogniser, recogniser

__all__ = ["GlinerRecogniser", "recogniser"]
