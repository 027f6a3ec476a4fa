"""Settings: one frozen object, read from arguments, the environment and two files.

Strongest first: arguments of `init`, `GUARDAI_*`, `guardai.toml`, `[tool.guardai]` in `pyproject.toml`, defaults. The
files are looked for in the working directory and its parents; the first directory that has either ends the search.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from guardai.errors import ConfigError

__all__ = ["Settings", "home", "is_loopback", "load", "seconds"]

_PREFIX: Final = "GUARDAI_"
#: `GUARDAI_…` names that are read elsewhere, so that a misspelt setting can still be told from them.
_ELSEWHERE: Final = frozenset(
    {
        "GUARDAI_CLICKHOUSE_PASSWORD",
        "GUARDAI_CLICKHOUSE_USER",
        "GUARDAI_CLOUDEVENTS_HEADERS",
        "GUARDAI_KAFKA_MECHANISM",
        "GUARDAI_KEY_PASSPHRASE",
        "GUARDAI_OCSF_HEADERS",
        "GUARDAI_SPLUNK_TOKEN",
        "GUARDAI_TEXT_COUNTRIES",
        "GUARDAI_TEXT_ENGINE",
        "GUARDAI_REQUIRE_SERVICES",
        "GUARDAI_ROLLBACK_DATABASE",
        "GUARDAI_ROOT_KEY",
        "GUARDAI_USER",
    }
)


def home(given: Path | str | None = None) -> Path:
    """The folder in which guardai keeps keys, ledger and cache: the argument, `GUARDAI_HOME`, or the user's data folder."""
    chosen = given or os.environ.get("GUARDAI_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("guardai", appauthor=False))


_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> int:
    """`90s`, `30m`, `24h`, `7d` in seconds; `0` is 0.

    Raises:
        ValueError: it is none of these.
    """
    if duration == "0":
        return 0
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError("a duration is a number with s, m, h or d behind it, such as 24h; or 0")
    return int(match[1]) * _SECONDS[match[2]]


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, as far as its name tells."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def _repository(text: str) -> str:
    """The URL of a repository of policy bundles.

    Raises:
        ValueError: it is one that policy cannot come from.
    """
    parts = urlsplit(text)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("a URL without user, query and fragment")
    if parts.scheme == "https" and parts.hostname:
        return text
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return text
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return text
    raise ValueError("https://HOST/…, file:///…, or http:// on loopback")


def _choice(*allowed: str) -> dict[str, Any]:
    return {"allowed": allowed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `init` was told. Each field is a key of `guardai.toml` and, upper-cased after `GUARDAI_`, a variable.

    Attributes:
        home: where keys, ledger and cache are kept.
        policy: a policy directory, a bundle file, or the URL of a repository of bundles; None is the starter bundle that
            ships with guardai.
        policy_root: the trusted root metadata of the repository that `policy` is the URL of.
        policy_keys: public keys (PEM) all of which must have signed the bundle file that `policy` is.
        policy_refresh: how often the repository is asked for a newer bundle; `0`: only at the start.
        mode: `enforce`, or `observe`: the same road, recorded, nothing changed and nothing raised.
        environment: what a database that the catalog does not list belongs to: `dev`, `prod`, ….
        region: where this process runs; policies see it, and what is revealed to the process is revealed there.
        integrations: `auto` (every installed one) or their names.
        app_calls: what happens to the application's own database calls: `ignore`, `record` or `govern`.
        agent: the agent's name where no session is open; "" is the program's name.
        ledger: the address of a PostgreSQL database that hosts seal into together, such as `postgresql://USER@HOST/DATABASE`;
            "": a file of the home.
        ledger_mode: `spool`, `signed` (each event signed at once) or `strict` (on the disk before the effect).
        ledger_full: what happens to what is to be recorded when the disk is full: `fail_closed`: a call raises before its effect;
            `block`: it waits until there is room; `shed`: it goes on, and a signed event counts what is missing.
        sinks: where sealed events go besides the store, as URLs such as `jsonl:///var/log/guardai.jsonl`.
        anchors: who vouches for the ledger's tree heads, as URLs such as `witness+https://witness.example/#NAME+HASH+KEY`.
        anchor_every: how often they are handed the newest; `0`: not by programs, but by `guardai anchors run`.
        token_life: for how long after a session's last use what its tokens stand for is kept in the vault, such as `24h`;
            `0`: in memory alone, and no longer than the session.
        capture_life: for how long rows are kept as they were before a statement changed them, where policy asks for it;
            `0`: not at all, and such a statement is denied.
        content_life: for how long after a session's last kept content that is kept what its calls carried, where policy asks
            for it; `0`: not at all, and such a call is denied.
        counters: where the counts that policies limit are added up with those of other processes, such as
            `redis://HOST:6379/0`; "": each process counts by itself.
    """

    home: Path = field(default_factory=home)
    policy: Path | str | None = None
    policy_root: Path | None = None
    policy_keys: tuple[Path, ...] = ()
    policy_refresh: str = field(default="10m", metadata={"duration": True})
    mode: Literal["enforce", "observe"] = field(default="enforce", metadata=_choice("enforce", "observe"))
    environment: str = "dev"
    region: str = ""
    integrations: Literal["auto"] | tuple[str, ...] = "auto"
    app_calls: Literal["ignore", "record", "govern"] = field(
        default="ignore", metadata=_choice("ignore", "record", "govern")
    )
    agent: str = ""
    ledger: str = field(default="", repr=False)  # a password may stand in it
    ledger_mode: Literal["spool", "signed", "strict"] = field(
        default="spool", metadata=_choice("spool", "signed", "strict")
    )
    ledger_full: Literal["fail_closed", "block", "shed"] = field(
        default="fail_closed", metadata=_choice("fail_closed", "block", "shed")
    )
    sinks: tuple[str, ...] = field(default=(), repr=False)  # a password may stand in one
    anchors: tuple[str, ...] = field(default=(), repr=False)  # a password may stand in one
    anchor_every: str = field(default="5m", metadata={"duration": True})
    token_life: str = field(default="24h", metadata={"duration": True})
    capture_life: str = field(default="7d", metadata={"duration": True})
    content_life: str = field(default="30d", metadata={"duration": True})
    counters: str = field(default="", repr=False)  # a password may stand in it


_FIELDS: Final = {f.name: f for f in fields(Settings)}
_PATHS: Final = frozenset({"home", "policy", "policy_root"})
_LISTS: Final = frozenset({"anchors", "integrations", "policy_keys", "sinks"})


def load(arguments: Mapping[str, object] | None = None, *, start: Path | None = None) -> Settings:
    """Reads the settings.

    Args:
        arguments: what the program passed; a None value counts as not given.
        start: where the search for files begins; the working directory by default.

    Raises:
        ConfigError: an unknown key, a wrong type, or a file that is not TOML; the message names place and key.
    """
    merged: dict[str, object] = {}
    for where, base, given in (*_files(start or Path.cwd()), *_environment(), *_arguments(arguments or {})):
        for key, value in given.items():
            if key not in _FIELDS:
                raise ConfigError(f"{where}: unknown setting {key!r}; known are {', '.join(sorted(_FIELDS))}")
            merged[key] = _checked(where, key, value, base)
    return Settings(**cast("dict[str, Any]", merged))


_Given = list[tuple[str, Path | None, Mapping[str, object]]]


def _files(start: Path) -> _Given:
    """The nearest guardai.toml and pyproject.toml, weaker first."""
    for folder in (start, *start.parents):
        found: _Given = []
        project, own = folder / "pyproject.toml", folder / "guardai.toml"
        if project.is_file():
            table = _toml(project).get("tool", {}).get("guardai", {})
            if not isinstance(table, dict):
                raise ConfigError(f"{project}: [tool.guardai] must be a table")
            found.append((f"{project} [tool.guardai]", folder, table))
        if own.is_file():
            found.append((str(own), folder, _toml(own)))
        if found:
            return found
    return []


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read as TOML: {exc}") from exc


def _environment() -> _Given:
    found: _Given = []
    for name, text in os.environ.items():
        if not name.startswith(_PREFIX) or name in _ELSEWHERE or not text:
            continue
        key = name.removeprefix(_PREFIX).lower()
        value: object = text
        if key in _LISTS and text != "auto":
            value = [part.strip() for part in text.split(",") if part.strip()]
        found.append((f"environment variable {name}", None, {key: value}))
    return found


def _arguments(arguments: Mapping[str, object]) -> _Given:
    return [("init()", None, {key: value for key, value in arguments.items() if value is not None})]


def _path(where: str, key: str, value: object, base: Path | None) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ConfigError(f"{where}: {key!r} must be a path, not {type(value).__name__}")
    # A relative path in a file is relative to that file, not to wherever the program was started.
    return (base or Path.cwd()) / Path(value).expanduser()


def _checked(where: str, key: str, value: object, base: Path | None) -> object:
    if key == "policy" and isinstance(value, str) and _URL.match(value):
        try:
            return _repository(value)
        except ValueError as exc:
            raise ConfigError(f"{where}: {key!r} must be {exc}") from None
    if key in _PATHS:
        return _path(where, key, value, base)
    if key in _LISTS:
        if key == "integrations" and value == "auto":
            return value
        if isinstance(value, (list, tuple)) and key == "policy_keys":
            return tuple(_path(where, key, item, base) for item in value)
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
        allowed = {"integrations": "'auto' or a list of names", "policy_keys": "a list of paths"}.get(
            key, "a list of URLs"
        )
        given = type(value).__name__ if key in {"anchors", "sinks"} else repr(value)  # a password may stand in one
        raise ConfigError(f"{where}: {key!r} must be {allowed}, not {given}")
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key!r} must be a string, not {type(value).__name__}")
    if key == "ledger" and value and not value.startswith(("postgresql://", "postgres://")):
        raise ConfigError(
            f"{where}: {key!r} must be the address of a PostgreSQL database: postgresql://USER@HOST/DATABASE"
        )
    if key == "counters" and value and not value.startswith(("redis://", "rediss://")):
        raise ConfigError(f"{where}: {key!r} must be the address of a Redis server, such as redis://HOST:6379/0")
    if _FIELDS[key].metadata.get("duration"):
        try:
            seconds(value)
        except ValueError as exc:
            raise ConfigError(f"{where}: {key!r} must be a duration, not {value!r}: {exc}") from exc
    choices = _FIELDS[key].metadata.get("allowed")
    if choices and value not in choices:
        raise ConfigError(f"{where}: {key!r} must be one of {', '.join(choices)}, not {value!r}")
    return value
