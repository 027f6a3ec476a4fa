"""One statement of an agent's at a cursor, from its decision to its last row, and what has to stand around its effect."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from guardai import PolicyDenied
from guardai.hooks import Answer, Ask, Rows
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, Known
from guardai_dbapi.statement import Statement

__all__ = ["Governed", "Refusal", "idle", "ours", "redefined"]

PQGen = Generator[Any, Any, Any]


class Refusal(Exception):
    """A refusal while psycopg waits. A `PermissionError` it would take for its socket's, and close the connection."""

    def __init__(self, refused: PolicyDenied) -> None:
        super().__init__()
        self.refused = refused


class Governed:
    """From the decision to the last row. Belongs to the cursor, and goes with it.

    Attributes:
        query, parameters: what psycopg is given.
        superseded: another statement is on its way; what results come now are that one's.
        pending: results that a pipeline still owes.
        guarding: what has to stand around the effect stands.
        passed: result → how many of its rows have passed.
        gaps: rows were skipped, so that the last one does not end it.
        single: one statement with one set of parameters, whose rows come when it has run.
    """

    __slots__ = (
        "_exhausted", "_result", "gaps", "guarding", "known", "outer", "parameters", "passed", "pending", "query", "single",
        "statement", "superseded",
    )  # fmt: skip

    def __init__(self, statement: Statement, known: Known, query: Any, parameters: Any) -> None:
        self.statement = statement
        self.known = known
        self.query = query
        self.parameters = parameters
        self.superseded = False
        self.pending = 0
        self.outer: Any = None
        self.guarding = False
        self.passed: dict[int, int] = {}
        self.gaps = False
        self.single = False
        self._exhausted = False
        self._result: Any = None

    def rows(self, result: Any) -> Rows:
        """What passes the rows of one result.

        Raises:
            ResultWithheld: it could not be told what they bear.
        """
        rows = self.statement.rows
        if rows is None or self._result is not result:
            many = range(result.nfields) if result is not None else ()
            rows = self.statement.began(
                [(result.fname(i) or b"").decode("utf-8", "replace") for i in many],
                postgres.origins(self.known, [(result.ftable(i), result.ftablecol(i)) for i in many]),
            )
            self._result = result
        return rows

    def settle(self, cursor: Any) -> None:
        """The effect has happened: rows will come, or not."""
        if self.statement.ticket.plan.redefines:
            redefined(cursor._conn, self.known)
        if self.statement.ticket.ended:
            return
        results = cursor._results
        result = cursor.pgresult
        if result is not None and _has_rows(result):
            self.rows(result)
            self.reached(cursor)
        elif not any(map(_has_rows, results)):
            self.statement.wrote(cursor._rowcount)

    def reached(self, cursor: Any) -> None:
        """Ends it if that was the last row of the last result."""
        result, rows = cursor.pgresult, self.statement.rows
        if rows is None or result is None or self.pending or hasattr(cursor, "_described"):
            return  # a server's cursor tells its end by a page that is not full
        if cursor._pos >= result.ntuples and cursor._iresult >= len(cursor._results) - 1:
            self.last()

    def last(self) -> None:
        """The last row has passed."""
        rows = self.statement.rows
        if rows is not None and not self.gaps:
            rows.end()
        self._exhausted = True

    def release(self) -> None:
        """Nobody reads the rest."""
        ticket, rows = self.statement.ticket, self.statement.rows
        if ticket.ended or self.pending:
            return
        if rows is not None and self._exhausted:
            rows.end()
        else:
            ticket.abandon()

    def failed(self, cursor: Any, exc: BaseException) -> None:
        """The driver raised."""
        self.statement.failed(exc, **_means(cursor._conn, exc))

    def __del__(self) -> None:
        ticket = self.statement.ticket
        if self.pending and not ticket.ended:
            ticket.fail(EOFError("the pipeline ended before its result came"), unknown=True)
        self.release()

    # What stands around the effect. psycopg holds the connection's lock meanwhile.

    def around(self, cursor: Any, effect: PQGen) -> PQGen:
        """The effect, with what has to stand around it."""
        yield from self.before(cursor)
        yield from effect
        yield from self.after(cursor)

    def before(self, cursor: Any) -> PQGen:
        """What has to stand before the effect."""
        try:
            yield from self._before(cursor)
        except PolicyDenied as refused:
            raise Refusal(refused) from refused

    def after(self, cursor: Any, affected: int | None = None) -> PQGen:
        """What has to follow the effect."""
        try:
            yield from self._after(cursor, affected)
        except PolicyDenied as refused:
            raise Refusal(refused) from refused

    def _before(self, cursor: Any) -> PQGen:
        statement, conn = self.statement, cursor._conn
        obligations, ticket = statement.ticket.obligations, statement.ticket
        limited = obligations.timeout is not None or (obligations.affected_cap is not None and ticket.plan.changes)
        limited = limited or (obligations.capture and not ticket.plan.reads)
        if not limited and not ticket.reads_only:
            return
        if self.outer is not None:
            if limited:
                ticket.impossible(
                    "policy limits the time or the rows of a statement, or has them kept, which a pipeline cannot heed"
                )
            return
        if postgres.controls(ticket.call.statement or ""):
            return
        yield from conn._start_query()  # psycopg's own beginning, where it would begin one
        transaction = conn.pgconn.transaction_status != idle()
        if hasattr(cursor, "_withhold") and not transaction and not cursor._withhold:
            return  # a cursor needs the program's own transaction, and the server will say so
        statement.guarded(DIALECT, autocommit=conn._autocommit, transaction=transaction, asks=self.single)
        self.guarding = True
        for text in statement.guard.before:
            yield from ours(conn, text)
        if statement.capture is not None:
            yield from _answered(cursor, statement.keeping(_numbered(cursor, self.query, self.parameters)))

    def _after(self, cursor: Any, affected: int | None) -> PQGen:
        if not self.guarding:
            return
        statement, conn = self.statement, cursor._conn
        if conn._pipeline:  # a batch's own: what it did has to be known before it is kept
            yield from conn._pipeline._communicate_gen()
            yield from conn._pipeline._fetch_gen(flush=True)
        if statement.guard.back and affected is None:
            affected = cursor._rowcount
            if cursor._execmany_returning:
                affected = sum(result.command_tuples or 0 for result in cursor._results)
        exceeds = statement.exceeds(affected)
        unkept = yield from _answered(cursor, statement.kept(lambda: affected))
        for text in statement.guard.back if exceeds or unkept else statement.guard.after:
            yield from ours(conn, text)
        self.guarding = False
        if unkept:
            statement.ticket.unkept(unkept)
        if exceeds:
            statement.ticket.overstepped(affected or 0)

    def part(self, cursor: Any, effect: PQGen) -> PQGen:
        """A part of a stream, the last of which is None."""
        result = yield from effect
        if result is None and cursor._pgconn.transaction_status != _in_error():
            yield from self.after(cursor)
        return result

    def undo(self, conn: Any) -> PQGen:
        """After an error: what stood before the effect must not stay."""
        from psycopg.pq import TransactionStatus

        if not self.guarding:
            return
        self.guarding = False
        status, guard = conn.pgconn.transaction_status, self.statement.guard
        texts = guard.failed
        if status == TransactionStatus.INTRANS and postgres.SAVEPOINT in guard.before:
            texts = (*postgres.UNMOVED, *guard.failed)
        elif status not in (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR):
            return
        for text in texts:
            with contextlib.suppress(Exception):
                yield from ours(conn, text)


def _answered(cursor: Any, asking: Generator[Ask, Answer, Any]) -> PQGen:
    """Runs the queries that it asks, and returns what it returns."""
    from psycopg import errors, generators
    from psycopg.pq import ExecStatus

    conn = cursor._conn
    answer: Any = None
    while True:
        try:
            ask = asking.send(answer)
        except StopIteration as end:
            return end.value
        encoding = conn.pgconn._encoding
        if ask.parameters:
            values, types, formats = zip(*ask.parameters, strict=True)
            conn.pgconn.send_query_params(ask.sql.encode(encoding), values, param_types=types, param_formats=formats)
        else:
            conn.pgconn.send_query(ask.sql.encode(encoding))
        *_, result = yield from generators.execute(conn.pgconn)
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result, encoding=encoding)
        columns = [(result.fname(at).decode(encoding), result.ftype(at)) for at in range(result.nfields)]
        rows = [[result.get_value(row, at) for at in range(result.nfields)] for row in range(result.ntuples)]
        answer = Answer(columns, [[None if cell is None else cell.decode(encoding) for cell in row] for row in rows])


def _numbered(cursor: Any, query: Any, parameters: Any) -> tuple[tuple[Any, int, Any], ...] | None:
    """What psycopg sends for the parameters, in the order of their numbers: value, type, format."""
    from psycopg._queries import PostgresQuery, PostgresRawQuery
    from psycopg.adapt import Transformer

    if parameters is None:
        return None
    kind = PostgresRawQuery if issubclass(cursor._query_cls, PostgresRawQuery) else PostgresQuery
    made = kind(Transformer(cursor._conn))
    made.convert(query, parameters)
    return tuple(zip(made.params or (), made.types, made.formats or (), strict=True))


def _has_rows(result: Any) -> bool:
    from psycopg.pq import ExecStatus

    # A SELECT may have no columns; what describes a server's cursor has no rows yet.
    return bool(result.nfields or result.status == ExecStatus.TUPLES_OK)


def idle() -> Any:
    """Outside of a transaction."""
    from psycopg.pq import TransactionStatus

    return TransactionStatus.IDLE


def _in_error() -> Any:
    from psycopg.pq import TransactionStatus

    return TransactionStatus.INERROR


def _means(conn: Any, exc: BaseException) -> dict[str, bool]:
    from psycopg import Error, OperationalError

    state = exc.sqlstate if isinstance(exc, Error) else None
    return postgres.means(exc, state, closed=isinstance(exc, OperationalError) and bool(conn.closed))


def redefined(conn: Any, known: Known) -> None:
    """Tables may have changed: for this connection now, for others when it commits."""
    postgres.schemas.changed(known.key)
    conn._guardai_redefined = True


def ours(conn: Any, text: str) -> PQGen:
    """Runs a text of ours; returns the last result."""
    from psycopg import errors, generators
    from psycopg.pq import ExecStatus

    if conn._pipeline:
        for one in text.split("; "):  # the extended protocol takes them one by one
            yield from conn._exec_command(one)
        return None
    conn.pgconn.send_query(text.encode())
    results = yield from generators.execute(conn.pgconn)
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result, encoding=conn.pgconn._encoding)
    return results[-1]
