"""Tests of a policy folder, as `tests/*.toml` holds them.

::

    [destinations]                                  # places by name, for `to`
    abroad = { kind = "model", region = "us", trust = "listed" }

    [defaults]                                      # what every case of the file begins with
    principal = 'Agent::"report-bot"'               # or { type = "Agent", id = "report-bot", user = "u-1" }
    context = { environment = "prod" }

    [[case]]
    name = "an analyst's agent reads, and the model sees tokens"
    action = "db.read"                              # a list: each of them is tried
    resource = 'Table::"shop.customers"'            # a list: each of them is tried
    labels = ["pii.email"]                          # all that the data carries
    to = "abroad"                                   # a list: each of them is tried
    expect = "allow"                                # "allow", "deny" or "pause"
    masks = { "pii.email" = "token" }               # exactly what is masked; {} if all is revealed
    masked_by = ["personal-data"]                   # exactly the policies that determine those masks
    policies = ["reads"]                            # exactly the policies that determine the answer
    approvals = []                                  # exactly the groups that would lift a pause
    limits = { row_cap = 10000, timeout = "30s" }   # exactly what is owed if it is allowed; {} if nothing is

What is not expected is not looked at, but a case has to expect something. A case's `context` is laid over the defaults'.
A key that is not above is an error: a misspelt expectation would hold for ever.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardai.model import MASKS
from guardai.policy.problem import Problem
from guardai.policy.request import Request
from guardai.policy.tomllines import Lines
from guardai.policy.vocabulary import ANNOTATIONS, NUMBERS, ON_PERMITS, number

__all__ = ["Case", "Expected", "Run", "read"]

_ASKED: Final = ("principal", "action", "resource", "context", "labels", "to")
_EXPECTED: Final = ("expect", "masks", "masked_by", "policies", "approvals", "limits")
_DECISIONS: Final = ("allow", "deny", "pause")
_ENTITY: Final = re.compile(r'([A-Za-z_]\w*)::"((?:[^"\\]|\\["\\])*)"')
_PLACE: Final = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


class Expected(NamedTuple):
    """What a case expects; None is not looked at."""

    decision: str | None
    masks: Mapping[str, str] | None
    policies: frozenset[str] | None
    approvals: frozenset[str] | None
    masked_by: frozenset[str] | None
    limits: Mapping[str, int | tuple[str, ...]] | None


class Run(NamedTuple):
    """One request of a case. `variant` tells it from the case's others; empty if there is only one."""

    variant: str
    request: Request


class Case(NamedTuple):
    """One case: where it stands, its requests, and what all of them are to be answered with."""

    file: str
    line: int
    name: str
    runs: tuple[Run, ...]
    expected: Expected


class _Wrong(Exception):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def read(folder: Path) -> tuple[list[Case], list[Problem]]:
    """The cases of a policy folder, in the order of their files, and what is wrong with the files.

    Args:
        folder: the policy folder; its tests are in `tests/*.toml`.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for path in sorted((folder / "tests").glob("*.toml")):
        file = path.relative_to(folder).as_posix()
        try:
            _file(file, path.read_bytes().decode(), cases, problems)
        except UnicodeDecodeError:
            problems.append(Problem("error", file, 0, "", "not UTF-8 text"))
        except OSError as error:
            problems.append(Problem("error", file, 0, "", f"cannot be read: {error.strerror}"))
    return cases, problems


def _file(file: str, text: str, cases: list[Case], problems: list[Problem]) -> None:
    lines = Lines(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.match(str(error))
        line, column = (int(place[2] or lines.last), int(place[3] or 0)) if place else (0, 0)
        problems.append(Problem("error", file, line, "", f"not TOML: {place[1] if place else error}", column))
        return
    except RecursionError:
        problems.append(Problem("error", file, 0, "", "nested too deeply"))
        return
    try:
        _only(data, "destinations", "defaults", "case")
        destinations = _table(data, "destinations")
        defaults = _table(data, "defaults")
        _only(defaults, *_ASKED)
        entries = data.get("case", [])
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise _Wrong("case", "a case begins with [[case]]")
    except _Wrong as wrong:
        problems.append(Problem("error", file, lines.of_key(wrong.key), "", str(wrong)))
        return
    names: set[str] = set()
    for which, entry in enumerate(entries):
        begin = lines.of_array("case", which)
        try:
            case = _case(file, begin, entry, defaults, destinations)
            if case.name in names:
                raise _Wrong("name", f"another case is called {case.name!r} too")
        except _Wrong as wrong:
            # What the case does not say itself stands in the defaults.
            line = lines.of_key(wrong.key, begin if wrong.key in entry or not wrong.key else 0) or begin
            problems.append(Problem("error", file, line, "", str(wrong)))
        else:
            names.add(case.name)
            cases.append(case)
    if not entries:
        problems.append(Problem("error", file, 0, "", "there is no [[case]] in it"))


def _case(file: str, line: int, entry: dict[str, Any], defaults: dict[str, Any], destinations: dict[str, Any]) -> Case:
    _only(entry, "name", *_ASKED, *_EXPECTED)
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _Wrong("name", "a case has a name, a sentence that says what is expected")
    if not any(key in entry for key in _EXPECTED):
        raise _Wrong("", f"the case expects nothing; write one of {', '.join(_EXPECTED)}")
    asked: dict[str, Any] = {
        key: entry[key] if key in entry else defaults[key] for key in _ASKED if key in entry or key in defaults
    }
    if "context" in entry and "context" in defaults:
        asked["context"] = _over(_table(defaults, "context"), _table(entry, "context"))
    return Case(file, line, name, tuple(_runs(asked, destinations)), _expected(entry, asked))


def _over(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for key, value in more.items():
        there = made.get(key)
        made[key] = _over(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return made


def _runs(asked: dict[str, Any], destinations: dict[str, Any]) -> Iterator[Run]:
    """Every request of a case: one for each combination of what is listed."""
    several = {key: asked[key] if isinstance(asked.get(key), list) else [asked.get(key)] for key in _FANNED}
    for key, values in several.items():
        if not values:
            raise _Wrong(key, f"{key} is an empty list: nothing would be tried")
    for chosen in product(*several.values()):
        one = dict(zip(several, chosen, strict=True))
        request = {key: value for key, value in {**asked, **one}.items() if value is not None}
        for key in ("principal", "resource"):
            if isinstance(request.get(key), str):
                request[key] = _entity(key, request[key])
        if isinstance(request.get("to"), str):
            if request["to"] not in destinations:
                known = ", ".join(destinations) or "none"
                raise _Wrong("to", f"{request['to']!r} is not among [destinations]: {known}")
            request["to"] = destinations[request["to"]]
        variant = ", ".join(_shown(one[key]) for key in several if len(several[key]) > 1)
        try:
            yield Run(variant, Request.read(request))
        except ValueError as error:
            raise _Wrong("", str(error).partition("; it looks like")[0]) from None


_FANNED: Final = ("action", "resource", "to")


def _entity(key: str, text: str) -> dict[str, str]:
    found = _ENTITY.fullmatch(text)
    if not found:
        raise _Wrong(key, f"{key} is written 'Agent::\"name\"', with single quotes around it, or as a table")
    return {"type": found[1], "id": re.sub(r"\\(.)", r"\1", found[2])}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        kind = value.get("type")
        return f'{kind}::"{value.get("id")}"' if kind else " ".join(str(part) for part in value.values())
    return str(value)


def _expected(entry: dict[str, Any], asked: dict[str, Any]) -> Expected:
    decision = entry.get("expect")
    if decision is not None and decision not in _DECISIONS:
        raise _Wrong("expect", f"expect is {decision!r}; known: {', '.join(_DECISIONS)}")
    masks = _table(entry, "masks") if "masks" in entry else None
    for label, mask in (masks or {}).items():
        if mask not in MASKS:
            raise _Wrong("masks", f"the mask of {label!r} is {mask!r}; known: {', '.join(MASKS)}")
        if label not in asked.get("labels", ()):
            raise _Wrong("masks", f"{label!r} is not among the case's labels, so nothing is asked about it")
    if masks is not None and not asked.get("labels"):
        raise _Wrong("masks", "masks are expected, but the case has no labels")
    if "masked_by" in entry and not asked.get("labels"):
        raise _Wrong("masked_by", "policies are expected to mask, but the case has no labels")
    policies, approvals, masked_by = (_names(entry, key) for key in ("policies", "approvals", "masked_by"))
    return Expected(decision, masks, policies, approvals, masked_by, _limits(entry))


def _limits(entry: dict[str, Any]) -> dict[str, int | tuple[str, ...]] | None:
    """What annotations of permits say: numbers of rows and seconds, and what `capture` keeps, sorted."""
    if "limits" not in entry:
        return None
    found: dict[str, int | tuple[str, ...]] = {}
    for name, value in _table(entry, "limits").items():
        if name not in ON_PERMITS:
            raise _Wrong("limits", f"{name!r} is no limit; known: {', '.join(sorted(ON_PERMITS))}")
        try:
            if name in NUMBERS:
                found[name] = number(name, str(value))
                continue
            said = value if isinstance(value, list) else [value]
            if all(one in ANNOTATIONS[name] for one in said):
                found[name] = tuple(sorted(set(said)))
            else:
                raise ValueError(f"known: {', '.join(ANNOTATIONS[name])}")
        except ValueError as why:
            raise _Wrong("limits", f"{name} is {value!r}; {why}") from None
    return found


def _names(entry: dict[str, Any], key: str) -> frozenset[str] | None:
    if key not in entry:
        return None
    values = entry[key]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _Wrong(key, f"{key} is a list of names")
    return frozenset(values)


def _only(table: dict[str, Any], *keys: str) -> None:
    for key in table:
        if key not in keys:
            raise _Wrong(key, f"{key!r} is unknown here; known: {', '.join(keys)}")


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key, {})
    if not isinstance(found, dict):
        raise _Wrong(key, f"{key} must be a table")
    return found
