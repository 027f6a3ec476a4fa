"""Verifies an export of a guardai ledger, with nothing but this file, Python 3.11+ and the `cryptography` package.

    python verify.py --key root.pub [--revoked FILE]… [--held FILE]… [FOLDER]

`root.pub` is the public key (PEM) that you were given by another way than this export; without it the export's own is taken,
which proves only that nobody without its private keys has altered anything. `--revoked` names a revocation that you were given:
whoever stole a key would have left it out of the export. `--held` names a tree head (C2SP checkpoint) of this ledger that you, a
witness or anybody else has kept: the export has to go on from it. FOLDER is the export; default: where this file is.
Ends with 0 if it is whole, 1 if it is broken, 2 if it cannot be told.

What is checked, in this order:

1. the root's key vouches for hosts (keys/host.cert, keys/hosts), one of which signed the tree head (checkpoint: C2SP
   signed-note);
2. the events (tile/entries) add up to that head (RFC 6962), and so do the tiles beside them (C2SP tlog-tiles);
3. each event is canonical JSON, and has its own address: log, position, id;
4. in each log, every event names the hash of the one before it, positions have no gap, and time does not run backwards;
5. each log's first event carries its key, certified by a host that the root vouches for;
6. heads.jsonl: signatures of those keys, each over all events of a log up to a position. What stands under one is `signed`;
7. what a process had not signed when it died was checked by its tags and countersigned by a host: `recovered`;
8. an event may be missing only if its whole log is, as long as an event `log.pruned` says; its hash is in the tree still;
9. nothing stands under a host's key at a time after its certificate, or from the time on from which the root revoked it
   (keys/revoked, and events `key.revoked`). What a revoked host vouched for before cannot be told from what a thief would write.

What it cannot tell: whether something that never was recorded should have been, and whether events after this tree head were
cut off before the export was made: `--held` with a tree head that somebody saw later than the events in question tells that.

This file is a part of guardai and comes with every export. It does not import guardai.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

WIDTH = 256
GENESIS = "0" * 64
#: Versions of events that this program reads.
VERSIONS = (1,)


class Unreadable(Exception):
    """A file is missing, or is not what it should be: nothing can be told."""


@dataclass
class Log:
    """What the events so far say of one log."""

    events: int = 0
    hash: str = GENESIS
    last: int = 0
    own_last: int = 0
    ended: bool = False
    closed: bool = False
    #: Who may sign its heads, by key id and public key: itself, until then; and the host that vouches for it.
    own: tuple[str, bytes, int] | None = None
    host: str = ""
    parent: tuple[str, int] | None = None
    #: Position → leaf hash, where a head stands.
    at_heads: dict[int, str] = field(default_factory=dict)
    recovered: list[Any] = field(default_factory=list)
    #: Where the records stand that say so.
    records: list[int] = field(default_factory=list)
    #: How many events those that hold name.
    recovered_events: int = 0
    #: Position, time and host of each head that a host signed.
    countersigned: list[tuple[int, int, str]] = field(default_factory=list)


class Held(NamedTuple):
    """A tree head that somebody has kept: the file's name, its size and root, and which hosts signed it."""

    name: str
    size: int
    root: bytes
    by: list[str]


@dataclass
class Result:
    """What was found. `faults` are (code, log, position); position -1 is none in particular."""

    origin: str = ""
    size: int = 0
    logs: int = 0
    signed: int = 0
    recovered: int = 0
    unsigned: int = 0
    pruned: int = 0
    #: Events that are under none of the tree heads that somebody has kept.
    unanchored: int = 0
    #: Those heads: the file's name, how many events are under it, and what is wrong, or "".
    held: list[tuple[str, int, str]] = field(default_factory=list)
    open_logs: int = 0
    #: Between which times (µs since 1970) the recovered ones lie; 0 if there are none.
    since: int = 0
    until: int = 0
    faults: list[tuple[str, str, int]] = field(default_factory=list)
    #: Why it cannot be told, if it cannot.
    notes: list[str] = field(default_factory=list)

    def fault(self, code: str, log: str = "", seq: int = -1) -> None:
        if (code, log, seq) not in self.faults[-100:]:
            self.faults.append((code, log, seq))

    @property
    def verdict(self) -> int:
        return 1 if self.faults else 2 if self.unsigned or self.notes else 0


# ---- signatures ----


def holds(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is by this key: 32 bytes of Ed25519, or, of a root, ECDSA P-256 in DER."""
    try:
        if len(public) == 32:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        else:
            key = load_der_public_key(public)
            if not isinstance(key, EllipticCurvePublicKey):
                return False
            key.verify(signature, message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def certified(certificate: Any, issuer: bytes, subject: str) -> dict[str, Any] | None:
    """The claims of a certificate, if `issuer` signed them for this kind of subject."""
    try:
        payload, signature = certificate["payload"].encode(), bytes.fromhex(certificate["sig"])
        claims: dict[str, Any] = json.loads(payload)
        if (
            claims["subject"] != subject
            or claims["issuer"] != key_id(issuer)
            or len(bytes.fromhex(claims["key"])) != 32
        ):
            return None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return claims if holds(issuer, signature, b"guardai certificate v1\n" + payload) else None


def read_root(path: Path) -> bytes:
    key = load_pem_public_key(path.read_bytes())
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise Unreadable(f"{path} holds no key of Ed25519 or ECDSA P-256")


def read_revocation(statement: Any, root: bytes) -> tuple[str, int] | None:
    """Which host a signed statement revokes, and from when on (µs since 1970); None if the root did not sign it."""
    try:
        payload, signature = statement["payload"].encode(), bytes.fromhex(statement["sig"])
        claims = json.loads(payload)
        host, since = claims["host"], claims["since"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    if type(since) is not int or type(host) is not str or claims.get("issuer") != key_id(root) or claims.get("v") != 1:
        return None
    return (host, since) if holds(root, signature, b"guardai revocation v1\n" + payload) else None


def read_checkpoint(note: str, origin: str, hosts: Iterable[bytes]) -> tuple[int, bytes, list[str]] | None:
    """Size and root of the signed tree head (C2SP tlog-checkpoint), and which of the hosts signed it for this origin."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    known = {hashlib.sha256(origin.encode() + b"\n\x01" + host).digest()[:4]: host for host in hosts}
    signed: list[str] = []
    for line in signatures.removesuffix("\n").split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except ValueError:
            return None
        if dash != "—" or base64.b64encode(blob).decode() != encoded:
            return None
        if name == origin and (host := known.get(blob[:4])) is not None:
            if not holds(host, blob[4:], text.encode()):
                return None
            signed.append(key_id(host))
    lines = text.split("\n")
    if not signed or not note.endswith("\n") or len(lines) < 4 or lines[0] != origin or not lines[1].isdecimal():
        return None
    root = base64.b64decode(lines[2])
    exact = f"{origin}\n{int(lines[1])}\n{base64.b64encode(root).decode()}\n"
    return (int(lines[1]), root, signed) if text.startswith(exact) else None


# ---- the tree ----


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def perfect(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


class Tree:
    """Takes leaf hashes; tells each tile when it is full, and the root at any time."""

    def __init__(self, tile: Callable[[int, int, list[bytes]], None]) -> None:
        self._tile = tile
        self._levels: list[list[bytes]] = []
        self._full: list[int] = []

    def add(self, value: bytes, level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        self._levels[level].append(value)
        if len(self._levels[level]) == WIDTH:
            tile, self._levels[level] = self._levels[level], []
            self._tile(level, self._full[level], tile)
            self._full[level] += 1
            self.add(perfect(tile), level + 1)

    def end(self) -> None:
        """Tells the tiles that are not full."""
        for level, edge in enumerate(self._levels):
            if edge:
                self._tile(level, self._full[level], edge)

    def root(self) -> bytes:
        """Of the leaves so far."""
        parts: list[bytes] = []  # roots of perfect subtrees, largest first
        for edge in reversed(self._levels):
            start = 0
            while start < len(edge):
                width = 1 << ((len(edge) - start).bit_length() - 1)
                parts.append(perfect(edge[start : start + width]))
                start += width
        if not parts:
            return hashlib.sha256(b"").digest()
        root = parts.pop()
        while parts:
            root = hashlib.sha256(b"\1" + parts.pop() + root).digest()
        return root


def tile_path(level: int | str, index: int, width: int) -> str:
    """Where a tile lies (C2SP tlog-tiles): index 1234067 is `x001/x234/067`."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < WIDTH else "")


def entries(folder: Path, size: int) -> Iterator[bytes]:
    """The events in the order of their leaves; b"" for one that was taken out."""
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        data = _bytes(folder / tile_path("entries", index, width))
        place = 0
        for _ in range(width):
            length = int.from_bytes(data[place : place + 2], "big")
            event = data[place + 2 : place + 2 + length]
            if len(event) != length or place + 2 > len(data):
                raise Unreadable(f"bundle {index} of the events is cut short")
            yield event
            place += 2 + length
        if place != len(data):
            raise Unreadable(f"bundle {index} of the events holds more than its events")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except (ValueError, RecursionError):
        raise Unreadable(f"{path.name} is not JSON") from None


def _notes(path: Path) -> list[str]:
    """The tree heads in a file: one, or in each line of a `.jsonl` one under the name `receipt`."""
    text = _bytes(path).decode(errors="replace")
    if path.suffix != ".jsonl":
        return [text]
    notes = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            receipt = json.loads(line)["receipt"]
            # Of a time-stamping authority: the head stands beside its answer, which somebody else has to check.
            notes.append(str(json.loads(receipt)["note"]) if receipt.startswith("{") else receipt)
        except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
            notes.append("")  # it says something that nobody here can read
    return notes


def _lines(path: Path, *texts: str) -> list[dict[str, Any]]:
    """The objects of a file, one a line, each with these texts and the position `seq`."""
    try:
        found = [json.loads(line) for line in _bytes(path).decode().splitlines()]
    except (ValueError, RecursionError):
        raise Unreadable(f"{path.name} is not JSON, line by line") from None
    for one in found:
        if (
            not isinstance(one, dict)
            or type(one.get("seq")) is not int
            or any(type(one.get(n)) is not str for n in texts)
        ):
            raise Unreadable(f"{path.name} holds a line that is not of its kind")
    return found


# ---- the events ----


class Audit:
    """One verification of one export."""

    def __init__(
        self,
        folder: Path,
        root: bytes,
        progress: Callable[[int], None] = lambda _: None,
        revoked: Sequence[Path] = (),
        held: Sequence[Path] = (),
    ) -> None:
        self.folder = folder
        self.root = root
        self.progress = progress
        self.result = Result(origin=f"guardai/{key_id(root)}")
        self.given = revoked
        self.held = held
        #: By key id: what the root vouches for, and from when on it revoked it.
        self.hosts: dict[str, dict[str, Any]] = {}
        self.revoked: dict[str, int] = {}
        self.latest = 0
        self.logs: dict[str, Log] = {}
        self.heads: dict[str, list[dict[str, Any]]] = {}
        self.tags: dict[str, dict[int, str]] = {}
        #: Log → how many events it had, where an event says that it was taken out.
        self.gone: dict[str, int] = {}
        #: The tile of leaf hashes that was read last, and its index.
        self._hashes: tuple[int, bytes] = (-1, b"")

    def run(self) -> Result:
        """Does every step.

        Raises:
            Unreadable: a file is missing, or is not what it should be.
        """
        result = self.result
        if not self._read_hosts():
            result.fault("certificate")
            return result
        self._read_revocations()
        note = _bytes(self.folder / "checkpoint").decode()
        head = read_checkpoint(note, result.origin, [bytes.fromhex(host["key"]) for host in self.hosts.values()])
        if head is None:
            result.fault("checkpoint")
            return result
        result.size = head[0]
        for one in _lines(self.folder / "heads.jsonl", "by", "hash", "log", "sig"):
            self.heads.setdefault(one["log"], []).append(one)
        for one in _lines(self.folder / "tags.jsonl", "log", "tag"):
            self.tags.setdefault(one["log"], {})[one["seq"]] = one["tag"]
        heads = self._read_held([bytes.fromhex(host["key"]) for host in self.hosts.values()])
        compared: list[tuple[Held, bool, int]] = []
        tree = Tree(self._compare_tile)
        for count, event in enumerate(entries(self.folder, result.size), 1):
            if event:
                leaf = leaf_hash(event)
                self._event(event, leaf)
            else:
                leaf = self._hash_of(count - 1)
                result.pruned += 1
            result.unanchored += bool(event)
            tree.add(leaf)
            compared += [(one, one.root == tree.root(), result.unanchored) for one in heads.pop(count, ())]
            if not count % 1000:
                self.progress(1000)
        tree.end()
        if tree.root() != head[1]:
            result.fault("tree")
        compared += [(one, False, 0) for late in heads.values() for one in late]
        self._judge_held(compared)
        if result.pruned != sum(events for name, events in self.gone.items() if name not in self.logs):
            result.fault("missing")
        self._judge_logs()
        self._judge_hosts(head[2])
        return result

    def _read_held(self, hosts: list[bytes]) -> dict[int, list[Held]]:
        """The tree heads that were given, by size."""
        heads: dict[int, list[Held]] = {}
        for path in self.held:
            found = [read_checkpoint(note, self.result.origin, hosts) for note in _notes(path)]
            if not found or None in found:
                # It may be of a host that the export leaves out: that is no yes.
                self.result.notes.append(f"{path.name} is, or holds, no tree head that a host of this export signed")
            for one in found:
                if one is not None and one[0]:
                    heads.setdefault(one[0], []).append(Held(path.name, *one))
        return heads

    def _judge_held(self, compared: list[tuple[Held, bool, int]]) -> None:
        """Tree heads that somebody has kept; whether each is of this tree, and how many events are under it."""
        result, vouched = self.result, 0
        for one, same, events in compared:
            why = ""
            if all(host in self.revoked for host in one.by):
                # A thief may have made it, unless it is of this very tree.
                why = "" if same else "it is signed by a key that was revoked"
                if why:
                    result.notes.append(f"{one.name}: {why}")
            elif same:
                vouched = max(vouched, events)
            else:
                more = one.size > result.size
                result.fault("rolled_back" if more else "forked")
                why = "its tree head is of more events than are here" if more else "its tree head is of another tree"
            result.held.append((one.name, one.size, why))
        result.unanchored -= vouched

    def _read_hosts(self) -> bool:
        """Which hosts the root vouches for; False if the export's own is none of them."""
        own = certified(_json(self.folder / "keys" / "host.cert"), self.root, "host")
        former = [_json(path) for path in sorted((self.folder / "keys" / "hosts").glob("*.cert"))]
        for host in (own, *(certified(one, self.root, "host") for one in former)):
            if host is not None:
                known = self.hosts.setdefault(key_id(bytes.fromhex(host["key"])), host)
                known["until"] = max(known["until"], host["until"])
        return own is not None

    def _read_revocations(self) -> None:
        for path in (*sorted((self.folder / "keys" / "revoked").glob("*.json")), *self.given):
            try:
                found = read_revocation(_json(path), self.root)
            except Unreadable:
                found = None
            if found is None:
                self.result.notes.append(f"the revocation {path.name} is not signed by the root, or was altered")
            else:
                self._revoke(found)

    def _revoke(self, found: tuple[str, int]) -> None:
        self.revoked[found[0]] = min(found[1], self.revoked.get(*found))

    def _compare_tile(self, level: int, index: int, hashes: list[bytes]) -> None:
        if _bytes(self.folder / tile_path(level, index, len(hashes))) != b"".join(hashes):
            self.result.fault("tree")

    def _hash_of(self, leaf: int) -> bytes:
        """The hash of an event that was taken out: the tree's root vouches for it."""
        index, place = divmod(leaf, WIDTH)
        width = min(WIDTH, self.result.size - index * WIDTH)
        if self._hashes[0] != index:
            self._hashes = (index, _bytes(self.folder / tile_path(0, index, width)))
        return self._hashes[1][place * 32 : place * 32 + 32]

    def _event(self, data: bytes, leaf: bytes) -> None:
        fault = self.result.fault
        try:
            event = json.loads(data)
            name, seq, prev, when, kind = event["log"], event["seq"], event["prev"], event["ts"], event["kind"]
            canonical = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            fault("changed")
            return
        if [type(one) for one in (name, prev, kind, seq, when, event["v"])] != [str, str, str, int, int, int]:
            fault("changed")
            return
        if canonical != data or event["v"] not in VERSIONS:
            fault("changed", name, seq)
            return
        log = self.logs.setdefault(name, Log())
        if seq == 0:
            self._open(log, name, event)
        if seq != log.events or event["id"] != f"{name}-{seq:x}":
            fault("missing" if seq > log.events else "order", name, log.events)
        elif prev != log.hash or (log.closed and kind != "recovered"):
            fault("inserted", name, seq)
        elif when < log.last:
            fault("back_dated", name, seq)
        elif log.ended and kind != "recovered":
            fault("inserted", name, seq)
        log.events, log.hash, log.last = max(log.events, seq + 1), leaf.hex(), max(log.last, when)
        if kind == "recovered":
            log.recovered.append(event.get("body"))
            log.records.append(seq)
        else:
            log.own_last = log.last
        body = event.get("body") if kind == "key.revoked" else None
        if isinstance(body, dict) and (found := read_revocation(body.get("revocation"), self.root)):
            self._revoke(found)
        if kind == "log.pruned":
            self._pruned(event.get("body"))
        self.latest = max(self.latest, when)
        log.ended = kind in ("log.close", "recovered")
        log.closed = log.closed or log.ended
        if any(head["seq"] == seq for head in self.heads.get(name, ())):
            log.at_heads[seq] = leaf.hex()

    def _open(self, log: Log, name: str, event: dict[str, Any]) -> None:
        """Whose keys may sign this log's heads: the root vouches for a host, and that for the log's own."""
        body = event.get("body")
        if not isinstance(body, dict):
            return
        host = certified(body.get("host"), self.root, "host")
        own = certified(body.get("certificate"), bytes.fromhex(host["key"]), "process") if host else None
        if host is None or own is None or own["log"] != name:
            return
        if event["kind"] != "log.open" or not own["since"] <= event["ts"] < own["until"] <= host["until"]:
            return
        log.host = key_id(bytes.fromhex(host["key"]))
        self.hosts.setdefault(log.host, host)
        log.own = (key_id(bytes.fromhex(own["key"])), bytes.fromhex(own["key"]), own["until"])
        parent = body.get("parent")
        if isinstance(parent, dict) and type(parent.get("log")) is str and type(parent.get("seq")) is int:
            log.parent = (parent["log"], parent["seq"])

    def _pruned(self, body: Any) -> None:
        """What an event says was taken out of the store, logs as a whole."""
        logs = body.get("logs") if isinstance(body, dict) else None
        for one in logs if isinstance(logs, list) else ():
            if isinstance(one, dict) and type(one.get("log")) is str and type(one.get("events")) is int:
                self.gone[one["log"]] = one["events"]

    def _judge_logs(self) -> None:
        result = self.result
        for name, log in self.logs.items():
            result.logs += 1
            result.open_logs += not log.ended
            if log.own is None:
                result.fault("certificate", name, 0)
                result.unsigned += log.events
                continue
            if log.own_last >= log.own[2]:
                result.fault("certificate", name, log.events - 1)
            covered = self._covered(name, log)
            recovered = self._recovered(name, log, covered)
            result.signed += covered - recovered
            result.recovered += recovered
            result.unsigned += log.events - covered
            if log.parent is not None:
                parent = self.logs.get(log.parent[0])
                # A parent may not be sealed as far yet: it is missing only if it has ended before.
                if parent is not None and parent.ended and parent.events <= log.parent[1]:
                    result.fault("missing", log.parent[0], log.parent[1])
        for name in self.heads.keys() - self.logs.keys():
            result.fault("signature", name, 0)
        for name in self.tags.keys() - self.logs.keys():
            result.fault("recovered", name, 0)

    def _covered(self, name: str, log: Log) -> int:
        """How many of a log's events stand under a signed head."""
        assert log.own is not None
        covered = 0
        for head in self.heads.get(name, ()):
            by, seq = head["by"], head["seq"]
            host = self.hosts.get(by)
            public = log.own[1] if by == log.own[0] else bytes.fromhex(host["key"]) if host is not None else None
            message = f"guardai head v1\n{name}\n{seq}\n{head['hash']}\n{head.get('ts')}\n".encode()
            try:
                signature = bytes.fromhex(head["sig"])
                good = public is not None and type(head.get("ts")) is int and holds(public, signature, message)
            except ValueError:
                good = False
            if not good or log.at_heads.get(seq, head["hash"]) != head["hash"]:
                self.result.fault("signature", name, seq)
            elif by != log.own[0] and host is not None and head["ts"] >= host["until"]:
                self.result.fault("certificate", name, seq)
            elif seq < log.events:
                covered = max(covered, seq + 1)
                if by != log.own[0]:
                    log.countersigned.append((seq, head["ts"], by))
        countersigned = max((seq for seq, _, _ in log.countersigned), default=-1)
        for seq in log.records:  # it is for the host to say
            if countersigned < seq < covered:
                self.result.fault("recovered", name, seq)
        return covered

    def _recovered(self, name: str, log: Log, covered: int) -> int:
        """How many were countersigned by the host after their process had died."""
        tags, ranges, known = self.tags.get(name, {}), set[int](), set[int]()
        for body in log.recovered:
            try:
                first, last, told = body["from"], body["to"], (body["since"], body["until"])
                good = 0 <= first <= last + 1 <= log.events and all(type(one) is int for one in (first, last, *told))
            except (KeyError, TypeError):
                good = False
            if not good:
                self.result.fault("recovered", name, log.events - 1)
                continue
            found = hashlib.sha256()
            for seq in range(first, last + 1):
                found.update(tags.get(seq, "").encode())
            if found.hexdigest() != body.get("tags"):
                self.result.fault("recovered", name, last + 1)
            known.update(range(first, last + 1))
            log.recovered_events += last - first + 1
            if last >= first:
                self.result.since = min(self.result.since or told[0], told[0])
                self.result.until = max(self.result.until, told[1])
            ranges.update(range(first, min(last + 1, covered)))
        for seq in tags.keys() - known:  # of no other event is there one
            self.result.fault("recovered", name, seq)
        return len(ranges)

    def _judge_hosts(self, signed_by: list[str]) -> None:
        """What stands under the key of a host that was revoked, or whose certificate had expired."""
        result, doubtful = self.result, dict[str, int]()
        for name, log in self.logs.items():
            if log.own is None:
                continue
            if log.host in self.revoked:
                doubtful[log.host] = doubtful.get(log.host, 0) + log.events
                if log.own_last >= self.revoked[log.host]:
                    result.fault("revoked", name, log.events - 1 - len(log.recovered))
            for seq, when, host in log.countersigned:
                if host in self.revoked:
                    if when >= self.revoked[host]:
                        result.fault("revoked", name, seq)
                    if log.host not in self.revoked:
                        doubtful[host] = doubtful.get(host, 0) + log.recovered_events
        for host in signed_by:  # a tree head has no time, but was not there before its events
            if self.latest >= self.hosts[host]["until"]:
                result.fault("certificate")
            if host in self.revoked and self.latest >= self.revoked[host]:
                result.fault("revoked")
        result.notes.extend(doubts(doubtful, self.revoked))
        if all(host in self.revoked for host in signed_by):
            result.notes.append(HEAD_REVOKED)


HEAD_REVOKED = "the newest tree head is signed by a key that was revoked: whoever has it can cut events from the end"


def doubts(doubtful: Mapping[str, int], revoked: Mapping[str, int]) -> list[str]:
    """Tells how many events stand under which revoked key."""
    return [
        f"{events:,} events stand under the key of host {host}, which was revoked from {moment(revoked[host])} on; without an "
        "anchor from before then they cannot be told from forged ones"
        for host, events in sorted(doubtful.items())
    ]


def moment(micros: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(micros / 1e6))
    except (OverflowError, OSError, ValueError):
        return "a time that is none"


# ---- the command ----

MEANINGS = {
    "back_dated": "claims to be earlier than the event before it",
    "certificate": "its key is not vouched for by this root, or not for that time",
    "changed": "is not what was recorded",
    "checkpoint": "the signed tree head does not hold",
    "forked": "the tree does not go on from a tree head that somebody has kept",
    "inserted": "was not written by the log's writer",
    "missing": "must exist and is not there",
    "order": "stands in another place than it was written at",
    "revoked": "stands under the key of a host that was revoked before that time",
    "recovered": "the countersignature of a dead process's tail does not hold",
    "rolled_back": "there are fewer events than under a tree head that somebody has kept",
    "signature": "a signed head does not hold",
    "tree": "the tree does not follow from the events",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Verifies an export of a guardai ledger.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", type=Path, help="the root's public key (PEM), had by another way than this export")
    parser.add_argument(
        "--revoked", type=Path, action="append", default=[], metavar="FILE", help="a revocation to count"
    )
    parser.add_argument(
        "--held", type=Path, action="append", default=[], metavar="FILE", help="a tree head that somebody has kept"
    )
    given = parser.parse_args()
    try:
        root = read_root(given.key or given.folder / "keys" / "root.pub")
        result = Audit(given.folder, root, revoked=given.revoked, held=given.held).run()
    except (Unreadable, OSError, ValueError) as error:
        print(f"? cannot tell: {error}")
        return 2
    print(("✓ whole", "✗ broken", "? cannot tell")[result.verdict])
    print(f"  {result.size - result.pruned:,} events of {result.logs:,} logs in the tree of {result.origin}")
    print(f"  {result.signed:,} signed, {result.recovered:,} recovered, {result.unsigned:,} under no signature")
    if result.pruned:
        print(f"  {result.pruned:,} more were pruned, as events say that are there; their hashes stand in the tree")
    for name, size, why in result.held:
        print(
            f"  ! {name}: {why}" if why else f"  the first {size:,} are under the tree head {name}: they are all here"
        )
    print(
        f"  {result.unanchored:,} could have been cut from the end by whoever has the keys: under no tree head that was kept"
    )
    if not given.key:
        print(
            "  trusting the export's own key: give --key, or this proves only that whoever has its private key made it"
        )
    for note in result.notes:
        print(f"  ? {note}")
    for code, log, seq in result.faults[:50]:
        place = f"{log}-{seq:x}" if seq >= 0 else log or "the export"
        print(f"  ✗ {place}  {code}: {MEANINGS.get(code, '')}")
    return result.verdict


if __name__ == "__main__":
    sys.exit(main())
