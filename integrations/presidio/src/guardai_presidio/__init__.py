"""Names, and whatever else it is asked for, as Presidio's analyzer finds them."""

from guardai_presidio.recogniser import PresidioRecogniser, recogniser

__all__ = ["PresidioRecogniser", "recogniser"]
