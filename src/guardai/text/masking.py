"""Masking as a policy asks for it: what is owed for each label, over texts, payloads and streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from guardai.model import Mask
from guardai.text import render
from guardai.text.engines import scanner
from guardai.text.judge import Found
from guardai.text.payload import Leaf, PayloadError, Tree
from guardai.text.stream import StreamMasker
from guardai.text.tokens import StreamResolver, Tokens

__all__ = ["Masking"]

#: No detector finds anything in less: `a@b.co`, six digits.
_SHORTEST: Final = 6
#: From this length on, what was found in a text is remembered by the text's digest: messages are sent again every turn.
_LONG: Final = 512
_REMEMBERED: Final = 2048
#: What separates the leaves of a payload in one scan: no detector matches across it, no word is seen beyond it.
_GAP: Final = "\x00"
_NUMBERS: Final = frozenset((int, float, bool, type(None)))
#: Keys of the protocols that models speak, and what stands under them: neither is content.
_PROTOCOL: Final = frozenset(
    """
    role content type name text input output model messages message tool tools
    tool_calls tool_call tool_call_id id function arguments parameters index delta choices finish_reason user
    assistant system developer refusal annotations stop length usage object created description properties
    required string integer number boolean array null items enum title default additionalProperties
    json_schema schema strict stream temperature top_p max_tokens response_format tool_choice auto none args
    kwargs params query sql body data value values output_text input_text call_id status
    completed metadata url detail low high image_url reasoning reasoning_content summary instructions thinking partial_json completion answer result response transcript
    """.split()  # noqa: SIM905 -- a table of words
)


class Masking:
    """Replaces what may not pass.

    Args:
        owed: label → None if data of that label may pass, else the mask that it gets. Asked once a label.
        tokens: the session's table, for the mask `token`; without it, `token` is `redact`.
        key: of the mask `hash`, up to 64 bytes. Equal values are equal under one key only.
        resolve: which labels' tokens are put back before anything is masked, because they may be known where this goes.
        foreign: whether a payload that holds what cannot be looked into (an object, bytes that are no text) is refused
            (`refuse`), or that passes as it is (`pass`).

    Attributes:
        found: label → how many findings, those that may pass included.
        masked: label → mask, of what was replaced.
    """

    def __init__(
        self,
        owed: Callable[[str], Mask | None],
        *,
        tokens: Tokens | None = None,
        key: bytes = b"",
        resolve: Callable[[str], bool] | None = None,
        foreign: str = "refuse",
    ) -> None:
        self.found: dict[str, int] = {}
        self.masked: dict[str, str] = {}
        self._owed = owed
        self._answers: dict[str, Mask | None] = {}
        self._tokens = tokens
        self._key = key
        self._resolve = resolve if tokens is not None else None
        self._foreign = foreign
        self._see, self._see_long = scanner().find, scanner().find_long

    # ---- one value ----

    def owed(self, label: str) -> Mask | None:
        """The mask that data of this label gets; None if it may pass."""
        try:
            return self._answers[label]
        except KeyError:
            mask = self._answers[label] = self._owed(label)
            return mask

    def value(self, label: str, value: Any) -> Any:
        """What a whole value of this label becomes, a cell of a labelled column say; itself if it may pass, or is nothing.

        Raises:
            PayloadError: it is bytes that are not text.
        """
        if value is None or value == "" or self.owed(label) is None:
            return value
        text = value if type(value) is str else self._as_text(value)
        if text is None:  # bytes that are no text have no first letter and no last four digits
            self.found[label] = self.found.get(label, 0) + 1
            self.masked[label] = "redact"
            return render.redact(label)
        return self.replace(label, text)

    def replace(self, label: str, value: str) -> str | None:
        """What a value found under `label` becomes; None if it may pass. It is counted."""
        self.found[label] = self.found.get(label, 0) + 1
        mask = self.owed(label)
        if mask is None:
            return None
        self.masked[label] = mask
        if mask == "token" and self._tokens is not None:
            return self._tokens.token(label, value)
        if mask == "hash":
            return render.hashed(label, value, self._key)
        if mask == "partial":
            return render.partial(label, value)
        return render.redact(label)

    # ---- texts ----

    def text(self, text: str) -> str:
        """The text with what is owed; the same object if nothing is."""
        if self._resolve is not None and "<" in text:
            text = self._tokens.resolve(text, self._resolve)  # type: ignore[union-attr]
        if len(text) < _SHORTEST:
            return text
        data = text.encode("utf-8", "surrogatepass")
        found = self._see(data) if len(data) < _LONG else self._see_long(data)
        if not found:
            return text
        if self._tokens is not None and "<" in text:
            self._tokens.reserve(text)
        return self._replaced(text, data, found)

    def _replaced(self, text: str, data: bytes, found: Sequence[Found]) -> str:
        parts = []
        done = 0
        changed = False
        for start, end, label, _ in found:
            value = data[start:end].decode("utf-8", "surrogatepass")
            made = self.replace(label, value)
            if made is None:
                continue
            changed = True
            if start > done:
                parts.append(data[done:start].decode("utf-8", "surrogatepass"))
            parts.append(made)
            done = end
        if not changed:
            return text
        parts.append(data[done:].decode("utf-8", "surrogatepass"))
        return "".join(parts)

    # ---- streams ----

    def stream(self) -> StreamMasker:
        """A masker for a stream of text, bound to this masking; tokens are put back first where that is permitted."""
        resolver: StreamResolver | None = None
        if self._resolve is not None and self._tokens is not None:
            resolver = self._tokens.resolver(self._resolve)
        return StreamMasker.using(self.replace, resolver)

    # ---- payloads ----

    def payload(self, payload: Any) -> Any:
        """The payload with what is owed; unchanged subtrees, and an unchanged payload, are the same objects.

        All leaves are looked through in one scan, each with the key it stands under as context. A string that is a JSON
        object or array is looked into, and written anew as valid JSON if something in it changes. A number that is
        found sensitive becomes a string.

        Raises:
            PayloadError: it cannot be looked through.
        """
        if type(payload) is str:
            return self._leaf_text(payload)
        tree = Tree(payload, foreign=self._foreign)
        texts: list[tuple[Leaf, str]] = []
        for leaf in tree.leaves:
            value = leaf[2] if type(leaf[2]) is str else self._as_text(leaf[2])
            if value is None or len(value) < _SHORTEST or value in _PROTOCOL:
                continue
            if self._tokens is not None and "<" in value:
                self._tokens.reserve(value)  # of all leaves before any token is issued for one of them
            texts.append((leaf, value))
        pieces: list[str] = []
        placed: list[tuple[Leaf, str, int]] = []
        for leaf, value in texts:
            if ("\\" in value or (self._resolve is not None and "<" in value)) and self._document(tree, leaf, value):
                continue
            text = value
            if self._resolve is not None and "<" in value:
                text = self._tokens.resolve(value, self._resolve)  # type: ignore[union-attr]
                if text != value:
                    self._put(tree, leaf, text)
            name = leaf[3]
            if len(text) >= _LONG:
                data = text.encode("utf-8", "surrogatepass")
                self._change(tree, leaf, text, data, self._see_long(data))
            elif name and name not in _PROTOCOL:
                pieces.append(f"{name}: {text}")
                placed.append((leaf, text, len(name) + 2))
            else:
                pieces.append(text)
                placed.append((leaf, text, 0))
        if pieces:
            self._joined(tree, pieces, placed)
        return tree.payload()

    def rows(self, rows: list[Any]) -> list[Any]:
        """Rows of cells with what is owed; the same object if nothing is. As `payload`, faster where nothing is found.

        Numbers are no text: a column of them is masked by its label, or not at all.

        Raises:
            PayloadError: a cell cannot be looked into.
        """
        try:
            joined = _GAP.join([cell for row in rows for cell in row if cell.__class__ not in _NUMBERS])
        except TypeError:  # a cell or a row of another type
            return self.payload(rows)  # type: ignore[no-any-return]
        if "\\" in joined or "<" in joined or self._see_long(joined.encode("utf-8", "surrogatepass")):
            return self.payload(rows)  # type: ignore[no-any-return]
        return rows

    def _as_text(self, value: Any) -> str | None:
        """A leaf of another type as text; None for bytes that are none, where those may pass."""
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes | bytearray | memoryview):
            try:
                return bytes(value).decode()
            except UnicodeDecodeError:
                if self._foreign == "pass":
                    return None
                raise PayloadError("the payload holds bytes that are not text") from None
        return str(value)

    def _joined(self, tree: Tree, pieces: list[str], placed: list[tuple[Leaf, str, int]]) -> None:
        """One scan of all short leaves. What is found in a key's name here is found with the key itself."""
        joined = _GAP.join(pieces)
        data = joined.encode("utf-8", "surrogatepass")
        found = self._see(data)
        if not found:
            return
        plain = len(data) == len(joined)
        at = upcoming = 0
        for piece, (leaf, text, before) in zip(pieces, placed, strict=True):
            end = at + (len(piece) if plain else len(piece.encode("utf-8", "surrogatepass")))
            start = at + (before if plain else len(piece[:before].encode("utf-8", "surrogatepass")))
            inside: list[Found] = []
            while upcoming < len(found) and found[upcoming][0] < end:
                first, last, label, score = found[upcoming]
                if last > start:
                    inside.append((max(first, start) - start, min(last, end) - start, label, score))
                if last > end:
                    break  # not to be: it goes on in the next leaf
                upcoming += 1
            if inside:
                self._change(tree, leaf, text, data[start:end], inside)
            if upcoming == len(found):
                return
            at = end + 1

    def _change(self, tree: Tree, leaf: Leaf, text: str, data: bytes, found: Sequence[Found]) -> None:
        if found and not self._document(tree, leaf, text) and (made := self._replaced(text, data, found)) is not text:
            self._put(tree, leaf, made)

    def _document(self, tree: Tree, leaf: Leaf, text: str) -> bool:
        """Looks into a string that is JSON: an escape can hide a value, and a number must not become a bare word.

        Returns:
            Whether it was one; if not, it is a text like any other.
        """
        if not _bracketed(text) or (document := _parsed(text)) is None:
            return False
        made = self.payload(document)
        if made is not document:
            self._put(tree, leaf, json.dumps(made, ensure_ascii=False))
        return True

    @staticmethod
    def _put(tree: Tree, leaf: Leaf, made: str) -> None:
        tree.put(
            leaf, made.encode("utf-8", "surrogatepass") if isinstance(leaf[2], bytes | bytearray | memoryview) else made
        )

    def _leaf_text(self, text: str) -> str:
        if _bracketed(text):
            made = self.payload([text])[0]
            assert isinstance(made, str)
            return made
        return self.text(text)


def _bracketed(text: str) -> bool:
    head, tail = text[:1], text[-1:]
    if head not in ("{", "[", " ", "\n", "\t"):
        return False
    stripped = text.strip() if head.isspace() or tail.isspace() else text
    return (stripped[:1], stripped[-1:]) in (("{", "}"), ("[", "]"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made


class _Twice(ValueError):
    pass


def _parsed(text: str) -> Any:
    """The JSON document in `text`, or None if it is none that can be written anew without loss."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
