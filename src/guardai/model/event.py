"""The signed record: one struct, encoded once; those bytes are stored, hashed, signed and exported.

The encoding is canonical JSON (RFC 8785) within a profile in which msgspec's output is byte-identical to it: ASCII
keys, no floats, integers below 2^53, times in microseconds. Struct fields are declared in the order of their names,
because msgspec writes a struct's fields as declared and sorts only dictionaries.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["READS", "RESERVED", "VERSION", "Event"]

#: The version of the event format, `v`.
VERSION: Final = 1
#: The versions that are read: this one and the one before, once there is one.
READS: Final = frozenset({VERSION - 1, VERSION} - {0})
#: First words of the kinds that guardai writes, or will: no program's event begins with one.
RESERVED: Final = (
    "approval", "bundle", "call", "checkpoint", "gap", "grant", "key", "lineage", "log", "policy", "recovered", "rows", "scene",
    "session", "vault",
)  # fmt: skip


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One record of the ledger, of any kind; `kinds` says what events of one kind hold. The ledger fills `id`, `key`, `log`, `prev`, `seq` and `ts`; the gate the rest.

    A call leaves two: `call.intent` before its effect, `call.outcome` after; they share `call`. Fields that are
    constant for a session or a decision may come as `msgspec.Raw`, already encoded (that keeps the append short).

    Attributes:
        action: the verb, `db.read`; "" for records that are no call.
        body: what other kinds than calls carry (`log.open`, `log.close`, `recovered`, …).
        call: ties intent and outcome; children name it as their `parent`.
        content: {side: {`bytes`, `commit`}}: keyed commitments to what went `in` and `out` and to the `parameters` of a
            statement, and their sizes. Where it was kept for replay, `kept`, the commitment to what was, also of `rows` and of
            `more` of a request that was only made while the call ran, and `until`, seconds since 1970 that it is kept at least.
        decision: `effect`, `policies`, `bundle`, `masks` {label: mask}, `reason`, `mode`.
        dur: microseconds between intent and outcome.
        findings: {label: count}.
        id: unique, and tells log and position.
        key: id of the process key under whose signed head the event stands.
        kind: `call.intent`, `call.outcome`, `scene`, `session.state`, `log.open`, …
        lineage: [{`from`: event id, `evidence`}].
        log, seq, prev: which log, which position, the hash (hex) of the event before.
        model: `provider`, `requested`, `responded`, `region`, `host`.
        parent: the call within which this one happened.
        principal: `kind`, `user`, `agent`, `chain`, `assurance`.
        resource: [{`uri`, `columns`, `labels`, `key`, `dir`}].
        scene: id of the `scene` event that holds what policy was asked about this call; "" if it was not asked.
        session: the session's id.
        state: id of the `session.open` or `session.state` event that holds what policy could read of the session.
        status: of an outcome: `ok`, `error`, `denied`, `withheld`, `cancelled`, `unknown`, `abandoned`; of an intent `paused`.
        trace: `trace_id`, `span_id` of the W3C trace context, where there is one.
        ts: microseconds since 1970, UTC.
        usage: what the provider reported, integers.
    """

    action: str = msgspec.field(default="")
    body: dict[str, object] | msgspec.Raw | None = None
    call: str = ""
    content: dict[str, object] | None = None
    decision: dict[str, object] | msgspec.Raw | None = None
    dur: int | None = None
    findings: dict[str, int] | None = None
    id: str
    key: str
    kind: str
    lineage: list[dict[str, str]] | None = None
    log: str
    model: dict[str, str] | msgspec.Raw | None = None
    parent: str = ""
    prev: str
    principal: dict[str, object] | msgspec.Raw
    resource: list[dict[str, object]] | msgspec.Raw | None = None
    scene: str = ""
    seq: int
    session: str = ""
    state: str = ""
    status: str = ""
    trace: dict[str, str] | None = None
    ts: int
    usage: dict[str, int] | None = None
    v: int
