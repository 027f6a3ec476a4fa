"""`guardai run SCRIPT` or `-m MODULE`: a program that knows nothing of guardai, governed."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

from guardai.cli.options import USAGE, Home, refuse

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)


def run(
    arguments: Annotated[list[str] | None, typer.Argument(help="SCRIPT and its arguments.", show_default=False)] = None,
    module: Annotated[
        str | None, typer.Option("-m", help="Run this module instead of a script.", show_default=False)
    ] = None,
    home: Home = None,
    policy: Annotated[Path | None, typer.Option(help="The policy folder.", show_default=False)] = None,
    observe: Annotated[bool, typer.Option("--observe", help="Record only; change and refuse nothing.")] = False,
) -> None:
    """Run a Python program with the gate in front of it, in this process."""
    import guardai

    rest = list(arguments or ())
    if module is None and not rest:
        refuse("nothing to run", code=USAGE, next_step="guardai run SCRIPT [ARGS], or guardai run -m MODULE [ARGS]")
    if module is None and not Path(rest[0]).is_file():
        refuse(f"there is no script {rest[0]}", code=USAGE)
    guardai.init(home=home, policy=policy, mode="observe" if observe else None)
    try:
        if module is not None:
            sys.argv = [module, *rest]
            sys.path.insert(0, "")
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.argv = rest
            sys.path.insert(0, str(Path(rest[0]).resolve().parent))
            runpy.run_path(rest[0], run_name="__main__")
    finally:
        guardai.shutdown()
