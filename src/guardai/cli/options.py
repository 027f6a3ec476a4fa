"""What every command takes, and how every command speaks."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from guardai import settings

__all__ = [
    "BROKEN", "REFUSED", "USAGE", "Home", "Json", "RevokedFiles", "RootKey", "agree", "at_hand", "console", "home_of", "ledger_in", "print_json", "refuse", "time_of", "unreadable",
]  # fmt: skip

#: Exit codes, the same for every command: 0 good; 1 refused or broken; 2 usage, or it cannot be told.
REFUSED: Final = 1
BROKEN: Final = 1
USAGE: Final = 2

Home = Annotated[
    Path | None,
    typer.Option("--home", envvar="GUARDAI_HOME", help="Where keys, ledger and cache are kept.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print data for programs, and nothing else.")]

RootKey = Annotated[
    Path | None,
    typer.Option("--key", help="The root's public key (PEM) to trust instead of the home's own.", show_default=False),
]

RevokedFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--revoked",
        metavar="FILE",
        help="A revocation to count beside those that are there, which a thief would have left out; repeat it.",
        show_default=False,
    ),
]

console: Final = Console(highlight=False)
_errors: Final = Console(stderr=True, highlight=False)


def home_of(given: Path | None) -> Path:
    """The folder that `--home`, `GUARDAI_HOME` or the default names."""
    return settings.home(given)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def refuse(what: str, *, code: int = REFUSED, next_step: str = "") -> NoReturn:
    """Says what went wrong and what to do next, on stderr, and ends."""
    _errors.print(Text.assemble(("✗ ", "bold red"), what), soft_wrap=True)
    if next_step:
        _errors.print(Text(f"  {next_step}"), soft_wrap=True)
    raise typer.Exit(code)


def agree(question: str, *, otherwise: str, as_json: bool = False) -> None:
    """Asks, and ends the command unless somebody agrees; `otherwise` is what is said then."""
    if as_json:
        refuse("nobody can be asked with --json", next_step="--yes does it without asking", code=USAGE)
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        agreed = False
    if not agreed:
        refuse(otherwise)


def ledger_in(home: Path, option: str = "--home") -> Path:
    """The home; ends the command if it holds no ledger. `option` is what names another."""
    if not (home / "ledger").is_dir():
        refuse(
            f"there is no ledger under {home}", next_step=f"{option} or GUARDAI_HOME names another place", code=USAGE
        )
    at_hand(home)
    return home


def at_hand(home: Path) -> None:
    """Where hosts share the home's store: lets what reads it know the address, with the password, that the settings have."""
    from guardai.ledger import is_shared, use

    if is_shared(home):
        use(home, settings.load({"home": home}).ledger)


def unreadable(error: Exception) -> NoReturn:
    """Ends the command: the store is broken or of another version."""
    refuse(f"the store cannot be read: {error}", next_step="guardai verify tells what is wrong with it", code=USAGE)


def time_of(micros: int) -> str | None:
    """A time in a table or a document; None of 0, which is never. A file that somebody altered can name one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(micros // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}" if micros else None
    except (OverflowError, OSError, ValueError):
        return "a time that is none"
