"""Addresses of databases, and how they can be shown: never with a password."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from guardai.gate.reports.found import legible
from guardai.gate.reports.sources.relation import SourceError

__all__ = ["SCHEMES", "Server", "kind_of", "server", "shown", "told"]

#: Scheme → kind of database. What stands behind a plus is a driver's name, as SQLAlchemy writes it, and does not count.
SCHEMES: Final = {
    "duckdb": "duckdb",
    "mariadb": "mysql",
    "mysql": "mysql",
    "postgres": "postgres",
    "postgresql": "postgres",
    "sqlite": "sqlite",
}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)(\+[A-Za-z0-9_]+)?://")
_ASSIGNED: Final = re.compile(r"(?i)\b(pass\w*|pwd|secret|token)(\s*=\s*)('[^']*'|\S+)")


#: What libpq and we call parameters: no secrets, and telling which one is wrong helps.
_KNOWN: Final = frozenset(
    {"password", "user", "host", "port", "dbname", "sslmode", "options", "connect_timeout", "charset"}
)


class Server(NamedTuple):
    """Where a server is and how to log in."""

    host: str
    port: int | None
    user: str
    password: str
    database: str
    options: dict[str, str]


def kind_of(target: str) -> tuple[str, str]:
    """The kind of database that an address names, and the address without a driver's name; ("", target) for a path.

    Raises:
        SourceError: the scheme is not known, or nobody could tell where the password ends.
    """
    match = _SCHEME.match(target)
    if match is None:
        return "", target
    scheme = match[1].lower()
    if scheme not in SCHEMES:
        raise SourceError(
            f"there is no {legible(scheme)}://; known are {', '.join(sorted(SCHEMES))}, and paths of files"
        )
    rest = target[match.end() :]
    if any(c in "@/?#" for c in rest.rpartition("@")[0]) and not rest.startswith("/"):
        raise SourceError("write what is special in user, password and parameters with %: %40 for @, %2F for /")
    return SCHEMES[scheme], f"{scheme}://{rest}"


def shown(target: str) -> str:
    """A target as it can be printed: an address without user, password and parameters.

    Whatever stands before the last @ is cut, well-formed or not: a password may hold any character, unescaped too.
    """
    match = _SCHEME.match(target)
    if match is None:
        return legible(_ASSIGNED.sub(r"\1\2***", target))
    rest = target[match.end() :]
    if not rest.startswith("/"):
        rest = rest.rpartition("@")[2]
    authority, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    if authority.startswith("["):
        host, closed, port = authority.partition("]")
        host, port = host + closed, port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    if port:  # where the @ was forgotten, it is a password
        host += f":{port}" if port.isdigit() else ":***"
    return legible(f"{match[1].lower()}://{host}{slash}{path}")


def server(url: str) -> Server:
    """The parts of an address.

    Raises:
        SourceError: it is none.
    """
    try:
        parts = urlsplit(url)
        return Server(
            parts.hostname or "localhost",
            parts.port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            unquote(parts.path.removeprefix("/")),
            dict(parse_qsl(parts.query)),
        )
    except ValueError:
        raise SourceError(f"{shown(url)}: not an address; escape what is special in a password: %40 for @") from None


def told(error: object, url: str, *more: str) -> str:
    """What a driver says of a connection that failed, in one line, without what must not be seen.

    Only for connecting: what it says of a statement may hold values.

    Args:
        error: the driver's, or its words.
        url: the address, of which no password and no parameter is told.
        more: what else must not be seen.
    """
    rest = url.partition("://")[2]
    written = rest.rpartition("@")[0].partition(":")[2]
    port = rest.rpartition("@")[2].partition("/")[0].rpartition(":")[2]
    values = [
        part
        for pair in parse_qsl(rest.partition("?")[2], keep_blank_values=True)
        for part in pair
        if part not in _KNOWN
    ]
    secrets = {url, written, "" if port.isdigit() else port, *values, *more}
    text = " ".join(str(error).split())
    for secret in sorted(secrets | {unquote(one) for one in secrets}, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return legible(_ASSIGNED.sub(r"\1\2***", text))[:300] or type(error).__name__
