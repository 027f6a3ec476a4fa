"""What a program asks for, as the gate is told of it and as psycopg is given it afterwards."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guardai.hooks import Run, acting, redefines, started
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT
from guardai_dbapi.psycopg3.governed import Governed, redefined
from guardai_dbapi.psycopg3.makers import Passing, Slot, borne_by, nothing_made
from guardai_dbapi.psycopg3.tables import known_of
from guardai_dbapi.statement import begin

__all__ = [
    "PLAIN_OUT",
    "arguments",
    "begun",
    "opened_up",
    "parameters_of",
    "query_of",
    "rest",
    "run_of",
    "told_of",
    "wrapped_up",
]

#: `COPY … TO STDOUT` in PostgreSQL's own text format, which can be taken apart; any other is opaque.
PLAIN_OUT: Final = re.compile(r"\bto\s+stdout\s*;?\s*\Z", re.IGNORECASE)
_BINARY: Final = re.compile(r"\bbinary\b", re.IGNORECASE)
_OPAQUE: Final = ("opaque.raw",)
#: Bytes of a statement that is remembered as the server gets it.
_LONGEST: Final = 4096


def query_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The statement among the arguments of any of psycopg's methods."""
    return args[0] if args else kwargs.get("query", kwargs.get("statement"))


def parameters_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The parameters among them."""
    return args[1] if len(args) > 1 else kwargs.get("params", kwargs.get("params_seq"))


def arguments(governed: Governed, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Query and parameters by position, as all of psycopg's methods take them."""
    if len(args) < 2 and "params" not in kwargs and "params_seq" not in kwargs:
        return (governed.query,)
    return (governed.query, governed.parameters, *args[2:])


def rest(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The other keyword arguments."""
    return {name: value for name, value in kwargs.items() if name not in ("query", "statement", "params", "params_seq")}


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
    from psycopg._queries import PostgresRawQuery

    if issubclass(cursor._query_cls, PostgresRawQuery):
        return text
    encoding = cursor._encoding
    try:
        given = query if isinstance(query, bytes) else text.encode(encoding)
        return _remembered(given, encoding) if len(given) <= _LONGEST else _numbered(given, encoding)
    except Exception:
        return text  # psycopg raises the same


def _numbered(query: bytes, encoding: str) -> str:
    from psycopg._queries import _query2pg_nocache

    sent: bytes = _query2pg_nocache(query, encoding)[0]
    return sent.decode(encoding, "replace")


_remembered: Final = functools.lru_cache(maxsize=1024)(_numbered)


def run_of(cursor: Any, query: Any) -> tuple[Run, str] | None:
    """Whose statement it is, and its text; None for the application's own."""
    if not started():
        return None
    text = _text(cursor, query)
    run = None if text is None else acting(text, DIALECT)
    if run is None or text is None or cursor._closed or cursor._conn.closed:
        return None  # nothing happens on what is closed, and psycopg says so
    return run, text


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


def opened_up(parameters: Any) -> Any:
    """The parameters with what their wrappers hold; the same object where there are none."""
    if isinstance(parameters, dict):
        if any(_inside(value) is not value for value in parameters.values()):
            return {name: _inside(value) for name, value in parameters.items()}
    elif isinstance(parameters, list | tuple) and any(_inside(value) is not value for value in parameters):
        return tuple(_inside(value) for value in parameters)
    return parameters


def wrapped_up(given: Any, masked: Any) -> Any:
    """Masked parameters in the wrappers of the given ones."""
    if isinstance(given, dict):
        return {name: _wrapped(given[name], value) for name, value in masked.items()}
    return type(masked)(_wrapped(one, value) for one, value in zip(given, masked, strict=True))


def _wrapped(given: Any, masked: Any) -> Any:
    return masked if _inside(given) is given else type(given)(masked, given.dumps)


def begun(
    cursor: Any,
    run: Run,
    text: str,
    query: Any,
    parameters: Any,
    *,
    many: bool = False,
    copy: bool = False,
) -> Governed:
    """Decided, recorded, and borne by the cursor. What it bore before is over.

    Raises:
        PolicyDenied: nothing happened, and the cursor is as it was.
    """
    known = known_of(cursor._conn)
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
        if PLAIN_OUT.search(sent) is None:
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
            payload = [opened_up(row) for row in payload]
    else:
        sent = _as_sent(cursor, text, query, parameters)
        payload = opened_up(_plain(parameters))
    if not template or copy:
        statement = begin(run, known.target, sent, DIALECT, payload, schema, **opaque)
        if statement.parameters is not payload:
            if not many:
                given = wrapped_up(_plain(parameters), statement.parameters)
            elif isinstance(payload, list):
                given = [
                    wrapped_up(_plain(row), masked) for row, masked in zip(given, statement.parameters, strict=True)
                ]
            else:
                given = statement.parameters
        if type(query) is not str and not isinstance(query, bytes):
            # What was judged is what is sent: a program's own class is not asked twice.
            query = text
    before = borne_by(cursor)
    if before is not None:
        before.superseded = True
        before.release()
    governed = Governed(statement, known, query, given)
    governed.single = not (template or many or copy)
    governed.outer = cursor._conn._pipeline
    Slot.set(cursor, Passing(governed, nothing_made, cursor))
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


def told_of(cursor: Any, query: Any) -> None:
    """The application may have changed what tables there are."""
    if started() and type(query) is str and redefines(query) and not cursor._conn.closed:
        redefined(cursor._conn, known_of(cursor._conn))
