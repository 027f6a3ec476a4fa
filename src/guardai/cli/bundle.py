"""`guardai bundle`: from a policy folder to a signed file, and from there to every process."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from guardai.cli.options import USAGE, Home, Json, console, home_of, print_json, refuse
from guardai.cli.policy import _labels, _tried
from guardai.errors import BundleError

__all__ = ["app"]

app: Final = typer.Typer(help="Build, sign, publish and pull policy bundles.", no_args_is_help=True)


@app.command("build")
def build_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A policy folder.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="The bundle's name; default: the manifest's, or the folder's.")] = "",
    version: Annotated[str, typer.Option(help="Its version; default: the manifest's, or 0.")] = "",
    expires: Annotated[
        str, typer.Option(metavar="WHEN", help="From when on it decides nothing: 2027-03-01, or 90d after --created.")
    ] = "",
    created: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="When it was made; default: SOURCE_DATE_EPOCH, or when the newest of its files was changed.",
        ),
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make one file of a policy folder. The same folder gives the same bytes.

    Exit codes: 0 built, 1 the folder has errors, 2 wrong usage.
    """
    from guardai.policy import Bundle, check
    from guardai.policy.trust.build import build, changed

    if not directory.is_dir():
        refuse(f"{directory}: no such folder", code=USAGE, next_step="Name one with policies/*.cedar in it.")
    labels = _labels()
    problems = check(directory, labels)
    problems += _tried(directory, problems, home_of(home) / "cache")
    if not as_json:
        for problem in problems:
            colour = "red" if problem.severity == "error" else "yellow"
            console.print(f"[{colour}]{problem.severity}[/] {escape(str(problem))}", soft_wrap=True)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        if as_json:
            print_json({"ok": False, "errors": errors})
        refuse(f"{directory} has errors; no bundle was built", next_step=f"guardai policy check {directory}")
    try:
        begun = _begun(created)
        until = _until(expires, begun or changed(directory))
        data = build(directory, name=name, version=version, created=begun, expires=until)
        bundle = Bundle.load(output, labels, data=data, now=datetime.min.replace(tzinfo=UTC))
        output.write_bytes(data)
    except BundleError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename or output}: {error.strerror}", code=USAGE)
    told = {"file": str(output), "name": bundle.name, "version": bundle.version, "digest": bundle.digest}
    if as_json:
        warnings = [str(problem) for problem in problems]
        print_json({"ok": True, **told, "policies": len(bundle.policies), "bytes": len(data), "warnings": warnings})
        return
    console.print(
        f"[green]built[/] {escape(str(output))}: {escape(bundle.name)} {escape(bundle.version)}, {len(bundle.policies)} "
        f"policies, digest {bundle.digest}",
        soft_wrap=True,
    )


def _begun(created: str) -> datetime | None:
    from guardai.policy.trust.manifest import moment

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        if created:
            return moment(created)
        return datetime.fromtimestamp(int(epoch), UTC) if epoch else None
    except (ValueError, OverflowError, OSError):
        refuse(f"{created or epoch}: no time; write 2027-03-01 or 2027-03-01T08:00:00Z", code=USAGE)


def _until(expires: str, begun: datetime) -> datetime | None:
    from datetime import timedelta

    from guardai.policy.trust.manifest import moment
    from guardai.settings import seconds

    if not expires:
        return None
    try:
        return begun + timedelta(seconds=seconds(expires))
    except ValueError:
        pass
    try:
        return moment(expires)
    except ValueError:
        refuse(f"{expires}: no time; write 2027-03-01, or 90d", code=USAGE)
