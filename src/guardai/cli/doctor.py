"""`guardai doctor`: what is patched, what is not and why; which bundle, which keys, where the ledger is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from guardai._version import __version__
from guardai.cli.options import Home, Json, console, print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(
    home: Home = None,
    as_json: Json = False,
    import_: Annotated[
        bool, typer.Option("--import", help="Import each library, so that its patches are made and tried.")
    ] = False,
) -> None:
    """Tell what guardai governs here, what it does not and why."""
    import guardai

    guardai.init(home=home)
    try:
        found = _findings(import_)
    finally:
        guardai.shutdown()
    if as_json:
        print_json(found)
    else:
        _print(found)
    if any(one["status"] == "failed" for one in found["integrations"]):
        raise typer.Exit(1)


def _findings(import_: bool) -> dict[str, Any]:
    from guardai.gate import require
    from guardai.hooks import registry
    from guardai.model import shown
    from guardai.text import engine

    runtime = require()
    if import_:
        for module in {str(t["target"]).partition(":")[0] for one in registry.report() for t in one["targets"]}:
            try:
                importlib.import_module(module)
            except ImportError:
                continue  # not installed: the report says so
    bundle = runtime.gate.engine.bundle
    client = runtime.supply.client
    home: Path = runtime.settings.home
    return {
        "guardai": __version__,
        "python": sys.version.split()[0],
        "home": str(home),
        "ledger": shown(runtime.settings.ledger) if runtime.settings.ledger else str(home / "ledger"),
        "ledger_mode": runtime.settings.ledger_mode,
        "keys": sorted(path.name for path in (home / "keys").glob("*")) if (home / "keys").is_dir() else [],
        "mode": runtime.settings.mode,
        "environment": runtime.settings.environment,
        "region": runtime.settings.region,
        "bundle": {
            "name": bundle.name,
            "digest": bundle.digest,
            "path": str(client.folder if client is not None else bundle.path),
            "source": str(runtime.settings.policy or "built in"),
            "signed": runtime.gate.in_force.signed,
            "expires": f"{runtime.gate.in_force.until.end:%Y-%m-%dT%H:%M:%SZ}" if runtime.gate.in_force.until else None,
            "policies": len(bundle.policies),
            "warnings": [str(warning) for warning in bundle.warnings],
            **_asked(),
        },
        "counters": _counters(),
        "text_engine": engine(),
        "detectors": _detectors(),
        "integrations": registry.report(),
    }


def _asked() -> dict[str, Any]:
    """What came of asking for a newer bundle, where the policy comes from a repository."""
    from guardai.cli.pulled import came_of_asking
    from guardai.gate import require
    from guardai.policy.trust.client import State

    supply = require().supply
    asked = came_of_asking(supply.client.state() if supply.client is not None else State())
    # What failed before the server was reached, such as the cache's lock, stands here alone.
    return {**asked, "error": supply.problem or asked["error"]}


def _counters() -> dict[str, Any]:
    """Whether policies limit anything, and who adds up."""
    from guardai.gate import require

    runtime = require()
    counted = runtime.gate.engine.bundle.counted
    shared = runtime.shared
    return {
        "read": sorted({name for names in counted for name in names}) if counted else [],
        "store": shared.where if shared else "",
        "reachable": shared.exchange() if shared else True,
        "trouble": (shared.trouble or "") if shared else "",
    }


def _counters_told(found: dict[str, Any]) -> str:
    if not found["store"]:
        return "each process counts by itself" if found["read"] else "policies limit nothing"
    if found["reachable"]:
        return f"added up at {found['store']}"
    return f"{found['store']} cannot be reached ({found['trouble']}): until it can, each process counts by itself"


def _detectors() -> dict[str, list[str]]:
    """What scans look for: which packs, whose countries, what the policy folder adds."""
    from guardai.gate import require

    search = require().gate.in_force.search
    own = search.own
    names = [pack.name for pack in search.packs()]
    countries = [name for name in names if name.startswith("countries.")]
    return {
        "packs": [name for name in names if name not in countries and (own is None or name != own.name)],
        "own": sorted({kind.label for kind in own.kinds()}) if own else [],
        "countries": [name.rpartition(".")[2] for name in countries],
        "recognisers": [one.name for one in search.recognisers],
    }


_MARK = {"patched": "[green]✓[/]", "pending": "[yellow]…[/]", "absent": "[dim]–[/]", "failed": "[red]✗[/]"}


#: More targets of one library than this are told in one line, if there is nothing to say of any of them.
_FEW = 4


def _told(targets: list[dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    """(mark, what, why) for each line: libraries in the order of their targets."""
    libraries: dict[str, list[dict[str, str]]] = {}
    for target in targets:
        libraries.setdefault(target["target"].partition(":")[0].partition(".")[0], []).append(target)
    for library, those in libraries.items():
        states = {target["status"] for target in those}
        absent = states == {"pending"} and importlib.util.find_spec(library) is None
        if absent or (len(those) > _FEW and len(states) == 1 and not any(target["why"] for target in those)):
            [status] = states
            several = f", {len(those)} targets" if len(those) > 1 else ""
            yield _MARK[status], f"{library}{several}  [dim]{'not installed' if absent else status}[/]", ""
            continue
        for target in those:
            yield _MARK[target["status"]], f"{target['target']}  [dim]{target['status']}[/]", target["why"]


def _by_what_right(bundle: dict[str, Any]) -> str:
    if bundle["signed"]:
        return f"signed, good till {bundle['expires']}" if bundle["expires"] else "signed"
    if bundle["source"] == "built in":
        return "the starter policy"
    return "not signed: for development; whoever can write there decides"


def _print(found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from guardai.cli.pulled import why_no_newer

    bundle = found["bundle"]
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("guardai", f"{found['guardai']} on Python {found['python']}, text engine {found['text_engine']}"),
        ("home", found["home"]),
        ("ledger", f"{found['ledger']} ({found['ledger_mode']})"),
        ("keys", ", ".join(found["keys"]) or "none yet: made at the first event"),
        ("mode", f"{found['mode']}, environment {found['environment']}, region {found['region'] or 'not set'}"),
        (
            "bundle",
            f"{bundle['name']} ({bundle['policies']} policies, {bundle['digest'][:12]}), {_by_what_right(bundle)}",
        ),
        ("", bundle["path"]),
        *([("", f"[yellow]![/] {escape(why_no_newer(bundle))}")] if bundle["error"] else []),
        ("counters", _counters_told(found["counters"])),
        ("detectors", "; ".join(f"{kind}: {', '.join(names)}" for kind, names in found["detectors"].items() if names)),
    ):
        facts.add_row(f"[bold]{name}[/]", value)
    console.print(facts)
    console.print()
    for one in found["integrations"]:
        version = one["version"] or ("" if one["library"] == "standard library" else "not installed")
        console.print(f"{_MARK[one['status']]} [bold]{one['name']}[/] {one['library']} {version} {one['why']}".rstrip())
        for mark, told, why in _told(one["targets"]):
            console.print(f"    {mark} {told}" + (f"  [dim]{why}[/]" if why else ""))
    if not found["integrations"]:
        console.print("[yellow]No integration is installed: nothing but @guardai.tool functions is governed.[/]")
    if any(t["status"] == "pending" for one in found["integrations"] for t in one["targets"]):
        console.print("\n… is patched when your program imports the library; `guardai doctor --import` tries it now.")
