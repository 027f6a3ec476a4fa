"""Cells as literals of their engine, which the engine makes itself: any type that it can write down comes back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardai.sql.lexicon import MYSQL

__all__ = ["listed", "literals", "locking", "quoted", "string", "told"]

#: What a column of MySQL's of type FLOAT is to its drivers. Its own text has six digits, whatever it holds.
_FLOAT: Final = 4
#: Stands for a value that the server does not write, because it is longer than a packet.
_LONG: Final = "l"
#: SQLite writes it in a way that it does not read.
_INFINITE: Final = {"Inf": "9e999", "-Inf": "-9e999"}


def quoted(name: str, dialect: str) -> str:
    """A column's or a table's name, quoted."""
    mark = "`" if dialect in MYSQL else '"'
    return mark + name.replace(mark, mark * 2) + mark


def string(text: str) -> str:
    """A literal of standard SQL."""
    return "'" + text.replace("'", "''") + "'"


def told(cell: object) -> str:
    """What a driver gives for a text."""
    return cell.decode() if isinstance(cell, bytes | bytearray) else str(cell)


def locking(dialect: str) -> str:
    """What a query ends with so that nobody else changes the rows that it finds."""
    return "" if dialect == "sqlite" else " FOR UPDATE"  # SQLite has one writer


def listed(columns: Sequence[tuple[str, object]], dialect: str) -> str:
    """The expressions of a query whose cells `literals` understands.

    Args:
        columns: name and the driver's code of the type.
        dialect: the engine's.
    """
    return ", ".join(_as_text(quoted(name, dialect), code, dialect) for name, code in columns)


def _as_text(column: str, code: object, dialect: str) -> str:
    """An expression whose value the engine's literal of the column's can be made from."""
    if dialect == "sqlite":
        # `quote` ends a text at a NUL. As a blob, because a program's text factory would change text.
        nul = f"typeof({column}) = 'text' AND instr(CAST({column} AS BLOB), X'00')"
        whole = f"'CAST(' || quote(CAST({column} AS BLOB)) || ' AS TEXT)'"
        return f"CAST(CASE WHEN {nul} THEN {whole} ELSE quote({column}) END AS BLOB)"
    if dialect == "postgres":
        return f"CAST({column} AS text)"
    if code == _FLOAT:
        column = f"CAST({column} AS DOUBLE)"
    # The bytes of what is no text, and of a number's or a time's digits; text as the connection's, whatever the column's.
    binary = f"CHARSET({column}) = 'binary'"
    whole = (
        f"CONCAT(IF({binary}, 'b', 't'), HEX(IF({binary}, CAST({column} AS BINARY), "
        f"CAST(CONVERT({column} USING utf8mb4) AS BINARY))))"
    )
    # What is longer than a packet is NULL, with a warning that nobody reads.
    return f"IF({column} IS NULL, NULL, IFNULL({whole}, '{_LONG}'))"


def literals(rows: Sequence[Sequence[object]], dialect: str) -> list[list[str]]:
    """The rows of such a query, each cell as the engine's literal of it.

    Raises:
        ValueError: a cell has none.
    """
    return [[_literal(cell, dialect) for cell in row] for row in rows]


def _literal(cell: object, dialect: str) -> str:
    """The literal of what `_as_text` gave."""
    if cell is None:
        return "NULL"
    text = told(cell)
    if dialect == "sqlite":
        return _INFINITE.get(text, text)
    if text == _LONG:
        raise ValueError("too long")
    if dialect in MYSQL:
        return f"{'_binary' if text[0] == 'b' else '_utf8mb4'} X'{text[1:]}'"
    if dialect == "postgres" and "\\" in text:
        return "E" + string(text.replace("\\", "\\\\"))
    return string(text)
