"""Find and mask sensitive text: an engine, packs of detectors, judgement, streams, tokens.

`scan` and `mask` are stateless and need no `init`; the gate uses `Masking`, which asks a policy what is owed.
"""

from guardai.model import Finding
from guardai.text.detectors.detector import Detector, Pack, PackError
from guardai.text.find import scan
from guardai.text.masking import Masking
from guardai.text.masks.tokens import StreamResolver, Tokens
from guardai.text.own import Own
from guardai.text.payload import PayloadError
from guardai.text.recognise import Recogniser, RecogniserError
from guardai.text.scanner import Search, configure, configured, engine, search, use
from guardai.text.stateless import mask, mask_payload
from guardai.text.stream import StreamMasker

__all__ = [
    "Detector",
    "Finding",
    "Masking",
    "Own",
    "Pack",
    "PackError",
    "PayloadError",
    "Recogniser",
    "RecogniserError",
    "Search",
    "StreamMasker",
    "StreamResolver",
    "Tokens",
    "configure",
    "configured",
    "engine",
    "mask",
    "mask_payload",
    "scan",
    "search",
    "use",
]
