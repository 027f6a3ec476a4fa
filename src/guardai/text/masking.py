"""Masking as a policy asks for it: what is owed for each label, over texts, payloads and streams."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from guardai.model import Mask
from guardai.text.documents import BEGINS, LOSSY, Depth, bracketed, dumped, parsed, unwritten, written
from guardai.text.find import behind
from guardai.text.judging.judge import Found
from guardai.text.masks import render
from guardai.text.masks.cells import typed
from guardai.text.masks.tokens import StreamResolver, Tokens
from guardai.text.payload import PROTOCOL, REMOVED, Leaf, PayloadError, Tree
from guardai.text.scanner import Search, scanner
from guardai.text.stream import StreamMasker

__all__ = ["Masking"]

#: No detector finds anything in less: `a@b.co`, six digits.
_SHORTEST: Final = 6
#: A whole number below is written in less.
_SMALL: Final = 10 ** (_SHORTEST - 1)
#: From this length on, what was found in a text is remembered by the text's digest: messages are sent again every turn.
_LONG: Final = 512
#: What separates the leaves of a payload in one scan. A line ends before it, as a text ends; no detector of ours matches
#: across it, and no word is seen beyond it.
_GAP: Final = "\n\x00\n"
_ROWS: Final = frozenset((tuple, list))
_NUMBERS: Final = frozenset((int, float, bool, type(None)))
#: Masks that leave nothing, and those for which the type of a value matters.
_EMPTY: Final = frozenset(("drop", "null"))
_TYPED: Final = frozenset(("drop", "null", "shift", "fpe"))


def _mappings(rows: Sequence[Any]) -> set[type]:
    """The classes of those rows that say their columns when they are asked for their cells; `dict` for what derives."""
    return {dict if issubclass(kind, dict) else kind for kind in set(map(type, rows)) if issubclass(kind, Mapping)}


def _nobody(_label: str) -> bool:
    return False


class Masking:
    """Replaces what may not pass.

    Args:
        owed: label → None if data of that label may pass, else the mask that it gets. Asked once a label.
        tokens: the session's table, for the mask `token`; without it, `token` is `redact`.
        key: of the masks `hash`, `shift` and `fpe`, up to 64 bytes. Equal values are equal under one key only.
        scope: the session's id: its dates move alike.
        resolve: which labels' tokens are put back before anything is masked, because they may be known where this goes.
        foreign: asked when a payload holds what cannot be looked into (an object, bytes that are no text): whether that passes
            as it is. Without it, such a payload is refused.
        search: what is looked for; None for what the process looks for.

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
        scope: str = "",
        resolve: Callable[[str], bool] | None = None,
        foreign: Callable[[], bool] | None = None,
        search: Search | None = None,
    ) -> None:
        self.found: dict[str, int] = {}
        self.masked: dict[str, str] = {}
        self._owed = owed
        self._answers: dict[str, Mask | None] = {}
        self._tokens = tokens
        self._key = key
        self._scope = scope
        if tokens is not None:
            tokens.keep()
        self._resolve = resolve if tokens is not None else None
        self._foreign = foreign
        #: Whether many tokens at once are cheaper than one by one.
        self._many = tokens is not None and tokens.shared
        current = self._scanner = scanner() if search is None else search.scanner()
        self._see, self._see_long = current.find, current.find_long
        self._see_patterns, self._names, self._announces = current.find_patterns, current.names, current.announces
        self._secret, self._see_whole = current.secret, current.find_whole
        #: A name may be shorter than anything that a pattern finds.
        self._shortest = _SHORTEST if current.names is None else 1

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

        Its type is kept where the mask allows it: None for `drop` and `null`; for `shift` a date, a date and time, or an
        `int` such as 19760704; for `fpe` an `int` or `Decimal` of as many digits; bytes for bytes. Everything else that is
        no text becomes a string.
        """
        mask = self.owed(label)
        if value is None or mask is None or (isinstance(value, str) and not value):
            return value
        if mask in _EMPTY:
            self._count(label, mask)
            return None
        if isinstance(value, str):
            return self.replace(label, str.__str__(value))
        if not isinstance(value, bytes | bytearray | memoryview):
            if mask not in _TYPED:
                return self.replace(label, str(value))
            self._count(label, mask)
            made = typed(mask, label, value, self._key, self._scope)
            return render.redact(label) if made is None else made
        raw = bytes(value)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            # Bytes that are no text have no first letter and no last four digits, and stand for nothing in an answer.
            self._count(label, mask)
            return (render.hashed(label, raw.hex(), self._key) if mask == "hash" else render.redact(label)).encode()
        masked = self.replace(label, text)
        assert masked is not None
        return masked.encode("utf-8", "surrogatepass")

    def column(self, label: str, values: Sequence[Any]) -> list[Any]:
        """Each value as `value` gives it, together: what says nothing of its value is made once."""
        mask = self.owed(label)
        if mask not in _EMPTY and mask != "redact":
            self.ready((label, value) for value in values)
            return [self.value(label, value) for value in values]
        made = None if mask in _EMPTY else render.redact(label)
        count = 0
        masked: list[Any] = []
        for value in values:
            if value is None or (isinstance(value, str) and not value):
                masked.append(value)
                continue
            count += 1
            raw = made is not None and isinstance(value, bytes | bytearray | memoryview)
            masked.append(made.encode() if raw else made)  # type: ignore[union-attr]
        if count:
            self.found[label] = self.found.get(label, 0) + count
            self.masked[label] = mask
        return masked

    def ready(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Gives tokens to many values at once, as (label, value), which a vault does in one transaction.

        What is no text, and what owes another mask, is left for later.

        Raises:
            GuardError: the vault cannot keep them.
        """
        tokens = self._tokens
        if tokens is not None and tokens.shared:
            wanted = [pair for pair in pairs if type(pair[1]) is str and pair[1] and self.owed(pair[0]) == "token"]
            if len(wanted) > 1:
                tokens.issue(wanted)

    def _count(self, label: str, mask: Mask) -> None:
        self.found[label] = self.found.get(label, 0) + 1
        self.masked[label] = mask

    def replace(self, label: str, value: str) -> str | None:
        """What a value found under `label` becomes; None if it may pass. It is counted."""
        self.found[label] = self.found.get(label, 0) + 1
        mask = self.owed(label)
        if mask is None:
            return None
        self.masked[label] = mask
        if mask == "token" and self._tokens is not None:
            return self._tokens.token(label, value)
        return render.rendered(mask, label, value, self._key, self._scope)

    # ---- texts ----

    def text(self, text: str) -> str:
        """The text with what is owed; the same object if nothing is."""
        if self._tokens is not None:
            self._tokens.reserve(text)
            if self._resolve is not None and "<" in text:
                text = self._tokens.resolve(text, self._resolve)
        if len(text) < self._shortest:
            return text
        data = text.encode("utf-8", "surrogatepass")
        found = self._see(data) if len(data) < _LONG else self._see_long(data)
        if not found:
            return text
        return self._replaced(text, data, found)

    def _replaced(self, text: str, data: bytes, found: Sequence[Found], *, instead: Mask | None = None) -> str:
        """The text with its findings replaced; the same object if all may pass. `instead`: of nothing at all."""
        if len(found) > 1 and self._many:
            self.ready((label, data[start:end].decode("utf-8", "surrogatepass")) for start, end, label, _ in found)
        parts = []
        done = 0
        changed = False
        for start, end, label, _ in found:
            value = data[start:end].decode("utf-8", "surrogatepass")
            made = self.replace(label, value)
            if made is None:
                continue
            if not made and instead is not None:
                made = render.rendered(instead, label, value, self._key, self._scope)
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

    def stream(self, *, quoted: bool = False) -> StreamMasker:
        """A masker for a stream of text, bound to this masking; tokens are put back first where that is permitted.

        Args:
            quoted: the text is JSON, and stays it: what is put back, and what replaces a value, is written as JSON.
        """
        resolver: StreamResolver | None = None
        if self._tokens is not None:
            resolver = self._tokens.resolver(self._resolve or _nobody, quoted=quoted)
        return StreamMasker.using(self.replace, resolver, quoted=quoted, scanner=self._scanner)

    # ---- payloads ----

    def payload(self, payload: Any) -> Any:
        """The payload with what is owed; unchanged subtrees, and an unchanged payload, are the same objects.

        All leaves are looked through in one scan, each with the key it stands under as context. A string that is a JSON
        object or array is looked into, and written anew as valid JSON if something in it changes. A number that is
        found sensitive becomes a string, but for `fpe`.

        A leaf that is sensitive as a whole is None under `null`; under `drop` its entry leaves its dictionary or set. In
        three places that would break what somebody else reads by: in a list or tuple, where positions count, and in the
        outermost dictionary, which is a call's own form, it is None; under a key of the protocols that models speak
        (`content`, `text`, `input`, …), which want a text there, it is empty.

        Raises:
            PayloadError: it cannot be looked through.
        """
        kind = type(payload)
        if kind is str:
            return self._leaf_text(payload)
        if (kind is tuple or kind is list) and self._names is None:
            # The parameters of most statements: keys, each too short for anything that is looked for.
            for item in payload:
                if type(item) is not int or not 0 <= item < _SMALL:
                    break
            else:
                return payload
        return self._tree(Tree(payload, foreign=self._foreign))

    def _tree(self, tree: Tree) -> Any:
        texts: list[tuple[Leaf, str]] = []
        for leaf in tree.leaves:
            value = leaf[2] if type(leaf[2]) is str else self._as_text(leaf[2])
            if (
                not value
                or value in PROTOCOL
                or (len(value) < self._shortest and not (leaf[3] and self._announces(leaf[3])))
            ):
                continue
            if self._tokens is not None:
                self._tokens.reserve(value)  # of all leaves before any token is issued for one of them
            texts.append((leaf, value))
        pieces: list[str] = []
        placed: list[tuple[Leaf, str, int]] = []
        for leaf, value in texts:
            if value[0] in BEGINS and bracketed(value) and self._document(tree, leaf, value):
                continue
            text = value
            if self._resolve is not None and "<" in value:
                text = self._tokens.resolve(value, self._resolve)  # type: ignore[union-attr]
                if text != value:
                    self._put(tree, leaf, text)
            name = leaf[3]
            before = f"{name}: " if name and name not in PROTOCOL and self._announces(name) else ""
            if len(text) >= _LONG:
                self._long(tree, leaf, text, before)
            else:
                pieces.append(before + text)
                placed.append((leaf, text, len(before)))
        if pieces:
            self._joined(tree, pieces, placed)
        return tree.payload()

    def _long(self, tree: Tree, leaf: Leaf, text: str, before: str) -> None:
        """A text that is remembered by its digest, and by its name's."""
        data = text.encode("utf-8", "surrogatepass")
        if not before:
            self._change(tree, leaf, text, data, self._see_long(data))
            return
        head = before.encode("utf-8", "surrogatepass")
        found = behind(self._see_long(head + data), len(head))
        self._change(tree, leaf, text, data, self._see_whole(leaf[3], data, found))

    def rows(self, rows: list[Any], columns: Sequence[str] = ()) -> list[Any]:
        """Rows of cells with what is owed; the same object if nothing is. As `payload`, faster where nothing is found.

        Numbers are no text: a column of them is masked by its label, or not at all.

        Args:
            rows: tuples, as drivers give them; or dictionaries, whose keys name their cells.
            columns: what the columns are called. A name is context for its cells, as a key is.

        Raises:
            PayloadError: a cell, or a row, cannot be looked into.
        """
        if not rows:
            return rows
        if not _ROWS.issuperset(map(type, rows)) and (mappings := _mappings(rows)):
            if not mappings <= {dict}:
                raise PayloadError("a row is a tuple or a dictionary; make a dictionary of another mapping")
            return self._tree(Tree(rows, foreign=self._foreign, columns=columns))  # type: ignore[no-any-return]
        if self._names is None:  # to a recogniser each cell is a text of its own
            try:
                before = [
                    f"{str.__str__(name)}: "
                    if self._announces(name) and any(row[at].__class__ is str for row in rows)
                    else ""
                    for at, name in enumerate(columns)
                ]
                if any(before):
                    cells = [
                        name + cell
                        for row in rows
                        for name, cell in zip(before, row, strict=True)
                        if cell.__class__ not in _NUMBERS
                    ]
                else:
                    cells = [cell for row in rows for cell in row if cell.__class__ not in _NUMBERS]
                joined = _GAP.join(cells)
            except (IndexError, TypeError, ValueError):  # a cell or a row of another type or length
                joined = "<"
            # An escape, a token, a document: those are looked into.
            inside = "\\" in joined or "<" in joined or "{" in joined or "[" in joined
            # So is what is the whole value of a secret's column.
            inside = inside or any(said and self._secret(name) for said, name in zip(before, columns, strict=True))
            if not inside and not self._see_long(joined.encode("utf-8", "surrogatepass")):
                return rows
        return self._tree(Tree(rows, foreign=self._foreign, columns=columns))  # type: ignore[no-any-return]

    def _as_text(self, value: Any) -> str | None:
        """A leaf of another type as text; None for bytes that are none, where those may pass."""
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes | bytearray | memoryview):
            with suppress(UnicodeDecodeError):
                return bytes(value).decode()
            # Not within the handler: the error there holds the bytes, and would be the context of this one.
            if self._foreign is not None and self._foreign():
                return None
            raise PayloadError("the payload holds bytes that are not text")
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        if isinstance(value, int):
            return int.__str__(value)
        if isinstance(value, float | decimal.Decimal):
            return (
                f"{value:.0f}"
                if value == int(value)
                else f"{value:f}"
                if isinstance(value, decimal.Decimal)
                else repr(float(value))
            )
        return str(value)

    def _joined(self, tree: Tree, pieces: list[str], placed: list[tuple[Leaf, str, int]]) -> None:
        """One scan of all short leaves. What is found in a key's name here is found with the key itself."""
        joined = _GAP.join(pieces)
        data = joined.encode("utf-8", "surrogatepass")
        found = self._see_patterns(data)
        whole = self._names is not None or any(before and self._secret(leaf[3]) for leaf, _, before in placed)
        if not found and not whole:
            return
        plain = len(data) == len(joined)
        at = upcoming = 0
        changes: list[tuple[Leaf, str, bytes, list[Found]]] = []
        for piece, (leaf, text, before) in zip(pieces, placed, strict=True):
            end = at + (len(piece) if plain else len(piece.encode("utf-8", "surrogatepass")))
            start = at + (before if plain else len(piece[:before].encode("utf-8", "surrogatepass")))
            inside: list[Found] = []
            while upcoming < len(found) and found[upcoming][0] < end:
                first, last, label, score = found[upcoming]
                if last > end:
                    # Somebody's own detector reads across the gap, and may hide what the next leaf holds.
                    for alone, place in zip(pieces, placed, strict=True):
                        self._joined(tree, [alone], [place])
                    return
                if last > start:
                    inside.append((max(first, start) - start, last - start, label, score))
                upcoming += 1
            if before and whole:
                inside = self._see_whole(leaf[3], data[start:end], inside)
            if self._names is not None:
                inside = self._names.add(data[start:end], inside)
            if inside:
                changes.append((leaf, text, data[start:end], inside))
            if upcoming == len(found) and not whole:
                break
            at = end + len(_GAP)
        if self._many:
            self.ready(
                (label, found_in[first:last].decode("utf-8", "surrogatepass"))
                for _, _, found_in, inside in changes
                for first, last, label, _ in inside
            )
        for leaf, text, found_in, inside in changes:
            self._change(tree, leaf, text, found_in, inside)

    def _change(self, tree: Tree, leaf: Leaf, text: str, data: bytes, found: Sequence[Found]) -> None:
        if not found:
            return
        start, end, label, _ = found[0]
        if isinstance(leaf[2], list | tuple):
            if (place := self.replace(label, text)) is not None:
                tree.put(leaf, place or None)
            return
        if leaf[4]:  # two keys must not become the same nothing, nor a key a value
            made = self._replaced(text, data, found, instead="redact")
        elif start == 0 and end == len(data) and self._whole(tree, leaf, label):
            return
        else:
            made = self._replaced(text, data, found)
        if made is not text:
            self._put(tree, leaf, made)

    def _whole(self, tree: Tree, leaf: Leaf, label: str) -> bool:
        """Masks a leaf that is a value from end to end, where it does not become a text; whether it was so."""
        mask = self.owed(label)
        made: Any = None
        if mask is None or mask not in _TYPED:
            return False
        if mask in _EMPTY:
            if leaf[1] in PROTOCOL or leaf[3] in PROTOCOL:
                return False
            if mask == "drop" and tree.removable(leaf):
                made = REMOVED
        elif isinstance(leaf[2], str) or (made := typed(mask, label, leaf[2], self._key, self._scope)) is None:
            return False
        self._count(label, mask)
        tree.put(leaf, made)
        return True

    def _document(self, tree: Tree, leaf: Leaf, text: str) -> bool:
        """Looks into a string that is JSON: an escape can hide a value, and a number must not become a bare word.

        Returns:
            Whether it was one; if not, it is a text like any other.
        """
        if not bracketed(text) or (document := parsed(text)) is None:
            return False
        if document is LOSSY:
            self._in_place(tree, leaf, text)
            return True
        try:
            made = self.payload(document)
        except PayloadError:  # too deep, which one interpreter's parser says, and another's does not
            return False
        if made is not document:
            self._put(tree, leaf, dumped(made))
            return True
        # INVARIANT: what is found in the text is not let through because it is not found in its parts.
        data = text.encode("utf-8", "surrogatepass")
        parts: list[str] = []
        depth = Depth(json=True)
        done = read = 0
        # Names were looked for in the parts.
        for start, end, label, _ in self._see_long(data) if self._names is None else self._see_patterns(data):
            depth.read(data[read:start].decode("utf-8", "surrogatepass"))
            read = start
            value = unwritten(data[start:end].decode("utf-8", "surrogatepass"), depth.deep)
            replaced = self.replace(label, value)
            if replaced is not None:
                parts.append(data[done:start].decode("utf-8", "surrogatepass"))
                parts.append(written(replaced, depth.deep) if depth.deep else dumped(replaced))
                done = end
        if parts:
            self._put(tree, leaf, "".join(parts) + data[done:].decode("utf-8", "surrogatepass"))
        return True

    def _in_place(self, tree: Tree, leaf: Leaf, text: str) -> None:
        """Masks a document that is not written anew."""
        made = text
        if self._tokens is not None and self._resolve is not None:
            made = self._tokens.resolve(text, self._resolve, quoted=True)
        masker = StreamMasker.using(self.replace, document=made, scanner=self._scanner)
        made = masker.feed(made) + masker.finish()
        if made != text:
            self._put(tree, leaf, made)

    @staticmethod
    def _put(tree: Tree, leaf: Leaf, made: str) -> None:
        tree.put(
            leaf, made.encode("utf-8", "surrogatepass") if isinstance(leaf[2], bytes | bytearray | memoryview) else made
        )

    def _leaf_text(self, text: str) -> str:
        if bracketed(text):
            made = self.payload([text])[0]
            return made if isinstance(made, str) else ""
        return self.text(text)
