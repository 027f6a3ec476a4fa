"""`guardai verify`: is everything that was recorded still there, and still what was recorded.

Exit codes: 0 whole, 1 broken, 2 cannot tell.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer
from rich.markup import escape

from guardai.cli.anchors import configured, opened
from guardai.cli.options import USAGE, Home, Json, RevokedFiles, RootKey, at_hand, console, home_of, print_json, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from guardai.ledger import Report

__all__ = ["register"]

#: Faults that are listed one by one; a store that was torn apart has thousands.
_LISTED: Final = 50
_WORDS: Final = {0: "[bold green]✓ whole[/]", 1: "[bold red]✗ broken[/]", 2: "[bold yellow]? cannot tell[/]"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(verify)


def verify(
    home: Home = None,
    as_json: Json = False,
    key: RootKey = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="DIR", help="An export to check instead of a home.", show_default=False),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="URL",
            help="A store in PostgreSQL to check, without a home; --key is needed.",
            show_default=False,
        ),
    ] = None,
    revoked: RevokedFiles = None,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            "--held",
            metavar="FILE",
            help="A tree head of this ledger, or a .jsonl of many, that somebody else has kept and it has to go on from; repeat it.",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option(
            "--anchor",
            metavar="URL",
            help="An anchor that counts, instead of those that are configured; repeat it.",
            show_default=False,
        ),
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the anchors what they have, over the network.")] = False,
) -> None:
    """Check every event, signature and copy in the ledger. Ends with 0 for whole, 1 for broken, 2 for "cannot tell"."""
    from guardai.errors import LedgerError
    from guardai.ledger import Anchors, verify_export, verify_store
    from guardai.ledger import verify as check
    from guardai.lineage import EdgeTable
    from guardai.model import shown

    where: Path | str = shown(ledger) if ledger else export or home_of(home)
    if key is not None and not key.is_file():
        refuse(f"there is no key {key}", code=USAGE)
    for file in held or ():
        if not file.is_file():
            refuse(f"there is no tree head {file}", code=USAGE)
    if export is not None and (anchor or ask):
        refuse(
            "an export is checked without asking anybody: --held names tree heads that somebody has kept", code=USAGE
        )
    known = {} if export is not None else opened(anchor or configured(home_of(home)))
    if ask and not known:
        refuse("there is nobody to ask: no anchor is configured, and --anchor names none", code=USAGE)
    anchors = Anchors(known, ask, held or ())
    try:
        with _Progress(shown=not as_json) as progress:
            if ledger is not None:
                if key is None:
                    refuse("a store alone proves nothing: --key names the root's public key", code=USAGE)
                report = verify_store(
                    ledger,
                    key=key,
                    projection=EdgeTable(),
                    progress=progress.advance,
                    revoked=revoked or (),
                    anchors=anchors,
                )
            elif export is not None:
                report = verify_export(
                    export, key=key, progress=progress.advance, revoked=revoked or (), held=held or ()
                )
            else:
                at_hand(home_of(home))
                report = check(
                    home_of(home),
                    key=key,
                    projection=EdgeTable(),
                    progress=progress.advance,
                    revoked=revoked or (),
                    anchors=anchors,
                )
    except LedgerError as error:
        refuse(str(error), code=USAGE)
    if as_json:
        print_json(_as_data(report))
    else:
        _print(
            report, where, trusted="the key given" if key else f"the {'export' if export else 'home'}'s own root key"
        )
    raise typer.Exit(report.verdict)


def _as_data(report: Report) -> dict[str, object]:
    return {
        "verdict": ("whole", "broken", "cannot tell")[report.verdict],
        "events": report.events,
        "logs": report.logs,
        "checkpoints": report.checkpoints,
        "signed": report.signed,
        "recovered": report.recovered,
        "unsigned": report.unsigned,
        "pruned": report.pruned,
        "elsewhere": report.elsewhere,
        "faults": [
            {"code": fault.code, "log": fault.log, "seq": fault.seq, "event": fault.event} for fault in report.faults
        ],
        "unanchored": report.unanchored,
        "anchors": [
            {"who": one.who, "events": one.size, "time": one.time, "error": one.error} for one in report.anchors
        ],
        "notes": report.notes,
    }


def _print(report: Report, where: Path | str, trusted: str) -> None:
    from guardai.ledger import CODES

    console.print(f"{_WORDS[report.verdict]}  {where}", soft_wrap=True)
    console.print(
        f"  {report.events:,} events of {report.logs:,} logs, {report.checkpoints:,} signed tree heads; trusting {trusted}",
        soft_wrap=True,
    )
    if report.signed:
        console.print(
            f"  {report.signed:,} signed by the key of their own log: none was altered, removed, reordered or back-dated since",
            soft_wrap=True,
        )
    if report.recovered:
        since, until = _moment(report.recovered_since), _moment(report.recovered_until)
        console.print(
            f"  {report.recovered:,} recovered, from {since} to {until}: their process died before signing them. Their tags "
            "hold, which proves them against everyone but the owner of the host key",
            soft_wrap=True,
        )
    if report.unsigned:
        live = f", {report.live:,} of them in logs that are being written" if report.live else ""
        console.print(f"  {report.unsigned:,} not signed yet{live}", soft_wrap=True)
    if report.pruned:
        console.print(
            f"  {report.pruned:,} more were pruned, as sealed events say: their hashes are in the tree, they are in an export",
            soft_wrap=True,
        )
    if report.elsewhere:
        console.print(
            f"  {report.elsewhere:,} logs go on at other hosts: what is not sealed of them yet can be checked there alone",
            soft_wrap=True,
        )
    for one in report.anchors:
        if one.error:
            console.print(f"  [yellow]![/] {escape(one.who)}: {escape(one.error)}", soft_wrap=True)
        else:
            when = f" at {_moment(one.time * 1_000_000)}" if one.time else ""
            console.print(
                f"  the first {one.size:,} vouched for by {escape(one.who)}{when}: they are all here", soft_wrap=True
            )
    if report.unanchored:
        console.print(
            f"  {report.unanchored:,} not anchored: nobody else holds a later tree head, so whoever owns this machine and its "
            "keys could have cut them from the end",
            soft_wrap=True,
        )
    elif report.events:
        console.print("  0 not anchored: somebody else vouches for all of them", soft_wrap=True)
    for note in report.notes:
        console.print(f"  [yellow]?[/] {escape(note)}", soft_wrap=True)
    for fault in report.faults[:_LISTED]:
        place = fault.event or (f"log {fault.log}" if fault.log else "the ledger")
        console.print(f"  [red]✗[/] [bold]{place}[/]  {fault.code}: {CODES[fault.code]}", soft_wrap=True)
    if len(report.faults) > _LISTED:
        console.print(f"  … and {len(report.faults) - _LISTED:,} more; --json lists them all", soft_wrap=True)


def _moment(micros: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(micros / 1e6))
    except (OverflowError, OSError, ValueError):
        return "a time that is none"


class _Progress:
    """A bar on stderr once the work has taken a second."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def advance(self) -> Callable[[int], None]:
        """Told the number of events checked since the last call."""
        return self._advance

    def _advance(self, events: int) -> None:
        self._done += events
        if self._bar is None:
            if not self._shown or time.monotonic() - self._began < 1.0:
                return
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("verifying"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} events"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task("verifying", total=None)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done)
