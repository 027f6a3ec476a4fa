"""The methods of pymssql's low-level connection that are wrapped, and its governed class."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

from guardai.hooks import Run, acting
from guardai_dbapi.pymssql.call import DIALECT, Open, Text, advance, governed, limits, means, next_row, release, target
from guardai_dbapi.pymssql.procedure import Procedure
from guardai_dbapi.statement import begin
from guardai_dbapi.subclasses import governed_class
from guardai_dbapi.tsql import is_name, numbered, plain

__all__ = ["METHODS", "connection_class"]

_NOTHING: Final = object()
#: By these the library begins and ends transactions, whoever asks it to.
_ITS_OWN: Final = frozenset({"BEGIN TRAN", "COMMIT TRAN", "ROLLBACK TRAN"})
#: How `bulk_copy` asks for the columns of its table.
_BULK: Final = re.compile(
    r"SELECT column_id, TYPE_NAME\(system_type_id\) AS system_type_name, is_identity "
    r"FROM (?:tempdb\.)?sys\.columns WHERE object_id = OBJECT_ID\(%s\)"
)
#: What decides whether "x" is a name or a string.
_QUOTING: Final = re.compile("quoted_identifier|ansi_defaults", re.IGNORECASE)


# ---------------------------------------------------------------------- what is sent


def _asked(query_string: Any, params: Any = _NOTHING) -> tuple[Any, Any]:
    return query_string, params


def _text(connection: Any, query: Any) -> str | None:
    if isinstance(query, bytes):
        return query.decode(connection.charset or "ascii", "replace")
    return query if isinstance(query, str) else None  # the library refuses all else


def _understood(connection: Any, query: Any, text: str, given: Any) -> Text:
    """INVARIANT: a text is judged only if the inspection reads it as the server will, and what was judged is sent."""
    sets = [] if given is _NOTHING else given if isinstance(given, _Many) else [given]
    judged: str | None = text
    sent = query
    if sets:
        named = isinstance(sets[0], dict)
        alike = all(isinstance(one, dict) == named and plain(one) for one in sets)
        judged = numbered(text, named=named) if alike else None
    merged = judged is None
    if judged is None:
        from pymssql import _mssql

        sent = b";".join(_mssql.substitute_params(query, one, charset=connection.charset) for one in sets)
        judged = sent.decode(connection.charset or "ascii", "replace")
    misread = "\ufffd" in judged or ('"' in judged and not connection._guardai.quoted)
    return Text(judged, "unknown" if misread else DIALECT, sent, merged)


class _Many(list[Any]):
    """Sets of parameters, each of which becomes a statement of its own in one text."""


def _statement(
    way: Callable[..., Any],
    connection: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    read: Callable[[Any], Any] | None = None,
    *,
    rows: bool = True,
) -> Any:
    """A statement, by whichever of the library's ways.

    Args:
        way: the library's own.
        connection: the low-level one.
        args: the statement and its parameters.
        kwargs: the same.
        read: where the way also reads: what it returns of an agent's result.
        rows: results can be read afterwards.
    """
    query, given = _asked(*args, **kwargs)
    run, text = _whose(connection, query, given)
    if run is None or text is None:
        return way(*args, **kwargs)
    whole = isinstance(given, (list, tuple, dict))
    parameters = None if given is _NOTHING else given if whole else [given]
    understood = _understood(connection, query, text, given)
    send = way if read is None else connection._guardai_bare("execute_query")

    def effect(bound: Any) -> Any:
        if understood.merged or given is _NOTHING:
            return send(understood.sent)
        return send(understood.sent, bound if whole else bound[0])

    result = governed(connection, run, understood, parameters, effect, rows=rows)
    return result if read is None else read(connection)


def _whose(connection: Any, query: Any, given: Any) -> tuple[Run | None, str | None]:
    """The session whose statement it is, None if it is the application's own or the library's; and the text."""
    open_: Open = connection._guardai
    text = _text(connection, query)
    run = None
    if text is not None and not open_.own and not _is_the_librarys(open_, text, given):
        run = acting(text, DIALECT)
    if run is None:
        release(open_)
    if text is None or _QUOTING.search(text):
        open_.quoted = False
    return run, text


def _is_the_librarys(open_: Open, text: str, given: Any) -> bool:
    if given is _NOTHING:
        return text in _ITS_OWN
    if isinstance(given, str) and _BULK.fullmatch(text):
        open_.bulk = given
        return True
    return False


def _execute_many(way: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    query, sets, batch_size = _asked_many(*args, **kwargs)
    run, text = _whose(connection, query, sets)
    if run is None or text is None:
        return way(*args, **kwargs)
    if not len(sets):  # the library takes nothing that has no length
        return way(*args, **kwargs)
    given = _Many(sets)
    understood = _understood(connection, query, text, given)

    def effect(bound: Any) -> Any:
        if understood.merged:
            return connection._guardai_bare("execute_query")(understood.sent)
        return way(understood.sent, bound, batch_size)

    return governed(connection, run, understood, list(given), effect, many=True)


def _asked_many(query_string: Any, seq_of_parameters: Any, batch_size: Any) -> tuple[Any, Any, Any]:
    return query_string, seq_of_parameters, batch_size


# ---------------------------------------------------------------------- what comes back


def _first_row(connection: Any) -> Any:
    from pymssql import _mssql

    return next(_rows(connection, _mssql.ROW_FORMAT_DICT), None)


def _first_cell(connection: Any) -> Any:
    from pymssql import _mssql

    row = next(_rows(connection, _mssql.ROW_FORMAT_TUPLE), None)
    return None if row is None else row[0]


@functools.cache
def _iterator_class() -> Any:
    from pymssql import _mssql

    def told(self: Any) -> Any:
        return next_row(self._guardai_connection, self._guardai_form)

    iterator: Any = _mssql.MSSQLRowIterator
    about = {name: getattr(iterator, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(iterator.__name__, (iterator,), {**about, "__next__": told})


def _rows(connection: Any, form: int) -> Iterator[Any]:
    """What reads the rows, also of statements that are run later."""
    rows = _iterator_class()(connection._guardai_low, form)
    rows._guardai_connection, rows._guardai_form = connection, form
    return rows  # type: ignore[no-any-return]


def _iterator(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    wrapped(*args, **kwargs)  # what it refuses
    return _rows(connection, args[0] if args else kwargs["row_format"])


def _iterated(wrapped: Any, connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    from pymssql import _mssql

    wrapped()
    return _rows(connection, _mssql.ROW_FORMAT_DICT)


def _header(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    open_: Open = connection._guardai
    if open_.statement is not None and open_.names is None:
        advance(connection)
    return wrapped(*args, **kwargs)


def _next_set(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    open_: Open = connection._guardai
    statement = open_.statement
    if statement is None:
        return wrapped(*args, **kwargs)
    try:
        more = wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **means(connection, exc))
        raise
    open_.names = None
    advance(connection)
    return more


def _cancel(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    open_: Open | None = connection._guardai
    if open_ is not None and not open_.inside:  # the library cancels before each statement that it sends
        release(open_)
    return wrapped(*args, **kwargs)


def _close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    open_: Open | None = connection._guardai  # None while the object goes away
    if open_ is not None:
        release(open_)
    return wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- procedures, bulk copies


def _procedure(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = wrapped(*args, **kwargs)
    return Procedure(made, connection, args[0] if args else kwargs["procname"])


def _send_row(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A row of a bulk copy: one call, because nothing in Python sees its end."""
    row, columns, *rest = args
    table = connection._guardai.bulk
    text = f"INSERT INTO {table} VALUES ({', '.join(f'@p{n}' for n in range(1, len(row) + 1))})"  # noqa: S608 - judged, never run
    run = acting(text, DIALECT)
    if run is None:
        return wrapped(*args, **kwargs)
    statement = begin(run, target(connection), text, DIALECT if is_name(table) else "unknown", row)
    limits(statement, text, many=True)
    try:
        result = wrapped(statement.parameters, columns, *rest, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **means(connection, exc))
        raise
    statement.wrote(1)
    return result


# ---------------------------------------------------------------------- the connection's class


#: What is wrapped of a low-level connection.
METHODS: Final[dict[str, Any]] = {
    "execute_query": _statement,
    "execute_non_query": functools.partial(_statement, rows=False),
    "execute_row": functools.partial(_statement, read=_first_row),
    "execute_scalar": functools.partial(_statement, read=_first_cell),
    "executemany": _execute_many,
    "init_procedure": _procedure,
    "bcp_sendrow": _send_row,
    "__iter__": _iterated,
    "get_iterator": _iterator,
    "get_header": _header,
    "nextresult": _next_set,
    "cancel": _cancel,
    "close": _close,
}


def _opened(
    server: Any = "localhost",
    _user: Any = None,
    _password: Any = None,
    _charset: Any = None,
    _database: Any = None,
    _appname: Any = None,
    port: Any = "1433",
    *_: Any,
    conn_properties: Any = None,
    **_others: Any,
) -> Open:
    """From what a connection is opened with, read as the library reads it."""
    host, _backslash, instance = str(server).partition("\\")
    host, _colon, own_port = ("localhost" if host in {".", "(local)"} else host).partition(":")
    address = quote(f"{host}\\{instance}") if instance else f"{host}:{own_port or port}"
    return Open(address.lower(), quoted=conn_properties is None)


@functools.cache
def connection_class(kind: Any) -> Any:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        self._guardai = _opened(*args, **kwargs)
        kind.__init__(self, *args, **kwargs)

    def bare(self: Any, name: str) -> Any:
        return functools.partial(getattr(kind, name), self)

    def affected(self: Any) -> Any:
        ours = self._guardai.affected
        return kind.rows_affected.__get__(self) if ours is None else ours

    def identity(self: Any) -> Any:
        self._guardai.own = True
        try:
            return kind.identity.__get__(self)
        finally:
            self._guardai.own = False

    return governed_class(
        kind,
        METHODS,
        __init__=init,
        _guardai=None,
        _guardai_low=property(lambda self: self),
        _guardai_bare=bare,
        rows_affected=property(affected, doc=kind.rows_affected.__doc__),
        identity=property(identity, doc=kind.identity.__doc__),
    )
