"""`guardai policy`: check a policy folder, print its schema, explain an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from guardai.cli.options import (
    REFUSED,
    USAGE,
    Home,
    Json,
    at_hand,
    console,
    home_of,
    ledger_in,
    print_json,
    refuse,
    unreadable,
)
from guardai.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.policy import Bundle, Problem
    from guardai.settings import Settings

__all__ = ["app", "detectors_tried", "loaded", "pack_labels"]

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
    labels = pack_labels()
    problems = check(directory, labels)
    problems += detectors_tried(directory, problems, home_of(home) / "cache")
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


def pack_labels() -> frozenset[str]:
    """What the packs of other distributions find."""
    from guardai.text import PackError, packs

    try:
        return packs.labels_of_others()
    except PackError as error:
        refuse(str(error), next_step="Until it is mended or uninstalled, nothing scans and every call is denied.")


def detectors_tried(directory: Path, problems: list[Problem], cache: Path) -> list[Problem]:
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
    from guardai.gate.reports.unseen import seen, unknown, unseen
    from guardai.ledger import StoreError
    from guardai.policy import Bundle

    if not (against / "ledger").is_dir():
        refuse(
            f"there is no ledger under {against}", code=USAGE, next_step="Name a home: the folder that ledger/ is in."
        )
    at_hand(against)
    try:
        found = seen(against)
    except StoreError as error:
        unreadable(error)
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
        refuse(str(error), next_step="What may be added: docs/policy-reference.md")
    if as_json:
        print_json({"schema": text})
    else:
        typer.echo(text, nl=False)


@app.command("explain")
def explain_command(
    event: Annotated[
        str, typer.Argument(metavar="[EVENT]", help="The id of a recorded call's event.", show_default=False)
    ] = "",
    request: Annotated[
        Path | None, typer.Option("--request", help="A JSON file with a made-up request instead.", show_default=False)
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            help="The policy folder; default: the starter policy, for an event the one that is set for programs here.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell how a call is answered, why, and what would have to change: a recorded one, or one that is made up.

    Exit codes: 0 answered, whatever the answer is; 1 the policy folder cannot be used, or the event cannot be decided again;
    2 there is no such event, or the request cannot be read.
    """
    if bool(event) is (request is not None):
        refuse(
            "name an event, or a file with --request, and not both", code=USAGE, next_step="guardai log lists events"
        )
    answer = _explained_event(event, policy, home_of(home)) if request is None else _explained_request(request, policy)
    if as_json:
        print_json(answer)
        return
    from guardai.policy import told

    first, *more = told(answer)
    console.print(f"[{_COLOURS[answer['decision']]}]{answer['decision']}[/] {escape(first)}", soft_wrap=True)
    for line in (*more, *_compared(answer)):
        console.print(f"  {escape(line)}", soft_wrap=True)


def _explained_request(request: Path, policy: Path | None) -> dict[str, Any]:
    from guardai.policy import explain

    asked = _request(request)
    bundle = loaded(policy)
    try:
        return explain(bundle, asked)
    except ValueError as error:
        refuse(f"{request}: {error}", code=USAGE)


def _explained_event(event: str, policy: Path | None, home: Path) -> dict[str, Any]:
    from guardai import settings
    from guardai.gate.reports.why import EventError, UndecidedError, why
    from guardai.ledger import StoreError

    ledger_in(home)
    bundle = loaded(policy) if policy else _in_use(settings.load())
    try:
        return why(home, event, bundle)
    except EventError as error:
        refuse(str(error), code=REFUSED if isinstance(error, UndecidedError) else USAGE)
    except StoreError as error:
        unreadable(error)


def loaded(policy: Path | None) -> Bundle:
    """The bundle of a folder; ends the command if it cannot be used."""
    from guardai.policy import Bundle

    try:
        return Bundle.load(policy, pack_labels())
    except BundleError as error:
        refuse(str(error), next_step="All that is wrong with it: guardai policy check DIR")


def _in_use(settings: Settings) -> Bundle:
    """The bundle that a process with these settings decides by; ends the command if there is none."""
    from guardai.gate.supply import Supply

    try:
        return Supply(settings, pack_labels()).current.bundle
    except BundleError as error:
        refuse(str(error), next_step="guardai bundle status tells more; --policy names a folder or file")


def _compared(answer: dict[str, Any]) -> Iterator[str]:
    """What was recorded, where that is another answer or another policy's."""
    for label, fate in answer.get("returned", {}).items():
        by = f" by {', '.join(fate['policies'])}" if fate["policies"] else ""
        yield f"{label}, on its way back, {'is revealed' if fate['mask'] is None else 'is masked with ' + fate['mask']}{by}."
    then = answer.get("recorded")
    if then is None:
        return
    if not then["same_bundle"]:
        yield (
            f"Another policy decided then (digest {then['bundle'][:12]}…): {then['decision']}"
            f"{' by ' + ', '.join(then['policies']) if then['policies'] else ''}. --policy DIR asks another."
        )
    elif then["decision"] != answer["decision"]:
        yield f"Recorded was {then['decision']}, by the same policy: something of the call is not in the ledger."


def _request(file: Path) -> dict[str, Any]:
    try:
        asked = json.loads(file.read_text("utf-8"))
    except OSError as error:
        refuse(f"{file}: cannot be read: {error.strerror}", code=USAGE)
    except (ValueError, RecursionError) as error:
        refuse(f"{file}: not JSON: {error}", code=USAGE)
    if not isinstance(asked, dict):
        refuse(f"{file}: a request is a JSON object", code=USAGE)
    return asked


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
