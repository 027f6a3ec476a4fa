"""`guardai init`: a policy folder in a project, and what to edit in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from guardai.cli.options import USAGE, Home, Json, console, print_json, refuse

__all__ = ["register"]

_SETTINGS = """# Settings of guardai; an unknown key is an error. See docs/configuration.md.
policy = "{folder}"
mode = "enforce"          # "observe" records what would have happened, and changes nothing
environment = "dev"       # what a database that the catalog does not list belongs to
# region = "eu"           # where this process runs; policies see it as context.region
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="init")(scaffold)


def scaffold(
    folder: Annotated[Path, typer.Argument(help="The policy folder to make.")] = Path("guardai-policy"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a policy folder into this project: the starter policy, its catalog, and a guardai.toml that names it."""
    from guardai.policy import STARTER

    if folder.exists():
        refuse(f"{folder} is there already; nothing was changed", code=USAGE, next_step="Name another folder.")
    settings = Path("guardai.toml")
    shutil.copytree(STARTER, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    made = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    if not settings.exists():
        settings.write_text(_SETTINGS.format(folder=folder.as_posix()), encoding="utf-8")
        made.append(str(settings))
    if as_json:
        print_json({"made": made})
        return
    for path in made:
        console.print(f"[green]+[/] {path}")
    console.print(
        f"\nEdit [bold]{folder}/catalog.toml[/]: your databases, the columns that hold personal data, your models.\n"
        f"Edit [bold]{folder}/policies/starter.cedar[/]: what agents may do; its comments show how.\n"
        f"Then: [bold]guardai policy check {folder}[/] and [bold]guardai policy test {folder}[/]"
    )
    if str(settings) not in made:
        console.print(f'\n[yellow]guardai.toml was left as it is; it needs the line[/] policy = "{folder.as_posix()}"')
