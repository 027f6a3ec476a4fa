"""`guardai policy replay`, `diff`, `suggest`: a policy tried against what happened, before it goes live."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from guardai.cli.options import REFUSED, USAGE, Json, console, home_of, ledger_in, print_json, refuse, unreadable
from guardai.cli.policy import loaded
from guardai.cli.progress import Bar

if TYPE_CHECKING:
    from guardai.gate.reports.replay import Replay
    from guardai.policy.difference import Difference, Said

__all__ = ["register"]

Ledger = Annotated[
    Path | None,
    typer.Option(
        "--ledger", "--home", envvar="GUARDAI_HOME", help="The home whose ledger is read.", show_default=False
    ),
]

_COLOURS: Final = {"allow": "green", "deny": "red", "pause": "yellow"}
_SHOWN: Final = 10
_WIDE: Final = 24


def register(group: typer.Typer) -> None:
    """Adds the commands to `guardai policy`."""
    group.command("replay")(replay_command)
    group.command("diff")(diff_command)
    group.command("suggest")(suggest_command)


def replay_command(
    bundle: Annotated[Path, typer.Option("--bundle", help="The policy folder to try.", show_default=False)],
    ledger: Ledger = None,
    as_json: Json = False,
) -> None:
    """Decide every recorded call again under another policy, and tell what would change.

    Exit codes: 0 nothing changes, 1 something does, or the policy folder cannot be used, 2 it cannot be told: wrong usage, no
    ledger, or no recorded call can be decided again.
    """
    from guardai.gate.reports.replay import replay
    from guardai.ledger import StoreError

    home = ledger_in(home_of(ledger), "--ledger")
    new = loaded(bundle)
    try:
        with Bar("replaying", shown=not as_json) as bar:
            found = replay(home, new, lambda events: bar("events", events, 0))
    except StoreError as error:
        unreadable(error)
    if as_json:
        print_json({"bundle": new.digest, **found.data()})
    else:
        _print(found, new.name)
    if found.changed or found.masked:
        raise typer.Exit(REFUSED)
    if not found.decided:
        raise typer.Exit(USAGE)


def _print(found: Replay, name: str) -> None:
    changed = found.changed + found.masked
    head = "[bold yellow]≠[/]" if changed else "[bold green]=[/]" if found.decided else "[bold yellow]?[/]"
    console.print(
        f"{head} {found.decided:,} recorded decisions asked again under [bold]{escape(name)}[/]: "
        f"{found.changed:,} would be otherwise, and {found.masked:,} of {found.labels:,} labels masked otherwise",
        soft_wrap=True,
    )
    if found.own:
        console.print(
            f"  {found.own:,} calls were the application's own, which policy was not asked about", style="dim"
        )
    if found.uncounted:
        console.print(
            f"  [yellow]?[/] of {found.uncounted:,} labels it cannot be told: their answer depends on counters, whose numbers at "
            "that time are not in the ledger",
            soft_wrap=True,
        )
    for reason, count in found.cannot.most_common():
        from guardai.gate.reports.why import MISSING

        console.print(f"  [yellow]?[/] {count:,} cannot be decided again: {MISSING[reason]}", soft_wrap=True)
    if found.acts:
        _decisions(found)
    if found.reveals:
        _reveals(found)
    for title, counts in (
        ("by policy that decides now", {name or "(no permit)": n for name, n in found.by_policy.items()}),
        ("by principal", found.by_principal),
        ("by resource", found.by_resource),
    ):
        if counts:
            bars(title, counts)
    if changed:
        console.print("  guardai policy explain EVENT --policy DIR tells of one of them why", style="dim")


def _decisions(found: Replay) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", title="decisions", title_justify="left")
    for column in ("calls", "action", "then", "now", "by", "for example"):
        table.add_column(column, justify="right" if column == "calls" else "left", overflow="fold")
    ordered = sorted(found.acts.items(), key=lambda one: -one[1].count)
    for one, group in ordered[:_SHOWN]:
        table.add_row(
            f"{group.count:,}",
            Text(one.action),
            Text(one.then, style=_COLOURS.get(one.then, "")),
            Text(one.now, style=_COLOURS.get(one.now, "")),
            Text(", ".join(one.by) or one.reason),
            Text(group.examples[0], style="dim"),
        )
    _table(table, len(ordered))


def _reveals(found: Replay) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", title="labels", title_justify="left")
    for column in ("times", "label", "on its way", "then", "now", "by", "for example"):
        table.add_column(column, justify="right" if column == "times" else "left", overflow="fold")
    ordered = sorted(found.reveals.items(), key=lambda one: -one[1].count)
    for one, group in ordered[:_SHOWN]:
        table.add_row(
            f"{group.count:,}",
            Text(one.label),
            Text(f"{'back to' if one.way == 'back' else 'to'} the {one.kind}"),
            Text(one.then or "revealed", style="" if one.then else "yellow"),
            Text(one.now or "revealed", style="" if one.now else "yellow"),
            Text(", ".join(one.by) or one.reason),
            Text(group.examples[0], style="dim"),
        )
    _table(table, len(ordered))


def _table(table: Any, rows: int) -> None:
    from rich.console import Console

    console.print()
    (console if console.is_terminal else Console(width=180, highlight=False)).print(table)
    if rows > _SHOWN:
        console.print(f"  … and {rows - _SHOWN:,} more kinds; --json lists them all", style="dim")


def bars(title: str, counts: Mapping[str, int]) -> None:
    """A picture of counts: the longest bar is the most."""
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    console.print(f"\n{title}", style="bold")
    most = ordered[0][1]
    for name, count in ordered[:_SHOWN]:
        length = max(1, round(_WIDE * count / most))
        console.print(f"  [cyan]{'█' * length:<{_WIDE}}[/] {count:>9,}  {escape(name)}", soft_wrap=True)
    if len(ordered) > _SHOWN:
        console.print(f"  … and {len(ordered) - _SHOWN:,} more; --json lists them all", style="dim")


def diff_command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A policy folder.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.", show_default=False)],
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="Try also what was recorded under this home.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what B permits that A did not, and the reverse, each with the smallest request that shows it.

    Requests are made up from every literal and bound of the policies that differ; each difference has been answered so by
    both. None found is no proof that there is none.

    Exit codes: 0 no difference was found, 1 some were, or a policy folder cannot be used, 2 wrong usage, or no ledger.
    """
    from guardai.gate.reports.compared import recorded
    from guardai.ledger import StoreError
    from guardai.policy.difference import between

    home = ledger_in(home_of(ledger), "--ledger") if ledger is not None else None
    one, other = loaded(a), loaded(b)
    try:
        with Bar("comparing", shown=not as_json) as bar:
            more = recorded(home, one, other) if home is not None else ()
            found = between(one, other, more, lambda requests: bar("requests", requests, 0))
    except StoreError as error:
        unreadable(error)
    if as_json:
        differences = [difference.data() for difference in found.differences]
        print_json(
            {"a": one.digest, "b": other.digest, "tried": found.tried, "whole": found.whole, "differences": differences}
        )
    else:
        _print_differences(found.differences, found.tried)
        if not found.whole:
            console.print(
                "  There are very many policies: not all requests that could be made up were tried.", style="dim"
            )
    if found.differences:
        raise typer.Exit(REFUSED)


_HEADS: Final = {
    "more": "B permits what A does not",
    "less": "A permits what B does not",
    "other": "both permit as much, but otherwise",
}


def _print_differences(found: list[Difference], tried: int) -> None:
    if not found:
        why = f"{tried:,} requests are answered alike" if tried else "no policy and no mask differs"
        console.print(f"[bold green]=[/] no difference was found: {why}")
        return
    kinds = f"{len(found):,} kind{'s' if found[1:] else ''} of difference"
    console.print(f"[bold yellow]≠[/] {kinds}, found with {tried:,} requests")
    for which, head in _HEADS.items():
        some = [one for one in found if one.which == which]
        if some:
            console.print(f"\n{head}", style="bold")
        for one in some:
            _print_difference(one)


def _print_difference(one: Difference) -> None:
    sign = {"more": "[green]+[/]", "less": "[red]-[/]", "other": "[yellow]~[/]"}[one.which]
    more = f" and {len(one.what) - 6} more" if len(one.what) > 6 else ""
    console.print(f"  {sign} [bold]{escape(', '.join(one.what[:6]))}{more}[/]", soft_wrap=True)
    console.print(f"      A {escape(_answered(one.a))}; B {escape(_answered(one.b))}", soft_wrap=True)
    console.print(f"      for example {escape(_example(one))}", style="dim", soft_wrap=True)


def _answered(said: Said) -> str:
    says = {"allow": "allows it", "deny": "denies it", "pause": "waits for approval", "revealed": "reveals it"}
    by = f" by {', '.join(said.policies)}" if said.policies else " for want of a permit"
    if said.failed:
        by = ", a policy cannot be evaluated"
    owed = "".join(f", {name} {_plain(value)}" for name, value in said.owed)
    return f"{says.get(said.effect, f'masks it with {said.effect}')}{by}{owed}"


def _plain(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _example(one: Difference) -> str:
    from guardai.policy.change import quoted

    asked = one.asked
    who = asked.principal
    where = ", ".join(f'{thing.type}::"{thing.id}"' for thing in asked.resources)
    begin = f"event {one.event}: " if one.event else ""
    if asked.verbs:
        does = f"{', '.join(asked.verbs)} on {where}"
        attrs = [
            f"resource.{name} {quoted(value)}" for thing in asked.resources[:1] for name, value in thing.attrs if value
        ]
    else:
        to = asked.to._asdict() if asked.to is not None else {}
        does = f"{asked.labels[0]} to a {to.get('kind', 'destination')}"
        attrs = [f"to.{name} {quoted(value)}" for name, value in to.items() if name != "kind" and value]
    acts = {"assurance": who.assurance, "chain": who.chain}
    about = [f"principal.{name} {quoted(value)}" for name, value in acts.items() if value not in ("asserted", ())]
    # A recorded request is told by its event: what it holds stands there.
    context = [] if one.event else [f"{name} {quoted(value)}" for name, value in asked.whole.items()]
    given = ", ".join((*about, *context, *attrs))
    whom = f" for {who.user}" if who.user else ""
    return f'{begin}{who.kind}::"{who.agent}"{whom}, {does}{given and f" with {given}"}'


def suggest_command(
    ledger: Ledger = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write it into this file, which must not be there.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose a policy that permits what was used and nothing else, as a Cedar file to review.

    Exit codes: 0 there is one, 2 wrong usage, no ledger, or nothing in it to go by.
    """
    from guardai.gate.reports.suggest import suggest
    from guardai.ledger import StoreError

    home = ledger_in(home_of(ledger), "--ledger")
    if output is not None and output.exists():
        refuse(f"{output} is there already", next_step="Name another file, or move it away", code=USAGE)
    try:
        with Bar("reading", shown=not as_json) as bar:
            found = suggest(home, lambda events: bar("events", events, 0))
    except StoreError as error:
        unreadable(error)
    if not found.cedar:
        because = f"{found.left_out:,} calls cannot be read back" if found.left_out else "no allowed call is recorded"
        refuse(f"there is nothing to go by under {home}: {because}", code=USAGE)
    if output is not None:
        try:
            output.write_text(found.cedar, encoding="utf-8")
        except OSError as error:
            refuse(f"{output} cannot be written: {error.strerror}", code=USAGE)
    if as_json:
        print_json(found._asdict())
    elif output is None:
        sys.stdout.write(found.cedar)
    else:
        console.print(
            f"[green]✓[/] {found.policies:,} policies from {found.calls:,} calls in {escape(str(output))}",
            soft_wrap=True,
        )
