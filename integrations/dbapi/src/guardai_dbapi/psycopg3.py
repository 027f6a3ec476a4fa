"""psycopg 3, sync and async: methods of its cursor classes are wrapped, so that everything derived from them is governed.

What waits for the server is written once, as generators: psycopg runs them under the connection's lock, for both faces.
What decides stands around the public methods, outside of the lock.

INVARIANT: no row of an agent's statement is made of unmasked values. All row makers get into a cursor through one
attribute, `BaseCursor._make_row`. While the cursor bears an agent's statement that attribute gives back ours, which masks
the values before the program's own sees them.

What goes round it: `pgconn` and `pgresult`, libpq's own objects, and `Copy` objects that a program makes itself.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from types import CellType, ModuleType
from typing import Any, Final

from guardai import PolicyDenied
from guardai.hooks import Hooks, Patch, Rows, Run, acting, redefines, schema_reader, started
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, Known
from guardai_dbapi.statement import Statement, begin

__all__ = ["Psycopg3Driver"]

PQGen = Generator[Any, Any, Any]
#: `COPY … TO STDOUT` in PostgreSQL's own text format, which can be taken apart; any other is opaque.
_PLAIN_OUT: Final = re.compile(r"\bto\s+stdout\s*;?\s*\Z", re.IGNORECASE)
_BINARY: Final = re.compile(r"\bbinary\b", re.IGNORECASE)
_OPAQUE: Final = ("opaque.raw",)
#: Characters of a COPY's unfinished line that are kept back to be inspected as a whole.
_LINE: Final = 1 << 20


class Psycopg3Driver:
    """psycopg 3: `Cursor`, `ServerCursor`, `ClientCursor`, `RawCursor`, their async twins, and what programs derive."""

    library = "psycopg"
    targets: tuple[str, ...] = ("psycopg",)
    versions = ">=3.2,<4"

    def install(self, hooks: Hooks) -> None:
        """Wraps the methods by which statements leave and rows come."""
        for module, methods in _METHODS.items():
            for method, wrapper in methods.items():
                hooks.wrap(f"{module}:{method}", wrapper)
        patch = Patch("psycopg._cursor_base:BaseCursor._make_row")
        hooks.patches.append(patch)
        hooks.when_imported("psycopg._cursor_base", functools.partial(_watch_makers, hooks, patch))

    def wrap(self, obj: Any) -> Any | None:
        """The same connection: the cursors that it makes from now on are governed."""
        import sys

        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(obj, psycopg.Connection | psycopg.AsyncConnection):
            return None
        if not _everywhere():
            obj.cursor_factory = _subclass(obj.cursor_factory)
            obj.server_cursor_factory = _subclass(obj.server_cursor_factory)
        return obj


# ---------------------------------------------------------------------- the one way for row makers into a cursor


class _Slot:
    """psycopg's own `_make_row`, once it is imported."""

    get: Callable[[Any], Any]
    set: Callable[[Any, Any], None]


def _watch_makers(hooks: Hooks, patch: Patch, module: ModuleType) -> None:
    if not hooks.active:
        return
    base: Any = vars(module)["BaseCursor"]
    plain = vars(base).get("_make_row")
    if plain is None:
        patch.status, patch.why = "absent", "BaseCursor has no _make_row"
        return
    _have_slot(base)
    base._make_row = _MAKER
    patch.status = "patched"

    def undo() -> None:
        if vars(base).get("_make_row") is _MAKER:
            base._make_row = plain

    hooks.undo_with(undo)


def _have_slot(base: Any) -> None:
    plain = vars(base)["_make_row"]
    if plain is not _MAKER:
        _Slot.get, _Slot.set = plain.__get__, plain.__set__


def _everywhere() -> bool:
    """Whether all of psycopg is patched."""
    from psycopg._cursor_base import BaseCursor

    return vars(BaseCursor)["_make_row"] is _MAKER


def _get_maker(cursor: Any) -> Any:
    return _Slot.get(cursor)


def _set_maker(cursor: Any, make: Any) -> None:
    governed = _governed(cursor)
    if governed is not None and not governed.superseded:
        make = _Passing(governed, make, cursor)
    _Slot.set(cursor, make)


_MAKER: Final = property(_get_maker, _set_maker)


class _Passing:
    """A row maker in front of the program's own: masks, counts, and only then makes."""

    __slots__ = ("governed", "make", "result")

    def __init__(self, governed: _Governed, make: Any, cursor: Any) -> None:
        self.governed = governed
        self.make = make
        self.result = cursor.pgresult

    def __call__(self, values: Any) -> Any:
        return self.make(self.governed.rows(self.result).one(tuple(values)))

    def many(self, at: int, start: int, values: list[Any]) -> list[Any]:
        """The rows from position `start` of result `at`, made of what may be seen of these values."""
        governed, make = self.governed, self.make
        rows = governed.rows(self.result)
        passed = governed.passed.get(at, 0)
        again = max(0, min(passed - start, len(values)))
        # A program that scrolls back sees the same rows; they have been counted.
        seen = [*rows.again(values[:again]), *rows.many(values[again:])] if again else rows.many(values)
        governed.gaps |= start > passed
        governed.passed[at] = max(passed, start + len(values))
        return seen if make is tuple else [make(row) for row in seen]


class _Holding(functools.partial[Any]):
    """Stands in for a row maker while many rows are loaded: makes what no program can take for a row."""

    governed: _Governed


def _governed(cursor: Any) -> _Governed | None:
    """The agent's statement that a cursor bears."""
    try:
        maker = _Slot.get(cursor)
    except AttributeError:  # a cursor that has had no statement
        return None
    return maker.governed if type(maker) in _OURS else None


_OURS: Final = frozenset({_Passing, _Holding})


def _held(cursor: Any, passing: _Passing, load: Callable[[], Any]) -> Any:
    """What `load` gives, each row in a cell."""
    holding = _Holding(CellType)
    holding.governed = passing.governed
    _Slot.set(cursor, holding)
    try:
        return load()
    finally:
        if _Slot.get(cursor) is holding:
            _Slot.set(cursor, passing)


# ---------------------------------------------------------------------- one statement of an agent's


class _Refusal(Exception):
    """A refusal while psycopg waits. A `PermissionError` it would take for its socket's, and close the connection."""

    def __init__(self, refused: PolicyDenied) -> None:
        super().__init__()
        self.refused = refused


class _Governed:
    """From the decision to the last row. Belongs to the cursor, and goes with it.

    Attributes:
        query, parameters: what psycopg is given.
        superseded: another statement is on its way; what results come now are that one's.
        pending: results that a pipeline still owes.
        guarding: what has to stand around the effect stands.
        passed: result → how many of its rows have passed.
        gaps: rows were skipped, so that the last one does not end it.
    """

    __slots__ = (
        "_exhausted", "_result", "gaps", "guarding", "known", "outer", "parameters", "passed", "pending", "query", "statement",
        "superseded",
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
        if self.statement.ticket.redefines:
            postgres.schemas.changed(self.known.key)
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
            raise _Refusal(refused) from refused

    def after(self, cursor: Any, affected: int | None = None) -> PQGen:
        """What has to follow the effect."""
        try:
            yield from self._after(cursor, affected)
        except PolicyDenied as refused:
            raise _Refusal(refused) from refused

    def _before(self, cursor: Any) -> PQGen:
        statement, conn = self.statement, cursor._conn
        obligations, ticket = statement.ticket.obligations, statement.ticket
        limited = obligations.timeout is not None or (obligations.affected_cap is not None and ticket.changes)
        if not limited and not ticket.reads_only:
            return
        if self.outer is not None:
            if limited:
                ticket.impossible("policy limits the time or the rows of a statement, which a pipeline cannot heed")
            return
        if postgres.controls(ticket.call.statement or ""):
            return
        yield from conn._start_query()  # psycopg's own beginning, where it would begin one
        transaction = conn.pgconn.transaction_status != _idle()
        if hasattr(cursor, "_withhold") and not transaction and not cursor._withhold:
            return  # a cursor needs the program's own transaction, and the server will say so
        statement.guarded(DIALECT, autocommit=conn._autocommit, transaction=transaction)
        self.guarding = True
        for text in statement.guard.before:
            yield from _ours(conn, text)

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
        for text in statement.guard.back if exceeds else statement.guard.after:
            yield from _ours(conn, text)
        self.guarding = False
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
                yield from _ours(conn, text)


def _has_rows(result: Any) -> bool:
    from psycopg.pq import ExecStatus

    # A SELECT may have no columns; what describes a server's cursor has no rows yet.
    return bool(result.nfields or result.status == ExecStatus.TUPLES_OK)


def _idle() -> Any:
    from psycopg.pq import TransactionStatus

    return TransactionStatus.IDLE


def _in_error() -> Any:
    from psycopg.pq import TransactionStatus

    return TransactionStatus.INERROR


def _means(conn: Any, exc: BaseException) -> dict[str, bool]:
    from psycopg import Error, OperationalError

    state = exc.sqlstate if isinstance(exc, Error) else None
    return postgres.means(exc, state, closed=isinstance(exc, OperationalError) and bool(conn.closed))


def _ours(conn: Any, text: str) -> PQGen:
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


# ---------------------------------------------------------------------- what its tables are


def _read(conn: Any, known: Known) -> PQGen:
    """Asks the server what its tables are: neither a transaction nor a statement of the program's."""
    epoch, reader = postgres.schemas.epoch(known.key), schema_reader(DIALECT)
    within = conn.pgconn.transaction_status != _idle()
    if within:
        yield from _ours(conn, postgres.READING[0])
    try:
        query = next(reader)
        while True:
            query = reader.send(_rows(conn, (yield from _ours(conn, query))))
    except StopIteration as told:
        postgres.schemas.put(known.key, told.value, epoch)
    except Exception:
        if within:
            for text in postgres.UNMOVED:
                yield from _ours(conn, text)
        raise
    if within:
        yield from _ours(conn, postgres.READING[1])


#: Types whose values are numbers: int8, int2, int4.
_INTEGERS: Final = frozenset({20, 21, 23})


def _rows(conn: Any, result: Any) -> list[tuple[Any, ...]]:
    """A result of ours, without the program's own loaders."""
    encoding = conn.pgconn._encoding
    load = [
        int if result.ftype(at) in _INTEGERS else lambda cell: cell.decode(encoding, "replace")
        for at in range(result.nfields)
    ]
    return [
        tuple(None if (cell := result.get_value(row, at)) is None else load[at](cell) for at in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _unread(conn: Any, known: Known) -> bool:
    """Whether the tables have to be read, as far as that can be told without the connection's lock."""
    return postgres.schemas.get(known.key) is None and not conn._pipeline and not conn.closed


def _reading(conn: Any, known: Known, text: str) -> PQGen:
    """Reads the tables if they can be read now."""
    from psycopg.pq import TransactionStatus

    status = conn.pgconn.transaction_status
    # In a transaction `SET TRANSACTION` has to be the first.
    may = status == TransactionStatus.IDLE or (status == TransactionStatus.INTRANS and not postgres.controls(text))
    if may and _unread(conn, known):
        yield from _read(conn, known)


# ---------------------------------------------------------------------- what a program asks for


def _query(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("query", kwargs.get("statement"))


def _text(cursor: Any, query: Any) -> str | None:
    """A statement as text; None for what psycopg will refuse itself."""
    if type(query) is str:
        return query
    from psycopg._compat import Template
    from psycopg.sql import Composable

    encoding = cursor._encoding
    try:
        if isinstance(query, str):
            return str.__str__(query)
        if isinstance(query, bytes):
            return query.decode(encoding, "replace")
        if isinstance(query, Composable):
            return query.as_bytes(cursor).decode(encoding, "replace")
        if isinstance(query, Template):
            return _converted(cursor, query, None).decode(encoding, "replace")
    except Exception:
        return None  # psycopg makes the same of it, and raises it itself
    return None


def _converted(cursor: Any, query: Any, parameters: Any, kind: Any = None) -> bytes:
    """What the server would get."""
    from psycopg.adapt import Transformer

    made = (kind or cursor._query_cls)(Transformer(cursor))
    made.convert(query, parameters)
    return bytes(made.query)


def _as_sent(cursor: Any, text: str, query: Any, parameters: Any) -> str:
    """The statement that the server gets, its parameters numbered: what psycopg makes of `%s` and `%%`."""
    if parameters is None or "%" not in text:
        return text
    from psycopg._queries import PostgresRawQuery, _query2pg_nocache

    if issubclass(cursor._query_cls, PostgresRawQuery):
        return text
    encoding = cursor._encoding
    try:
        sent: bytes = _query2pg_nocache(query if isinstance(query, bytes) else text.encode(encoding), encoding)[0]
    except Exception:
        return text  # psycopg raises the same
    return sent.decode(encoding, "replace")


def _run(cursor: Any, query: Any) -> tuple[Run, str] | None:
    """Whose statement it is, and its text; None for the application's own."""
    if not started():
        return None
    text = _text(cursor, query)
    if text is None or cursor._conn.closed or cursor._closed:
        return None
    run = acting(text, DIALECT)
    return None if run is None else (run, text)


def _known(conn: Any) -> Known:
    found = vars(conn).get("_guardai")
    if found is None:
        pgconn = conn.pgconn
        host = pgconn.host or pgconn.hostaddr or b""
        port = pgconn.port
        found = conn._guardai = postgres.known_at(
            host.decode("utf-8", "replace"),
            int(port) if port else 5432,
            (pgconn.db or b"").decode("utf-8", "replace"),
            (pgconn.user or b"").decode("utf-8", "replace"),
            (pgconn.options or b"").decode("utf-8", "replace"),
        )
    return found  # type: ignore[no-any-return]


def _plain(parameters: Any) -> Any:
    """Parameters as JSON-like data, where psycopg takes more than the gate."""
    if parameters is None or type(parameters) in {list, tuple, dict}:
        return parameters
    if isinstance(parameters, Mapping):
        return dict(parameters)
    if isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        return tuple(parameters)
    return parameters


def _inside(value: Any) -> Any:
    """What a wrapper of psycopg's for JSON holds."""
    from psycopg.types.json import _JsonWrapper

    return value.obj if isinstance(value, _JsonWrapper) else value


def _opened_up(parameters: Any) -> Any:
    """The parameters with what their wrappers hold; the same object where there are none."""
    if isinstance(parameters, dict):
        if any(_inside(value) is not value for value in parameters.values()):
            return {name: _inside(value) for name, value in parameters.items()}
    elif isinstance(parameters, list | tuple) and any(_inside(value) is not value for value in parameters):
        return tuple(_inside(value) for value in parameters)
    return parameters


def _wrapped_up(given: Any, masked: Any) -> Any:
    """Masked parameters in the wrappers of the given ones."""
    if isinstance(given, dict):
        return {name: _wrapped(given[name], value) for name, value in masked.items()}
    return type(masked)(_wrapped(one, value) for one, value in zip(given, masked, strict=True))


def _wrapped(given: Any, masked: Any) -> Any:
    return masked if _inside(given) is given else type(given)(masked, given.dumps)


def _begun(
    cursor: Any,
    run: Run,
    text: str,
    query: Any,
    parameters: Any,
    *,
    many: bool = False,
    copy: bool = False,
) -> _Governed:
    """Decided, recorded, and borne by the cursor. What it bore before is over.

    Raises:
        PolicyDenied: nothing happened, and the cursor is as it was.
    """
    known = _known(cursor._conn)
    schema = postgres.schemas.get(known.key)
    opaque: dict[str, tuple[str, ...]] = {}
    sent, given = text, parameters
    payload: Any = None
    from psycopg._compat import Template

    template = isinstance(query, Template)
    if copy:
        if parameters or template:  # psycopg puts them into the text itself
            from psycopg._queries import PostgresClientQuery

            query = _converted(cursor, query, parameters, PostgresClientQuery)
            sent, given = query.decode(cursor._encoding, "replace"), None
        if _PLAIN_OUT.search(sent) is None:
            out = re.search(r"\bstdout\b", sent, re.IGNORECASE) is not None
            opaque = {"returns": _OPAQUE} if out else {"opaque": _OPAQUE} if _BINARY.search(sent) else {}
    elif template:
        query, given, payload = _taken_apart(query)
        statement = begin(run, known.target, sent, DIALECT, payload, schema)
        query, given = query(statement.parameters), None
    elif many:
        sent = _as_sent(cursor, text, query, ())
        payload = list(map(_plain, parameters)) if isinstance(parameters, list | tuple) else parameters
        if isinstance(payload, list):
            payload = [_opened_up(row) for row in payload]
    else:
        sent = _as_sent(cursor, text, query, parameters)
        payload = _opened_up(_plain(parameters))
    if not template or copy:
        statement = begin(run, known.target, sent, DIALECT, payload, schema, **opaque)
        if statement.parameters is not payload:
            if not many:
                given = _wrapped_up(_plain(parameters), statement.parameters)
            elif isinstance(payload, list):
                given = [
                    _wrapped_up(_plain(row), masked) for row, masked in zip(given, statement.parameters, strict=True)
                ]
            else:
                given = statement.parameters
        if type(query) is not str and not isinstance(query, bytes):
            # What was judged is what is sent: a program's own class is not asked twice.
            query = text
    before = _governed(cursor)
    if before is not None:
        before.superseded = True
        before.release()
    governed = _Governed(statement, known, query, given)
    governed.outer = cursor._conn._pipeline
    _Slot.set(cursor, _Passing(governed, _nothing, cursor))
    return governed


def _taken_apart(template: Any) -> tuple[Callable[[Any], Any], None, tuple[Any, ...]]:
    """A template's values as parameters, and what puts them back."""
    from psycopg._compat import Interpolation, Template
    from psycopg.sql import Composable

    def is_value(part: Any) -> bool:
        return (
            isinstance(part, Interpolation)
            and not isinstance(part.value, Template | Composable)
            and part.format_spec not in ("i", "q")
        )

    parts = list(template)
    values = tuple(part.value for part in parts if is_value(part))

    def again(masked: Any) -> Any:
        if masked is values:
            return template
        left = iter(masked)
        return Template(
            *(
                Interpolation(next(left), part.expression, part.conversion, part.format_spec)
                if is_value(part)
                else part
                for part in parts
            )
        )

    return again, None, values


def _nothing(values: Any) -> Any:
    from psycopg import ProgrammingError

    raise ProgrammingError("no result available")


def _sent(cursor: Any, governed: _Governed) -> None:
    """It has been sent. Outside of a pipeline its results are there; within, they are told to us when they come."""
    pipeline = governed.outer
    if pipeline is not None:
        queue = pipeline.result_queue
        for at, entry in enumerate(queue):
            if entry is not None and entry[0] is cursor:
                queue[at] = (_Receipt(cursor, governed), entry[1])
                governed.pending += 1
    if not governed.pending:
        governed.settle(cursor)


class _Receipt:
    """Stands for the cursor in a pipeline's queue: results go to the statement that they are of."""

    __slots__ = ("_cursor", "_governed")

    def __init__(self, cursor: Any, governed: _Governed) -> None:
        self._cursor = cursor
        self._governed = governed

    @property
    def _conn(self) -> Any:
        return self._cursor._conn

    def _check_results(self, results: Any) -> None:
        try:
            self._cursor._check_results(results)
        except BaseException as exc:
            self._governed.pending -= 1
            self._governed.failed(self._cursor, exc)
            raise

    def _set_results(self, results: Any) -> None:
        cursor, governed = self._cursor, self._governed
        now = _governed(cursor)
        latest = now is governed and not governed.superseded
        governed.superseded = False
        if not latest:
            _Slot.set(cursor, _Passing(governed, _nothing, cursor))
        cursor._set_results(results)
        governed.pending -= 1
        if not governed.pending:
            governed.settle(cursor)
        if not latest:
            # The next results are those of a later statement.
            governed.superseded = True


def _left(cursor: Any) -> _Governed | None:
    """The application takes a cursor that bears an agent's statement."""
    before = _governed(cursor)
    if before is None or before.superseded:
        return None
    before.superseded = True
    return before


def _over(before: _Governed | None) -> None:
    """The application's statement has replaced it."""
    if before is not None:
        before.release()


def _still(cursor: Any, before: _Governed | None) -> None:
    """The application's statement has failed: what it would have replaced is over, or still there if it has not."""
    if before is None:
        return
    if _governed(cursor) is before and cursor.pgresult is not None:
        before.superseded = False
    else:
        before.release()


def _told(cursor: Any, query: Any) -> None:
    """The application may have changed what tables there are."""
    if started() and type(query) is str and redefines(query) and not cursor._conn.closed:
        postgres.schemas.changed(_known(cursor._conn).key)


# ---------------------------------------------------------------------- the public methods, sync


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _executed(wrapped, cursor, args, kwargs, many=False)


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _executed(wrapped, cursor, args, kwargs, many=True)


def _executed(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, many: bool) -> Any:
    query = _query(args, kwargs)
    found = _run(cursor, query)
    if found is None:
        return _application(wrapped, cursor, args, kwargs)
    conn = cursor._conn
    _have_tables(conn, found[1])
    governed = _begun(cursor, *found, query, _parameters(args, kwargs), many=many)
    try:
        result = wrapped(*_arguments(governed, args, kwargs), **_rest(kwargs))
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise
    _sent(cursor, governed)
    return result


def _application(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    before = _left(cursor)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException:
        _still(cursor, before)
        raise
    _over(before)
    _told(cursor, _query(args, kwargs))
    return result


def _parameters(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("params", kwargs.get("params_seq"))


def _arguments(governed: _Governed, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Query and parameters by position, as all of psycopg's methods take them."""
    if len(args) < 2 and "params" not in kwargs and "params_seq" not in kwargs:
        return (governed.query,)
    return (governed.query, governed.parameters, *args[2:])


def _rest(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("query", "statement", "params", "params_seq")}


def _have_tables(conn: Any, text: str) -> None:
    known = _known(conn)
    if _unread(conn, known):
        with conn.lock, contextlib.suppress(Exception):
            conn.wait(_reading(conn, known, text))


def _failed(cursor: Any, governed: _Governed, exc: BaseException) -> None:
    governed.failed(cursor, exc)
    if governed.guarding:
        conn = cursor._conn
        with conn.lock, contextlib.suppress(Exception):
            conn.wait(governed.undo(conn))
    if isinstance(exc, _Refusal):
        raise exc.refused from None


def _stream(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    query = _query(args, kwargs)
    found = _run(cursor, query)
    if found is None:
        return (
            _streamed_by_application(wrapped, cursor, args, kwargs) if _governed(cursor) else wrapped(*args, **kwargs)
        )
    return _streamed(wrapped, cursor, found, args, kwargs)


def _streamed_by_application(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    _over(_left(cursor))
    yield from wrapped(*args, **kwargs)


def _streamed(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> Iterator[Any]:
    _have_tables(cursor._conn, found[1])
    governed = _begun(cursor, *found, _query(args, kwargs), _parameters(args, kwargs))
    _countable(governed)
    try:
        yield from wrapped(*_arguments(governed, args, kwargs), **_rest(kwargs))
    except GeneratorExit:
        governed.release()
        raise
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise
    _stream_ended(governed)


def _countable(governed: _Governed) -> None:
    ticket = governed.statement.ticket
    if ticket.obligations.affected_cap is not None and ticket.changes:
        ticket.impossible("policy limits how many rows may change, and a stream's rows pass before they are counted")


def _stream_ended(governed: _Governed) -> None:
    if governed.statement.ticket.redefines:
        postgres.schemas.changed(governed.known.key)
    if governed.statement.rows is None:
        governed.statement.wrote(None)
    else:
        governed.last()


def _fetch(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if cursor._conn._pipeline:
        cursor._fetch_pipeline()
    passing = _bears(cursor)
    if passing is None:
        return wrapped(*args, **kwargs)
    start = cursor._pos
    return _fetched(cursor, passing, start, _held(cursor, passing, lambda: wrapped(*args, **kwargs)))


def _next(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return _fetch(wrapped, cursor, args, kwargs)
    except StopIteration:
        governed = _governed(cursor)
        if governed is not None:
            governed.reached(cursor)
        raise


def _bears(cursor: Any) -> _Passing | None:
    try:
        maker = _Slot.get(cursor)
    except AttributeError:
        return None
    return maker if type(maker) is _Passing else None


def _fetched(cursor: Any, passing: _Passing, start: int, got: Any) -> Any:
    """Cells, or one, or none: as rows."""
    if got is None:
        passing.governed.reached(cursor)
        return None
    cells = got if isinstance(got, list) else [got]
    made = passing.many(cursor._iresult, start, [tuple(cell.cell_contents) for cell in cells])
    passing.governed.reached(cursor)
    return made if isinstance(got, list) else made[0]


def _close(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    governed = _governed(cursor)
    if governed is not None:
        governed.release()
    return result


def _copy(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = _run(cursor, _query(args, kwargs))
    if found is None:
        _over(_left(cursor))
        return wrapped(*args, **kwargs)
    return _copying(wrapped, cursor, found, args, kwargs)


@contextlib.contextmanager
def _copying(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> Iterator[Any]:
    _have_tables(cursor._conn, found[1])
    governed = _begun(cursor, *found, _query(args, kwargs), _parameters(args, kwargs), copy=True)
    try:
        with wrapped(governed.query, **_rest(kwargs)) as copy:
            _Copying(governed, copy).install()
            yield copy
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise


class _Copying:
    """The data of one COPY: rows that come, or rows that leave. Its methods stand in front of the `Copy` object's own."""

    __slots__ = ("_copy", "_governed", "_plain_finish", "_plain_read", "_plain_write", "_plain_write_row", "_tail")

    def __init__(self, governed: _Governed, copy: Any) -> None:
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
            if not self._binary and _PLAIN_OUT.search(self._governed.statement.ticket.call.statement or ""):
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
        plain = _opened_up(given)
        masked = self._leaving(plain)
        return row if masked is plain or masked == plain else _wrapped_up(given, masked)

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


# ---------------------------------------------------------------------- the public methods, async


async def _aexecute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _aexecuted(wrapped, cursor, args, kwargs, many=False)


async def _aexecutemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _aexecuted(wrapped, cursor, args, kwargs, many=True)


async def _aexecuted(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, many: bool) -> Any:
    query = _query(args, kwargs)
    found = _run(cursor, query)
    if found is None:
        return await _aapplication(wrapped, cursor, args, kwargs)
    await _ahave_tables(cursor._conn, found[1])
    governed = _begun(cursor, *found, query, _parameters(args, kwargs), many=many)
    try:
        result = await wrapped(*_arguments(governed, args, kwargs), **_rest(kwargs))
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise
    _sent(cursor, governed)
    return result


async def _aapplication(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    before = _left(cursor)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException:
        _still(cursor, before)
        raise
    _over(before)
    _told(cursor, _query(args, kwargs))
    return result


async def _ahave_tables(conn: Any, text: str) -> None:
    known = _known(conn)
    if _unread(conn, known):
        async with conn.lock:
            with contextlib.suppress(Exception):
                await conn.wait(_reading(conn, known, text))


async def _afailed(cursor: Any, governed: _Governed, exc: BaseException) -> None:
    governed.failed(cursor, exc)
    if governed.guarding:
        conn = cursor._conn
        async with conn.lock:
            with contextlib.suppress(Exception):
                await conn.wait(governed.undo(conn))
    if isinstance(exc, _Refusal):
        raise exc.refused from None


def _astream(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = _run(cursor, _query(args, kwargs))
    if found is None:
        return (
            _astreamed_by_application(wrapped, cursor, args, kwargs) if _governed(cursor) else wrapped(*args, **kwargs)
        )
    return _astreamed(wrapped, cursor, found, args, kwargs)


async def _astreamed_by_application(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
    _over(_left(cursor))
    async with contextlib.aclosing(wrapped(*args, **kwargs)) as rows:
        async for row in rows:
            yield row


async def _astreamed(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    await _ahave_tables(cursor._conn, found[1])
    governed = _begun(cursor, *found, _query(args, kwargs), _parameters(args, kwargs))
    _countable(governed)
    try:
        async with contextlib.aclosing(wrapped(*_arguments(governed, args, kwargs), **_rest(kwargs))) as rows:
            async for row in rows:
                yield row
    except GeneratorExit:
        governed.release()
        raise
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise
    _stream_ended(governed)


async def _afetch(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if cursor._conn._pipeline:
        await cursor._fetch_pipeline()
    passing = _bears(cursor)
    if passing is None:
        return await wrapped(*args, **kwargs)
    start = cursor._pos
    holding = _Holding(CellType)
    holding.governed = passing.governed
    _Slot.set(cursor, holding)
    try:
        got = await wrapped(*args, **kwargs)  # the rows are there: nothing is waited for
    finally:
        if _Slot.get(cursor) is holding:
            _Slot.set(cursor, passing)
    return _fetched(cursor, passing, start, got)


async def _anext(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return await _afetch(wrapped, cursor, args, kwargs)
    except StopAsyncIteration:
        governed = _governed(cursor)
        if governed is not None:
            governed.reached(cursor)
        raise


def _acopy(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = _run(cursor, _query(args, kwargs))
    if found is None:
        _over(_left(cursor))
        return wrapped(*args, **kwargs)
    return _acopying(wrapped, cursor, found, args, kwargs)


@contextlib.asynccontextmanager
async def _acopying(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    await _ahave_tables(cursor._conn, found[1])
    governed = _begun(cursor, *found, _query(args, kwargs), _parameters(args, kwargs), copy=True)
    try:
        async with wrapped(governed.query, **_rest(kwargs)) as copy:
            _Copying(governed, copy).install()
            yield copy
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise


# ---------------------------------------------------------------------- the generators of both faces


def _around(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    effect = wrapped(*args, **kwargs)
    governed = _governed(cursor)
    return effect if governed is None or governed.superseded else governed.around(cursor, effect)


def _first(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    effect = wrapped(*args, **kwargs)
    governed = _governed(cursor)
    return effect if governed is None or governed.superseded else _preceded(governed, cursor, effect)


def _preceded(governed: _Governed, cursor: Any, effect: PQGen) -> PQGen:
    yield from governed.before(cursor)
    return (yield from effect)


def _part(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    effect = wrapped(*args, **kwargs)
    governed = _governed(cursor)
    return effect if governed is None or not governed.guarding else governed.part(cursor, effect)


def _fetch_from_server(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    effect = wrapped(*args, **kwargs)
    governed = _governed(cursor)
    if governed is None and not cursor._described and not cursor._closed:
        # A cursor of the server's that something else declared: what is fetched from it is a statement of its own.
        text = f'FETCH FORWARD ALL FROM "{cursor._name.replace(chr(34), chr(34) * 2)}"'
        found = _run(cursor, text)
        if found is not None:
            governed = _begun(cursor, *found, text, None)
    if governed is None or governed.superseded:
        return effect
    return _page(cursor, governed, effect, args[0] if args else kwargs.get("num"))


def _page(cursor: Any, governed: _Governed, effect: PQGen, size: int | None) -> PQGen:
    passing = _Slot.get(cursor)
    holding = _Holding(CellType)
    holding.governed = governed
    described = cursor._described
    if described:
        _Slot.set(cursor, holding)
    try:
        got = yield from effect
    except BaseException as exc:
        if governed.statement.rows is not None:
            governed.failed(cursor, exc)
        raise
    finally:
        if _Slot.get(cursor) is holding:
            _Slot.set(cursor, passing)
    if not described:
        if governed.statement.rows is None:
            governed.rows(cursor.pgresult)
        made = got  # the maker in the cursor has masked each
    else:
        rows = governed.rows(passing.result)
        seen = rows.many([tuple(cell.cell_contents) for cell in got])
        make = passing.make
        made = seen if make is tuple else [make(row) for row in seen]
    if size is None or len(got) < size:
        # Where the program may scroll back, it is over when the cursor is.
        governed.gaps |= bool(cursor._scrollable)
        governed.last()
    return made


#: module → method → wrapper.
_METHODS: Final[dict[str, dict[str, Any]]] = {
    "psycopg.cursor": {
        "Cursor.execute": _execute,
        "Cursor.executemany": _executemany,
        "Cursor.stream": _stream,
        "Cursor.copy": _copy,
        "Cursor.fetchone": _fetch,
        "Cursor.fetchmany": _fetch,
        "Cursor.fetchall": _fetch,
        "Cursor.__next__": _next,
    },
    "psycopg.cursor_async": {
        "AsyncCursor.execute": _aexecute,
        "AsyncCursor.executemany": _aexecutemany,
        "AsyncCursor.stream": _astream,
        "AsyncCursor.copy": _acopy,
        "AsyncCursor.fetchone": _afetch,
        "AsyncCursor.fetchmany": _afetch,
        "AsyncCursor.fetchall": _afetch,
        "AsyncCursor.__anext__": _anext,
    },
    "psycopg._server_cursor": {"ServerCursor.execute": _execute},
    "psycopg._server_cursor_async": {"AsyncServerCursor.execute": _aexecute},
    "psycopg._server_cursor_base": {
        "ServerCursorMixin._declare_gen": _around,
        "ServerCursorMixin._fetch_gen": _fetch_from_server,
    },
    "psycopg._cursor_base": {
        "BaseCursor._execute_gen": _around,
        "BaseCursor._executemany_gen_pipeline": _around,
        "BaseCursor._executemany_gen_no_pipeline": _around,
        "BaseCursor._stream_send_gen": _first,
        "BaseCursor._stream_fetchone_gen": _part,
        "BaseCursor._start_copy_gen": _first,
        "BaseCursor._close": _close,
    },
}


# ---------------------------------------------------------------------- one connection, without patching


@functools.cache
def _subclass(asked: Any) -> Any:
    """The governed subclass of a cursor class: ours → asked → governed → psycopg's own."""
    own = next(kind for kind in asked.__mro__ if kind.__module__.partition(".")[0] == "psycopg")
    names = {"__module__": asked.__module__, "__qualname__": asked.__qualname__, "__doc__": asked.__doc__}
    if asked is not own:
        return type(asked.__name__, (asked, _subclass(own)), names)
    from psycopg._cursor_base import BaseCursor

    _have_slot(BaseCursor)
    kinds = {kind.__name__: kind for kind in own.__mro__}
    methods: dict[str, Any] = {"__slots__": (), "_make_row": _MAKER}
    for paths in _METHODS.values():
        for path, wrapper in paths.items():
            of, _, name = path.partition(".")
            # What a class of psycopg's overrides is not the method that is wrapped.
            if of in kinds and getattr(own, name) is vars(kinds[of]).get(name):
                methods[name] = _method(getattr(own, name), wrapper)
    return type(own.__name__, (own,), {**names, **methods})


def _method(plain: Any, wrapper: Any) -> Any:
    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = plain.__get__(self)
        return bound(*args, **kwargs) if _everywhere() else wrapper(bound, self, args, kwargs)

    return method
