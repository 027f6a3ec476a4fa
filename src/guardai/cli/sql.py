"""`guardai sql`: what a statement does, before anything runs it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from guardai.cli.options import REFUSED, USAGE, Json, console, print_json, refuse

__all__ = ["app"]

app = typer.Typer(help="See what a statement does.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See what a statement does."""


@app.command("explain")
def explain_command(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="The statement.", show_default=False)],
    dialect: Annotated[
        str, typer.Option("--dialect", "-d", help="How it is written: sqlite, postgres, mysql, …")
    ] = "sqlite",
    as_json: Json = False,
) -> None:
    """Tell what a statement reads, writes and destroys, which action a policy is asked about, and why.

    The statement is not run, and none of its literals is printed.

    Exit codes: 0 understood, 1 not understood, 2 no such dialect.
    """
    from guardai.sql import DIALECTS, describe, inspect, readable

    if dialect not in DIALECTS:
        refuse(escape(f"{dialect}: no such dialect"), code=USAGE, next_step=f"There are: {', '.join(DIALECTS)}")
    seen = inspect(statement, dialect)
    told = describe(seen)
    if as_json:
        print_json(
            {
                "action": seen.action,
                "statements": seen.statements,
                "effects": sorted(seen.effects),
                "reads": sorted(seen.reads),
                "writes": sorted(seen.writes),
                "columns_read": sorted(seen.columns_read),
                "functions": sorted(seen.functions),
                "unbounded": seen.unbounded,
                "reason": seen.reason,
                "words": told,
                "statement": readable(statement, dialect),
            }
        )
    else:
        console.print(f"[bold]{seen.action}[/] {escape(told)}", soft_wrap=True)
        for line in readable(statement, dialect).splitlines():
            console.print(f"  {line}", soft_wrap=True, markup=False)
        for name, values in (
            ("effects", seen.effects),
            ("reads", seen.reads),
            ("writes", seen.writes),
            ("columns", seen.columns_read),
            ("functions", seen.functions),
        ):
            if values:
                console.print(f"  [dim]{name:9}[/] {escape(', '.join(sorted(values)))}", soft_wrap=True)
        if seen.reason:
            console.print(f"  [dim]reason   [/] {escape(seen.reason)}", soft_wrap=True)
    raise typer.Exit(REFUSED if "unknown" in seen.effects else 0)
