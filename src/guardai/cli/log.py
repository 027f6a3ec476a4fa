"""`guardai log`: what was recorded, for people as a table, for programs as the events' exact bytes."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from guardai.cli.options import Home, Json, console, home_of, ledger_in, refuse, unreadable

__all__ = ["register"]

#: How many events a person is shown where no number was asked for.
_SHOWN: Final = 50
_WIDE: Final = 180


class _Row(msgspec.Struct):
    """The part of an event that filters and table need."""

    id: str
    kind: str
    ts: int
    action: str = ""
    session: str = ""
    status: str = ""
    principal: dict[str, Any] = {}
    resource: list[dict[str, Any]] | None = None
    decision: dict[str, Any] | None = None
    findings: dict[str, int] | None = None
    model: dict[str, Any] | None = None
    body: dict[str, Any] | None = None


_ASKED: Final = re.compile(rb'"kind":"(?:scene|session\.state)"')
_decode: Final = msgspec.json.Decoder(_Row).decode

log = typer.Typer(help="Show what was recorded.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Adds the command and its `show`."""
    app.add_typer(log, name="log")


@log.callback()
def _list(
    context: typer.Context,
    home: Home = None,
    as_json: Json = False,
    session: Annotated[str, typer.Option("--session", help="Only of this session.")] = "",
    action: Annotated[str, typer.Option("--action", help="Only of this action, or its group: db.read, or db.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind: call.intent, call.outcome, …")] = "",
    last: Annotated[int | None, typer.Option("--last", min=1, help="Only the newest N.", show_default=False)] = None,
) -> None:
    """Show what was recorded, oldest first. With --json every event's exact bytes, one a line; otherwise the last 50."""
    if context.invoked_subcommand is not None:
        context.obj = home
        return
    where = ledger_in(home_of(home))
    found = _filtered(where, session=session, action=action, kind=kind)
    if as_json:
        out = sys.stdout.buffer
        for data in found if last is None else deque(found, maxlen=last):
            out.write(data + b"\n")
        out.flush()
        return
    limit = last or _SHOWN
    # What policy was asked is for programs that ask it again; `guardai policy explain` tells it to people.
    shown = (data for data in found if kind or not _ASKED.search(data))
    rows = deque(shown, maxlen=limit + 1)
    more = len(rows) > limit
    _print_table(list(rows)[1:] if more else list(rows))
    if more and last is None:
        console.print(f"  the newest {limit}; --last N shows more, --json all", style="dim")


@log.command()
def show(
    context: typer.Context,
    event: Annotated[str, typer.Argument(metavar="ID", help="An event's id, as the log and every denial print it.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show one event whole."""
    from guardai.ledger import StoreError, find

    where = ledger_in(home_of(home or context.obj))
    try:
        data = find(where, event)
    except StoreError as error:
        unreadable(error)
    if data is None:
        refuse(f"there is no event {event} under {where}")
    if as_json:
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.buffer.flush()
    else:
        console.print_json(data.decode("utf-8", "replace"), indent=2)


def _filtered(where: Path, *, session: str, action: str, kind: str) -> Iterator[bytes]:
    from guardai.ledger import StoreError, events

    try:
        for data in events(where):
            if session or action or kind:
                try:
                    row = _decode(data)
                except msgspec.MsgspecError:
                    continue  # not what an event looks like: `verify` names it
                if (session and row.session != session) or (kind and row.kind != kind):
                    continue
                if action and row.action != action and not row.action.startswith(f"{action}."):
                    continue
            yield data
    except StoreError as error:
        unreadable(error)


def _print_table(found: list[bytes]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("time", "who", "action", "resource", "decision", "masked", "status", "event"):
        table.add_column(column, overflow="fold", no_wrap=column not in ("who", "resource", "masked"))
    day = ""
    for data in found:
        try:
            row = _decode(data)
        except msgspec.MsgspecError:
            table.add_row("", "", Text("not readable; guardai verify names it", style="red"))
            continue
        decision = row.decision or {}
        masks = decision.get("masks") or {}
        effect = str(decision.get("effect", ""))
        style = {"deny": "red", "pause": "yellow"}.get(effect, "")
        date, _, clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.ts / 1e6)).partition(" ")
        if date != day:
            table.add_row(Text(day := date, style="bold"))
        # Text, not markup: a table's name may well contain square brackets.
        table.add_row(
            Text(clock),
            Text(_who(row.principal)),
            Text(row.action or row.kind),
            Text(_resource(row)),
            Text(effect, style=style),
            Text(", ".join(sorted(masks))),
            Text(_status(row)),
            Text(row.id, style="dim"),
        )
    # A pipe or a file has no width: there a row stays a line.
    (console if console.is_terminal else Console(width=_WIDE, highlight=False)).print(table)


def _status(row: _Row) -> str:
    """How it ended; "kept 2" is what `guardai rollback` can put back."""
    kept = (row.body or {}).get("captured") if row.kind == "call.outcome" else None
    status = row.status or ("intent" if row.kind == "call.intent" else "")
    if row.kind == "call.outcome" and (row.body or {}).get("played"):
        status += ", played"  # from a cassette: it did not happen
    return f"{status}, kept {kept}" if kept else status


def _who(principal: dict[str, Any]) -> str:
    agent, user = str(principal.get("agent", "")), str(principal.get("user", ""))
    return f"{agent} for {user}" if agent and user else agent or user


def _resource(row: _Row) -> str:
    names = [str(one.get("uri", "")) for one in row.resource or []]
    return ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")
