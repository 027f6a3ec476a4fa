"""What the drivers of MySQL and MariaDB share, without I/O: addresses, what is asked of a server, how it reads text."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import quote

from guardai.hooks import LiveSchema, LiveSchemas, Target, read_schema, redefines, schema_reader
from guardai_dbapi.statement import Statement

__all__ = ["ASK", "SESSION", "Session", "dialect_of", "is_apart", "is_lost", "is_template", "origin", "passes"]

#: Under this name a connection keeps its `Session`.
SESSION: Final = "_guardai"
#: How this connection reads text, and which database it is in.
ASK: Final = "SELECT DATABASE(), @@SESSION.sql_mode, @@SESSION.character_set_client"

#: sql_mode → what a text may not hold, because the inspection would read it otherwise than this server does.
_TRAPS: Final = {
    "ANSI_QUOTES": ('"',),
    "NO_BACKSLASH_ESCAPES": ("\\",),
    "PIPES_AS_CONCAT": ("||",),
    "MSSQL": ("[",),
    "ORACLE": ("",),  # another language altogether: every text holds this
}
_ALL_TRAPS: Final = ('"', "\\", "||", "[")
#: Character sets in which no byte of another character looks like a quote or a backslash.
_PLAIN_CHARSETS: Final = frozenset({"ascii", "binary", "latin1", "utf8", "utf8mb3", "utf8mb4"})
#: Words that begin what may change how later text is read.
_SETS: Final = re.compile(r"\s*(?:set|execute|prepare|[-/#(])", re.IGNORECASE)
#: One that begins or ends a transaction and does nothing else.
_TRANSACTION: Final = re.compile(
    r"\s*(?:begin|commit|rollback|savepoint|release|start\s+transaction)\b[\w\s`,]*;?\s*", re.IGNORECASE
)

#: Errors after which nobody knows what the server has done: gone away, lost, killed, shutting down.
_LOST: Final = frozenset({1053, 1927, 2006, 2013, 2055, 4031})

#: A string, a quoted name, a comment. A text with a backslash is never asked.
_QUOTED: Final = re.compile(
    r"""'[^']*'|"[^"]*"|`[^`]*`|--(?=[\x00-\x20\x7f]|\Z)[^\n]*|\#[^\n]*|/\*.*?\*/""", re.DOTALL | re.VERBOSE
)
#: The same where a backslash escapes.
_ESCAPED: Final = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--(?=[\x00-\x20\x7f]|\Z)[^\n]*|\#[^\n]*|/\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_PLACES: Final = re.compile(r"%(?:\([^()%]*\))?s|%%")
_REMEMBERED: Final = 65536


def is_template(query: str) -> bool:
    """Whether every `%s` of a query stands where a value stands, so that it reads the same whatever the values are.

    INVARIANT: a text that is put together from parameters is judged as a template only if no parameter can change how
    the rest of it reads; otherwise the whole of it is judged.
    """
    return _is_template(query) if len(query) < _REMEMBERED else _is_template.__wrapped__(query)


@lru_cache(maxsize=1024)
def _is_template(query: str) -> bool:
    if "\\" in query:
        return False
    bare = _QUOTED.sub(" ", query)
    if any(mark in bare for mark in ("'", '"', "`", "/*")):
        return False
    for quoted in _QUOTED.findall(query):
        if "%" in quoted.replace("%%", ""):
            return False
    return "%" not in _PLACES.sub("", bare)


def is_apart(query: str) -> bool:
    """Whether no place of a value stands within quotes or a comment, for drivers that replace `?` and `%s` alone.

    Together with `Session.reads`, which refuses a backslash where it does not escape.
    """
    bare = _ESCAPED.sub(" ", query)
    if any(mark in bare for mark in ("'", '"', "`", "/*")):
        return False
    return not any(place in quoted for quoted in _ESCAPED.findall(query) for place in ("?", "%s", "%("))


def is_lost(code: object) -> bool:
    """Whether an error's number says that the connection is gone."""
    return code in _LOST


def origin(database: str, own: str, table: str, column: str) -> str:
    """`table.column`, as the protocol tells it of a column of a result; "" if it is computed."""
    if not table or not column:
        return ""
    return f"{table}.{column}" if database in {"", own} else f"{database}.{table}.{column}"


class Session:
    """What is known of one open connection.

    Attributes:
        dialect: `mariadb` or `mysql`.
        inside: the statement that runs now: what the library sends meanwhile is its.
        statement: the one whose results are not all read yet.
        deferred: texts of ours that have to wait until they are.
        asking: the library sends a text of ours.
        owner: for drivers whose connections tasks may share: which of them runs the statement, or asks.
        autocommit: for drivers that do not tell: a statement outside a transaction is one of its own.
        heard: an answer has come that only this connection's server could give to what was asked.
        modes: its `sql_mode`.
        socket: for drivers that may connect again: by what it is connected.
        stale: which database it is in, and how it reads text, has to be asked.
    """

    __slots__ = (
        "_charset", "_database", "_host", "_port", "_traps", "_user", "asking", "autocommit", "deferred", "dialect", "heard",
        "inside", "modes", "owner", "socket", "stale", "statement",
    )  # fmt: skip

    #: (host, port, database, user) → what the server told.
    _schemas: ClassVar[LiveSchemas] = LiveSchemas()

    def __init__(self, host: str, port: int, database: Any, user: Any, version: str) -> None:
        self._host = (host or "localhost").lower()
        self._port = port
        self._user = _text(user)
        self._database = _text(database)
        self._charset = ""
        self._traps: tuple[str, ...] = _ALL_TRAPS
        self.dialect = dialect_of(version)
        self.inside: Statement | None = None
        self.statement: Statement | None = None
        self.deferred: list[str] = []
        self.asking = False
        self.owner = 0
        self.socket: object = None
        self.heard = False
        self.autocommit = False
        self.modes = ""
        self.stale = True

    @property
    def database(self) -> str:
        """The current one."""
        return self._database

    @property
    def target(self) -> Target:
        """The database, as the catalog's patterns are written."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return Target("database", f"mysql://{host}:{self._port}/{quote(self._database, safe='')}")

    def told(self, rows: Iterable[Any]) -> None:
        """What the server answered to `ASK`."""
        for database, modes, charset in rows:
            self._database, self._charset = _text(database), _text(charset).lower()
            self.modes = _text(modes)
            names = self.modes.upper().split(",")
            self._traps = tuple(trap for name in names for trap in _TRAPS.get(name, ()))
            self.stale = False

    def reads(self, text: str) -> str:
        """The dialect in which a text is to be judged: none that is known where this server reads it otherwise.

        INVARIANT: a text is judged only if the inspection reads it as the server will.
        """
        traps = _ALL_TRAPS if self.stale else self._traps
        if any(trap in text for trap in traps):
            return "unknown"
        if self._charset not in _PLAIN_CHARSETS and ("\\" in text or not text.isascii()):
            return "unknown"
        return self.dialect

    def ran(self, text: str) -> None:
        """An agent's statement that may have changed what a name means, or how text is read, has run."""
        if not _TRANSACTION.fullmatch(text):
            self.changed()

    def own(self, text: str, *, several: bool) -> None:
        """The application's own statement is sent; `several`: it may be more than one."""
        if redefines(text) or (several and ";" in text.rstrip("; \n")):
            self.changed()
        elif _SETS.match(text):
            self.stale = True

    def changed(self) -> None:
        """Tables may have changed, or which of them a name means."""
        self.stale = True
        self._schemas.changed(self._key)

    @property
    def _key(self) -> tuple[str, int, str, str]:
        return self._host, self._port, self._database, self._user

    def schema(self) -> LiveSchema | None:
        """What is known of the tables; None if it has to be read."""
        return self._schemas.get(self._key)

    def learn(self, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Reads what the server tells of its tables."""
        key = self._key
        epoch = self._schemas.epoch(key)
        self._schemas.put(key, read_schema(self.dialect, ask), epoch)

    def learning(self) -> Generator[str, list[tuple[Any, ...]], None]:
        """As `learn`: yields each text that is to be asked, and is sent its rows."""
        key = self._key
        epoch = self._schemas.epoch(key)
        self._schemas.put(key, (yield from schema_reader(self.dialect)), epoch)


def passes(connection: Any) -> bool:
    """Whether what is sent now is a part of a statement that was judged, or a text of ours."""
    session: Session | None = connection.__dict__.get(SESSION)
    return session is not None and (session.inside is not None or session.asking)


def dialect_of(version: str) -> str:
    """The dialect of a server, by its own word on its version."""
    return "mariadb" if "mariadb" in version.lower() else "mysql"


def _text(told: Any) -> str:
    if isinstance(told, (bytes, bytearray)):
        return bytes(told).decode("utf-8", "replace")
    return "" if told is None else str(told)
