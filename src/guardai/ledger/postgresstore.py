"""The store in PostgreSQL, for many hosts: one tree, to which one host at a time appends.

INVARIANTS
- Whoever appends holds an advisory lock of the transaction in which it reads the tree's edge, adds to it and signs it. The lock
  ends with that transaction, also where the sealer was killed, cut off or stopped; so nobody commits without it. A session's lock
  could outlive the connection that it is thought to belong to, or be lost behind a pooler.
- What is waited for ends: connecting, a lock, an answer. Nobody's call waits for it anyway: the spool is on the host itself.
- No connection outlives what it was opened for, and a forked child closes its copy.
- psycopg's cursors may be governed by an integration. What runs here runs as our own (`OWN`), in a context without a session, so
  it is neither judged nor recorded.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from contextvars import Context
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from guardai.errors import ConfigError
from guardai.ledger import forks, liveness
from guardai.ledger.ratchet import TAG_HEX
from guardai.ledger.store import (
    VERSION,
    Dialect,
    Store,
    StoreAwayError,
    StoreError,
    StoreHeldError,
    StoreVersionError,
    Words,
    schema,
)
from guardai.model import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import psycopg

    from guardai.ledger.address import Address
    from guardai.ledger.store import Connection

__all__ = ["open_postgres", "read_postgres"]

_T = TypeVar("_T")

#: Seconds that a sealer waits for another one, and for the answer to a statement; and a reader for an answer.
_TURN: Final = 1.0
_WRITING: Final = 15.0
_READING: Final = 300.0
#: Rows that are fetched at once of an answer that may be large.
_ROWS: Final = 1000

#: READ COMMITTED whatever the server's default is: what is read after the lock was had must be what the one before left.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = {schema}, pg_temp;
SET LOCAL lock_timeout = {turn};
SET LOCAL statement_timeout = {limit};
SET LOCAL idle_in_transaction_session_timeout = {limit};
"""
_BEGIN_READING: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = {schema}, pg_temp;
"""
#: A commit must be on the server's disk before a spool is removed on the strength of it.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
_SHARED: Final = """
CREATE TABLE store (version {number} NOT NULL);
CREATE TABLE statements (kind {text} NOT NULL, host {text} NOT NULL, payload {text} NOT NULL, sig {text} NOT NULL,
    PRIMARY KEY (kind, host));
"""
_INSERT_LINES: Final = """
INSERT INTO events SELECT ?::bigint + k - 1, ?, ?::bigint + k - 1, ts, substring(?::bytea FROM start FOR size), NULL
    FROM unnest(?::bigint[], ?::int[], ?::int[]) WITH ORDINALITY AS place(ts, start, size, k)
"""


@functools.cache
def _connections(limit: float) -> Any:
    """The class of connections that wait so many seconds for an answer."""
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(f"psycopg cannot be used ({error}): pip install 'guardai-sdk[postgres]'") from None

    class Bounded(psycopg.Connection[Any]):
        """A connection whose server is not waited for without end, also where the network says nothing."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.cursor_factory = psycopg.RawCursor
            self.server_cursor_factory = psycopg.RawServerCursor

        def wait(self, gen: Generator[Any, Any, _T], *args: Any, **kwargs: Any) -> _T:
            return super().wait(_until(gen), *args, **kwargs)

    def _until(gen: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        end = time.monotonic() + limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > end:
                    gen.close()
                    raise psycopg.OperationalError(f"no answer for {limit:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            return cast("_T", done.value)

    return Bounded


class _Session:
    """A connection in the words of `store.Connection`. Outside a transaction that was begun each statement only reads."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, *, reading: bool) -> None:
        self.connection = connection
        self.schema = schema
        self.reading = reading
        self._context = Context()
        self._context.run(OWN.set, True)
        self._names = count()
        self._cursors: list[psycopg.ServerCursor[Any]] = []

    def run(self, what: Callable[..., _T], *args: Any) -> _T:
        """Calls psycopg as ourselves."""
        return self._context.run(what, *args)

    def idle(self) -> bool:
        """Whether no transaction is open."""
        from psycopg.pq import TransactionStatus

        return self.connection.info.transaction_status == TransactionStatus.IDLE

    def execute(self, sql: str, parameters: Any = (), /) -> _Answer:
        if self.idle() and not sql.lstrip().startswith("BEGIN"):
            self.begin(_BEGIN_READING)
        answer = _Answer(self, _numbered(sql), tuple(parameters))
        if not (self.reading and sql.startswith("SELECT")):
            answer.cursor()
        if sql == "COMMIT" and answer.cursor().statusmessage != "COMMIT":
            raise StoreError("the server did not commit")
        return answer

    def executemany(self, sql: str, parameters: Any, /) -> None:
        self.run(self.connection.cursor().executemany, _numbered(sql), parameters)

    def begin(self, how: str) -> None:
        """Begins a transaction."""
        if not self.idle():
            self.rest()
        text = how.format(schema=f'"{self.schema}"', turn=int(_TURN * 1000), limit=int(_WRITING * 1000))
        self.run(self.connection.execute, text)

    def rest(self) -> None:
        """Ends a transaction in which something was only read."""
        if not self.connection.closed and not self.idle():
            with contextlib.suppress(Exception):  # a connection that was lost holds nothing open
                self.run(self.connection.execute, "ROLLBACK")

    def pages(self, text: str, parameters: Sequence[Any]) -> Iterator[Any]:
        """The rows of an answer that need not fit into memory."""
        cursor = self.connection.cursor(f"guardai_{next(self._names)}")
        self._cursors.append(cursor)
        self.run(cursor.execute, text, parameters)
        while rows := self.run(cursor.fetchmany, _ROWS):
            yield from rows
        self.run(cursor.close)
        self._cursors.remove(cursor)

    def close(self) -> None:
        self.connection.close()
        for cursor in self._cursors:  # of whoever stopped reading early: nothing is sent any more
            self.run(cursor.close)


class _Answer:
    """Of a reader a SELECT is asked when its rows are: iterated, in pages."""

    def __init__(self, session: _Session, text: str, parameters: Sequence[Any]) -> None:
        self._session = session
        self._asked = text, parameters
        self._cursor: psycopg.Cursor[Any] | None = None
        self._rows: Iterator[Any] | None = None

    def cursor(self) -> psycopg.Cursor[Any]:
        """The cursor, after the statement has run."""
        if self._cursor is None:
            text, parameters = self._asked
            self._cursor = self._session.run(self._session.connection.execute, text, parameters or None)
        return self._cursor

    @property
    def rowcount(self) -> int:
        return self.cursor().rowcount

    def fetchone(self) -> Any:
        return self._session.run(self.cursor().fetchone)

    def fetchall(self) -> list[Any]:
        return self._session.run(self.cursor().fetchall)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._rows is None:
            self._rows = iter(self.fetchall()) if self._cursor is not None else self._session.pages(*self._asked)
        return next(self._rows)


@functools.cache
def _numbered(sql: str) -> str:
    """The statement with `$1`, `$2`, … for each `?`."""
    first, *rest = sql.split("?")
    return first + "".join(f"${n}{part}" for n, part in enumerate(rest, 1))


class _Postgres(Dialect):
    # Sorted as bytes, whatever the database's locale: as SQLite and Python sort.
    words = Words("BIGINT", 'TEXT COLLATE "C"', "BYTEA", "")
    shared = True
    scanned = by_log = by_time = ""
    mistyped_tile = "0"

    def __init__(self, schema: str) -> None:
        import psycopg

        errors = psycopg.errors
        # What else may be wrong has to do with the server, or with what we may do there.
        self.damage = (
            psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, errors.DataCorrupted, errors.DatatypeMismatch,
            errors.IndexCorrupted, errors.InFailedSqlTransaction, errors.InternalError_, errors.UndefinedColumn,
            errors.UndefinedFunction, errors.UndefinedTable, errors.WrongObjectType,
        )  # fmt: skip
        self.schema = schema
        digest = hashlib.sha256(f"guardai ledger {schema}".encode()).digest()
        self.key = int.from_bytes(digest[:8], "big", signed=True)

    def begin(self, db: Connection) -> None:
        """Takes turns with the sealers of other hosts, in the order in which they came."""
        session = cast("_Session", db)
        session.begin(_BEGIN)
        session.execute("SELECT pg_advisory_xact_lock(?)", (self.key,))
        session.execute(_DURABLE)

    def rest(self, db: Connection) -> None:
        cast("_Session", db).rest()

    def insert_lines(
        self, db: Connection, lines: Sequence[bytes], times: Sequence[int], leaf: int, log: int, seq: int
    ) -> None:
        sizes = [len(line) - TAG_HEX - 1 for line in lines]
        starts = [1 + end for end in accumulate((len(line) for line in lines[:-1]), initial=0)]
        values = (leaf, log, seq, b"".join(lines), list(times), starts, sizes)
        if db.execute(_INSERT_LINES, values).rowcount != len(lines):
            raise StoreError("the server did not take every event")  # a trigger or a rule of somebody's

    def joined(self, db: Connection, start: int, most: int) -> tuple[str, int, int] | None:
        found, count, last = db.execute(
            "SELECT string_agg(convert_from(bytes, 'UTF8'), chr(10) ORDER BY leaf), count(*), max(leaf) FROM "
            "(SELECT leaf, bytes FROM events WHERE leaf >= ?::bigint ORDER BY leaf LIMIT ?::bigint) AS next",
            (start, most),
        ).fetchone()
        return (str(found), count, last) if count else None

    def has(self, db: Connection, table: str) -> bool:
        return db.execute("SELECT to_regclass(?)", (table,)).fetchone()[0] is not None

    def size(self, db: Connection) -> int:
        asked = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = ?::regnamespace"
        return int(db.execute(asked, (f'"{self.schema}"',)).fetchone()[0])

    def problems(self, db: Connection) -> list[str]:  # noqa: ARG002 - of the dialect
        """The server checks its pages itself, where it has checksums."""
        return []

    def shrink(self, db: Connection) -> None:
        """The server's own autovacuum does it."""

    def settle(self, db: Connection) -> bool:  # noqa: ARG002 - of the dialect
        return True


@contextlib.contextmanager
def open_postgres(address: Address) -> Iterator[Store]:
    """Opens the store for writing, making it if there is none. Between transactions it may be kept open.

    Raises:
        ConfigError: psycopg is not installed.
        StoreError: it is of another version, or cannot be reached, read or written.
    """
    with _session(address, reading=False) as session:
        dialect = _Postgres(address.schema)
        store = Store(session, dialect)
        if _version(session) is None:
            with store.writing():
                _create(session, dialect)
        yield store


@contextlib.contextmanager
def read_postgres(address: Address) -> Iterator[Store | None]:
    """A consistent view of the store, through which nothing can be changed; None if there is none.

    Raises:
        ConfigError: psycopg is not installed.
        StoreError: it is of another version, or cannot be reached or read.
    """
    with _session(address, reading=True) as session:
        yield Store(session, _Postgres(address.schema)) if _version(session) is not None else None


@contextlib.contextmanager
def _session(address: Address, *, reading: bool) -> Iterator[_Session]:
    limit = _READING if reading else _WRITING
    with forks.quiet():
        _connections(limit)  # says so if there is no psycopg
        import psycopg

    try:
        # Looking up a name and agreeing on keys take locks of libc and OpenSSL, which a child would find taken for ever.
        with forks.quiet():
            connection = Context().run(_connected, address, limit)
            # A forked child must not keep it open: the server would take us for alive.
            fd = connection.fileno()
            liveness.inherited.add(fd)
        session = _Session(connection, address.schema, reading=reading)
        try:
            yield session
        finally:
            liveness.inherited.discard(fd)
            session.close()
    except psycopg.Error as error:
        raise _told(address, error) from None


def _connected(address: Address, limit: float) -> psycopg.Connection[Any]:
    """A connection; whoever governs those of programs is told that it is ours."""
    OWN.set(True)
    connection: psycopg.Connection[Any] = _connections(limit).connect(
        address.conninfo, autocommit=True, prepare_threshold=None
    )
    return connection


def _told(address: Address, error: psycopg.Error) -> StoreError:
    """What may be told of it: of the server's words the first line, and no secret."""
    import psycopg

    errors, kind = psycopg.errors, StoreError
    away = (
        psycopg.InterfaceError, psycopg.OperationalError, errors.IdleInTransactionSessionTimeout, errors.InsufficientPrivilege,
    )  # fmt: skip
    if isinstance(error, errors.LockNotAvailable):
        kind = StoreHeldError
    elif isinstance(error, away):
        kind = StoreAwayError
    # The lines behind it may hold what is in a row.
    words = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return kind(f"{address}: {address.cleaned(words.strip()) or type(error).__name__}")


def _version(session: _Session) -> int | None:
    """The version of the store; None if there is none."""
    if session.execute("SELECT to_regclass('store')").fetchone()[0] is None:
        return None
    (version,) = session.execute("SELECT version FROM store").fetchone()
    if version != VERSION:
        raise StoreVersionError(f"the store is of version {version}, this guardai reads version {VERSION}")
    return VERSION


def _create(session: _Session, dialect: _Postgres) -> None:
    if session.execute("SELECT to_regclass('store')").fetchone()[0] is not None:
        return  # somebody was first
    if session.execute("SELECT to_regnamespace(?)", (f'"{session.schema}"',)).fetchone()[0] is None:
        session.execute(f'CREATE SCHEMA "{session.schema}"')
    shared = _SHARED.format_map(dialect.words._asdict()).split(";")
    for statement in (*schema(dialect), *(one for one in shared if one.strip())):
        session.execute(statement)
    session.execute("INSERT INTO store VALUES (?)", (VERSION,))
