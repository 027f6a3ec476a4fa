"""`guardai sinks`: where sealed events go besides the store, how far they have come, and what did not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
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

if TYPE_CHECKING:
    from guardai.ledger import Standing

__all__ = ["app"]

#: Seconds that `retry` waits for another process that is delivering.
_PATIENCE: Final = 10.0

app: Final = typer.Typer(help="Look after the places that sealed events go to.", no_args_is_help=True)


@app.command("status")
def status_command(home: Home = None, as_json: Json = False) -> None:
    """Show for every sink how many events it has, has refused, and is still to get; and how it is.

    Exit codes: 0 every configured sink takes what comes, 1 one of them fails or has refused something, 2 it cannot be told.
    """
    where = ledger_in(home_of(home))
    standings = _standings(where, _configured(where))
    _print(standings, as_json=as_json)
    if any(one.configured and (one.account.failures or one.quarantined) for one in standings):
        raise typer.Exit(BROKEN)


@app.command("run")
def run_command(
    home: Home = None,
    every: Annotated[
        str,
        typer.Option("--every", metavar="TIME", help="Go on: every 1s, say, until stopped.", show_default=False),
    ] = "",
    as_json: Json = False,
) -> None:
    """Deliver what is sealed to every configured sink: once, or as a sidecar.

    Programs do so by themselves. This is for where they live too short, or where the sinks are out of their reach.
    Once, it tries also a sink that failed a moment ago.

    Exit codes: 0 all is delivered (or it was told to stop), 1 something is not, 2 no sink is configured, or wrong usage.
    """
    from guardai.ledger import Pump
    from guardai.sinks import open_sink

    where = ledger_in(home_of(home))
    pause = pause_of(every)
    urls = _configured(where)
    if not urls:
        refuse("no sink is configured", next_step="sinks = [...] in guardai.toml, or GUARDAI_SINKS", code=USAGE)
    pump = Pump(where, {url: open_sink(url) for url in urls}, every=pause or 1.0)
    if pause:
        stop = until_told()
        pump.start()
        stop.wait()
        pump.stop()
        return
    pump.once(patient=False)
    standings = [one for one in _standings(where, urls) if one.configured]
    _print(standings, as_json=as_json)
    if any(one.account.failures or one.quarantined or one.waiting for one in standings):
        raise typer.Exit(BROKEN)


@app.command("retry")
def retry_command(
    name: Annotated[str, typer.Argument(help="The sink's name or URL, as `status` shows them.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Offer a sink once more the events that it refused.

    Exit codes: 0 none is in quarantine any more, 1 some are, 2 there is no such sink, or another process is at it.
    """
    from guardai.errors import SinkError
    from guardai.ledger import BusyError, Delivery, Ending
    from guardai.sinks import open_sink

    where = ledger_in(home_of(home))
    url = _named(name, _configured(where))
    delivery, until = Delivery(where, url, open_sink(url), Ending()), time.monotonic() + _PATIENCE
    while True:
        try:
            taken, left = delivery.retry()
            break
        except BusyError:
            if time.monotonic() > until:
                refuse("another process has been delivering to it all the time; try again", code=USAGE)
            time.sleep(0.05)
        except SinkError as error:
            refuse(f"the sink failed ({error}); what it had not taken by then is still in quarantine")
        except (OSError, msgspec.DecodeError) as error:
            refuse(f"the sink's files cannot be used: {_cause(error)}", code=USAGE)
    if as_json:
        print_json({"ok": not left, "taken": taken, "quarantined": left})
    else:
        console.print(f"[green]taken[/] {taken:,} events; {left:,} stay in quarantine", soft_wrap=True)
    if left:
        raise typer.Exit(BROKEN)


def _configured(home: Path) -> tuple[str, ...]:
    from guardai import settings

    return settings.load({"home": home}).sinks


def _standings(home: Path, urls: tuple[str, ...]) -> list[Standing]:
    from guardai.ledger import StoreError, accounts

    try:
        return accounts(home, urls)
    except StoreError as error:
        unreadable(error)
    except (OSError, msgspec.DecodeError) as error:
        refuse(f"a sink's files cannot be read: {_cause(error)}", code=USAGE)


def _named(name: str, urls: tuple[str, ...]) -> str:
    from guardai.ledger import sink_name
    from guardai.model import shown

    found = [url for url in urls if name in {shown(url), sink_name(url)}]
    if len(found) != 1:
        refuse(
            "no sink that is configured has this name or URL", next_step="guardai sinks status shows them", code=USAGE
        )
    return found[0]


def _print(standings: list[Standing], *, as_json: bool) -> None:
    if as_json:
        told = [_told(one) for one in standings]
        good = not any(one.configured and (one.account.failures or one.quarantined) for one in standings)
        print_json({"ok": good, "sinks": told})
        return
    if not standings:
        console.print("no sink is configured, and none ever was")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("sink", overflow="fold")
    columns = ["sealed", "delivered", "quarantined", "pruned", "waiting"]
    if not any(one.pruned for one in standings):
        columns.remove("pruned")
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("last success", no_wrap=True)
    for one in standings:
        counts = [getattr(one, column) for column in columns]
        url = escape(one.url) if one.configured else f"[dim]{escape(one.url)} (not configured)[/]"
        table.add_row(url, *(f"{count:,}" for count in counts), time_of(one.account.success) or "never")
    console.print(table)
    for one in standings:
        if one.account.failures:
            console.print(
                f"[red]✗[/] {escape(one.url)}: {escape(one.account.error)}, {one.account.failures} times in a row; "
                f"tried again at {time_of(one.account.again)}",
                soft_wrap=True,
            )
        if one.quarantined:
            console.print(
                f"[yellow]![/] {escape(one.url)} refused {one.quarantined:,} events "
                f"(ledger/sinks/{one.name}.quarantine.jsonl says why): guardai sinks retry {one.name}",
                soft_wrap=True,
            )


def _told(one: Standing) -> dict[str, Any]:
    account = one.account
    return {
        "name": one.name,
        "url": one.url,
        "configured": one.configured,
        "sealed": one.sealed,
        "delivered": one.delivered,
        "quarantined": one.quarantined,
        "pruned": one.pruned,
        "waiting": one.waiting,
        "last_success": time_of(account.success),
        "last_error": {"at": time_of(account.failure), "what": account.error} if account.failure else None,
        "failures": account.failures,
        "next_try": time_of(account.again),
    }


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
