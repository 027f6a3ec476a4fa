"""The classes that stand between a program's classes and psycopg2's C types.

psycopg2 puts parameters into the text itself. Values of the plain types become literals, and the gate sees a placeholder;
anything else becomes whatever its adapter says (`AsIs` is SQL), so that then the merged text is judged, and sent.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import functools
import io
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import psycopg2
import psycopg2.extensions as ext
import wrapt

from guardai import PolicyDenied
from guardai.hooks import Answer, Ask, Call, LiveSchema, Rows, Run, acting, opened, read_schema, redefines, started
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, Known
from guardai_dbapi.psycopg2_copy import Form, Sink, Source, TextSink
from guardai_dbapi.statement import Statement, begin, perform

__all__ = ["ConnectionProxy", "GovernedConnection", "GovernedCursor", "connection_factory"]

#: What psycopg2 makes literals of, whatever adapters a program registers for its own types.
_PLAIN: Final = frozenset(
    {
        type(None), bool, bytearray, bytes, dt.date, dt.datetime, dt.time, dt.timedelta,
        decimal.Decimal, float, int, memoryview, str, uuid.UUID,
    }
)  # fmt: skip
_PLACEHOLDER: Final = re.compile(r"%(?:\((?:[^)]*)\))?s|%%")
_OPAQUE: Final = ("opaque.raw",)
_PLAIN_OUT: Final = re.compile(r"\bto\s+stdout\s*;?\s*\Z", re.IGNORECASE)
_BINARY: Final = re.compile(r"\bbinary\b", re.IGNORECASE)

# The C types' own methods.
_c_execute: Final[Any] = ext.cursor.execute
_c_fetchall: Final[Any] = ext.cursor.fetchall
_c_mogrify: Final[Any] = ext.cursor.mogrify
_C_CONNECTION: Final[Any] = ext.cursor.__dict__["connection"]
_RAW_FACTORY: Final[Any] = ext.cursor.__dict__["row_factory"]


# ---------------------------------------------------------------------- classes for what a program asks for

_classes: dict[type, type] = {}
_classes_lock: Final = threading.Lock()


def _subclass(asked: type, governed: type) -> type:
    """The governed subclass of a class that a program asked for, made once: ours → asked → governed → the C type."""
    if issubclass(asked, governed):
        return asked
    made = _classes.get(asked)
    if made is None:
        with _classes_lock:
            made = _classes.get(asked)
            if made is None:
                names = {"__module__": asked.__module__, "__qualname__": asked.__qualname__, "__doc__": asked.__doc__}
                bases: tuple[type, ...] = (governed,) if asked in governed.__mro__ else (asked, governed)
                made = _classes[asked] = type(asked.__name__, bases, names)
    return made


def connection_factory(asked: Any) -> Any:
    """What makes governed connections in place of what a program asked for."""
    if asked is None:
        return GovernedConnection
    if isinstance(asked, type) and issubclass(asked, ext.connection):
        return _subclass(asked, GovernedConnection)

    @functools.wraps(asked)
    def make(*args: Any, **kwargs: Any) -> Any:
        made = asked(*args, **kwargs)
        return made if isinstance(made, GovernedConnection) else ConnectionProxy(made)

    return make


def _cursor(make: Callable[..., Any], connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A cursor of the governed class of what was asked for."""
    position = 1  # cursor(name, cursor_factory, withhold, scrollable)
    asked = args[position] if len(args) > position else kwargs.get("cursor_factory")
    if asked is None:
        asked = connection.cursor_factory or ext.cursor
    if not (isinstance(asked, type) and issubclass(asked, ext.cursor)):
        return _recast(make(*args, **kwargs), connection)
    governed = _subclass(asked, GovernedCursor)
    if len(args) > position:
        args = (*args[:position], governed, *args[position + 1 :])
    else:
        kwargs = {**kwargs, "cursor_factory": governed}
    return make(*args, **kwargs)


def _recast(cursor: Any, connection: Any) -> Any:
    """A cursor that a function of the program's made, governed."""
    if isinstance(cursor, GovernedCursor) or not isinstance(cursor, ext.cursor):
        return cursor
    if type(cursor) is ext.cursor:
        return GovernedCursor(connection, cursor.name, scrollable=cursor.scrollable, withhold=cursor.withhold)
    cursor.__class__ = _subclass(type(cursor), GovernedCursor)
    return cursor


class _Open:
    """What is known of one open connection."""

    __slots__ = ("_known", "_redefined", "lock")

    def __init__(self) -> None:
        self._known: Known | None = None
        self._redefined = False
        #: What stands around a statement is not to be mixed with another thread's.
        self.lock = threading.RLock()

    def known(self, connection: Any) -> Known:
        known = self._known
        if known is None:
            info = connection.info
            known = self._known = postgres.known_at(
                info.host or "", int(info.port or 5432), info.dbname or "", info.user or "", info.options or ""
            )
        return known

    def redefined(self, connection: Any) -> None:
        """Tables may have changed: for this connection now, for others when it commits."""
        postgres.schemas.changed(self.known(connection).key)
        self._redefined = True

    def committed(self) -> None:
        """What was changed is there for others."""
        if self._redefined and self._known is not None:
            postgres.schemas.changed(self._known.key)
            self._redefined = False

    def schema(self, connection: Any, text: str) -> LiveSchema | None:
        """What its tables are; None if that cannot be asked now."""
        key = self.known(connection).key
        schema = postgres.schemas.get(key)
        status = connection.get_transaction_status()
        if schema is not None or connection.closed or connection.async_:
            return schema
        if status not in (ext.TRANSACTION_STATUS_IDLE, ext.TRANSACTION_STATUS_INTRANS):
            return None
        within = status == ext.TRANSACTION_STATUS_INTRANS
        if (within and postgres.controls(text)) or connection.status == ext.STATUS_PREPARED:
            return None
        with self.lock, contextlib.suppress(psycopg2.Error):
            epoch = postgres.schemas.epoch(key)
            schema = _read_within(connection) if within else _read_apart(connection)
            postgres.schemas.put(key, schema, epoch)
        return schema


def _read(connection: Any) -> LiveSchema:
    cursor = ext.cursor(connection)
    for kind in (ext.INTEGER, ext.UNICODE):
        ext.register_type(kind, cursor)  # a program's own types are its own

    def query(text: str) -> list[tuple[Any, ...]]:
        _c_execute(cursor, text)
        return _c_fetchall(cursor)  # type: ignore[no-any-return]

    return read_schema(DIALECT, query)


def _read_apart(connection: Any) -> LiveSchema:
    """Outside of a transaction, and none is begun."""
    before = connection.autocommit
    if before:
        return _read(connection)
    connection.autocommit = True  # nothing is sent for that
    try:
        return _read(connection)
    finally:
        connection.autocommit = before


def _read_within(connection: Any) -> LiveSchema:
    """In the program's transaction, which no error of ours may end."""
    cursor = ext.cursor(connection)
    _c_execute(cursor, postgres.READING[0])
    try:
        schema = _read(connection)
    except psycopg2.Error:
        for text in postgres.UNMOVED:
            _c_execute(cursor, text)
        raise
    _c_execute(cursor, postgres.READING[1])
    return schema


class GovernedConnection(ext.connection):  # type: ignore[misc]
    """Stands between a program's connection class and the C type.

    INVARIANT: every cursor that leaves a governed connection is a governed cursor.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guardai_open = _Open()
        super().__init__(*args, **kwargs)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        return _cursor(super().cursor, self, args, kwargs)

    def commit(self) -> None:
        super().commit()
        self._guardai_open.committed()

    def lobject(self, *args: Any, **kwargs: Any) -> Any:
        return _large_object(super().lobject, self, self._guardai_open, args, kwargs)


class ConnectionProxy(wrapt.ObjectProxy[Any]):
    """An open connection that guardai did not make: the same object to the program, its cursors governed."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._self_open = _Open()

    @property
    def _guardai_open(self) -> _Open:
        return self._self_open

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        cursor = _cursor(self.__wrapped__.cursor, self.__wrapped__, args, kwargs)
        if isinstance(cursor, GovernedCursor):
            cursor._guardai_open = self._self_open
            cursor._guardai_owner = self
        return cursor

    def commit(self) -> None:
        self.__wrapped__.commit()
        self._self_open.committed()

    def lobject(self, *args: Any, **kwargs: Any) -> Any:
        return _large_object(self.__wrapped__.lobject, self.__wrapped__, self._self_open, args, kwargs)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self


def _large_object(make: Any, connection: Any, open_: _Open, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What is read and written through it is opaque: it is one call, from its opening on."""
    mode = str(args[1] if len(args) > 1 else kwargs.get("mode") or "r")
    if not started():
        return make(*args, **kwargs)
    statement = "SELECT lo_put($1, $2, $3)" if set(mode) & set("wn") else "SELECT lo_get($1)"
    run = acting(statement, DIALECT)
    if run is None:
        return make(*args, **kwargs)
    target = open_.known(connection).target
    ticket = opened(Call("db", target, statement=statement, dialect=DIALECT, opaque=_OPAQUE, returns=_OPAQUE), run)
    try:
        made = make(*args, **kwargs)
    except BaseException as exc:
        ticket.fail(exc)
        raise
    ticket.close(None)
    return made


# ---------------------------------------------------------------------- the statement as it is judged


def _text(cursor: Any, query: Any) -> str | None:
    """A statement as text; None for what psycopg2 will refuse itself."""
    if type(query) is str:
        return query
    from psycopg2.sql import Composable

    try:
        if isinstance(query, str):
            return str.__str__(query)
        if isinstance(query, bytes):
            return query.decode(ext.encodings[_C_CONNECTION.__get__(cursor).encoding], "replace")
        if isinstance(query, Composable):
            return query.as_string(cursor)  # type: ignore[no-any-return]
    except Exception:
        return None  # psycopg2 makes the same of it, and raises it itself
    return None


def _as_sent(text: str, parameters: Any) -> str:
    """Placeholders numbered: what the server gets, but for the literals."""
    if not parameters or "%" not in text:
        return text
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] == "%%":
            return "%"
        count += 1
        return f"${count}"

    return _PLACEHOLDER.sub(number, text)


def _names(text: str) -> list[str]:
    """Of `%(name)s`, in order."""
    return [match[0][2:-2] for match in _PLACEHOLDER.finditer(text) if match[0] != "%%"]


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _PLAIN or (kind in {list, tuple} and all(map(_is_plain, value)))


def _all_plain(parameters: Any) -> bool:
    """Whether what psycopg2 makes of them is known. A container of a program's own may say something else each time."""
    kind = type(parameters)
    if kind is dict:
        return all(map(_is_plain, parameters.values()))
    return parameters is None or (kind in {list, tuple} and all(map(_is_plain, parameters)))


def _means(cursor: Any, exc: BaseException) -> dict[str, bool]:
    state = exc.pgcode if isinstance(exc, psycopg2.Error) else None
    closed = bool(_C_CONNECTION.__get__(cursor).closed)
    return postgres.means(exc, state, closed=closed and isinstance(exc, psycopg2.Error))


# ---------------------------------------------------------------------- the cursor


class GovernedCursor(ext.cursor):  # type: ignore[misc]
    """Stands between a program's cursor class and the C type.

    While an agent's rows pass, the C level makes plain tuples; they are masked, and only then the program's row factory
    makes rows of them. INVARIANT: a row factory never sees an unmasked row of an agent.
    """

    #: The agent's statement whose rows this cursor has; its rows' masks, once the columns are known.
    _statement: Statement | None = None
    _rows: Rows | None = None
    _factory: Any = None
    _passed = 0
    _gaps = False
    #: Set where the connection is not governed itself but was wrapped.
    _guardai_open: _Open | None = None
    _guardai_owner: Any = None

    @property
    def connection(self) -> Any:
        return self._guardai_owner or _C_CONNECTION.__get__(self)

    @property
    def row_factory(self) -> Any:
        return self._factory if self._statement is not None else _RAW_FACTORY.__get__(self)

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        if self._statement is not None:
            self._factory = factory
        else:
            _RAW_FACTORY.__set__(self, factory)

    @property
    def _open(self) -> _Open | None:
        return self._guardai_open or getattr(_C_CONNECTION.__get__(self), "_guardai_open", None)

    def _run(self, query: Any) -> tuple[Run, str] | None:
        """Whose statement it is, and its text; None for the application's own."""
        if not started():
            return None
        text = _text(self, query)
        if text is None or self.closed or _C_CONNECTION.__get__(self).closed or self._open is None:
            return None
        run = acting(text, DIALECT)
        return None if run is None else (run, text)

    def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002 - psycopg2's name
        found = self._run(query)
        if found is None:
            return self._application(query, lambda: super(GovernedCursor, self).execute(query, vars))
        run, text = found
        if _all_plain(vars):
            sent, query = _as_sent(text, vars), query if isinstance(query, str | bytes) else text
        else:
            # Adapters of the program's say what stands there: that is judged, and that is sent.
            query, vars = _c_mogrify(self, text, vars), None  # noqa: A001
            sent = query.decode(ext.encodings[_C_CONNECTION.__get__(self).encoding], "replace")
        return self._governed(
            run,
            sent,
            vars,
            lambda bound: super(GovernedCursor, self).execute(query, bound),
            asks=self.name is None,
            names=_names(text) if type(vars) is dict else (),
        )

    def executemany(self, query: Any, vars_list: Any) -> Any:
        found = self._run(query)
        if found is None:
            return self._application(query, lambda: super(GovernedCursor, self).executemany(query, vars_list))
        run, text = found
        query = query if isinstance(query, str | bytes) else text
        rows: Any = list(vars_list)
        if all(map(_all_plain, rows)):
            sent = _as_sent(text, (0,))
        else:
            encoding = ext.encodings[_C_CONNECTION.__get__(self).encoding]
            made = [_c_mogrify(self, text, row) for row in rows]
            sent = ";\n".join(one.decode(encoding, "replace") for one in made)
            return self._governed(run, sent, None, lambda _: self._one_by_one(made))
        return self._governed(run, sent, rows, lambda bound: super(GovernedCursor, self).executemany(query, bound))

    def _one_by_one(self, statements: list[bytes]) -> None:
        """`executemany` of texts that are merged already. Its row count is the last one's."""
        for statement in statements:
            super().execute(statement)

    def callproc(self, procname: Any, vars: Any = None) -> Any:  # noqa: A002
        named = isinstance(vars, Mapping)
        names = list(vars or ())
        marks = [f'"{name}" := ${n + 1}' if named else f"${n + 1}" for n, name in enumerate(names)]
        text = f"SELECT * FROM {procname}({', '.join(marks)})"  # noqa: S608 - judged, never run
        found = self._run(text)
        if found is None:
            return self._application(text, lambda: super(GovernedCursor, self).callproc(procname, vars))
        data = vars
        if not _all_plain(vars):
            marks = [f'"{name}" := %s' if named else "%s" for name in names]
            merged = _c_mogrify(self, ", ".join(marks), list(vars.values()) if named else list(vars)).decode()
            text, data = f"SELECT * FROM {procname}({merged})", None  # noqa: S608
        return self._governed(
            found[0],
            text,
            data,
            lambda bound: super(GovernedCursor, self).callproc(procname, vars if bound is None else bound),
        )

    def _application(self, query: Any, effect: Callable[[], Any]) -> Any:
        """The application's own statement, on whatever this cursor bore."""
        open_ = self._open
        if self._statement is not None:
            self._release()
        if open_ is None:
            return effect()
        with open_.lock:
            result = effect()
        if type(query) is str and started() and redefines(query):
            open_.redefined(_C_CONNECTION.__get__(self))
        return result

    def _governed(
        self,
        run: Run,
        sent: str,
        data: Any,
        effect: Callable[[Any], Any],
        *,
        asks: bool = False,
        names: Sequence[str] = (),
        returns: tuple[str, ...] = (),
        opaque: tuple[str, ...] = (),
    ) -> Any:
        bare, open_ = _C_CONNECTION.__get__(self), self._open
        assert open_ is not None, "a cursor without a governed connection has no agent's statement"
        statement = begin(run, open_.known(bare).target, sent, DIALECT, data, open_.schema(bare, sent), returns, opaque)
        # The former statement's rows stay masked until the C level drops them: a refused call changes nothing.
        self._release()
        with open_.lock:
            self._guard(statement, bare, sent, asks=asks)
            # In place before the effect: a cursor with rows is never without what masks them.
            self._bear(statement)
            try:
                result = perform(
                    functools.partial(self._ours, bare),
                    statement,
                    effect,
                    lambda: self.rowcount,
                    functools.partial(_means, self),
                    ask=functools.partial(self._asked, bare),
                    numbered=lambda bound: [bound[name] for name in names] if names else bound,
                )
            # It stays borne: what the C level may have of it does not pass.
            except PolicyDenied:
                raise  # taken back already
            except BaseException:
                self._unmoved(statement, bare)
                raise
        if statement.ticket.plan.redefines:
            open_.redefined(bare)
        if bare.async_ or self.name is not None:
            return result  # its columns are told with the first rows
        if self.description is None:
            statement.wrote(self.rowcount)
            self._release()
        else:
            self._labelled(statement)
            self._reached()
        return result

    # What has to stand around the effect.

    def _guard(self, statement: Statement, bare: Any, sent: str, *, asks: bool) -> None:
        ticket = statement.ticket
        obligations = ticket.obligations
        limited = obligations.timeout is not None or (obligations.affected_cap is not None and ticket.plan.changes)
        limited = limited or (obligations.capture and not ticket.plan.reads)
        if not limited and not ticket.reads_only:
            return
        if bare.async_:
            if limited:
                ticket.impossible(
                    "policy limits the time or the rows of a statement, which this connection cannot heed"
                )
            return
        if postgres.controls(sent):
            return
        transaction = bare.get_transaction_status() != ext.TRANSACTION_STATUS_IDLE
        alone = bare.autocommit and not transaction
        if self.name is not None and alone and not self.withhold:
            return  # a cursor needs the program's own transaction, and the server will say so
        statement.guarded(DIALECT, autocommit=bare.autocommit, transaction=transaction, asks=asks)

    @staticmethod
    def _asked(bare: Any, ask: Ask) -> Answer:
        cursor = ext.cursor(bare)
        # The marks are the server's, `$1`; psycopg2 has its own.
        texts = [ask.sql] if ask.parameters is None else [part.replace("%", "%%") for part in ask.parts[::2]]
        _c_execute(cursor, "%s".join(texts), ask.parameters)
        return Answer([(column.name, column.type_code) for column in cursor.description], cursor.fetchall())

    @staticmethod
    def _ours(bare: Any, text: str) -> None:
        # Where psycopg2 would begin a transaction, it does so for this.
        _c_execute(ext.cursor(bare), text)

    def _unmoved(self, statement: Statement, bare: Any) -> None:
        """After an error that the server has not seen, what stood before the effect must not stay."""
        if (
            postgres.SAVEPOINT in statement.guard.before
            and not bare.closed
            and bare.get_transaction_status() == ext.TRANSACTION_STATUS_INTRANS
        ):
            with contextlib.suppress(psycopg2.Error):
                for text in postgres.UNMOVED:
                    self._ours(bare, text)

    # Rows.

    def _bear(self, statement: Statement) -> None:
        self._factory = _RAW_FACTORY.__get__(self)
        _RAW_FACTORY.__set__(self, None)
        self._statement = statement
        self._rows = None
        self._passed = 0
        self._gaps = False

    def _release(self) -> None:
        """Nobody reads the rest of the rows."""
        statement = self._statement
        if statement is None:
            return
        ticket = statement.ticket
        if not ticket.ended:
            if self._rows is None and self.name is None and self.description is None and not self._unfinished:
                statement.wrote(self.rowcount)
            else:
                ticket.abandon()
        self._statement = self._rows = None
        _RAW_FACTORY.__set__(self, self._factory)

    @property
    def _unfinished(self) -> bool:
        return bool(_C_CONNECTION.__get__(self).async_ and _C_CONNECTION.__get__(self).isexecuting())

    def _labelled(self, statement: Statement) -> Rows:
        rows = self._rows
        if rows is None:
            open_ = self._open
            assert open_ is not None, "only a governed connection's cursor has an agent's rows"
            described = self.description or ()
            known = open_.known(_C_CONNECTION.__get__(self))
            rows = self._rows = statement.began(
                [column.name for column in described],
                postgres.origins(known, [(column.table_oid or 0, column.table_column or 0) for column in described]),
            )
        return rows

    def _fetched(self, statement: Statement, fetch: Callable[[], Any]) -> Any:
        """What the C level fetches, as rows of the program's."""
        start = self.rownumber
        try:
            got = fetch()
        except StopIteration:
            self._labelled(statement)
            self._last()
            raise
        except BaseException as exc:
            if self._rows is not None or self.name is not None:
                statement.failed(exc, **_means(self, exc))
            raise
        rows = self._labelled(statement)
        if got is None:
            self._last()
            return None
        several = isinstance(got, list)
        values = got if several else [got]
        again = 0 if self.name is not None else max(0, min(self._passed - start, len(values)))
        # A program that scrolls back sees the same rows; they have been counted.
        seen = [*rows.again(values[:again]), *rows.many(values[again:])] if again else rows.many(values)
        if self.name is None:
            self._gaps = self._gaps or start > self._passed
            self._passed = max(self._passed, start + len(values))
            self._reached()
        factory = self._factory
        made = seen if factory is None else [_built(factory, self, row) for row in seen]
        return made if several else made[0]

    def _reached(self) -> None:
        if self._rows is not None and 0 <= self.rowcount <= self.rownumber:
            self._last()

    def _last(self) -> None:
        if self._rows is not None and not self._gaps and not (self.name is not None and self.scrollable):
            self._rows.end()

    def fetchone(self) -> Any:
        statement = self._statement
        return super().fetchone() if statement is None else self._fetched(statement, super().fetchone)

    def fetchmany(self, size: Any = None) -> Any:
        size = self.arraysize if size is None else size
        statement = self._statement
        if statement is None:
            return super().fetchmany(size)
        made = self._fetched(statement, functools.partial(super().fetchmany, size))
        if self.name is not None and len(made) < size:
            self._last()
        return made

    def fetchall(self) -> Any:
        statement = self._statement
        if statement is None:
            return super().fetchall()
        made = self._fetched(statement, super().fetchall)
        self._last()
        return made

    def __next__(self) -> Any:
        statement = self._statement
        return super().__next__() if statement is None else self._fetched(statement, super().__next__)

    def close(self) -> None:
        super().close()
        self._release()

    def __del__(self) -> None:
        statement = self._statement
        if statement is not None and not statement.ticket.ended:
            statement.ticket.abandon()

    # COPY.

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> Any:
        found = self._run(sql)
        if found is None:
            return self._application(sql, lambda: super(GovernedCursor, self).copy_expert(sql, file, size))
        form = Form() if _PLAIN_OUT.search(found[1]) else None
        query = sql if isinstance(sql, str | bytes) else found[1]
        return self._copied(
            *found, file, form, lambda through: super(GovernedCursor, self).copy_expert(query, through, size)
        )

    def copy_to(self, file: Any, table: Any, sep: str = "\t", null: str = r"\N", columns: Any = None) -> Any:
        form = Form(sep, null)
        text = f"COPY {_named(table, columns)} TO STDOUT"
        found = self._run(text)
        plain = functools.partial(super().copy_to, table=table, sep=sep, null=null, columns=columns)
        if found is None:
            return self._application(text, lambda: plain(file))
        return self._copied(*found, file, form, plain)

    def copy_from(
        self, file: Any, table: Any, sep: str = "\t", null: str = r"\N", size: int = 8192, columns: Any = None
    ) -> Any:
        text = f"COPY {_named(table, columns)} FROM STDIN"
        found = self._run(text)
        plain = functools.partial(super().copy_from, table=table, sep=sep, null=null, size=size, columns=columns)
        if found is None:
            return self._application(text, lambda: plain(file))
        return self._copied(*found, file, None, plain)

    def _copied(self, run: Run, text: str, file: Any, form: Form | None, effect: Callable[[Any], Any]) -> Any:
        out = re.search(r"\bstdout\b", text, re.IGNORECASE) is not None
        returns = _OPAQUE if out and form is None else ()
        opaque = _OPAQUE if not out and _BINARY.search(text) else ()

        encoding = ext.encodings[_C_CONNECTION.__get__(self).encoding]

        def copy(_: Any) -> Any:
            statement = self._statement
            assert statement is not None, "borne by now"
            if out and form is not None:
                sink = (TextSink if isinstance(file, io.TextIOBase) else Sink)(file, form, statement, encoding)
                result = effect(sink)
                sink.over()
                return result
            return effect(file if out or opaque else Source(file, statement, encoding))

        return self._governed(run, text, None, copy, returns=returns, opaque=opaque)


def _named(table: Any, columns: Any) -> str:
    quoted = '"' + str(table).replace('"', '""') + '"'
    if not columns:
        return quoted
    return f"{quoted} ({', '.join(chr(34) + str(name).replace(chr(34), chr(34) * 2) + chr(34) for name in columns)})"


def _built(factory: Any, cursor: Any, values: tuple[Any, ...]) -> Any:
    """A row, as the C level builds it."""
    row = factory(cursor)
    if type(row) is tuple:
        return values
    for at, value in enumerate(values):
        row[at] = value
    return row
