"""One statement at pymssql's low-level connection: decided, sent, and its results as their reader may see them.

INVARIANT: rows of an agent's leave the low-level connection masked, those of each further result by its own columns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from guardai.hooks import Run, Target
from guardai_dbapi.statement import Statement, begin, perform

__all__ = ["DIALECT", "Open", "Text", "advance", "governed", "limits", "means", "next_row", "release", "target"]

DIALECT: Final = "tsql"
#: DB-Library: timed out, read failed, write failed, closed by the server, dead.
_LOST: Final = frozenset({20003, 20004, 20006, 20017, 20047})


class Open:
    """What is known of one open connection.

    Attributes:
        address: `host:port`, as the program names it.
        quoted: "x" is a name here; False if that is not known.
        statement: the one whose results are not all read yet.
        names: columns of the result that is read now; None between two results.
        inside: what is sent now is a part of a statement that was judged.
        own: what is sent now is the library's own.
        affected: how many rows the last statement changed, where something of ours was sent after it.
        bulk: the table that a bulk copy fills.
    """

    __slots__ = ("address", "affected", "bulk", "inside", "names", "own", "quoted", "statement")

    def __init__(self, address: str, *, quoted: bool) -> None:
        self.address = address
        self.quoted = quoted
        self.statement: Statement | None = None
        self.names: Sequence[str] | None = None
        self.inside = False
        self.own = False
        self.affected: int | None = None
        self.bulk = ""


def target(connection: Any) -> Target:
    """The database that the connection is in, as the catalog's patterns are written."""
    return Target("database", f"mssql://{connection._guardai.address}/{quote(connection.cur_db_name(), safe='')}")


class Text(NamedTuple):
    """A statement as it is judged.

    Attributes:
        judged: with its places numbered, or with its values where they could change how the rest of it reads.
        dialect: in which it is; none that is known where the server may read it otherwise than the inspection.
        sent: what is handed to the library.
        merged: the values stand in it already.
    """

    judged: str
    dialect: str
    sent: Any
    merged: bool


def governed(
    connection: Any,
    run: Run,
    text: Text,
    parameters: Any,
    effect: Callable[[Any], Any],
    *,
    rows: bool = True,
    many: bool = False,
    begins: Callable[[Any], Any] | None = None,
) -> Any:
    """One statement of an agent's, up to its first result.

    Args:
        connection: the low-level one.
        run: the session.
        text: what was understood of it.
        parameters: what is bound to it.
        effect: sends it, given its parameters.
        rows: results can be read afterwards.
        many: it is one text for many sets of parameters.
        begins: makes of what the effect returned what is returned, and goes on to the first result.
    """
    open_: Open = connection._guardai
    statement = begin(run, target(connection), text.judged, text.dialect, parameters)
    ticket = statement.ticket
    if text.merged and statement.parameters != parameters:
        ticket.impossible("a value of it would have to be masked within the text; leave it a place of its own")
    limits(statement, text.judged, many=many)
    release(open_)
    # Before anything that can fail: whatever the library still has to give of a statement that was cut off, nobody gets.
    open_.statement = statement
    open_.inside = True
    try:
        result = perform(
            connection._guardai_bare("execute_non_query"), statement, effect,
            functools.partial(_counted, connection), functools.partial(means, connection),
        )  # fmt: skip
        if not rows or statement.guard.before:
            open_.statement = None
            statement.wrote(_affected(connection))
        elif begins is not None:
            result = begins(result)
        else:
            advance(connection)
    finally:
        open_.inside = False
    return result


def limits(statement: Statement, text: str, *, many: bool = False) -> None:
    """What policy has stand around it.

    Raises:
        PolicyDenied: here it cannot.
    """
    ticket = statement.ticket
    if ticket.obligations.timeout is not None:
        ticket.impossible("policy limits its time, and pymssql knows one limit alone for all connections of a process")
    if ticket.plan.changes and ticket.obligations.affected_cap is not None:
        if many:
            ticket.impossible("policy limits how many rows may change, and many statements in one text do not tell")
        if "output" in text.lower():
            ticket.impossible(
                "policy limits how many rows may change, and a statement with OUTPUT does not tell at once"
            )
    # A transaction within a transaction: it is one of its own where none is open.
    statement.guarded(DIALECT, autocommit=False, transaction=True)


def _counted(connection: Any) -> int | None:
    """How many rows the statement has changed; asked of the server, because SET NOCOUNT keeps it from telling."""
    count = connection._guardai_bare("execute_scalar")("SELECT @@ROWCOUNT")
    connection._guardai.affected = count
    return int(count)


def _affected(connection: Any) -> int | None:
    count = connection.rows_affected
    return count if isinstance(count, int) and count >= 0 else None


def means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: that the connection is gone, or so late that the server may have gone on."""
    return {"lost": getattr(exc, "number", 0) in _LOST or not connection.connected}


def release(open_: Open) -> None:
    """Nobody reads the rest of the last statement's results."""
    statement, open_.statement = open_.statement, None
    between, open_.names = open_.names is None, None
    open_.affected = None
    if statement is not None:
        if between:
            statement.ticket.close(None)
        else:
            statement.ticket.abandon()


def advance(connection: Any) -> bool:
    """To the result that the library reads next; False if there is none, and the statement has ended."""
    open_: Open = connection._guardai
    statement = open_.statement
    assert statement is not None, "its results are read"
    try:
        told = connection._guardai_bare("get_header")()
    except BaseException as exc:
        statement.failed(exc, **means(connection, exc))
        raise
    if told is None:
        before = statement.rows
        statement.ticket.close(None, affected=_affected(connection) if before is None else None)
        open_.statement = None
        return False
    # In place before anything that can fail: no row passes without what masks it.
    open_.names = tuple(column[0] for column in told)
    statement.began(open_.names)
    return True


def next_row(connection: Any, form: int) -> Any:
    """The next row; of an agent's, masked.

    Raises:
        StopIteration: a result has ended. Who asks once more gets the next result's first row: so does the library.
    """
    open_: Open = connection._guardai
    statement = open_.statement
    if statement is None:
        return next(connection._guardai_bare("get_iterator")(form))
    from pymssql import _mssql

    try:
        if open_.names is None and not advance(connection):
            raise StopIteration
        row = next(connection._guardai_bare("get_iterator")(_mssql.ROW_FORMAT_TUPLE))
    except StopIteration:
        open_.names = None
        ticket = statement.ticket
        if ticket.plan.statements == 1 and (ticket.plan.changes or ticket.plan.reads):
            ticket.close(None)  # no further result can come; if one does, nobody gets it
        raise
    except BaseException as exc:
        statement.failed(exc, **means(connection, exc))
        raise
    assert statement.rows is not None, "a result has begun"
    assert open_.names is not None, "it has columns"
    passed = statement.rows.one(row)
    if form == _mssql.ROW_FORMAT_TUPLE:
        return passed
    made: dict[int | str, Any] = dict(enumerate(passed))
    made.update((name, cell) for name, cell in zip(open_.names, passed, strict=True) if name)
    return made
