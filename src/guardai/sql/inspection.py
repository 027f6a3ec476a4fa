"""What `inspect` answers, the action that a policy sees for it, and the same in plain words.

Effects, and the action each leads to:

========  ===========================================================================  ============
effect    what it covers                                                               action
========  ===========================================================================  ============
read      SELECT, VALUES, TABLE, SHOW, DESCRIBE, plain EXPLAIN, reading pragmas        db.read
write     INSERT, UPDATE, DELETE, MERGE, REPLACE, nextval, FOR UPDATE                  db.write
destroy   DROP, TRUNCATE, what replaces a table's content                              db.destroy
admin     other DDL, rights, maintenance, server settings, tables that hold secrets    db.admin
exec      procedures, dynamic SQL, programs, code                                      db.admin
file      reads or writes a file of the server or client, COPY                         db.admin
network   linked servers, remote tables, URLs, notifications                           db.admin
session   SET, USE, user variables, transaction control                                db.admin
unknown   whatever is not proven, delays, advisory locks                               db.unknown
========  ===========================================================================  ============

The action is the worst of all effects: `db.destroy` (also for an unbounded UPDATE or DELETE), `db.admin`,
`db.unknown`, `db.write`, `db.read`. Destruction stands first because it is what cannot be taken back; `unknown` stands
below `admin` because `exec` already covers anything at all: who may do that may do what is not understood, and a policy
that permits `db.unknown` must not thereby permit a DROP. A policy that must tell the parts of a statement list apart
reads `effects`. A text without a statement does nothing and counts as a read of nothing.

Reason codes: `unknown-dialect`; refused before parsing: `too-long`, `nul`, `odd-character`, `unterminated`,
`ambiguous-comment`, `ambiguous-literal`, `odd-number`, `unicode-identifier`, `template`, `too-deep`; not understood:
`split-disagreement`, `unknown-statement`, `parse-error`, `unknown-node:…`, `unknown-function:…`, `dynamic-table`;
understood, and worth telling: `transaction-control`, `credential-table`, `system-table`, `fts-command`, `user-variable`;
with a live schema: `unreadable-view` (a view whose query may not be read or is not understood: a read of it is a read, a
write through it is unknown), `unreadable-trigger`.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["EFFECTS", "Inspection", "describe"]

EFFECTS: Final = ("read", "write", "destroy", "admin", "exec", "file", "network", "session", "unknown")
_NONE: Final[Mapping[str, Collection[str]]] = MappingProxyType({})
_ADMIN: Final = frozenset({"admin", "exec", "file", "network", "session"})


class Inspection(msgspec.Struct, frozen=True):
    """What a text of SQL would do.

    Attributes:
        statements: how many statements; a trailing semicolon or a comment is none.
        effects: what they do, see the module's table.
        reads, writes: tables, lower-case, as written (with schema if written); with a live schema also the tables below
            a view and those that triggers and functions touch.
        functions: functions that are called, lower-case.
        unbounded: an UPDATE or DELETE that no AND-ed `column = constant` or `IN` list bounds.
        reason: a code, if something was refused or not understood.
        columns_read: columns referenced anywhere, filters included: `table.column`, `table.*`, or `column` where the
            table is not known.
        verbs: the first word of each statement.
        action: `db.read`, `db.write`, `db.destroy`, `db.admin` or `db.unknown`; follows from effects and unbounded.
    """

    statements: int
    effects: frozenset[str]
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    unbounded: bool = False
    reason: str | None = None
    columns_read: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ()
    action: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "action", _action(self.effects, unbounded=self.unbounded))


def _action(effects: frozenset[str], *, unbounded: bool) -> str:
    if unbounded or "destroy" in effects:
        return "db.destroy"
    if effects & _ADMIN:
        return "db.admin"
    if "unknown" in effects or not effects:
        return "db.unknown"
    return "db.write" if "write" in effects else "db.read"


#: Verb → how it is told, and whether the tables that it writes are its object.
_TOLD: Final = {
    "select": "reads",
    "with": "reads",
    "from": "reads",
    "table": "reads",
    "values": "reads",
    "insert": "inserts into",
    "replace": "replaces rows in",
    "update": "changes",
    "delete": "deletes from",
    "merge": "merges into",
    "drop": "drops",
    "truncate": "empties",
    "create": "creates",
    "alter": "alters",
    "rename": "renames",
    "grant": "grants rights on",
    "revoke": "revokes rights on",
}
_EFFECT_TOLD: Final = {
    "exec": "runs code",
    "file": "touches files",
    "network": "reaches over the network",
    "session": "changes the session",
    "admin": "administers the server",
    "destroy": "destroys data",
    "write": "writes",
}


def _names(tables: frozenset[str]) -> str:
    shown = sorted(tables)[:3]
    return ", ".join(shown) + (f" and {len(tables) - 3} more" if len(tables) > 3 else "")


def describe(inspection: Inspection, labelled: Mapping[str, Collection[str]] = _NONE) -> str:
    """One line in plain words, without any value of the statement: "deletes from customers, not bounded".

    Args:
        inspection: of the statement.
        labelled: the columns that the statement touches → the labels of each, as far as they have some. They are counted
            by kind, "2 columns labelled pii": how many matters to a reader, and the names are in the tables' own terms.
    """
    if inspection.statements == 0:
        return "no statement"
    parts: list[str] = []
    verbs = inspection.verbs
    verb = verbs[0] if len(verbs) == 1 else ""
    told = _TOLD.get(verb)
    if told and inspection.writes and told != "reads":
        parts.append(f"{told} {_names(inspection.writes)}")
        if inspection.reads - inspection.writes:
            parts.append(f"reads {_names(inspection.reads - inspection.writes)}")
    else:
        if len(verbs) > 1:
            parts.append(f"runs {len(verbs)} statements ({', '.join(verbs[:5])}{', …' if len(verbs) > 5 else ''})")
        elif verb and (told is None or told != "reads"):
            parts.append(f"runs {verb.upper()}")
        if inspection.reads:
            parts.append(f"reads {_names(inspection.reads)}")
        elif "read" in inspection.effects and not inspection.writes:
            parts.append("reads no table")
        if inspection.writes:
            parts.append(f"writes {_names(inspection.writes)}")
    if inspection.unbounded:
        parts.append("not bounded")
    hidden = {"write", "admin", "destroy"} if told else {"write"} if inspection.writes else set()
    parts += [text for effect, text in _EFFECT_TOLD.items() if effect in inspection.effects and effect not in hidden]
    if "unknown" in inspection.effects:
        parts.append(f"not understood ({inspection.reason or 'unknown'})")
    counted = Counter(kind for labels in labelled.values() for kind in {label.partition(".")[0] for label in labels})
    parts += [f"{count} column{'s' if count > 1 else ''} labelled {kind}" for kind, count in sorted(counted.items())]
    return ", ".join(parts)
