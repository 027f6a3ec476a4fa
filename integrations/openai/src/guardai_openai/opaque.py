"""What cannot be masked, because it is no text: images, sound, files, vectors, text that is already cut into numbers.

It is named by a label, so that policy can refuse it, and it is lifted out of what is scanned.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["AUDIO", "FILE", "IMAGE", "PARTS", "RAW", "binary", "inline", "numbers", "returned"]

AUDIO: Final = "opaque.audio"
FILE: Final = "opaque.file"
IMAGE: Final = "opaque.image"
RAW: Final = "opaque.raw"

#: `type` of a content part → what it carries, whatever form that has (inline, address, id).
PARTS: Final = {
    "computer_screenshot": IMAGE,
    "file": FILE,
    "image": IMAGE,
    "image_file": IMAGE,
    "image_generation_call": IMAGE,
    "image_url": IMAGE,
    "input_audio": AUDIO,
    "input_file": FILE,
    "input_image": IMAGE,
    "input_video": FILE,
    "video_url": FILE,
}
#: Keys under which such a part carries base64 without a `data:` in front of it.
_INLINE: Final = frozenset({"b64_json", "data", "file_data", "result"})
#: Keys under which answers carry base64, and vectors.
_BINARY: Final = frozenset({"audio", "b64_json", "data", "embedding", "partial_image_b64", "result"})


def inline(key: str | int, value: str, part: str | None) -> str | None:
    """The label of a string that is no text; None if it is text.

    Args:
        key: under which it stands.
        value: the string.
        part: the label of the content part around it, if there is one.
    """
    if value.startswith("data:") and ";base64," in value[:128]:
        if value.startswith("data:image/"):
            return IMAGE
        return AUDIO if value.startswith("data:audio/") else part or FILE
    return part if part is not None and key in _INLINE else None


def numbers(value: Any) -> bool:
    """Whether this is text as token numbers, which nobody but the model can read."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return isinstance(first, int) or (isinstance(first, list) and bool(first) and isinstance(first[0], int))


def returned(path: str, body: Any, *, file: bool, stream: bool) -> tuple[str, ...]:
    """Labels of what an answer will carry that cannot be masked.

    Args:
        path: of the endpoint.
        body: of the request.
        file: the caller wants bytes.
        stream: the answer comes as events.
    """
    asked = body if isinstance(body, dict) else {}
    kinds = asked.get("modalities")
    kinds = kinds if isinstance(kinds, (list, tuple)) else ()
    tools = asked.get("tools")
    found: set[str] = set()
    if "/audio/speech" in path or "audio" in kinds:
        found.add(AUDIO)
    elif path.startswith("/images/") or "image" in kinds:
        found.add(IMAGE)
    elif file:
        found.add(FILE)
    if isinstance(tools, list) and any(isinstance(t, dict) and t.get("type") == "image_generation" for t in tools):
        found.add(IMAGE)
    if stream and path.startswith("/threads"):
        found.add(RAW)  # its text comes in pieces that nothing joins
    return tuple(sorted(found))


def binary(key: str | int, value: Any) -> int | None:
    """Picks base64 and vectors out of an answer that was said to carry them (for `paths.lift`)."""
    if key not in _BINARY or not value:
        return None
    if isinstance(value, str) or (isinstance(value, list) and isinstance(value[0], (int, float))):
        return len(value)
    return None  # `data` is also what lists of objects are called
