"""What was worked out about a bundle's policies when it was built, as bytes that a process can begin with.

Parsing 10,000 policies takes 2 s, reading this 0.1 s: each policy's head, annotations and place in its file. A policy's text
is parsed when the first question reaches it.

SECURITY INVARIANT: what stands here is only taken where it belongs to exactly these policies, labels, this guardai and this
cedarpy; otherwise everything is parsed and checked as if it were not there. That it tells the truth about them is for
whoever hands it over to know: it has to stand under the signature of the bundle, never beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

import msgspec

from guardai._version import __version__
from guardai.policy.pace import breathe
from guardai.policy.problem import Problem
from guardai.policy.source import Policy
from guardai.policy.tree import Head, Scope

__all__ = ["Stored", "belongs_to", "taken"]

_FORMAT: Final = 1


class _Row(msgspec.Struct, array_like=True):
    id: str
    effect: str
    annotations: dict[str, str]
    file: str
    line: int
    start: int
    length: int
    actions: int
    principal: Head
    resource: Head
    groups: bool


class _Whole(msgspec.Struct):
    format: int
    belongs: str
    actions: list[tuple[str, ...]]
    warnings: list[Problem]
    rows: list[_Row]


class Stored(msgspec.Struct):
    """What a bundle needs of its policies to begin with.

    Attributes:
        policies: `@id` → policy, not parsed.
        scopes: `@id` → head.
        warnings: what the builder was warned of.
    """

    policies: dict[str, Policy]
    scopes: dict[str, Scope]
    warnings: list[Problem]

    def encoded(self, files: Mapping[str, str], belongs: str) -> bytes:
        """The bytes; `files` are the texts that the policies stand in, `belongs` says to what they belong."""
        actions: dict[tuple[str, ...], int] = {}
        rows, at = [], dict.fromkeys(files, 0)
        for one in self.policies.values():
            head = self.scopes[one.id]
            start = files[one.file].index(one.source, at[one.file])
            at[one.file] = start + len(one.source)
            number = actions.setdefault(head.actions, len(actions))
            rows.append(
                _Row(
                    one.id, one.effect, one.annotations, one.file, one.line, start, len(one.source), number,
                    head.principal, head.resource, head.groups,
                )
            )  # fmt: skip
        return msgspec.msgpack.encode(_Whole(_FORMAT, belongs, list(actions), self.warnings, rows))


def belongs_to(digest: str, labels: Iterable[str]) -> str:
    """What the bytes have to bear: the bundle's digest, the labels it was checked with, and who worked it out."""
    whole = hashlib.sha256()
    for part in (digest, __version__, version("cedarpy"), *sorted(labels)):
        whole.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    return whole.hexdigest()


def taken(data: bytes, files: Mapping[str, str], belongs: str) -> Stored | None:
    """What the bytes say; None if they do not belong to these files, or are none."""
    try:
        whole = msgspec.msgpack.decode(data, type=_Whole)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (whole.format, whole.belongs) != (_FORMAT, belongs):
        return None
    policies: dict[str, Policy] = {}
    scopes: dict[str, Scope] = {}
    try:
        for row in whole.rows:
            breathe()
            source = files[row.file][row.start : row.start + row.length]
            policies[row.id] = Policy(row.id, row.effect, row.annotations, source, row.file, row.line)
            scopes[row.id] = Scope(whole.actions[row.actions], row.principal, row.resource, row.groups)
    except LookupError:  # it bears the right words and is wrong all the same
        return None
    return Stored(policies, scopes, whole.warnings)
