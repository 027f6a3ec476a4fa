"""`guardai bundle pull|status`: the repository, from its reader's side."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from guardai.cli.options import REFUSED, USAGE, Home, Json, console, print_json, refuse
from guardai.cli.policy import pack_labels
from guardai.cli.published import app, refusals
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy.trust.client import Client, State
    from guardai.settings import Settings

#: `guardai bundle`, whole; what came of asking, as its `status` tells it.
__all__ = ["app", "came_of_asking", "why_no_newer"]

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
    from guardai.gate.detectors import search_of
    from guardai.gate.supply import end, loaded
    from guardai.policy.trust.clock import Limit
    from guardai.policy.trust.writing import put

    wanted = _wanted(url, root, home)
    client = _client(wanted)
    limit = Limit(timeout)
    with refusals(as_json):
        served = client.refresh(limit.left())
        with client.proving():
            bundle = loaded(client, served, pack_labels()).bundle
            search_of(bundle, wanted.home / "cache")
        client.keep(served, limit.left())
        if output is not None:
            put(output, served.data)
    till = end(served, bundle.expires)
    if as_json:
        print_json({"ok": True, **_told(bundle), "expires": f"{till:%Y-%m-%dT%H:%M:%SZ}"})
        return
    console.print(
        f"[green]good[/] {escape(bundle.name)} {escape(bundle.version)}, digest {bundle.digest}, till {till:%Y-%m-%d %H:%M} UTC",
        soft_wrap=True,
    )


@app.command("status")
def status_command(url: _Url = None, root: _Root = None, home: Home = None, as_json: Json = False) -> None:
    """Tell which bundle is kept, how long it is good, and what came of asking for a newer one. Asks nobody.

    Exit codes: 0 there is a bundle that is good, 1 there is none, 2 wrong usage.
    """
    from guardai.gate.detectors import search_of
    from guardai.gate.supply import end, kept
    from guardai.policy.trust.archive import unpack
    from guardai.policy.trust.manifest import moment, opened

    wanted = _wanted(url, root, home)
    client = _client(wanted)
    served, supplied, why, passed = kept(client, pack_labels(), lambda bundle: search_of(bundle, wanted.home / "cache"))
    told: Any = supplied and supplied.bundle
    own = supplied and supplied.bundle.expires
    if served is not None and told is None:  # that it cannot be used is no reason not to say what it is
        with contextlib.suppress(BundleError):
            told = opened(unpack(served.data))
            own = moment(told.expires) if told.expires else None
    asked = came_of_asking(client.state())
    found: dict[str, Any] = {
        "ok": not why,
        "url": client.url,
        "bundle": _told(told) if told is not None else None,
        "expires": f"{end(served, own):%Y-%m-%dT%H:%M:%SZ}" if served is not None else None,
        "cache": str(client.folder),
        "problem": why,
        **asked,
        "error": asked["error"] or passed,
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


def _wanted(url: str | None, root: Path | None, home: Path | None) -> Settings:
    from guardai import settings

    if url is not None and Path(url).is_dir():  # a publisher looks at what is about to be served
        url = Path(url).absolute().as_uri()
    found: Settings = settings.load({"policy": url, "policy_root": root, "home": home})
    if not isinstance(found.policy, str):
        refuse(
            f"{url}: no folder, and no URL" if url else "which repository? The settings name no URL as policy",
            code=USAGE,
            next_step="guardai bundle pull URL --root ROOT",
        )
    return found


def _client(wanted: Settings) -> Client:
    from guardai.gate.supply import client_of

    try:
        return client_of(wanted, pack_labels())
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
