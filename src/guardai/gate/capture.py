"""The rows of a statement as it found and as it left them, kept so that it can be taken back.

Without I/O: the driver's file runs what is asked for, on the statement's own connection and in its transaction.

INVARIANT: the rows are in the vault before the statement runs, or it does not run. What the statement left is in the vault
before the transaction that guardai began around it is committed, or it is taken back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardai.sql import Before, Image, NotKept, before

if TYPE_CHECKING:
    from guardai.ledger import Images
    from guardai.model import Call

__all__ = ["MOST", "Answer", "Ask", "Capture"]

#: Rows of one statement. Whoever changes more wants a backup.
MOST: Final = 10_000


class Ask(NamedTuple):
    """A query of ours.

    Attributes:
        parts: its text and the marks of its parameters, in turn.
        parameters: what is bound to it; None for nothing.
    """

    parts: tuple[str, ...]
    parameters: Any = None

    @property
    def sql(self) -> str:
        """As it is sent."""
        return "".join(self.parts)

    @property
    def formatted(self) -> str:
        """For a driver that makes `%` of `%%` where there are parameters."""
        if not self.parts[1:] or self.parts[1][0] != "%":
            return self.sql
        return "".join(part if at % 2 else part.replace("%", "%%") for at, part in enumerate(self.parts))


class Answer(NamedTuple):
    """Its columns, as name and the driver's code of the type, and its rows, as tuples."""

    columns: Sequence[tuple[str, object]]
    rows: Sequence[Sequence[object]]


class Capture:
    """Of one statement.

    Attributes:
        count: how many rows were kept.

    Args:
        found: how the rows are found.
        images: where they are kept.
        event: under which id.
        uri: of the database.
    """

    __slots__ = ("_event", "_found", "_image", "_images", "_uri", "count")

    def __init__(self, found: Before, images: Images, event: str, uri: str) -> None:
        self._found = found
        self._images = images
        self._event = event
        self._uri = uri
        self._image: Image | None = None
        self.count = 0

    @classmethod
    def of(cls, call: Call, event: str, images: Images | None) -> Capture | None:
        """For a statement that is about to run; None if it changes no row that is there.

        Raises:
            NotKept: its rows cannot be kept; the argument says why.
        """
        found = before(call.statement or "", call.dialect or "", call.schema)
        if found is None:
            return None
        if images is None:
            raise NotKept("no vault is there to keep them in (capture_life is 0)")
        return cls(found, images, event, call.target.host)

    def before(self, parameters: object) -> Generator[Ask, Answer, None]:
        """Asks for the rows as they are and keeps them.

        Args:
            parameters: of the statement, as they are sent.

        Raises:
            NotKept: they cannot be kept; the argument says why.
            VaultError: the same.
        """
        found = self._found
        columns = (yield Ask((found.shape,))).columns
        place = (yield Ask((found.place,))).rows[0]
        if found.made:
            found.check((yield Ask((found.made,))).rows[0])
        image = Image.of(found, columns, place, self._uri)
        with _readable():
            image.add((yield Ask(found.rows(columns, MOST), found.bound(parameters))).rows, MOST)
        self.count = len(image.rows)
        self._image = image
        self._images.put(self._event, msgspec.json.encode(image))

    def after(self, affected: int | None) -> Generator[Ask, Answer, None]:
        """Asks for the same rows as the statement left them and keeps those, too.

        Args:
            affected: rows that the driver says were changed; None if it does not say.

        Raises:
            NotKept: other rows have changed than those that were kept, so it has to be taken back.
            VaultError: what it left cannot be kept.
        """
        image = self._image
        assert image is not None, "what is left is asked for after what was found"
        left: list[Sequence[object]] = []
        for sql in image.now():
            left += (yield Ask((sql,))).rows
        with _readable():
            image.leave(left, affected)
        self._images.put(self._event, msgspec.json.encode(image))


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ValueError as why:  # bytes that are no text say, in what should be one
        raise NotKept(f"a value cannot be written down ({type(why).__name__})") from None
