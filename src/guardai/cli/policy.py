"""`guardai policy`: check a policy folder, print its schema, explain an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from guardai.cli.options import REFUSED, USAGE, Home, Json, console, home_of, print_json, refuse
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy import Problem

__all__ = ["app"]

app = typer.Typer(help="Check policies, and explain what they answer.", no_args_is_help=True)

_COLOURS = {"allow": "green", "deny": "red", "pause": "yellow"}


@app.command("check")
def check_command(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with policies/*.cedar.", show_default=False)
    ],
    home: Home = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="HOME",
            help="Also tell what the catalog and the policies name and this home's ledger has never seen.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a policy folder, and try its detectors, and those of installed packs, on their examples.

    Exit codes: 0 nothing or only warnings, 1 errors, 2 no such folder or ledger.
    """
    from guardai.policy import Bundle, check

    if not directory.is_dir():
        refuse(
            f"{escape(str(directory))}: no such folder",
            code=USAGE,
            next_step="Name a folder with policies/*.cedar, or make one: guardai init",
        )
    labels = _labels()
    problems = check(directory, labels)
    problems += _tried(directory, problems, home_of(home) / "cache")
    if against is not None:
        problems += _unseen(directory, against, labels)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        found = [
            {
                "severity": one.severity,
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "policy": one.policy,
                "message": one.message,
            }
            for one in problems
        ]
        print_json({"ok": not errors, "problems": found})
        raise typer.Exit(REFUSED if errors else 0)
    for problem in problems:
        colour = "red" if problem.severity == "error" else "yellow"
        console.print(f"[{colour}]{problem.severity}[/] {escape(str(problem))}", soft_wrap=True)
    if errors:
        console.print(
            f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}: this folder is refused."
        )
        raise typer.Exit(REFUSED)
    bundle = Bundle.load(directory, labels)
    detectors = f", {_count(_detectors(bundle.detectors), 'detector')} of its own" if bundle.detectors else ""
    console.print(
        f"[green]good[/] {_count(len(bundle.policies), 'policy', 'policies')}{detectors}, digest {bundle.digest}",
        soft_wrap=True,
    )


def _labels() -> frozenset[str]:
    """What the packs of other distributions find."""
    from guardai.text import PackError, packs

    try:
        return frozenset(kind.label for pack in packs.others() for kind in pack.kinds())
    except PackError as error:
        refuse(
            escape(str(error)), next_step="Until it is mended or uninstalled, nothing scans and every call is denied."
        )


def _tried(directory: Path, problems: list[Problem], cache: Path) -> list[Problem]:
    """What is wrong with the folder's own detectors, unless they cannot even be read, and with those of installed packs."""
    from guardai.policy import Problem
    from guardai.text.own import Own
    from guardai.text.trial import tried

    file = directory / Own.FILE
    if any(one.file == Own.FILE and one.severity == "error" for one in problems):
        return []
    faults = tried(file.read_bytes() if file.is_file() else b"", cache)
    return [Problem(one.severity, str(directory) if one.pack else Own.FILE, 0, "", str(one)) for one in faults]


def _unseen(directory: Path, against: Path, labels: frozenset[str]) -> list[Problem]:
    """What catalog and policies name that is nothing in a ledger; none if the folder cannot be used, for that is said already."""
    import sqlite3

    from guardai.gate.reports.unseen import seen, unknown, unseen
    from guardai.policy import Bundle

    if not (against / "ledger").is_dir():
        refuse(
            f"there is no ledger under {against}", code=USAGE, next_step="Name a home: the folder that ledger/ is in."
        )
    try:
        found = seen(against)
    except sqlite3.Error as error:
        refuse(f"the store cannot be read: {error}", code=USAGE, next_step="guardai verify tells what is wrong with it")
    file = directory / "catalog.toml"
    try:
        bundle = Bundle.load(directory, labels)
    except BundleError:
        return []
    text = file.read_text("utf-8") if file.is_file() else ""
    return [*unseen(bundle.catalog, text, found), *unknown(bundle, found)]


def _detectors(content: bytes) -> int:
    from guardai.text.own import Own

    pack = Own.read(content).pack
    return len(pack.kinds()) if pack else 0


@app.command("schema")
def schema_command(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A policy folder that may add to it.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the Cedar schema: what policies can see, with what the folder's schema.cedarschema adds.

    Exit codes: 0 printed, 1 what the folder adds contradicts guardai's own, 2 no such folder.
    """
    from guardai.policy import schema_of

    if directory is not None and not directory.is_dir():
        refuse(f"{escape(str(directory))}: no such folder", code=USAGE, next_step="Without a folder: guardai's own.")
    try:
        text = schema_of(directory)
    except BundleError as error:
        refuse(escape(str(error)), next_step="What may be added: docs/policy-reference.md")
    if as_json:
        print_json({"schema": text})
    else:
        typer.echo(text, nl=False)


@app.command("explain")
def explain_command(
    request: Annotated[Path, typer.Option("--request", help="A JSON file with the request.", show_default=False)],
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="The policy folder; default: the starter policy.", show_default=False),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell how a request is answered, why, and what would have to change.

    Exit codes: 0 answered, whatever the answer is; 1 the policy folder cannot be used; 2 the request cannot be read.
    """
    from guardai.policy import Bundle, explain, words

    asked = _request(request)
    try:
        bundle = Bundle.load(policy, _labels())
    except BundleError as error:
        refuse(escape(str(error)), next_step="All that is wrong with it: guardai policy check DIR")
    try:
        answer = explain(bundle, asked)
        told = [] if as_json else words(bundle, asked)
    except ValueError as error:
        refuse(escape(f"{request}: {error}"), code=USAGE)
    if as_json:
        print_json(answer)
        return
    console.print(f"[{_COLOURS[answer['decision']]}]{answer['decision']}[/] {escape(told[0])}", soft_wrap=True)
    for line in told[1:]:
        console.print(f"  {escape(line)}", soft_wrap=True)


def _request(file: Path) -> dict[str, Any]:
    try:
        asked = json.loads(file.read_text("utf-8"))
    except OSError as error:
        refuse(escape(f"{file}: cannot be read: {error.strerror}"), code=USAGE)
    except (ValueError, RecursionError) as error:
        refuse(escape(f"{file}: not JSON: {error}"), code=USAGE)
    if not isinstance(asked, dict):
        refuse(escape(f"{file}: a request is a JSON object"), code=USAGE)
    return asked


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
