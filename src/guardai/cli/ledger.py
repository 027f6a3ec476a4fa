"""`guardai seal` and `guardai ledger`: bring what is recorded into the store, look at it, take it elsewhere."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from guardai.cli.options import USAGE, Home, Json, agree, console, home_of, ledger_in, print_json, refuse, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.ledger import Pruned

__all__ = ["pause_of", "register", "sealed", "until_told"]

#: Seconds that a command waits for another process that is sealing.
_PATIENCE: Final = 10.0

ledger: Final = typer.Typer(help="Look at the ledger as a whole, and export it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("seal")(seal_command)
    app.add_typer(ledger, name="ledger")


def sealed(home: Path) -> bool:
    """Folds what can be folded into the store; False if another process was at it all the time.

    Raises:
        LedgerError: the home's keys cannot be used.
        SealError: the store is not what was sealed.
        StoreError, OSError: the store cannot be read or written.
    """
    from guardai.ledger import open_keys, seal
    from guardai.lineage import EdgeTable

    keys, until = open_keys(home, create=False), time.monotonic() + _PATIENCE
    while not seal(home, keys, EdgeTable()):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def seal_command(
    home: Home = None,
    every: Annotated[
        str,
        typer.Option(
            "--every", metavar="TIME", help="Go on sealing: every 1s, say, until stopped.", show_default=False
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Fold all spools into the store, under one tree and a signed head; adopt the logs of processes that died.

    Programs do so by themselves. This is for a cron, a sidecar, or before a backup.

    Exit codes: 0 sealed, 1 the store is not what was sealed, 2 the home cannot be read or written.
    """
    where = ledger_in(home_of(home))
    pause = pause_of(every)
    stop = until_told() if pause else threading.Event()
    while True:
        told = _seal_once(where)
        if as_json:
            print_json(told)
        elif not pause or told["new"]:
            console.print(
                f"[green]sealed[/] {told['new']:,} events; {told['events']:,} are in the store", soft_wrap=True
            )
        if not pause or stop.wait(pause):
            return


def until_told() -> threading.Event:
    """Set when this process is told to end, by Ctrl-C or whoever started it."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def pause_of(every: str) -> float:
    """Seconds that `--every` asks for; 0 if it was not given. Ends the command if it is no time."""
    from guardai.settings import seconds

    if not every:
        return 0.0
    try:
        pause = seconds(every)
    except ValueError as error:
        refuse(f"--every {every}: {error}", code=USAGE)
    if not pause:
        refuse(f"--every {every}: it has to be a second at least", code=USAGE)
    return float(pause)


def _seal_once(where: Path) -> dict[str, Any]:
    from guardai.errors import LedgerError
    from guardai.ledger import SealError, StoreError, sealed_size

    try:
        before = sealed_size(where)
        done = sealed(where)
        after = sealed_size(where)
    except SealError as error:
        refuse(f"{error}; nothing was added", next_step="guardai verify tells what is wrong")
    except LedgerError as error:
        refuse(str(error), code=USAGE)
    except StoreError as error:
        unreadable(error)
    except OSError as error:
        refuse(f"{error.filename or where}: {error.strerror}", code=USAGE)
    if not done:
        refuse("another process has been sealing all the time; it seals for everybody", code=USAGE)
    return {"ok": True, "new": after - before, "events": after}


@contextlib.contextmanager
def _refusals(output: Path) -> Iterator[None]:
    """Ends the command where the ledger, its store or the folder to write refuses."""
    from guardai.errors import LedgerError
    from guardai.ledger import SealError, StoreError

    try:
        yield
    except (LedgerError, SealError) as error:
        refuse(str(error))
    except StoreError as error:
        unreadable(error)
    except OSError as error:
        refuse(f"{error.filename or output}: {error.strerror}", code=USAGE)


@ledger.command("export")
def export_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.", show_default=False)
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write all that is sealed into a folder for an auditor: events, tree, signatures, public keys, and a program that checks them.

    Exit codes: 0 written, 1 refused, 2 a file cannot be read or written.
    """
    from guardai.cli.progress import Bar
    from guardai.ledger import export

    where = ledger_in(home_of(home))
    _seal_once(where)
    with _refusals(output), Bar("exporting", shown=not as_json) as bar:
        done = export(where, output, lambda done, of: bar("", done, of))
    if as_json:
        print_json({"ok": True, "folder": str(output), "events": done.events, "origin": done.origin})
        return
    console.print(
        f"[green]exported[/] {done.events:,} events of {escape(done.origin)}: {escape(str(output))}", soft_wrap=True
    )
    console.print(
        f"To check it, with keys/root.pub of this home: python {escape(str(output))}/verify.py --key root.pub",
        soft_wrap=True,
    )


@ledger.command("stats")
def stats_command(home: Home = None, as_json: Json = False) -> None:
    """Show how much there is in the ledger: events, logs, tree head, and what still waits in spools.

    Exit codes: 0 shown, 2 the home or its store cannot be read.
    """
    from guardai.errors import LedgerError
    from guardai.ledger import StoreError, stats

    where = ledger_in(home_of(home))
    try:
        found = stats(where)
    except LedgerError as error:
        refuse(str(error), code=USAGE)
    except StoreError as error:
        unreadable(error)
    if as_json:
        print_json(found._asdict())
        return
    console.print(escape(found.store), soft_wrap=True)
    times = f", from {_moment(found.since)} to {_moment(found.until)}" if found.events else ""
    console.print(f"  {found.events:,} events{times}; {found.size:,} bytes", soft_wrap=True)
    if found.pruned:
        console.print(f"  {found.pruned:,} more were pruned; their hashes are in the tree", soft_wrap=True)
    console.print(f"  {found.logs:,} logs, {found.open:,} of them without an end there", soft_wrap=True)
    by = ", ".join(found.signed_by)
    head = (
        f"tree head of {found.head:,} events, signed by host {by}"
        if by
        else "no tree head that a host of this root signed"
    )
    console.print(f"  {head}", soft_wrap=True)
    console.print(f"  {found.waiting:,} bytes of {found.spools:,} logs in spools of this home", soft_wrap=True)


def _moment(micros: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(micros / 1e6))


@ledger.command("prune")
def prune_command(
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="Logs that ended before that: 90d, say.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--export",
            metavar="DIR",
            help="The folder to make: all that is sealed goes there first.",
            show_default=False,
        ),
    ],
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Export the ledger, check the export, and take old logs out of the store. What is left still verifies.

    Logs leave whole. What has not ended, what a sink has not had, and certificates and revocations of keys stay.

    Exit codes: 0 pruned, or there was nothing to prune; 1 refused; 2 wrong usage, or a file cannot be read or written.
    """
    from guardai.settings import seconds

    where = ledger_in(home_of(home))
    try:
        until = time.time_ns() // 1000 - seconds(older_than) * 1_000_000
        if until < 0:
            raise ValueError("that is before 1970")
    except ValueError as error:
        refuse(f"--older-than {older_than}: {error}", code=USAGE)
    if not yes:
        question = f"Take logs that ended before {_moment(until)} out of the store, once they are in {output}?"
        agree(question, otherwise="nothing was pruned", as_json=as_json)
    _seal_once(where)
    with _refusals(output):
        done = _pruned(where, output, until, shown=not as_json)
    if as_json:
        print_json({"ok": True, "folder": str(output) if done.exported else None, **done._asdict()})
        return
    _tell_pruned(done, output, until)


def _pruned(where: Path, output: Path, until: int, *, shown: bool) -> Pruned:
    from guardai import settings
    from guardai.cli.progress import Bar
    from guardai.identity import acting_user
    from guardai.ledger import prune
    from guardai.lineage import EdgeTable

    sinks = settings.load({"home": where}).sinks
    by = acting_user()
    with Bar("pruning", shown=shown) as bar:
        return prune(where, output, until=until, by=by, sinks=sinks, projection=EdgeTable(), progress=bar)


def _tell_pruned(done: Pruned, output: Path, until: int) -> None:
    if not done.exported:
        console.print(
            f"nothing to prune: no log that may leave ended before {_moment(until)}; nothing was exported",
            soft_wrap=True,
        )
    else:
        console.print(
            f"[green]pruned[/] {done.events:,} events of {done.logs:,} logs; the store took {done.before:,} bytes and takes {done.after:,}",
            soft_wrap=True,
        )
        console.print(f"They are in {escape(str(output))} alone, with all that was sealed: keep it.", soft_wrap=True)
    if done.waiting:
        console.print(
            f"[yellow]![/] logs that are old enough and stay, because a sink has not had all of them: {done.waiting:,} (guardai sinks status). Of a sink "
            "that is not used any more remove ledger/sinks/NAME.json",
            soft_wrap=True,
        )


@ledger.command("migrate")
def migrate_command(
    url: Annotated[str, typer.Argument(metavar="URL", help="An empty store: postgresql://USER@HOST/DATABASE.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Move what is sealed into a store in PostgreSQL that hosts share: the same tree, which goes on there.

    Nothing may be in that store yet; other hosts under the same root can join afterwards. What was the store stays as a file.

    Exit codes: 0 moved, 1 refused, 2 a store cannot be read or written.
    """
    from guardai.cli.progress import Bar
    from guardai.errors import LedgerError
    from guardai.ledger import StoreError, migrate
    from guardai.model import shown

    where = ledger_in(home_of(home))
    try:
        with Bar("moving", shown=not as_json) as bar:
            done = migrate(where, url, lambda copied, of: bar("", copied, of))
    except LedgerError as error:
        refuse(str(error))
    except StoreError as error:
        refuse(str(error), code=USAGE)
    except OSError as error:
        refuse(f"{error.filename or where}: {error.strerror}", code=USAGE)
    if as_json:
        print_json({"ok": True, "events": done.events, "store": shown(url), "former": str(done.former)})
        return
    console.print(f"[green]moved[/] {done.events:,} events to {escape(shown(url))}", soft_wrap=True)
    console.print(
        f"What was the store is {escape(str(done.former))}: guardai does not look at it any more.", soft_wrap=True
    )
