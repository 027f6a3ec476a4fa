"""`guardai anchors`: who vouches for the ledger's tree heads, and how far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from guardai.cli.ledger import pause_of, until_told
from guardai.cli.options import (
    BROKEN,
    USAGE,
    Home,
    Json,
    console,
    home_of,
    ledger_in,
    print_json,
    refuse,
    time_of,
    unreadable,
)
from guardai.model import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardai.ledger import Anchorage, Anchored, TrustPolicy
    from guardai.model import Anchor

__all__ = ["app", "configured", "opened", "policy_in"]

_BUSY: Final = "another process is at it"

app: Final = typer.Typer(help="Hand tree heads to those who vouch for them.", no_args_is_help=True)


def opened(urls: Sequence[str]) -> dict[str, Anchor]:
    """The anchors that these URLs name; ends the command if one is none."""
    from guardai.errors import ConfigError
    from guardai.ledger import check_distinct, open_anchor

    try:
        check_distinct(urls)
        return {url: open_anchor(url) for url in urls}
    except ConfigError as error:
        refuse(str(error), code=USAGE)


@app.command("run")
def run_command(
    home: Home = None,
    every: Annotated[
        str,
        typer.Option("--every", metavar="TIME", help="Go on: every 1m, say, until stopped.", show_default=False),
    ] = "",
    as_json: Json = False,
) -> None:
    """Hand the newest tree head to every configured anchor: once, or as a sidecar.

    Exit codes: 0 all have it (or it was told to stop), 1 one has not, or knows a later one, 2 none is configured, or wrong usage.
    """
    where = ledger_in(home_of(home))
    pause = pause_of(every)
    anchors = opened(configured(where))
    if not anchors:
        refuse("no anchor is configured", next_step="anchors = [...] in guardai.toml, or GUARDAI_ANCHORS", code=USAGE)
    stop = until_told() if pause else None
    told: dict[str, str] = {}
    while True:
        before = _sealed(where)
        stands = _hand_over(where, anchors, end=stop is None)
        if stop is None:
            break
        for url, why in _failures(stands, before).items():
            if why and why != told.get(url):
                console.print(f"[red]✗[/] {escape(shown(url))}: {escape(why)}; it is tried again", soft_wrap=True)
            told[url] = why
        if stop.wait(pause):
            return
    busy = [shown(url) for url, why in _failures(stands, before).items() if why == _BUSY]
    _tell(where, as_json=as_json, only_configured=True, busy=busy)


def _sealed(home: Path) -> int:
    from guardai.ledger import StoreError, sealed_size

    try:
        return sealed_size(home)
    except StoreError:
        return 0  # what is wrong with it is told by who hands over


def _failures(stands: dict[str, Anchored], sealed: int) -> dict[str, str]:
    """URL → why it has not what was sealed before it was asked; "" if it has."""
    return {url: one.error or (_BUSY if one.size < sealed else "") for url, one in stands.items()}


def _hand_over(home: Path, anchors: dict[str, Anchor], *, end: bool) -> dict[str, Anchored]:
    """Once, and how each stands then; what keeps all of them from it ends the command, or is told and tried again."""
    from guardai.errors import LedgerError
    from guardai.ledger import StoreError, anchor

    try:
        return anchor(home, anchors)
    except (LedgerError, StoreError, OSError) as error:
        why = f"no tree head is handed over: {getattr(error, 'strerror', None) or error}"
        if end:
            refuse(why, code=USAGE)
        console.print(f"[red]✗[/] {escape(why)}; it is tried again", soft_wrap=True)
        return {}


@app.command("status")
def status_command(home: Home = None, as_json: Json = False) -> None:
    """Show how many events each anchor vouches for, and how it is.

    Exit codes: 0 every configured anchor takes what comes, 1 one of them does not, or knows a later tree head, 2 it cannot be told.
    """
    _tell(ledger_in(home_of(home)), as_json=as_json)


@app.command("hold")
def hold_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A tree head of another ledger: its file `ledger/checkpoint`.", show_default=False
        ),
    ],
    policy: Annotated[
        Path,
        typer.Option(
            "--policy", metavar="TRUST", help="A C2SP tlog-policy: whose tree heads are held.", show_default=False
        ),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Be the anchor of another ledger: record its newest tree head here.

    Exit codes: 0 it is held, 1 it is not signed by whom the policy names, or does not go on from what is held, 2 wrong usage.
    """
    from guardai.errors import LedgerError
    from guardai.identity import acting_user
    from guardai.ledger import NoteError, OlderHeadError, hold
    from guardai.lineage import EdgeTable

    logs = policy_in(policy)
    try:
        held = hold(home_of(home), _text(file), logs, by=acting_user(), projection=EdgeTable())
    except (NoteError, OlderHeadError) as error:
        refuse(f"{file} is not held: {error}")
    except LedgerError as error:
        refuse(str(error), code=USAGE)
    except OSError as error:
        refuse(f"it cannot be kept: {error.strerror}", code=USAGE)
    head = held.head
    if as_json:
        print_json({"ok": True, "origin": head.origin, "size": head.size, "event": held.event})
    elif held.event:
        console.print(f"[green]held[/] {escape(head.origin)}: {head.size:,} events, in {held.event}", soft_wrap=True)
    else:
        console.print(f"{escape(head.origin)}: {head.size:,} events, as before", soft_wrap=True)


@app.command("held")
def held_command(
    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="The ledger's, as its tree heads begin.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where they go: NAME.jsonl.", show_default=False)
    ],
    home: Home = None,
) -> None:
    """Hand out the tree heads of another ledger that are held here, for `guardai verify --held`.

    Exit codes: 0 there they are, 1 none is held, 2 they cannot be read or written, or wrong usage.
    """
    from guardai.ledger import held_file

    if output.suffix != ".jsonl":
        refuse(f"{output}: a file of tree heads is called NAME.jsonl", code=USAGE)
    try:
        output.write_bytes(held_file(home_of(home), origin).read_bytes())
    except FileNotFoundError:
        refuse(f"no tree head of {origin} is held here")
    except OSError as error:
        refuse(f"{error.filename or origin}: {error.strerror}", code=USAGE)


def policy_in(file: Path) -> TrustPolicy:
    """The tlog-policy in a file; ends the command if it is none."""
    from guardai.ledger import PolicyError, TrustPolicy

    try:
        return TrustPolicy.read(_text(file))
    except PolicyError as error:
        refuse(f"{file}: {error}", code=USAGE)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        refuse(f"{file}: cannot be read: {error.strerror}", code=USAGE)
    except UnicodeDecodeError:
        refuse(f"{file} is no text", code=USAGE)


def configured(home: Path) -> tuple[str, ...]:
    """The URLs of the anchors in the settings."""
    from guardai import settings

    return settings.load({"home": home}).anchors


def _tell(home: Path, *, as_json: bool, only_configured: bool = False, busy: Sequence[str] = ()) -> None:
    from guardai.ledger import StoreError, sealed_size, standings

    try:
        sealed = sealed_size(home)
        stand = [one for one in standings(home, configured(home)) if one.configured or not only_configured]
    except StoreError as error:
        unreadable(error)
    good = not busy and not any(one.configured and one.account.error for one in stand)
    if as_json:
        print_json({"ok": good, "sealed": sealed, "anchors": [_as_data(one, sealed, busy) for one in stand]})
    elif not stand:
        console.print("no anchor is configured: whoever owns this machine and its keys could cut events from the end")
    else:
        _print(stand, sealed)
        for url in busy:
            console.print(f"[red]✗[/] {escape(url)}: {_BUSY}", soft_wrap=True)
    if not good:
        raise typer.Exit(BROKEN)


def _print(stand: Sequence[Anchorage], sealed: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("anchor", overflow="fold")
    for column in ("events", "not yet"):
        table.add_column(column, justify="right")
    table.add_column("since", no_wrap=True)
    for one in stand:
        url = escape(one.url) if one.configured else f"[dim]{escape(one.url)} (not configured)[/]"
        account = one.account
        table.add_row(url, f"{account.size:,}", f"{max(0, sealed - account.size):,}", time_of(account.time) or "never")
    console.print(table)
    for one in stand:
        if one.account.error:
            console.print(
                f"[red]✗[/] {escape(one.url)}: {escape(one.account.error)} ({time_of(one.account.failure)})",
                soft_wrap=True,
            )
        if one.account.ahead:
            console.print(
                "  this ledger was cut, set back or forked, or its anchor was used by another: guardai verify --ask",
                soft_wrap=True,
            )


def _as_data(one: Anchorage, sealed: int, busy: Sequence[str]) -> dict[str, Any]:
    account = one.account
    what = account.error or (_BUSY if one.url in busy else "")
    return {
        "url": one.url,
        "configured": one.configured,
        "events": account.size,
        "unanchored": max(0, sealed - account.size),
        "since": time_of(account.time),
        "error": {"at": time_of(account.failure), "what": what} if what else None,
        "ahead": account.ahead,
    }
