"""A GLiNER model as a recogniser. Written against gliner 0.2.29.

A model reads a few hundred words, and of a longer text it leaves the rest unread, with nothing but a warning. So it is
given *windows* that are never longer than that, whatever its words are: no more characters than it reads words. They
overlap, so that a name which one of them cuts stands whole in the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardai.text import Finding, RecogniserError

__all__ = ["KINDS", "GlinerRecogniser", "recogniser"]

#: What the model is asked for → our label. Any word will do: `ship`, `medication`.
KINDS: Final[Mapping[str, str]] = {
    "person": "pii.person",
    "location": "pii.location",
    "organization": "pii.organization",
}
#: Characters of a window, if the model reads no fewer words. Its tokenizer, too, counts at most one for a character, and
#: 512 of them with the words that it is asked for.
_WINDOW: Final = 360
#: Characters that two windows share, a long name's.
_SHARED: Final = 60
#: Words that a model reads, if it does not say.
_USUAL: Final = 384


class GlinerRecogniser:
    """Finds what a model predicts for the kinds that it is asked for.

    Args:
        model: a `gliner.GLiNER`.
        kinds: what the model is asked for → our label.
        threshold: predictions with a lower score do not count.
    """

    name = "gliner"

    def __init__(self, model: Any, kinds: Mapping[str, str] = KINDS, threshold: float = 0.5) -> None:
        self.labels = tuple(dict.fromkeys(kinds.values()))
        self._model = model
        self._kinds = dict(kinds)
        self._threshold = threshold
        reads = getattr(getattr(model, "config", None), "max_len", None) or _USUAL
        self._window = min(_WINDOW, int(reads))
        self._shared = min(_SHARED, self._window // 4)

    def recognise(self, text: str) -> list[Finding]:
        """The names in a text; what two windows share may be found twice."""
        asked = list(self._kinds)
        return [
            Finding(start + one["start"], start + one["end"], self._kinds[one["label"]], float(one["score"]))
            for start, end in self._windows(text)
            if any(map(str.isalpha, text[start:end]))
            for one in self._model.predict_entities(text[start:end], asked, flat_ner=True, threshold=self._threshold)
        ]

    def _windows(self, text: str) -> Iterator[tuple[int, int]]:
        """Where windows begin and end: between words where there are any."""
        start = 0
        while True:
            end = start + self._window
            if end >= len(text):
                yield start, len(text)
                return
            gap = text.rfind(" ", end - self._shared, end)
            end = gap if gap > 0 else end
            yield start, end
            gap = text.find(" ", end - self._shared, end)
            start = gap + 1 if gap >= 0 else end - self._shared


def recogniser(
    model: str,
    kinds: Mapping[str, str] | None = None,
    threshold: float = 0.5,
    download: bool = False,  # noqa: FBT001, FBT002 -- an argument's name in TOML
) -> GlinerRecogniser:
    """What `recognisers = ["gliner"]` stands for; its arguments stand under `[recogniser.gliner]`.

    Args:
        model: the folder of a model, or its name in the cache of models on this machine.
        kinds: what the model is asked for → our label, instead of `KINDS`.
        threshold: predictions with a lower score do not count.
        download: whether a model that is not here may be fetched.

    Raises:
        RecogniserError: GLiNER or the model is not here.
    """
    try:
        from gliner import GLiNER
    except ImportError as error:
        raise RecogniserError(f"GLiNER is not installed here: pip install gliner ({error})") from error
    try:
        loaded = GLiNER.from_pretrained(model, local_files_only=not download)
    except (OSError, ValueError) as error:
        raise RecogniserError(
            f"no GLiNER model {model!r} here ({type(error).__name__}); name its folder, or say download = true"
        ) from error
    return GlinerRecogniser(loaded, KINDS if kinds is None else kinds, threshold)
