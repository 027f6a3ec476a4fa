"""`guardai policy test`: the tests of a policy folder."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from guardai.cli.options import REFUSED, USAGE, Json, console, print_json, refuse
from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy.trial import Coverage, Result

__all__ = ["register"]

_Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder with policies/*.cedar and tests/*.toml.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("test")(run_tests)


def run_tests(
    directory: _Folder,
    word: Annotated[str, typer.Option("-k", metavar="WORD", help="Only cases whose name has this in it.")] = "",
    fail_under: Annotated[
        float,
        typer.Option("--fail-under", min=0, max=100, help="Refuse if fewer percent of the policies decided anything."),
    ] = 0,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML there too.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the tests of a policy folder, and tell which of its policies never decided anything.

    Exit codes: 0 all is as expected; 1 something is not, the policies cannot be used, or too few of them decided anything;
    2 no such folder, no test, or a test file that cannot be read.
    """
    from guardai.cli.policy import pack_labels
    from guardai.policy import Bundle
    from guardai.policy.cases import read
    from guardai.policy.trial import coverage, tried

    if not directory.is_dir():
        refuse(
            f"{directory}: no such folder",
            code=USAGE,
            next_step="Name a folder with policies/*.cedar and tests/*.toml.",
        )
    cases, problems = read(directory)
    if problems:
        for problem in problems:
            console.print(f"[red]error[/] {escape(str(problem))}", soft_wrap=True)
        refuse(
            f"{len(problems)} wrong in tests: nothing was run", code=USAGE, next_step="The format: docs/policy-guide.md"
        )
    chosen = [case for case in cases if word.casefold() in case.name.casefold()]
    if not chosen:
        why = f"no case has {word!r} in its name" if cases else f"{directory}: no tests/*.toml in it"
        refuse(why, code=USAGE, next_step="How one is written: docs/policy-guide.md")
    try:
        bundle = Bundle.load(directory, pack_labels())
    except BundleError as error:
        refuse(str(error), next_step=f"All that is wrong with it: guardai policy check {directory}")
    results = list(tried(bundle, chosen))
    covered = coverage(bundle, results)
    if junit:
        _write(junit, results)
    failed = [result for result in results if result.failures]
    short = covered.percent < fail_under
    if as_json:
        print_json(_data(results, covered, good=not failed and not short))
    else:
        _tell(results, failed, covered)
        if short:
            console.print(f"[red]{covered.percent:.0f} % is under {fail_under:g} %[/]")
    if failed or short:
        raise typer.Exit(REFUSED)


def _write(file: Path, results: list[Result]) -> None:
    from guardai.cli.junit import document

    try:
        file.write_bytes(document(results))
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}", code=USAGE)


def _tell(results: list[Result], failed: list[Result], covered: Coverage) -> None:
    for file, ran in groupby(results, key=lambda result: result.case.file):
        marks = "".join("[red]F[/]" if result.failures else "[green].[/]" for result in ran)
        console.print(f"{escape(file)} {marks}", soft_wrap=True)
    for result in failed:
        console.print(
            f"\n[red]FAILED[/] {escape(f'{result.case.file}:{result.case.line}')} {escape(result.name)}", soft_wrap=True
        )
        for failure in result.failures:
            console.print(f"  {escape(failure)}", soft_wrap=True)
    if covered.never:
        console.print("\nNever decided anything:")
        for policy in covered.never:
            console.print(f"  {escape(f'{policy.id} ({policy.file}:{policy.line})')}", soft_wrap=True)
    total = len(covered.decided) + len(covered.never)
    seconds = sum(result.seconds for result in results)
    colour = "red" if failed else "green"
    console.print(
        f"\n[{colour}]{len(results) - len(failed)} passed, {len(failed)} failed[/] in {seconds:.2f} s; "
        f"{len(covered.decided)} of {total} policies decided something ({covered.percent:.0f} %)",
        soft_wrap=True,
    )


def _data(results: list[Result], covered: Coverage, *, good: bool) -> dict[str, object]:
    return {
        "ok": good,
        "cases": [
            {
                "file": result.case.file,
                "line": result.case.line,
                "name": result.name,
                "ok": not result.failures,
                "failures": list(result.failures),
                "policies": sorted(result.decided),
            }
            for result in results
        ],
        "coverage": {
            "percent": round(covered.percent, 1),
            "decided": sorted(covered.decided),
            "never": sorted(policy.id for policy in covered.never),
        },
    }
