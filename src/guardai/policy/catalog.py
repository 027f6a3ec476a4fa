"""What the organisation knows: its databases, columns, models and tools, from `catalog.toml`.

::

    [databases."postgresql://*/shop"]   # a glob over the address; user, password and query are cut off before it is tried
    name = "shop"                       # default: the last part of the address
    environment = "prod"                # default: that of the process
    region = "eu"                       # default: "unknown"

    [columns]                           # globs over table.column; all that match add their labels
    "customers.email" = ["pii.email"]
    "*.iban" = ["pii.iban"]

    [[models]]                          # the first that matches counts
    host = "api.openai.com"             # a glob; the word "loopback" stands for this machine
    name = "*"                          # a glob over the model's name
    provider = "openai"
    region = "us"
    trust = "listed"                    # or "internal"

    [tools."search_*"]                  # a glob over the tool's name; the first that matches counts
    effects = "read"                    # or "write"
    provider = "acme"
    region = "us"
    trust = "listed"                    # or "internal"

    [labels]                            # label or group → the mask of what may not be revealed; makes a label known
    "pii" = "token"
    "hr.salary" = "redact"

What stands in none of these is not an error: an unlisted model is `unlisted`, an unlisted database has no environment of
its own. What stands under a key that is not above is one, because a misspelt key protects nothing.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable
from fnmatch import translate
from functools import cache
from typing import Any, Final, NamedTuple

from guardai.errors import BundleError
from guardai.model import Mask, ancestors
from guardai.policy.tables import Table
from guardai.policy.vocabulary import LABELS, OPEN_FAMILIES

__all__ = ["Catalog", "DatabaseEntry", "Entry", "ModelEntry", "ToolEntry", "bare_url", "is_loopback"]

#: Answers about columns that are remembered: more columns than most schemas have, and less than 10 MB.
_REMEMBERED: Final = 16_384
_TRUSTED: Final = ("internal", "listed")
_HOST: Final = re.compile(r"[a-z0-9_.:\[\]-]*")

_Is = Callable[[str], object]


class DatabaseEntry(NamedTuple):
    """A database: its name in policies, and where it stands. `environment` is None where the catalog does not say."""

    name: str
    environment: str | None = None
    region: str = "unknown"


class ModelEntry(NamedTuple):
    """A model's endpoint. `trust` is `internal`, `listed` or `unlisted`."""

    provider: str = ""
    region: str = "unknown"
    trust: str = "unlisted"


class ToolEntry(NamedTuple):
    """A tool: whether it reads or writes, who runs it and where."""

    effects: str = "unknown"
    provider: str = ""
    region: str = "unknown"
    trust: str = "unlisted"


class Entry(NamedTuple):
    """One entry of the catalog, and what it matches.

    Attributes:
        table: `databases`, `columns`, `models` or `tools`.
        key: its pattern, as written; of a model its host and name.
        number: which of its table it is, from 0.
        matches: tells whether it matches a database's address, a column (`table.column`), a model (host, name), a tool.
    """

    table: str
    key: str
    number: int
    matches: Callable[..., bool]


class Catalog:
    """A catalog, read and checked. It does not change after it was built."""

    __slots__ = ("_columns", "_databases", "_masks", "_models", "_seen", "_tools", "entries", "has_columns", "labels")

    def __init__(
        self, data: dict[str, Any] | None = None, file: str = "catalog.toml", found: frozenset[str] = frozenset()
    ) -> None:
        """Reads what `tomllib` returned; `found` are labels that detectors add to the vocabulary.

        Raises:
            BundleError: a key is unknown or a value is not allowed; names the file and the key.
        """
        given = Table(data or {}, file, "")
        given.only("databases", "columns", "models", "tools", "labels")
        self._databases: list[tuple[_Is, str, str | None, str]] = []
        for pattern, entry in given.tables("databases"):
            entry.only("name", "environment", "region")
            name, region = entry.text("name", ""), entry.text("region", "unknown")
            self._databases.append((_glob(pattern), name, entry.text("environment", "") or None, region))
        self._models: list[tuple[_Is, bool, _Is, ModelEntry]] = []
        for entry in given.array("models"):
            entry.only("host", "name", "provider", "region", "trust")
            host, name = entry.text("host", "*"), entry.text("name", "*")
            known = ModelEntry(
                entry.text("provider", ""), entry.text("region", "unknown"), entry.text("trust", "listed", *_TRUSTED)
            )
            self._models.append((_glob(host.lower()), host == "loopback", _glob(name), known))
        self._tools: list[tuple[_Is, ToolEntry]] = []
        for pattern, entry in given.tables("tools"):
            entry.only("effects", "provider", "region", "trust")
            tool = ToolEntry(
                entry.text("effects", "unknown", "read", "write", "unknown"),
                entry.text("provider", ""),
                entry.text("region", "unknown"),
                entry.text("trust", "listed", *_TRUSTED),
            )
            self._tools.append((_glob(pattern), tool))
        self._columns = [(_glob(pattern.lower()), labels) for pattern, labels in given.label_lists("columns")]
        self._masks: dict[str, Mask] = given.masks("labels")
        #: Every entry by itself, whichever of them counts.
        self.entries: tuple[Entry, ...] = (
            *_entries("databases", given, lambda is_: lambda url: bool(is_(bare_url(url)))),
            *_entries("columns", given, lambda is_: lambda name: any(map(is_, _forms(name.lower()))), lower=True),
            *(_model_entry(number, one) for number, one in enumerate(given.array("models"))),
            *_entries("tools", given, lambda is_: lambda name: bool(is_(name))),
        )
        #: Whether any column has a label: if not, no row needs to be looked at for one.
        self.has_columns = bool(self._columns)
        #: The labels that the catalog adds to the vocabulary.
        self.labels: frozenset[str] = frozenset(name for name in self._masks if "." in name).union(
            *(labels for _, labels in self._columns)
        )
        groups = set(OPEN_FAMILIES).union(*(ancestors(label) for label in (*LABELS, *self.labels, *found)))
        for name in self._masks:
            if "." not in name and name not in groups | self.labels | found:
                raise BundleError(f'{file}: labels."{name}" covers no label; known groups: {", ".join(sorted(groups))}')
        self._seen: dict[tuple[str, str], frozenset[str]] = {}

    @classmethod
    def parse(cls, text: str, file: str = "catalog.toml", found: frozenset[str] = frozenset()) -> Catalog:
        """Reads `catalog.toml`; `found` are labels that detectors add to the vocabulary.

        Raises:
            BundleError: it is not TOML, a key is unknown, or a value is not allowed.
        """
        try:
            return cls(tomllib.loads(text), file, found)
        except tomllib.TOMLDecodeError as error:
            raise BundleError(f"{file}: not TOML: {error}") from None

    def database(self, url: str) -> DatabaseEntry:
        """The entry for a database's address; the first pattern that matches counts."""
        bare = bare_url(url)
        for matches, name, environment, region in self._databases:
            if matches(bare):
                return DatabaseEntry(name or _last_part(bare), environment, region)
        return DatabaseEntry(_last_part(bare))

    def column_labels(self, table: str, column: str) -> frozenset[str]:
        """The labels of a column. `customers.email` also covers `public.customers.email`; case does not count."""
        seen = self._seen
        found = seen.get((table, column))
        if found is None:
            found = self._find(f"{table}.{column}".lower()) if self._columns else frozenset()
            if len(seen) >= _REMEMBERED:
                seen.clear()
            seen[table, column] = found
        return found

    def _find(self, name: str) -> frozenset[str]:
        forms = _forms(name)
        return frozenset().union(*(labels for matches, labels in self._columns if any(map(matches, forms))))

    def model(self, host: str, name: str) -> ModelEntry:
        """The entry for a model at an endpoint; the first that matches counts."""
        bare = _bare_host(host)
        if bare is None:
            return ModelEntry()
        local = is_loopback(bare)
        for host_matches, means_loopback, name_matches, entry in self._models:
            if (local if means_loopback else host_matches(bare)) and name_matches(name):
                return entry
        return ModelEntry()

    def tool(self, name: str) -> ToolEntry:
        """The entry for a tool; the first pattern that matches counts."""
        return next((entry for matches, entry in self._tools if matches(name)), ToolEntry())

    def mask(self, label: str) -> Mask:
        """What data of this label becomes where it may not be revealed: the nearest entry's mask, else `redact`."""
        for name in (label, *ancestors(label)):
            if name in self._masks:
                return self._masks[name]
        return "redact"


def _entries(
    table: str, given: Table, matcher: Callable[[_Is], Callable[..., bool]], *, lower: bool = False
) -> list[Entry]:
    patterns = given.keys(table)
    return [
        Entry(table, pattern, number, matcher(_glob(pattern.lower() if lower else pattern)))
        for number, pattern in enumerate(patterns)
    ]


def _model_entry(number: int, entry: Table) -> Entry:
    host, name = entry.text("host", "*"), entry.text("name", "*")
    host_is, name_is = _glob(host.lower()), _glob(name)

    def matches(seen: str, model: str) -> bool:
        bare = _bare_host(seen)
        if bare is None or not name_is(model):
            return False
        return is_loopback(bare) if host == "loopback" else bool(host_is(bare))

    return Entry("models", host if name == "*" else f"{host} {name}", number, matches)


def _forms(name: str) -> list[str]:
    """A column's name, and without what stands before its table: a schema must not hide it from a pattern without one."""
    forms = [name]
    while name.count(".") > 1:
        name = name.partition(".")[2]
        forms.append(name)
    return forms


@cache
def _glob(pattern: str) -> _Is:
    return re.compile(translate(pattern)).match


def bare_url(url: str) -> str:
    """A database's address without user, password, query and fragment: no credential gets past here.

    Whatever stands before the last @ is cut, well-formed or not: a password may hold `/`, `?` and `@`, unescaped too.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes or rest.startswith("/"):  # a file
        return re.split(r"[?#]", url, maxsplit=1)[0]
    if "@" in rest:
        rest = re.split(r"[?#&;]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://{re.split(r'[?#]', rest, maxsplit=1)[0]}"


def _last_part(url: str) -> str:
    path = url.partition("://")[2] or url
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1].strip(":")
    return last.rsplit(".", 1)[0] or last or "database"


def _bare_host(host: str) -> str | None:
    """The host without its port, in lower case; None for what cannot be a host's name, which nothing in a catalog matches."""
    host = host.lower().rstrip(".")
    if not _HOST.fullmatch(host):
        return None
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".") if host.count(":") == 1 else host


def is_loopback(host: str) -> bool:
    """Whether the name, without a port, is this machine itself. Nothing is looked up: a name that resolves here is not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
