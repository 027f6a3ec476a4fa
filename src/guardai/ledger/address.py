"""The address of a store in PostgreSQL: what libpq is given, what is written down, what may be shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from guardai.errors import ConfigError
from guardai.model import shown, without_secrets

__all__ = ["Address"]

#: The schema that holds the tables, unless the URL names another by `schema=`.
_SCHEMA: Final = "guardai"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
#: What connecting may take, unless the URL says otherwise, and what the server is told of us.
_DEFAULTS: Final = {"connect_timeout": "3", "fallback_application_name": "guardai"}
#: Parameters of libpq that are secrets.
_SECRET: Final = frozenset({"password", "sslpassword"})


class Address:
    """Where a store is. Its text may be shown: it holds neither user nor password nor parameter.

    Args:
        url: as libpq takes it, each parameter of its included (`sslmode`, `sslrootcert`, `passfile`, …), and `schema`.

    Attributes:
        schema: that holds the tables.
        conninfo: what libpq is given, secrets included.
        written: what may be written down: the URL without a password.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - looks whether it is a number
        except ValueError:
            raise ConfigError("the address of the ledger is no URL such as postgresql://USER@HOST/DATABASE") from None
        given = {unquote(one.partition("=")[0]): one for one in parts.query.split("&") if one}
        self.schema = unquote(given.get("schema", f"={_SCHEMA}").partition("=")[2])
        if not _NAME.fullmatch(self.schema):
            raise ConfigError("the schema of the ledger is a name of small letters, digits and underscores")
        known = [one for name, one in given.items() if name != "schema"]
        more = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in given]
        self.conninfo = f"{parts.scheme}://{parts.netloc}{parts.path}?{'&'.join([*known, *more])}"
        user, at, place = parts.netloc.rpartition("@")
        query = "&".join(one for name, one in given.items() if name not in _SECRET)
        self.written = f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}{'?' if query else ''}{query}"
        self._url = url

    def __str__(self) -> str:
        place = shown(self._url)
        return place if self.schema == _SCHEMA else f"{place} (schema {self.schema})"

    def __repr__(self) -> str:
        return f"<{self}>"

    def cleaned(self, text: str) -> str:
        """The text with an … for whatever of it is a secret of this address."""
        return without_secrets(text, self._url)
