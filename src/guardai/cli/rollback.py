"""`guardai rollback EVENT`: put back the rows that an agent's UPDATE or DELETE changed.

Exit codes: 0 put back, or shown where nobody was asked; 1 refused: the rows are not as the statement left them, policy
forbids it, or it was not agreed to; 2 wrong usage, or it cannot be told.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardai.cli.options import REFUSED, Home, Json, agree, console, print_json, refuse
from guardai.cli.progress import Bar

if TYPE_CHECKING:
    from guardai.gate.rollback import Engine, Kept

__all__ = ["register"]

#: Statements that are shown of one event.
_SHOWN: Final = 50


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(rollback)


def rollback(
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="The statement's event, as the log prints it.", show_default=False)
    ],
    database: Annotated[
        str,
        typer.Option(
            "--database",
            envvar="GUARDAI_ROLLBACK_DATABASE",
            metavar="URL",
            help="postgresql://user@host/database, mysql://…, sqlite:///path; default: what the event says.",
            show_default=False,
        ),
    ] = "",
    home: Home = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="The policy folder; default: the one of the settings.", show_default=False),
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Who takes it back; default: you.", show_default=False)] = "",
    values: Annotated[bool, typer.Option("--values", help="Show the statements with their values.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Put back the rows that an UPDATE or DELETE changed, if they are still as it left them.

    Policy must have asked for the rows to be kept: @capture("before"). All rows are put back in one transaction or none is,
    policy decides on it as on any write, and it is recorded, with an edge to the statement.

    Exit codes: 0 put back (or, with --json and without --yes, shown), 1 refused, 2 it cannot be told.
    """
    import guardai
    from guardai.gate import require
    from guardai.gate.rollback import RollbackError, connect, kept, take_back, why_not
    from guardai.identity import acting_user

    guardai.init(home=home, policy=policy, integrations=())
    try:
        runtime = require()
        found = kept(runtime, runtime.settings.home, event)
        engine = connect(database or found.image.uri)
        try:
            told = _told(engine, found, values=values)
            if values:
                # Who looks at the rows leaves a trace, whatever comes of it.
                _recorded(user, found.event)
            if not as_json:
                _print(told)
            if told["state"] != "left":
                if as_json:
                    print_json(told)
                    raise typer.Exit(REFUSED)
                refuse(why_not(told["state"], told["differing"], told["rows"]), next_step="Nothing was changed.")
            if not _agreed(told, yes=yes, as_json=as_json):
                print_json(told)
                return
            with (
                guardai.session(user=user or acting_user(), agent="guardai-rollback", purpose=f"rollback {event}"),
                Bar("putting back", shown=not as_json) as bar,
            ):
                told["put_back"] = take_back(runtime, engine, found, bar)
        finally:
            engine.close()
    except RollbackError as error:
        refuse(str(error), code=REFUSED, next_step="Nothing was changed.")
    finally:
        guardai.shutdown()
    if as_json:
        print_json(told)
    else:
        console.print(f"[green]✓[/] {_rows(told['put_back'])} put back", soft_wrap=True)


def _told(engine: Engine, found: Kept, *, values: bool) -> dict[str, Any]:
    from guardai.gate.rollback import fits, state
    from guardai.sql import readable

    image = found.image
    fits(engine, image)
    engine.begin(image.settings)
    try:
        how, differing = state(engine, image)
        statements = image.undone(engine.writable(image.table))
    finally:
        engine.back()
    principal = found.intent.get("principal") or {}
    return {
        "event": found.event,
        "time": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.intent["ts"] / 1e6)),
        "user": principal.get("user", ""),
        "agent": principal.get("agent", ""),
        "statement": image.statement,
        "database": image.uri,
        "table": image.table,
        "rows": len(image.rows),
        "triggers": image.triggers,
        "state": how,
        "differing": differing,
        "statements": statements if values else sorted({readable(one, image.dialect) for one in statements}),
    }


def _print(told: dict[str, Any]) -> None:
    for name in ("event", "time", "user", "agent", "database", "table"):
        if told[name]:
            console.print(f"  [dim]{name:9}[/] {told[name]}", soft_wrap=True, highlight=False)
    verb = {"update": "changed", "delete": "deleted"}[told["statement"]]
    console.print(f"  [dim]{verb:9}[/] {_rows(told['rows'])}", soft_wrap=True)
    if told["triggers"]:
        console.print("  [yellow]The table has triggers. What they did elsewhere is not taken back.[/]", soft_wrap=True)
    console.print()
    for one in told["statements"][:_SHOWN]:
        for line in one.splitlines():
            console.print(f"  {line}", soft_wrap=True, markup=False)
    if len(told["statements"]) > _SHOWN:
        console.print(f"  … {len(told['statements']) - _SHOWN} more", style="dim")
    console.print()


def _agreed(told: dict[str, Any], *, yes: bool, as_json: bool) -> bool:
    """Whether to go on; False where a program only wants to see."""
    if yes:
        return True
    if as_json:
        return False
    agree(f"Put {_rows(told['rows'])} of {told['table']} back?", otherwise="nothing was changed")
    return True


def _recorded(user: str, event: str) -> None:
    import guardai
    from guardai.gate import HERE
    from guardai.gate.scope import emit_in
    from guardai.identity import acting_user

    with guardai.session(user=user or acting_user(), agent="guardai-rollback", purpose=f"look at {event}"):
        here = HERE.get()
        assert here is not None, "a session has just been entered"
        emit_in(here.run, "rows.shown", {"event": event})


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
