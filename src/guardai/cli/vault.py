"""`guardai vault erase`: destroy what was kept on somebody's behalf, and leave a signed event of it.

Exit codes: 0 done; 1 not agreed to; 2 wrong usage, or it could not be done.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from guardai.cli.options import USAGE, Home, Json, agree, console, home_of, ledger_in, print_json, refuse

__all__ = ["app"]

app = typer.Typer(help="What was kept of calls for guardai replay.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """What was kept of calls for guardai replay."""


@app.command()
def erase(
    subject: Annotated[
        str,
        typer.Option(
            "--subject", metavar="USER", help="On whose behalf it was kept: the sessions' user.", show_default=False
        ),
    ],
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Destroy the keys of all that was kept on somebody's behalf, and with them the contents, for good.

    The events stay, so that the ledger still verifies; that it was erased is one of them. What a copy of the vault/ folder still
    holds is not reached: docs/threat-model.md.

    Exit codes: 0 done, 1 not agreed to, 2 it could not be done.
    """
    from guardai.errors import GuardError
    from guardai.gate.vault import erase as destroy
    from guardai.identity import acting_user

    where = ledger_in(home_of(home))
    if not yes:
        question = f"Destroy everything that was kept on behalf of {subject!r}?"
        agree(question, otherwise="nothing was destroyed", as_json=as_json)
    try:
        done = destroy(where, subject, by=acting_user())
    except GuardError as error:
        refuse(str(error), next_step="It may be half done; run it again.", code=USAGE)
    if as_json:
        print_json({"ok": True, "contents": done.contents, "event": done.event, "subject": done.subject})
        return
    count = f"{done.contents:,} content{'' if done.contents == 1 else 's'}"
    told = ("[green]erased[/] " + count) if done.contents else "nothing was kept"
    console.print(f"{told} of {escape(repr(subject))}; the record: {done.event}", soft_wrap=True)
