"""`guardai bundle publish|rotate`: the repository, from its publisher's side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from guardai.cli.bundle import SigningKeys, app, signers_of
from guardai.cli.options import USAGE, Json, console, print_json, refuse
from guardai.cli.policy import pack_labels
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy.trust.repository import Lifetimes, Repository, Signed

#: `guardai bundle`, with these; and how what is refused is told.
__all__ = ["app", "refusals"]

_Folder = Annotated[
    Path, typer.Option("--repository", metavar="DIR", help="The folder that a file server serves.", show_default=False)
]
_Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="ROOT",
        help="The trusted root, as clients were given it, outside of DIR; a new repository writes it there. Default: that of "
        "the settings.",
        show_default=False,
    ),
]
_RootLife = Annotated[str, typer.Option("--root-life", help="For how long a new root is good.")]
_TargetsLife = Annotated[
    str,
    typer.Option("--targets-life", help="How long a client goes on with this bundle when it cannot reach the server."),
]
_SnapshotLife = Annotated[str, typer.Option("--snapshot-life", help="For how long a snapshot is good.")]
_TimestampLife = Annotated[
    str, typer.Option("--timestamp-life", help="After how long a client notices that newer metadata is kept from it.")
]


@app.command("publish")
def publish_command(
    repository: _Folder,
    keys: SigningKeys,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A bundle file; without one, what expires is signed anew.", show_default=False
        ),
    ] = None,
    root: _Root = None,
    root_keys: Annotated[
        list[str] | None,
        typer.Option("--root-key", metavar="KEY", help="A new repository's keys of the root; default: --key."),
    ] = None,
    online_keys: Annotated[
        list[str] | None,
        typer.Option("--online-key", metavar="KEY", help="A new repository's keys that keep it fresh; default: --key."),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of a new repository: how many keys of the root, and of --key, have to sign; default: 1.",
            show_default=False,
        ),
    ] = None,
    root_life: _RootLife = "365d",
    targets_life: _TargetsLife = "90d",
    snapshot_life: _SnapshotLife = "7d",
    timestamp_life: _TimestampLife = "7d",
    as_json: Json = False,
) -> None:
    """Publish a bundle in a folder that any file server can serve; made if the trusted root is not there yet.

    What lies in the folder is verified from the trusted root down before anything is signed.

    Exit codes: 0 published, 1 refused: nothing was changed; or it was signed, and clients still refuse what lies there: something
    else of it has expired; 2 wrong usage.
    """
    place = _place(repository, root)
    lives = _lives(root_life, targets_life, snapshot_life, timestamp_life)
    targets, roots, online = (signers_of(given or []) for given in (keys, root_keys, online_keys))
    new = place.new
    with refusals(as_json):
        data = _checked(file) if file is not None else None
        if not new:
            if threshold is not None:
                refuse("--threshold is for a new repository; `guardai bundle rotate` changes it", code=USAGE)
            signed = place.publish(data, [*targets, *roots, *online], now=_now(), lifetimes=lives)
        elif place.exists:
            refuse(
                f"{repository} is a repository already, and {place.trusted} is not there",
                code=USAGE,
                next_step="--root names the root that its clients were given.",
            )
        elif data is None:
            refuse(f"{repository}: no repository yet; its first bundle is missing", code=USAGE)
        else:
            fresh = online or targets
            signers = {"root": roots or targets, "targets": targets, "snapshot": fresh, "timestamp": fresh}
            thresholds = {"root": threshold or 1, "targets": threshold or 1}
            signed = place.create(data, signers, thresholds, now=_now(), lifetimes=lives)
    if new and not as_json:
        console.print(
            f"[green]made[/] {escape(str(repository))} and {escape(str(place.trusted))}. Give that root to every client, by another "
            "way than this server, and keep it where you alone can write: you go on from it, too",
            soft_wrap=True,
        )
    _tell(signed, repository, as_json, published=file is not None)


@app.command("rotate")
def rotate_command(
    repository: _Folder,
    keys: SigningKeys,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A bundle file that becomes the current one; wanted where targets have to sign again.",
            show_default=False,
        ),
    ] = None,
    root: _Root = None,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="Whose keys change: root, targets, snapshot, timestamp; repeat it."),
    ] = None,
    add: Annotated[
        list[Path] | None, typer.Option("--add", metavar="PUB", help="A key that counts from now on.")
    ] = None,
    remove: Annotated[
        list[Path] | None, typer.Option("--remove", metavar="PUB", help="A key that does not count any more.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=0, help="How many have to sign from now on; 0: as before.")] = 0,
    root_life: _RootLife = "365d",
    targets_life: _TargetsLife = "90d",
    snapshot_life: _SnapshotLife = "7d",
    timestamp_life: _TimestampLife = "7d",
    as_json: Json = False,
) -> None:
    """Sign a new root: other keys for some roles, or none, and then it is only good for longer.

    Enough keys of the former root have to sign, enough of the new one, and of every role whose keys change.

    Exit codes: 0 signed, 1 refused: nothing was changed; or it was signed, and clients still refuse what lies there: something
    else of it has expired; 2 wrong usage.
    """
    from guardai.policy.trust.keys import public
    from guardai.policy.trust.repository import ROLES

    roles = role or []
    for one in roles:
        if one not in ROLES:
            refuse(f"--role is {one!r}; there are {', '.join(ROLES)}", code=USAGE)
    if (add or remove or threshold) and not roles:
        refuse("whose keys change? Name a --role", code=USAGE)
    place = _place(repository, root)
    with refusals(as_json):
        signed = place.rotate(
            roles,
            signers_of(keys),
            now=_now(),
            data=_checked(file) if file is not None else None,
            add=[public(path) for path in add or ()],
            remove=[public(path) for path in remove or ()],
            threshold=threshold,
            lifetimes=_lives(root_life, targets_life, snapshot_life, timestamp_life),
        )
    _tell(signed, repository, as_json, published=file is not None)


def _place(folder: Path, root: Path | None) -> Repository:
    from guardai import settings
    from guardai.policy.trust.repository import Repository

    trusted = root or settings.load().policy_root
    if trusted is None:
        refuse(
            "whose keys are trusted? What lies in the folder is not signed anew because it lies there",
            code=USAGE,
            next_step="--root ROOT names the root that clients are given; a new repository writes it there.",
        )
    try:
        return Repository(folder, trusted)
    except BundleError as error:
        refuse(str(error), code=USAGE)


def _checked(file: Path) -> bytes:
    from guardai.policy import Bundle
    from guardai.policy.trust.build import honest

    data = file.read_bytes()
    Bundle.load(file, pack_labels(), data=data)
    honest(data, pack_labels())
    return data


@contextlib.contextmanager
def refusals(as_json: bool) -> Iterator[None]:
    """Ends the command with what a repository refuses, for a program as JSON; with what cannot be read or written."""
    try:
        yield
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "error": str(error)})
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename or 'the folder'}: {error.strerror or error}", code=USAGE)


def _tell(signed: Signed, folder: Path, as_json: bool, *, published: bool) -> None:
    """What was signed, and for which bundle that vouches: whoever signs has to see it.

    Ends the command with 1 if clients refuse what lies there now: a scheduled job that signs too little must not look well.
    """
    told = _told(signed.data)
    wrong, next_step = _refused(signed, folder, told["expires"])
    if as_json:
        lists = {"expired": list(signed.expired), "still_expired": list(signed.still_expired)}
        print_json({"ok": not wrong, **told, "signed": dict(signed.versions), **lists, "error": wrong})
    else:
        _print(signed, told, published=published)
    if wrong:
        refuse(wrong, next_step=next_step)


def _refused(signed: Signed, folder: Path, expires: str | None) -> tuple[str, str]:
    """Why clients refuse what lies there now, and what to do; empty if they do not."""
    from guardai.policy.trust.manifest import moment
    from guardai.policy.trust.repository import ROLES

    expired, steps = list(signed.still_expired), []
    if expired:
        needed = ", ".join(ROLES[ROLES.index(expired[0]) :])  # what names it has to sign, too
        steps.append(f"Sign it anew: `guardai bundle publish --repository {folder}` with --key of {needed}.")
    if expires and moment(expires) <= _now():
        expired.append(f"the bundle itself (at {expires})")
        steps.append(f"Publish a newer bundle: `guardai bundle publish FILE --repository {folder}`.")
    return (f"clients still refuse what lies there; expired: {', '.join(expired)}" if expired else "", " ".join(steps))


def _print(signed: Signed, told: dict[str, Any], *, published: bool) -> None:
    renewed = ", ".join(role for role in signed.expired if role in signed.versions)
    if renewed:
        console.print(f"[yellow]had expired[/] {renewed}: clients were refusing what lay there", soft_wrap=True)
    what = f"{told['name']} {told['version']}, digest {told['digest']}"
    if told["problem"]:
        what = f"a bundle that cannot be read here ({told['problem']}), sha256 {told['sha256']}"
    versions = ", ".join(f"{role} {version}" for role, version in signed.versions.items())
    if published:
        console.print(f"[green]published[/] {escape(what)}; signed anew: {versions}", soft_wrap=True)
    else:
        console.print(f"[green]signed anew[/] {versions}; the bundle is {escape(what)}", soft_wrap=True)


def _told(data: bytes) -> dict[str, Any]:
    from guardai.policy.trust.archive import unpack
    from guardai.policy.trust.manifest import opened, sha256

    found: dict[str, Any] = {"name": None, "version": None, "digest": None, "expires": None}
    found |= {"sha256": sha256(data), "problem": ""}
    try:
        manifest = opened(unpack(data))
    except BundleError as error:  # a later guardai's, say; its keys vouch for it all the same
        return {**found, "problem": str(error)}
    names = {"name": manifest.name, "version": manifest.version, "digest": manifest.digest}
    return {**found, **names, "expires": manifest.expires or None}


def _now() -> datetime:
    return datetime.now(UTC)


def _lives(*given: str) -> Lifetimes:
    from guardai.policy.trust.repository import Lifetimes
    from guardai.settings import seconds

    lives = []
    for role, one in zip(Lifetimes._fields, given, strict=True):
        try:
            life = timedelta(seconds=seconds(one))
        except ValueError as error:
            refuse(f"--{role}-life {one}: {error}", code=USAGE)
        if not life:
            refuse(f"--{role}-life {one}: clients would refuse what is signed from the first moment on", code=USAGE)
        lives.append(life)
    return Lifetimes(*lives)
