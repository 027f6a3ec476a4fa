"""`guardai bundle publish|rotate`: the repository, from its publisher's side."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from guardai.cli.bundle import SigningKeys, app, signers_of
from guardai.cli.options import USAGE, console, refuse
from guardai.cli.policy import pack_labels
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy.trust.repository import Lifetimes

#: `guardai bundle`, with these.
__all__ = ["app"]

_Folder = Annotated[
    Path, typer.Option("--repository", metavar="DIR", help="The folder that a file server serves.", show_default=False)
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
    root_keys: Annotated[
        list[str] | None,
        typer.Option("--root-key", metavar="KEY", help="A new repository's keys of the root; default: --key."),
    ] = None,
    online_keys: Annotated[
        list[str] | None,
        typer.Option("--online-key", metavar="KEY", help="A new repository's keys that keep it fresh; default: --key."),
    ] = None,
    threshold: Annotated[
        int, typer.Option(min=1, help="Of a new repository: how many keys of the root, and of --key, have to sign.")
    ] = 1,
    root_life: _RootLife = "365d",
    targets_life: _TargetsLife = "90d",
    snapshot_life: _SnapshotLife = "7d",
    timestamp_life: _TimestampLife = "7d",
) -> None:
    """Publish a bundle in a folder that any file server can serve; made if it is not there.

    Exit codes: 0 published, 1 refused: nothing was changed, 2 wrong usage.
    """
    from guardai.policy import Bundle
    from guardai.policy.trust.build import honest
    from guardai.policy.trust.repository import Repository

    place = Repository(repository)
    lives = _lives(root_life, targets_life, snapshot_life, timestamp_life)
    targets, roots, online = (signers_of(given or []) for given in (keys, root_keys, online_keys))
    try:
        data = file.read_bytes() if file is not None else None
        bundle = Bundle.load(file, pack_labels(), data=data) if file is not None else None
        if data is not None:
            honest(data, pack_labels())
        if place.exists:
            signed = place.publish(data, [*targets, *roots, *online], now=_now(), lifetimes=lives)
        elif data is None:
            refuse(f"{repository}: no repository yet; its first bundle is missing", code=USAGE)
        else:
            fresh = online or targets
            signers = {"root": roots or targets, "targets": targets, "snapshot": fresh, "timestamp": fresh}
            place.create(data, signers, {"root": threshold, "targets": threshold}, now=_now(), lifetimes=lives)
            signed = ("root", "targets", "snapshot", "timestamp")
            console.print(
                f"[green]made[/] {escape(str(repository))}. Give {escape(str(place.trusted_root))} to every client, by another "
                "way than this server",
                soft_wrap=True,
            )
    except BundleError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}", code=USAGE)
    what = f"{bundle.name} {bundle.version}, digest {bundle.digest}" if bundle else "what was there"
    console.print(f"[green]published[/] {escape(what)}; signed anew: {', '.join(signed)}", soft_wrap=True)


@app.command("rotate")
def rotate_command(
    repository: _Folder,
    keys: SigningKeys,
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
) -> None:
    """Sign a new root: other keys for some roles, or none, and then it is only good for longer.

    Enough keys of the former root have to sign, enough of the new one, and of every role whose keys change.

    Exit codes: 0 signed, 1 refused: nothing was changed, 2 wrong usage.
    """
    from guardai.policy.trust.keys import public
    from guardai.policy.trust.repository import ROLES, Repository

    roles = role or []
    for one in roles:
        if one not in ROLES:
            refuse(f"--role is {one!r}; there are {', '.join(ROLES)}", code=USAGE)
    if (add or remove or threshold) and not roles:
        refuse("whose keys change? Name a --role", code=USAGE)
    try:
        signed = Repository(repository).rotate(
            roles,
            signers_of(keys),
            now=_now(),
            add=[public(path) for path in add or ()],
            remove=[public(path) for path in remove or ()],
            threshold=threshold,
            lifetimes=_lives(root_life, targets_life, snapshot_life, timestamp_life),
        )
    except BundleError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}", code=USAGE)
    console.print(f"[green]signed anew[/] {', '.join(signed)}", soft_wrap=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _lives(*given: str) -> Lifetimes:
    from guardai.policy.trust.repository import Lifetimes
    from guardai.settings import seconds

    lives: Iterable[int]
    try:
        lives = [seconds(one) for one in given]
    except ValueError as error:
        refuse(str(error), code=USAGE)
    return Lifetimes(*(timedelta(seconds=life) for life in lives))
