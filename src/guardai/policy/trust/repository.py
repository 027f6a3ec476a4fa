"""The publisher's side: a TUF repository that is a folder of files, which any file server can serve.

::

    metadata/1.root.json …  N.targets.json  N.snapshot.json  timestamp.json
    targets/<sha256>.policy.bundle
    .lock

One repository distributes one bundle. Four roles sign: `root` says whose keys count, `targets` which bundle is the current one,
`snapshot` and `timestamp` that this is still so. Snapshots are consistent: a file is never changed once it is there, but for
`timestamp.json`, which is replaced.

SECURITY INVARIANT: nothing is signed because it lies in the folder. What is signed is made anew, of a bundle file that was given
or that the trusted root's keys vouch for, of digests of what they vouch for, and of numbers.

INVARIANT: clients accept what is there after each write. What is named is there before what names it; a file that nothing names
yet is of no consequence, and its number is passed over; and what a new root counts no more has been replaced before that root is
there (`rotate`).
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardai.errors import BundleError
from guardai.policy.trust.chain import TARGET, Chain, followed, vouched
from guardai.policy.trust.lock import held
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.memory import Memory, beside, recall, remember
from guardai.policy.trust.writing import create, replace

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer
    from tuf.api.metadata import Metadata, Root

__all__ = ["ROLES", "USUAL", "Lifetimes", "Repository", "Signed"]

ROLES: Final = ("root", "targets", "snapshot", "timestamp")
#: What is signed again, in this order, if one of them changes: each names the one before it.
_CHAIN: Final = ("targets", "snapshot", "timestamp")
#: Seconds that one publisher waits for another, who may have to find a smart card.
_PATIENCE: Final = 60.0


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


class Signed(NamedTuple):
    """What was signed, and vouches for which bundle.

    Attributes:
        versions: role → version, of what was signed now.
        data: the bundle file that clients get.
        expired: what had expired before; clients were refusing the repository.
    """

    versions: Mapping[str, int]
    data: bytes
    expired: tuple[str, ...] = ()

    @property
    def still_expired(self) -> tuple[str, ...]:
        """What of that was not signed anew: clients go on refusing the repository."""
        return tuple(role for role in self.expired if role not in self.versions)


class Repository:
    """A repository's folder.

    INVARIANT: nothing is written until all of it is signed by as many keys as the root asks for, the old root included.

    Args:
        folder: what is served.
        trusted: the file of the root that clients are given, by another way than the folder; `create` makes it.

    Raises:
        BundleError: that file is in the folder, so that it would be no better than what it vouches for; or one of the folder's
            own folders is a link.
    """

    def __init__(self, folder: Path, trusted: Path) -> None:
        try:
            # By its name, too: who can write in the folder could lead the name elsewhere.
            names = (trusted.resolve(), folder.resolve()), (_named(trusted), _named(folder))
            within = any(one.is_relative_to(other) for one, other in names)
            if trusted.is_symlink() and not trusted.exists():
                raise OSError("a link that leads nowhere")
        except (OSError, RuntimeError) as error:  # a name that is too long, a folder that is closed, links in a circle
            raise BundleError(f"{trusted}: cannot be looked at: {error}") from None
        if within:
            raise BundleError(
                f"{trusted} lies in the folder that it has to vouch for: whoever can write there can change both. Keep the "
                "trusted root elsewhere, as clients were given it"
            )
        self.folder, self.trusted = folder, trusted
        self._metadata = folder / "metadata"
        for part in (self._metadata, folder / "targets"):
            if part.is_symlink():
                raise BundleError(f"{part} is a link to another place, where nothing of this repository belongs")

    @property
    def new(self) -> bool:
        """Whether there is no trusted root yet, so that a repository can be made."""
        return not self.trusted.exists()

    @property
    def exists(self) -> bool:
        """Whether there is one in the folder, or what is left of one."""
        return self._metadata.exists()

    def create(
        self,
        data: bytes,
        signers: Mapping[str, Sequence[Signer]],
        thresholds: Mapping[str, int],
        *,
        now: datetime,
        lifetimes: Lifetimes = USUAL,
    ) -> Signed:
        """Makes the repository, with its first bundle, and the file of its trusted root.

        Args:
            data: the bundle file.
            signers: of each role.
            thresholds: of each role; a missing one is 1.
            now: the time.
            lifetimes: of what is signed.

        Raises:
            BundleError: there is a repository or a trusted root already, or a threshold cannot be met.
            OSError: the folder cannot be written.
        """
        from tuf.api.metadata import Root

        root = Root(version=1, expires=_end(now, lifetimes.root), consistent_snapshot=True)
        for role in ROLES:
            for signer in signers[role]:
                root.add_key(signer.public_key, role)
            wanted = root.roles[role].threshold = thresholds.get(role, 1)
            if wanted > len(root.roles[role].keyids):
                raise BundleError(
                    f"{role} needs {wanted} keys and has {len(root.roles[role].keyids)}; name more, of the root with --root-key and "
                    "of targets with --key"
                )
        everybody = [signer for role in ROLES for signer in signers[role]]
        signed = _signed("root", root, [root], everybody)
        made = {"root": signed, **self._renewed(None, _CHAIN, [root], everybody, now, lifetimes, data)}
        if not self.trusted.parent.is_dir():
            raise BundleError(f"{self.trusted}: there is no such folder to keep the trusted root in")
        if not self.new:
            raise BundleError(f"{self.trusted}: there is a root already; another repository needs a file of its own")
        if recall(self.trusted) != Memory():
            raise BundleError(
                f"{beside(self.trusted)} tells of what was published under a root that is not there any more; remove it to begin anew"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.exists:
                raise BundleError(f"{self.folder}: there is a repository already")
            # A process that is killed on the way leaves nothing behind that the next one does not remove.
            fresh = self.folder / ".metadata.new"
            if fresh.exists():
                shutil.rmtree(fresh)
            fresh.mkdir()
            self._write_bundle(data)
            for role in ROLES:
                create(fresh / _name(made[role]), made[role].to_bytes())
            create(self.trusted, made["root"].to_bytes())
            fresh.rename(self._metadata)
            self._remember(made)
        return Signed(_versions(made), data)

    def publish(
        self, data: bytes | None, signers: Iterable[Signer], *, now: datetime, lifetimes: Lifetimes = USUAL
    ) -> Signed:
        """Makes a bundle the current one; without one, signs anew what these keys can sign, before it expires.

        Raises:
            BundleError: what lies in the folder does not verify, the keys are not enough, or the root has expired.
            OSError: the folder cannot be written.
        """
        signers = list(signers)
        with self._followed(older=data is not None) as (chain, memory):
            root = chain.root
            if root.is_expired(now):
                raise BundleError(f"{self.folder}: the root has expired; sign a new one with `guardai bundle rotate`")
            current = vouched(self.folder, chain) if data is None else data
            roles: tuple[str, ...] = _CHAIN
            if data is None and not _enough(root, "targets", signers):
                roles = _CHAIN[1:] if _enough(root, "snapshot", signers) else _CHAIN[2:]
            made = self._renewed(chain, roles, [root], signers, now, lifetimes, current, memory)
            self._write(data, made.values())
            self._remember(made, chain)
        return Signed(_versions(made), current, _expired(chain, now))

    def rotate(
        self,
        roles: Iterable[str],
        signers: Iterable[Signer],
        *,
        now: datetime,
        data: bytes | None = None,
        add: Iterable[Key] = (),
        remove: Iterable[Key] = (),
        threshold: int = 0,
        lifetimes: Lifetimes = USUAL,
    ) -> Signed:
        """Signs a new root, in which other keys count for these roles. Without any change it is only good for longer.

        What the new root does not count any more is signed again first, and verifies under the root before it as well: a root
        whose only change is that the added keys count, if need be. So there is no moment at which clients find a root and
        nothing that verifies under it.

        Args:
            roles: whose keys change.
            signers: enough of the old root's keys and of the new one's, and of every role that has to sign again.
            now: the time.
            data: a bundle file that becomes the current one. If targets have to sign again, there has to be one: what they signed
                vouches for nothing any more, and may be a thief's.
            add: keys that count from now on.
            remove: keys that do not any more.
            threshold: how many have to sign from now on; 0 leaves it.
            lifetimes: of what is signed.

        Raises:
            BundleError: what lies in the folder does not verify, the keys are not enough, a key to remove is not there, or the
                bundle is missing.
            OSError: the folder cannot be written.
        """
        roles, signers, add, remove = list(roles), list(signers), list(add), list(remove)
        with self._followed(older=data is not None) as (chain, memory):
            old = chain.root
            new = _changed(old, roles, add, remove, threshold)
            stale = [role for role in _CHAIN if not _verified(new, role, chain.metadata[role])]
            if "targets" in stale and data is None:
                raise BundleError(
                    "what the targets keys signed counts no more under the new root; which bundle do the new keys vouch for? Give "
                    "its file. Nothing was changed"
                )
            for role in stale:
                if new.roles[role].threshold < old.roles[role].threshold:
                    raise BundleError(
                        f"{role} has to sign again, by as many keys as before; lower the threshold afterwards, with a rotation of "
                        "its own. Nothing was changed"
                    )
            current = vouched(self.folder, chain) if data is None else data
            again = _CHAIN if data is not None else _CHAIN[_CHAIN.index(stale[0]) :] if stale else ()
            bridge = _changed(old, roles, add, (), 0)
            between = [bridge] if any(bridge.roles[role] != old.roles[role] for role in again) else []
            roots = []
            former = old
            for root in (*between, new):
                root.version, root.expires = former.version + 1, _end(now, lifetimes.root)
                roots.append(_signed("root", root, [former, root], signers))
                former = root
            under = [*(between or [old]), new]
            made = self._renewed(chain, again, under, signers, now, lifetimes, current, memory)
            self._write(data, (*roots[:-1], *made.values(), roots[-1]))
            self._remember({"root": roots[-1], **made}, chain)
        return Signed(_versions({"root": roots[-1], **made}), current, _expired(chain, now))

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        # Several people of a group may publish in one folder: their umask says who.
        return held(self.folder / ".lock", _PATIENCE, what="repository", mode=0o666)

    @contextlib.contextmanager
    def _followed(self, *, older: bool) -> Iterator[tuple[Chain, Memory]]:
        if not self.exists:
            raise BundleError(
                f"{self.folder}: no repository, although there is a root in {self.trusted}. To make a new one, name a file for its "
                "root that is not there yet. (If a repository was just being made, and that was interrupted, remove this root.)"
            )
        with self._alone():
            memory = recall(self.trusted)
            yield followed(self.folder, self.trusted, memory, older=older), memory

    def _remember(self, made: Mapping[str, Metadata[Any]], chain: Chain | None = None) -> None:
        """What was made now is the newest that was published from here, and what it was made on."""
        versions = {**({role: one.signed.version for role, one in chain.metadata.items()} if chain else {})}
        versions |= {role: version for role, version in _versions(made).items() if role != "root"}
        if "root" in made:
            root, digest = made["root"].signed.version, sha256(made["root"].to_bytes())
        else:
            assert chain is not None
            root, digest = chain.root.version, chain.sha256
        remember(self.trusted, Memory(root, digest, **versions))

    def _renewed(
        self,
        former: Chain | None,
        roles: Iterable[str],
        roots: Sequence[Root],
        signers: Sequence[Signer],
        now: datetime,
        lifetimes: Lifetimes,
        data: bytes,
        memory: Memory = Memory(),  # noqa: B008 - it is frozen
    ) -> dict[str, Metadata[Any]]:
        """The next version of these roles, which verifies under each of the roots; each names the one before it.

        It is the next to what lies there and to what was published from here, so that clients that know the latter take it.
        """
        from tuf.api.metadata import MetaFile, Snapshot, TargetFile, Targets, Timestamp

        made: dict[str, Metadata[Any]] = {}
        contents = (
            {role: (former.metadata[role].signed.version, former.content[role]) for role in _CHAIN} if former else {}
        )

        def named(role: str) -> MetaFile:
            version, content = contents[role]
            return MetaFile.from_data(version, content, ["sha256"])

        for role in roles:
            version = self._next(role, max(contents[role][0], getattr(memory, role))) if former else 1
            expires = _end(now, getattr(lifetimes, role))
            signed: Any
            if role == "targets":
                target = TargetFile.from_data(TARGET, data, ["sha256"])
                signed = Targets(version, expires=expires, targets={TARGET: target})
            elif role == "snapshot":
                signed = Snapshot(version, expires=expires, meta={"targets.json": named("targets")})
            else:
                signed = Timestamp(version, expires=expires, snapshot_meta=named("snapshot"))
            made[role] = _signed(role, signed, roots, signers)
            contents[role] = version, made[role].to_bytes()
        return made

    def _next(self, role: str, version: int) -> int:
        """The next version of which there is no file: somebody may have been killed before anything named it."""
        version += 1
        while role != "timestamp" and os.path.lexists(self._metadata / f"{version}.{role}.json"):
            version += 1
        return version

    def _write(self, data: bytes | None, made: Iterable[Metadata[Any]]) -> None:
        """Writes the bundle file, and the metadata in this order."""
        if data is not None:
            self._write_bundle(data)
        for one in made:
            write = replace if one.signed.type == "timestamp" else create
            write(self._metadata / _name(one), one.to_bytes())

    def _write_bundle(self, data: bytes) -> None:
        # Its name is its digest: a file of that name which says something else is damaged, and this one puts it right.
        targets = self.folder / "targets"
        targets.mkdir(exist_ok=True)
        replace(targets / f"{sha256(data)}.{TARGET}", data)


def _named(path: Path) -> Path:
    """The whole name, `..` taken out and links left in."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _changed(root: Root, roles: Iterable[str], add: Iterable[Key], remove: Iterable[Key], threshold: int) -> Root:
    made = copy.deepcopy(root)
    for role in roles:
        for key in add:
            made.add_key(key, role)
        for key in remove:
            try:
                made.revoke_key(key.keyid, role)
            except ValueError:
                raise BundleError(f"key {key.keyid} does not count for {role}; nothing was changed") from None
        wanted = made.roles[role].threshold = threshold or made.roles[role].threshold
        if wanted > len(made.roles[role].keyids):
            raise BundleError(f"{role} needs {wanted} keys and would have fewer; add one")
    return made


def _signed(role: str, signed: Any, roots: Sequence[Root], signers: Sequence[Signer]) -> Metadata[Any]:
    """The metadata with the signatures of the keys that count for the role, as many as each of the roots wants."""
    from tuf.api.exceptions import UnsignedMetadataError
    from tuf.api.metadata import Metadata

    made: Metadata[Any] = Metadata(signed)
    for signer in {signer.public_key.keyid: signer for signer in signers}.values():
        if any(signer.public_key.keyid in root.roles[role].keyids for root in roots):
            try:
                made.sign(signer, append=True)
            except UnsignedMetadataError as error:  # it hides what the key says
                raise error.__cause__ or error from None
    for root in roots:
        if not _verified(root, role, made):
            wanted = root.roles[role]
            raise BundleError(
                f"{role} needs the signatures of {wanted.threshold} of its {len(wanted.keyids)} keys; "
                "give more with --key. Nothing was changed"
            )
    return made


def _verified(root: Root, role: str, made: Metadata[Any]) -> bool:
    return bool(root.get_verification_result(role, made.signed_bytes, made.signatures))


def _enough(root: Root, role: str, signers: Sequence[Signer]) -> bool:
    ids = {signer.public_key.keyid for signer in signers}
    return len(ids & set(root.roles[role].keyids)) >= root.roles[role].threshold


def _versions(made: Mapping[str, Metadata[Any]]) -> dict[str, int]:
    return {role: one.signed.version for role, one in made.items()}


def _expired(chain: Chain, now: datetime) -> tuple[str, ...]:
    signed = {"root": chain.root, **{role: one.signed for role, one in chain.metadata.items()}}
    return tuple(role for role in ROLES if signed[role].is_expired(now))


def _name(made: Metadata[Any]) -> str:
    role = made.signed.type
    return "timestamp.json" if role == "timestamp" else f"{made.signed.version}.{role}.json"


def _end(now: datetime, life: timedelta) -> datetime:
    return (now + life).replace(microsecond=0)
