"""What one call carries, kept in the replay vault where policy asks for it (`@capture("content")`).

What is kept is what crossed: the request as it left, the result as its reader got it. The vault is one more place that
data goes to, so policy is asked about it, too: `reveal` with `context.to.kind == "vault"`; what may not be revealed there is masked
in what is kept.

INVARIANT: what goes out is in the vault before the intent that tells of it, or the call does not happen. What comes back never
waits for the vault: where it cannot be kept, the outcome says so.
"""

from __future__ import annotations

import json
import logging
import numbers
import uuid
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from guardai.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardai.gate.questions import Owed
    from guardai.gate.rows import Form
    from guardai.ledger import Held, ReplayVault, Writer
    from guardai.text import Masking

__all__ = ["Keeping", "encoded", "plain"]

_log: Final = logging.getLogger("guardai")
_AS_THEY_ARE: Final = frozenset((str, int, float, bool, type(None)))
_BYTES: Final = (bytes, bytearray, memoryview)


class Keeping:
    """Of one call.

    Args:
        vault: where.
        whose: session, user and call, by their ids.
        owed: what data owes on its way into the vault.
        masking: makes a masking by that.
    """

    __slots__ = ("_lines", "_lost", "_masking", "_owed", "_texts", "_told", "_vault", "_whose")

    def __init__(self, vault: ReplayVault, whose: tuple[str, str, str], owed: Owed, masking: Masking) -> None:
        self._vault = vault
        self._whose = whose
        self._owed = owed
        self._masking = masking
        self._told: dict[str, Held] = {}
        self._lost: list[str] = []
        #: Contents that come line by line: rows, and sets of parameters.
        self._lines: dict[str, Writer] = {}
        #: Channel of a stream → what has left of its text.
        self._texts: dict[str, list[str]] = {}

    # ---- before the effect ----

    def request(self, side: str, payload: Any) -> None:
        """Something that is about to leave.

        Raises:
            GuardError: it cannot be kept.
        """
        self._whole(side, payload)

    def more(self, payload: Any) -> None:
        """More of the request, which is only made while the call runs.

        Raises:
            GuardError: it cannot be kept.
        """
        self._line("more", plain(self._masking.payload(payload), self._owed))

    # ---- after it: none of these raises ----

    def result(self, payload: Any) -> None:
        """What came back, as a whole."""
        self._try("out", partial(self._whole, "out", payload))

    def heard(self, channel: str, text: str) -> None:
        """A piece of an answer's text, as it left."""
        self._texts.setdefault(channel, []).append(text)

    def rows(self, rows: Callable[[], Sequence[Any]], form: Form) -> None:
        """Rows, as they are about to be handed out."""
        if "rows" in self._lost:
            return

        def keep() -> None:
            if form.names is not None:
                self._line("rows", {"columns": list(form.names)})
                form.names = None
            for row in form.passed(self._masking, rows()):
                cells = list(row.values()) if isinstance(row, Mapping) else list(row)
                self._line("rows", plain(cells, self._owed))

        self._try("rows", keep)

    def told(self, content: dict[str, object] | None) -> dict[str, object] | None:
        """An event's `content`, with what was kept since the last. Each is told once."""
        told, self._told = self._told, {}
        for side, held in told.items():
            known = cast("dict[str, object]", (content or {}).get(side) or {"bytes": held.bytes})
            content = {**(content or {}), side: {**known, "kept": held.commit, "until": held.until}}
        return content

    def finish(self) -> list[str]:
        """Nothing more comes; the sides that could not be kept."""
        texts, self._texts = self._texts, {}
        if texts:
            self.result({channel: "".join(pieces) for channel, pieces in texts.items()})
        lines, self._lines = self._lines, {}
        for side, writer in lines.items():
            if side not in self._lost:
                self._try(side, partial(self._end, side, writer))
        return self._lost

    # ---- how ----

    def _try(self, side: str, keep: Callable[[], None]) -> None:
        try:
            keep()
        except Exception as exc:
            self._lost.append(side)
            why = exc if isinstance(exc, GuardError) else type(exc).__name__  # values may hide in others' words
            _log.warning("what a call returned could not be kept for replay: %s", why)

    def _end(self, side: str, writer: Writer) -> None:
        self._told[side] = writer.end()

    def _whole(self, side: str, payload: Any) -> None:
        writer = self._vault.writer(*self._whose, side)
        writer.add(encoded(plain(self._masking.payload(payload), self._owed)))
        self._end(side, writer)

    def _line(self, side: str, value: Any) -> None:
        writer = self._lines.get(side)
        if writer is None:
            writer = self._lines[side] = self._vault.writer(*self._whose, side)
        writer.add(encoded(value) + b"\n")


def plain(value: Any, owed: Owed) -> Any:
    """As JSON has it. An object is its type's name; so are bytes that nobody can look into, unless policy reveals them."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {key if type(key) is str else _key(key): plain(child, owed) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(child, owed) for child in value]
    if isinstance(value, _BYTES):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw if owed.foreign() else f"<{kind.__name__}: {len(raw)} bytes>"
    # By what they are, not by their class: NumPy's numbers and pandas' times are these, too.
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return _type_name(value)  # dataclasses and their like, too, whose fields nobody has looked into


def _key(key: object) -> str:
    if isinstance(key, str | int | float | type(None)):
        return str(key)
    return _type_name(key)


def encoded(payload: Any) -> bytes:
    """JSON. What JSON has no form for stands there by the name of its type."""
    try:
        return msgspec.json.encode(payload, enc_hook=_type_name)
    except (TypeError, ValueError):  # lone surrogates, integers beyond 64 bits, keys that are no strings
        return json.dumps(payload, default=_type_name, skipkeys=True).encode()


def _type_name(value: object) -> str:
    return f"<{type(value).__name__}>"
