"""The publisher's side: a TUF repository that is a folder of files, which any file server can serve.

::

    metadata/1.root.json …  N.targets.json  N.snapshot.json  timestamp.json
    targets/<sha256>.policy.bundle

One repository distributes one bundle. Four roles sign: `root` says whose keys count, `targets` which bundle is the current one,
`snapshot` and `timestamp` that this is still so. Snapshots are consistent: a file is never changed once it is there, but for
`timestamp.json`, which is replaced last.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardai.errors import BundleError

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer
    from tuf.api.metadata import Metadata, Root

__all__ = ["ROLES", "TARGET", "USUAL", "Lifetimes", "Repository"]

TARGET: Final = "policy.bundle"
ROLES: Final = ("root", "targets", "snapshot", "timestamp")
#: What is signed again, in this order, if one of them changes: each names the one before it.
_CHAIN: Final = ("targets", "snapshot", "timestamp")


class Lifetimes(NamedTuple):
    """For how long what is signed now is good.

    Attributes:
        root: who may sign.
        targets: how long a client that cannot reach the server goes on with the last bundle that it has.
        snapshot, timestamp: after how long a client notices that it is being kept from what is new.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=7)


USUAL: Final = Lifetimes()


class Repository:
    """A repository's folder.

    INVARIANT: nothing is written until all of it is signed by as many keys as the root asks for, the old root included.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata = folder / "metadata"

    @property
    def exists(self) -> bool:
        """Whether it has been made."""
        return (self._metadata / "timestamp.json").exists()

    @property
    def trusted_root(self) -> Path:
        """What a client has to be given by another way than the server."""
        return self._metadata / "1.root.json"

    def create(
        self,
        data: bytes,
        signers: Mapping[str, Sequence[Signer]],
        thresholds: Mapping[str, int],
        *,
        now: datetime,
        lifetimes: Lifetimes = USUAL,
    ) -> None:
        """Makes the repository, with its first bundle.

        Args:
            data: the bundle file.
            signers: of each role.
            thresholds: of each role; a missing one is 1.
            now: the time.
            lifetimes: of what is signed.

        Raises:
            BundleError: there is one already, or a threshold cannot be met.
        """
        from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

        if self.exists:
            raise BundleError(f"{self.folder}: there is a repository already")
        root = Root(version=1, expires=_end(now, lifetimes.root), consistent_snapshot=True)
        for role in ROLES:
            for signer in signers[role]:
                root.add_key(signer.public_key, role)
            root.roles[role].threshold = thresholds.get(role, 1)
        everybody = [signer for role in ROLES for signer in signers[role]]
        made: dict[str, Metadata[Any]] = {"root": Metadata(root)}
        self._sign("root", made["root"], [root], everybody)
        # Version 0 is never written: what is signed is the next one.
        for role, empty in (("targets", Targets), ("snapshot", Snapshot), ("timestamp", Timestamp)):
            signed = empty(version=1, expires=now)
            signed.version = 0
            made[role] = Metadata(signed)
        self._renew(made, root, _CHAIN, everybody, now, lifetimes, data)
        self._write(made, data)

    def publish(
        self, data: bytes | None, signers: Iterable[Signer], *, now: datetime, lifetimes: Lifetimes = USUAL
    ) -> tuple[str, ...]:
        """Makes a bundle the current one; without one, signs anew what these keys can sign, before it expires.

        Returns:
            The roles that were signed.

        Raises:
            BundleError: the keys are not enough, or the root has expired.
        """
        signers = list(signers)
        made = self._current()
        root: Root = made["root"].signed
        if root.is_expired(now):
            raise BundleError(f"{self.folder}: the root has expired; sign a new one with `guardai bundle rotate`")
        roles: tuple[str, ...] = _CHAIN
        if data is None and not self._enough(root, "targets", signers):
            roles = _CHAIN[1:] if self._enough(root, "snapshot", signers) else _CHAIN[2:]
        self._renew(made, root, roles, signers, now, lifetimes, data)
        self._write({role: made[role] for role in roles}, data)
        return roles

    def rotate(
        self,
        roles: Iterable[str],
        signers: Iterable[Signer],
        *,
        now: datetime,
        add: Iterable[Key] = (),
        remove: Iterable[Key] = (),
        threshold: int = 0,
        lifetimes: Lifetimes = USUAL,
    ) -> tuple[str, ...]:
        """Signs a new root, in which other keys count for these roles. Without any change it is only good for longer.

        Args:
            roles: whose keys change.
            signers: enough of the old root's keys and of the new one's, and of every role that has to sign again.
            now: the time.
            add: keys that count from now on.
            remove: keys that do not any more.
            threshold: how many have to sign from now on; 0 leaves it.
            lifetimes: of what is signed.

        Returns:
            The roles that were signed.

        Raises:
            BundleError: the keys are not enough, or a key to remove is not there.
        """
        signers, add, remove = list(signers), list(add), list(remove)
        made = self._current()
        old: Root = made["root"].signed
        root = copy.deepcopy(old)
        for role in roles:
            for key in add:
                root.add_key(key, role)
            for key in remove:
                try:
                    root.revoke_key(key.keyid, role)
                except ValueError:
                    raise BundleError(f"key {key.keyid} does not count for {role}; nothing was changed") from None
            root.roles[role].threshold = threshold or root.roles[role].threshold
        for role in ROLES:
            if root.roles[role].threshold > len(root.roles[role].keyids):
                raise BundleError(f"{role} needs {root.roles[role].threshold} keys and would have fewer; add one")
        root.version, root.expires = old.version + 1, _end(now, lifetimes.root)
        made["root"] = _metadata(root)
        self._sign("root", made["root"], [old, root], signers)
        stale = [role for role in _CHAIN if not self._verified(root, role, made[role])]
        again = _CHAIN[_CHAIN.index(stale[0]) :] if stale else ()
        self._renew(made, root, again, signers, now, lifetimes, None)
        self._write({role: made[role] for role in ("root", *again)}, None)
        return ("root", *again)

    def _renew(
        self,
        made: dict[str, Metadata[Any]],
        root: Root,
        roles: Iterable[str],
        signers: Sequence[Signer],
        now: datetime,
        lifetimes: Lifetimes,
        data: bytes | None,
    ) -> None:
        """The next version of these roles, signed; each names the one before it."""
        from tuf.api.metadata import MetaFile, TargetFile

        for role in roles:
            signed = made[role].signed
            signed.version += 1
            signed.expires = _end(now, getattr(lifetimes, role))
            if role == "targets" and data is not None:
                signed.targets = {TARGET: TargetFile.from_data(TARGET, data, ["sha256"])}
            if role != "targets":
                before = "targets" if role == "snapshot" else "snapshot"
                told = MetaFile.from_data(made[before].signed.version, made[before].to_bytes(), ["sha256"])
                if role == "snapshot":
                    signed.meta["targets.json"] = told
                else:
                    signed.snapshot_meta = told
            made[role] = _metadata(signed)
            self._sign(role, made[role], [root], signers)

    def _sign(self, role: str, made: Metadata[Any], roots: Sequence[Root], signers: Sequence[Signer]) -> None:
        for signer in {signer.public_key.keyid: signer for signer in signers}.values():
            if any(signer.public_key.keyid in root.roles[role].keyids for root in roots):
                made.sign(signer, append=True)
        for root in roots:
            if not self._verified(root, role, made):
                wanted = root.roles[role]
                raise BundleError(
                    f"{role} needs the signatures of {wanted.threshold} of its {len(wanted.keyids)} keys; "
                    "give more with --key. Nothing was changed"
                )

    @staticmethod
    def _verified(root: Root, role: str, made: Metadata[Any]) -> bool:
        return bool(root.get_verification_result(role, made.signed_bytes, made.signatures))

    @staticmethod
    def _enough(root: Root, role: str, signers: Sequence[Signer]) -> bool:
        ids = {signer.public_key.keyid for signer in signers}
        return len(ids & set(root.roles[role].keyids)) >= root.roles[role].threshold

    def _current(self) -> dict[str, Metadata[Any]]:
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        def read(name: str) -> Metadata[Any]:
            return Metadata.from_file(str(self._metadata / name))

        try:
            if not self.exists:
                raise BundleError(
                    f"{self.folder}: no repository; `guardai bundle publish FILE --repository …` makes one"
                )
            timestamp = read("timestamp.json")
            snapshot = read(f"{timestamp.signed.snapshot_meta.version}.snapshot.json")
            targets = read(f"{snapshot.signed.meta['targets.json'].version}.targets.json")
            newest = max(int(file.name.partition(".")[0]) for file in self._metadata.glob("*.root.json"))
            root = read(f"{newest}.root.json")
        except (OSError, ValueError, KeyError, RepositoryError) as error:
            raise BundleError(f"{self.folder}: the repository cannot be read: {error}") from None
        return {"root": root, "targets": targets, "snapshot": snapshot, "timestamp": timestamp}

    def _write(self, made: Mapping[str, Metadata[Any]], data: bytes | None) -> None:
        """What is named is there before what names it."""
        self._metadata.mkdir(parents=True, exist_ok=True)
        if data is not None:
            digest = made["targets"].signed.targets[TARGET].hashes["sha256"]
            (self.folder / "targets").mkdir(exist_ok=True)
            _replace(self.folder / "targets" / f"{digest}.{TARGET}", data)
        for role in ROLES:
            if role in made:
                name = "timestamp.json" if role == "timestamp" else f"{made[role].signed.version}.{role}.json"
                _replace(self._metadata / name, made[role].to_bytes())


def _metadata(signed: Any) -> Metadata[Any]:
    from tuf.api.metadata import Metadata

    return Metadata(signed)


def _end(now: datetime, life: timedelta) -> datetime:
    return (now + life).replace(microsecond=0)


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(data)
    beside.replace(file)
