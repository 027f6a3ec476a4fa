"""`guardai bundle publish|rotate|pull|status`: the repository, from its publisher's side and from its reader's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from guardai.cli.bundle import SigningKeys, app, signers_of
from guardai.cli.options import REFUSED, USAGE, Home, Json, console, print_json, refuse
from guardai.cli.policy import pack_labels
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy.trust.client import Client, State
    from guardai.policy.trust.repository import Lifetimes
    from guardai.settings import Settings

#: `guardai bundle`, whole; what came of asking, as its `status` tells it.
__all__ = ["app", "came_of_asking", "why_no_newer"]

_Folder = Annotated[
    Path, typer.Option("--repository", metavar="DIR", help="The folder that a file server serves.", show_default=False)
]
_Url = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL]", help="Of the repository, or its folder; default: that of the settings.", show_default=False
    ),
]
_Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="ROOT", help="The trusted root; default: that of the settings.", show_default=False),
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


@app.command("pull")
def pull_command(
    url: _Url = None,
    root: _Root = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the bundle there, too.", show_default=False),
    ] = None,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds for everything.")] = 120,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Fetch the current bundle, check it, and keep it for the processes of this home.

    Exit codes: 0 it is good, 1 refused: what was kept before is still there, 2 wrong usage.
    """
    from guardai.policy import Bundle
    from guardai.policy.trust.clock import Limit
    from guardai.policy.trust.repository import TARGET

    client = _client(url, root, home)
    limit = Limit(timeout)
    try:
        served = client.refresh(limit.left())
        with client.proving():
            bundle = Bundle.load(Path(TARGET), pack_labels(), data=served.data, now=client.clock.now())
        client.keep(served, limit.left())
        if output is not None:
            output.write_bytes(served.data)
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "error": str(error)})
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}", code=USAGE)
    if as_json:
        print_json({"ok": True, **_told(bundle), "expires": f"{served.expires:%Y-%m-%dT%H:%M:%SZ}"})
        return
    console.print(
        f"[green]good[/] {escape(bundle.name)} {escape(bundle.version)}, digest {bundle.digest}, vouched for until "
        f"{served.expires:%Y-%m-%d %H:%M} UTC",
        soft_wrap=True,
    )


@app.command("status")
def status_command(url: _Url = None, root: _Root = None, home: Home = None, as_json: Json = False) -> None:
    """Tell which bundle is kept, how long it is good, and what came of asking for a newer one. Asks nobody.

    Exit codes: 0 there is a bundle that is good, 1 there is none, 2 wrong usage.
    """
    from guardai.policy import Bundle
    from guardai.policy.trust.repository import TARGET

    client = _client(url, root, home)
    now = client.clock.now()
    served, bundle, why = client.cached(), None, "none is kept"
    if served is not None:
        try:
            bundle = Bundle.load(Path(TARGET), pack_labels(), data=served.data, now=now)
            why = "what vouches for it has expired" if served.expires <= now else ""
        except BundleError as error:
            why = str(error)
    found: dict[str, Any] = {
        "ok": not why,
        "url": client.url,
        "bundle": _told(bundle) if bundle is not None else None,
        "expires": f"{served.expires:%Y-%m-%dT%H:%M:%SZ}" if served is not None else None,
        "cache": str(client.folder),
        "problem": why,
        **came_of_asking(client.state()),
    }
    if as_json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(REFUSED if why else 0)


def _print(found: dict[str, Any]) -> None:
    console.print(f"[bold]{escape(found['url'])}[/]", soft_wrap=True)
    bundle = found["bundle"]
    if bundle is not None:
        name = f"{bundle['name']} {bundle['version']}"
        console.print(f"  bundle    {escape(name)}, digest {bundle['digest']}", soft_wrap=True)
    if found["expires"]:
        console.print(f"  good till {found['expires']}")
    console.print(f"  asked     {found['asked'] or 'never'}; the last good answer: {found['answered'] or 'never'}")
    console.print(f"  cache     {escape(found['cache'])}", soft_wrap=True)
    if found["error"]:
        console.print(f"  [yellow]![/] {escape(why_no_newer(found))}", soft_wrap=True)
    if found["problem"]:
        console.print(f"  [red]✗[/] {escape(found['problem'])}; `guardai bundle pull` asks now", soft_wrap=True)


def _client(url: str | None, root: Path | None, home: Path | None) -> Client:
    from guardai import settings
    from guardai.gate.supply import client_of

    if url is not None and Path(url).is_dir():  # a publisher looks at what is about to be served
        url = Path(url).absolute().as_uri()
    found: Settings = settings.load({"policy": url, "policy_root": root, "home": home})
    if not isinstance(found.policy, str):
        refuse(
            "which repository? The settings name no URL as policy",
            code=USAGE,
            next_step="guardai bundle pull URL --root ROOT",
        )
    try:
        return client_of(found)
    except BundleError as error:
        refuse(str(error), code=USAGE, next_step="guardai bundle pull URL --root ROOT")


def came_of_asking(state: State) -> dict[str, str | None]:
    """What came of asking the repository, as data for programs: when, when with success, and the last error or ""."""
    return {"asked": _when(state.asked), "answered": _when(state.good), "error": state.error}


def why_no_newer(asked: dict[str, Any]) -> str:
    """The same for a person, where there was an error."""
    return f"no newer bundle could be had; asked for it last: {asked['asked'] or 'never'}; why: {asked['error']}"


def _told(bundle: Any) -> dict[str, str]:
    return {"name": bundle.name, "version": bundle.version, "digest": bundle.digest}


def _when(seconds: float) -> str | None:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else None


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
