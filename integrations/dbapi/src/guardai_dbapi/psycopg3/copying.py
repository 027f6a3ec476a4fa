"""COPY: rows that come and rows that leave, masked within psycopg's own `Copy` object."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from guardai.hooks import Rows
from guardai_dbapi.psycopg3.asked import PLAIN_OUT, opened_up, wrapped_up
from guardai_dbapi.psycopg3.governed import Governed

__all__ = ["Copying"]

PQGen = Generator[Any, Any, Any]


#: Characters of a COPY's unfinished line that are kept back to be inspected as a whole.
_LINE: Final = 1 << 20


class Copying:
    """The data of one COPY: rows that come, or rows that leave. Its methods stand in front of the `Copy` object's own."""

    __slots__ = ("_copy", "_governed", "_plain_finish", "_plain_read", "_plain_write", "_plain_write_row", "_tail")

    def __init__(self, governed: Governed, copy: Any) -> None:
        self._governed = governed
        self._copy = copy
        self._tail = b""
        self._plain_finish = copy.finish
        self._plain_read = copy._read_gen
        self._plain_write = copy.write
        self._plain_write_row = copy.write_row

    def install(self) -> None:
        copy = self._copy
        coming = self._coming
        waits = hasattr(copy, "__aenter__")
        copy.finish = self._afinish if waits else self._finish
        if coming:
            if not self._binary and PLAIN_OUT.search(self._governed.statement.ticket.call.statement or ""):
                copy._read_gen = self._read_block
            if hasattr(copy.formatter, "parse_row"):
                copy._read_row_gen = self._read_row
        else:
            copy.write = self._awrite if waits else self._write
            copy.write_row = self._awrite_row if waits else self._write_row

    @property
    def _coming(self) -> bool:
        from psycopg.pq import ExecStatus

        return bool(self._copy._direction == ExecStatus.COPY_OUT)

    @property
    def _binary(self) -> bool:
        return bool(self._copy.formatter.format)

    @property
    def _rows(self) -> Rows:
        return self._governed.rows(self._copy.cursor.pgresult)

    def _read_row(self) -> PQGen:
        """As psycopg's own, on what may be seen."""
        copy = self._copy
        data = yield from self._plain_read()
        if not data:
            return None
        row = copy.formatter.parse_row(data)
        if row is None:
            yield from self._plain_read()
            copy._finished = True
            return None
        return self._rows.one(row)

    def _read_block(self) -> PQGen:
        """One line of the text format, its fields masked."""
        data = yield from self._plain_read()
        if not data:
            return data
        from psycopg._copy_base import _dump_re, _dump_sub, _load_re, _load_sub

        encoding = self._copy._pgconn._encoding
        fields = bytes(data).removesuffix(b"\n").split(b"\t")
        row = tuple(
            None if field == b"\\N" else _load_re.sub(_load_sub, field).decode(encoding, "surrogateescape")
            for field in fields
        )
        seen = self._rows.one(row)
        if seen is row or seen == row:
            return data
        made = [
            b"\\N" if cell is None else _dump_re.sub(_dump_sub, str(cell).encode(encoding, "surrogateescape"))
            for cell in seen
        ]
        return memoryview(b"\t".join(made) + b"\n")

    def _leaving(self, data: Any) -> Any:
        """A row, or text, as policy lets it leave."""
        return next(iter(self._governed.statement.ticket.leaving([data])))

    def _row(self, row: Any) -> Any:
        given = tuple(row)
        plain = opened_up(given)
        masked = self._leaving(plain)
        return row if masked is plain or masked == plain else wrapped_up(given, masked)

    def _block(self, block: Any, *, last: bool = False) -> Any:
        """Whole lines of what is written; the rest waits for its end."""
        if self._binary:
            return block
        encoding = self._copy._pgconn._encoding
        data = self._tail + (block.encode(encoding) if isinstance(block, str) else bytes(block))
        end = len(data) if last or len(data) > _LINE else data.rfind(b"\n") + 1
        lines, self._tail = data[:end], data[end:]
        return (
            self._leaving(lines.decode(encoding, "surrogateescape")).encode(encoding, "surrogateescape")
            if lines
            else b""
        )

    def _write(self, buffer: Any) -> None:
        if block := self._block(buffer):
            self._plain_write(block)

    async def _awrite(self, buffer: Any) -> None:
        if block := self._block(buffer):
            await self._plain_write(block)

    def _write_row(self, row: Any) -> None:
        self._plain_write_row(self._row(row))

    async def _awrite_row(self, row: Any) -> None:
        await self._plain_write_row(self._row(row))

    def _finish(self, exc: BaseException | None) -> None:
        if exc is None and self._tail:
            self._plain_write(self._block(b"", last=True))
        self._plain_finish(exc)
        if exc is None and self._governed.guarding:
            self._copy.connection.wait(self._governed.after(self._copy.cursor, self._affected))
        if exc is None:
            self._over()

    async def _afinish(self, exc: BaseException | None) -> None:
        if exc is None and self._tail:
            await self._plain_write(self._block(b"", last=True))
        await self._plain_finish(exc)
        if exc is None and self._governed.guarding:
            await self._copy.connection.wait(self._governed.after(self._copy.cursor, self._affected))
        if exc is None:
            self._over()

    @property
    def _affected(self) -> int:
        results = self._copy.cursor._results
        return (results[0].command_tuples or 0) if results and not self._coming else 0

    def _over(self) -> None:
        """The block was left without an error. psycopg still holds the connection's lock."""
        governed = self._governed
        if governed.statement.ticket.ended:
            return
        if not self._coming:
            governed.statement.wrote(self._affected)
        elif not self._copy._finished:
            governed.release()
        elif governed.statement.rows is None:
            governed.statement.wrote(None)
        else:
            governed.last()
