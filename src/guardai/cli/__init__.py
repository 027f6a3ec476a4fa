"""`guardai` on the command line: one file for each group of commands.

Exit codes: 0 good; 1 refused, or a fault was found; 2 wrong usage, or it cannot be told.
"""

from __future__ import annotations

from typing import Annotated

import typer

from guardai._version import __version__
from guardai.cli import (
    anchors,
    demo,
    doctor,
    keys,
    ledger,
    log,
    policy,
    policy_tests,
    prove,
    pulled,
    replay,
    rollback,
    run,
    scaffold,
    scan,
    sinks,
    sql,
    vault,
    verify,
    whatif,
)
from guardai.cli.options import USAGE, refuse
from guardai.errors import GuardError

__all__ = ["app", "main"]

app = typer.Typer(
    name="guardai",
    help="A gate in front of everything an AI agent does: decided, masked, recorded, provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"guardai {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A gate in front of everything an AI agent does: decided, masked, recorded, provable."""


for group in (demo, doctor, ledger, log, prove, replay, rollback, run, scaffold, scan, verify):
    group.register(app)
policy_tests.register(policy.app)
whatif.register(policy.app)
app.add_typer(anchors.app, name="anchors")
app.add_typer(pulled.app, name="bundle")
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.add_typer(sinks.app, name="sinks")
app.add_typer(sql.app, name="sql")
app.add_typer(vault.app, name="vault")


def main() -> None:
    """The entry point. An error of guardai's own is told in one line, without a traceback."""
    try:
        app()
    except GuardError as exc:
        try:
            refuse(str(exc), code=USAGE if isinstance(exc, ValueError) else 1)
        except typer.Exit as end:
            raise SystemExit(end.exit_code) from None
