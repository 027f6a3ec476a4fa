"""The answers that need no script: embeddings, the list of models, moderations."""

from __future__ import annotations

import base64
import math
import struct
from hashlib import shake_256
from typing import Any, Final

from guardai.testing.wire.chat import tokens
from guardai.testing.wire.ids import Ids
from guardai.testing.wire.request import Request

__all__ = ["embeddings", "models", "moderations"]

_DIMENSIONS: Final = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS: Final = 1536
_CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def _vector(written: str, dimensions: int) -> list[float]:
    """A unit vector that the same text always gets, and that another text does not."""
    noise = struct.unpack(f"<{dimensions}i", shake_256(written.encode()).digest(4 * dimensions))
    length = math.sqrt(sum(value * value for value in noise))
    return [value / length for value in noise]


def _inputs(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if all(isinstance(item, int) for item in given):
        return [str(given)]
    return [item if isinstance(item, str) else str(item) for item in given]


def embeddings(request: Request) -> dict[str, Any]:
    """Deterministic vectors, as numbers or as base64 of little-endian floats, which is what the client asks for."""
    model = request.body["model"]
    size = request.body.get("dimensions") or _DIMENSIONS.get(model, _DEFAULT_DIMENSIONS)
    packed = request.body.get("encoding_format") == "base64"
    data = []
    count = 0
    for index, written in enumerate(_inputs(request.body["input"])):
        vector: list[float] | str = _vector(written, size)
        if packed:
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        count += tokens(written)
        data.append({"object": "embedding", "index": index, "embedding": vector})
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The models on offer."""
    listed = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "stand-in"} for name in names]
    return {"object": "list", "data": listed}


def moderations(request: Request, ids: Ids) -> dict[str, Any]:
    """A verdict on each input: nothing is ever flagged."""
    given = request.body["input"]
    count = len(given) if isinstance(given, list) and all(isinstance(item, str) for item in given) else 1
    verdict = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    return {
        "id": ids("modr-"),
        "model": request.body.get("model") or "omni-moderation-latest",
        "results": [verdict for _ in range(count)],
    }
