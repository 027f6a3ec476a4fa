"""`postgresql://USER@HOST/DATABASE/TABLE`: each event as a row, once: an event that comes again is there already.

What libpq takes in a URL is handed on to it as it stands; a password comes from the URL, or from where libpq looks for one. The table is
made if it is not there. A connection lives for one delivery: none is carried across a fork.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.model import shown
from guardai.sinks.columns import row

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresSink"]

_TABLE: Final = "guardai_events"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_COLUMNS: Final = {
    "id": "text PRIMARY KEY",
    "log": "text NOT NULL",
    "seq": "bigint NOT NULL",
    "ts": "timestamptz NOT NULL",
    "kind": "text NOT NULL",
    "action": "text NOT NULL",
    "session": "text NOT NULL",
    "call": "text NOT NULL",
    "person": "text NOT NULL",
    "agent": "text NOT NULL",
    "effect": "text NOT NULL",
    "status": "text NOT NULL",
    "event": "text NOT NULL",
}
#: What is noted as delivered must be on the server's disk.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
_TYPES: Final = {"seq": "bigint", "ts": "bigint"}


class PostgresSink:
    """Adds rows. `event` holds the exact bytes; the other columns are what one searches by."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError as exc:
            raise ConfigError("postgresql sinks need psycopg: pip install 'guardai-sdk[postgres]'") from exc
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - looks whether it is a number
            database, _, table = unquote(parts.path).strip("/").partition("/")
        except ValueError:
            database = table = ""
        if not database or not _NAME.fullmatch(table or _TABLE):
            raise ConfigError(f"{shown(url)} is no table: write postgresql://USER@HOST/DATABASE/TABLE")
        path = parts.path.rstrip("/").removesuffix(f"/{table}") if table else parts.path
        self._conninfo = parts._replace(path=path).geturl()
        self._table = table or _TABLE

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Adds the events in one transaction.

        Raises:
            SinkRefused: the server says that it will never take one of them.
            SinkError: it took none: it cannot be reached, or what may be done there is less than this needs.
        """
        import psycopg

        rows = [row(event) for event in events]
        columns = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in _COLUMNS)
        values = [[one[name] for one in rows] for name in _COLUMNS]
        named = ", ".join(_COLUMNS)
        read = ", ".join("to_timestamp(ts / 1e6)" if name == "ts" else name for name in _COLUMNS)
        insert = (
            f"INSERT INTO {self._table} ({named}) SELECT {read} FROM unnest({columns}) AS given ({named}) "  # noqa: S608 - our names
            "ON CONFLICT (id) DO NOTHING"
        )
        errors = psycopg.errors
        try:
            with _connected(self._conninfo, seconds) as connection, connection.transaction():
                # Not left to IF NOT EXISTS alone: that asks for the right to make it even where it is there.
                found = connection.execute("SELECT to_regclass(%s)", (self._table,)).fetchone()
                if found is None or found[0] is None:
                    made = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
                    connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({made})")
                connection.execute(_DURABLE)
                connection.execute(insert, values)
        except (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded) as error:
            # The server's own words may quote what is in the row.
            raise SinkRefused(f"the server answers {error.sqlstate}") from None
        except psycopg.Error as error:
            raise SinkError(error.diag.message_primary or str(error).strip().partition("\n")[0]) from None


@contextlib.contextmanager
def _connected(conninfo: str, seconds: float) -> Iterator[psycopg.Connection[Any]]:
    """A connection that is cut when its time is over, whatever the server does or leaves."""
    import psycopg

    late = threading.Event()
    connection = psycopg.connect(
        conninfo,
        connect_timeout=max(2, int(seconds)),
        fallback_application_name="guardai",
        prepare_threshold=None,
    )
    # A duplicate: by the time that it is cut the number may be another's.
    held = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    with contextlib.suppress(RuntimeError):
        timer.start()  # when the interpreter ends no thread can be had; then the process ends with the delivery
    try:
        yield connection
    except psycopg.Error:
        if late.is_set():
            raise SinkError("no answer in time") from None
        raise
    finally:
        timer.cancel()
        connection.close()
        held.close()
