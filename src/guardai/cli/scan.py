"""`guardai scan`: what columns and files hold, and which labels the catalog lacks.

Exit codes: 0 the scan was done, whatever it found; 1 something of `--fail-on` was found, or it was not agreed to write;
2 wrong usage, or it cannot be told, because a target could not be read or something failed that nobody expected; with
`--fail-on`, because anything at all could not be read, or only a sample of it was.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardai.cli.options import REFUSED, USAGE, Home, Json, console, home_of, print_json, refuse
from guardai.cli.progress import Bar
from guardai.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardai.gate.reports import Column, Report, Source, Table
    from guardai.policy import Bundle
    from guardai.text import Recogniser

__all__ = ["register"]

#: Places that a person is shown of one target.
_SHOWN: Final = 50
_WIDE: Final = 180
_SURE: Final = {"high": "green", "medium": "green", "low": "yellow"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(scan)


def scan(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="Addresses (sqlite:///, postgresql://, mysql://, mariadb://, duckdb:///), files or folders.",
            show_default=False,
        ),
    ],
    home: Home = None,
    as_json: Json = False,
    sample: Annotated[int, typer.Option("--sample", min=10, max=100_000, help="Rows of each table, at most.")] = 1000,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that one statement may take.")] = 30.0,
    max_size: Annotated[int, typer.Option("--max-size", min=1, help="Megabytes of a text file, at most.")] = 20,
    views: Annotated[bool, typer.Option("--views/--no-views", help="Whether views are read, too.")] = True,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="The policy folder; default: the one of the settings.", show_default=False),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the proposals into the folder's catalog.toml.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", metavar="LABEL", help="End with 1 if it is found: secret, pii.email, …"),
    ] = None,
    sample_is_enough: Annotated[
        bool,
        typer.Option("--sample-is-enough", help="With --fail-on: a sample of a large table is looked at, and will do."),
    ] = False,
) -> None:
    """Tell what databases and files hold, and propose labels for the catalog. No value is ever printed.

    Exit codes: 0 done, whatever was found; 1 --fail-on was met, or nothing was to be written; 2 something could not be read,
    or, with --fail-on, only a sample of it was.
    """
    from guardai.gate.reports import Options
    from guardai.gate.reports import scan as look

    if write and as_json and not yes:
        refuse("--write asks, and with --json nobody can answer", code=USAGE, next_step="Add --yes.")
    try:
        folder, bundle = _bundle(policy, needed=write)
        recognisers = _detect(bundle, home_of(home) / "cache")
        seek = _sought(fail_on, bundle, recognisers) if fail_on else frozenset()
        options = Options(rows=sample, timeout=timeout, bytes=max_size << 20, views=views, seek=seek)
        with Bar("scanning", shown=not as_json) as bar:
            report = look(targets, catalog=bundle.catalog, options=options, progress=bar)
        if not as_json:
            _print(report)
        written = _write(report, bundle, yes=yes, quiet=as_json) if write else None
    except KeyboardInterrupt:
        refuse("interrupted; nothing was written", code=USAGE)
    except GuardError as error:
        if not fail_on:
            raise
        # Whatever it is elsewhere: 1 would mean that something of --fail-on was found.
        refuse(str(error), code=USAGE)
    if as_json:
        print_json(_as_data(report, written))
    elif written is None:
        _next_step(report, folder)
    elif written["added"]:
        _written(written["file"], bundle.path)
    _end(report, seek, sample_is_enough=sample_is_enough)


def _bundle(policy: Path | None, *, needed: bool) -> tuple[Path | None, Bundle]:
    """The policy folder, if there is one, and what stands in it; or in the starter policy."""
    from guardai import settings
    from guardai.policy import Bundle
    from guardai.text import packs

    folder = policy or settings.load().policy
    if folder is None and needed:
        refuse(
            "--write needs a policy folder", code=USAGE, next_step="Name one with --policy, or make one: guardai init"
        )
    if isinstance(folder, str):
        refuse(f"{folder} is published, not edited", code=USAGE, next_step="Name its policy folder with --policy.")
    if folder is not None and not folder.is_dir():
        refuse(f"{folder}: no such folder", code=USAGE, next_step="Name a policy folder, or make one: guardai init")
    return folder, Bundle.load(folder, packs.labels_of_others())


def _detect(bundle: Bundle, cache: Path) -> tuple[Recogniser, ...]:
    """Looks for what the policy folder says, as `guardai.init` does; returns the recognisers that it names."""
    from guardai.text import Own, PackError, RecogniserError, use

    try:
        own = Own.read(bundle.detectors) if bundle.detectors is not None else Own()
        recognisers = own.loaded()
        use(own.search(cache, recognisers))
    except (PackError, RecogniserError) as error:
        if bundle.detectors is None:
            raise
        refuse(str(error), code=USAGE, next_step=f"What is looked for is said in {bundle.path / Own.FILE}")
    return recognisers


def _sought(fail_on: list[str], bundle: Bundle, recognisers: Sequence[Recogniser]) -> frozenset[str]:
    """The labels of `--fail-on`. SECURITY INVARIANT: one that nothing looks for is refused; its answer would always be good."""
    from guardai.model import ancestors, labels
    from guardai.text import columns
    from guardai.text.scanner import used

    known = {
        *bundle.labels,
        *(kind.label for pack in used() for kind in pack.kinds()),
        *columns.labels(),
        *(label for one in recognisers for label in one.labels),
    }
    known.update([above for label in known for above in ancestors(label)])
    known.discard("")
    for label in fail_on:
        if label in known:
            continue
        if label in labels.LABELS or label in labels.OTHERS:
            refuse(
                f"--fail-on {label}: nothing here looks for that",
                code=USAGE,
                next_step="Countries, packs and recognisers are chosen in the policy folder's detectors.toml.",
            )
        near = difflib.get_close_matches(label.lower().rstrip(".*"), sorted(known), n=1)
        families = ", ".join(sorted(one for one in known if "." not in one))
        refuse(
            f"--fail-on {label}: there is no such label; {f'is it {near[0]}?' if near else f'all are of {families}'}",
            code=USAGE,
            next_step="They are listed in docs/labels.md; those of your own stand in the policy folder.",
        )
    return frozenset(fail_on)


def _end(report: Report, seek: frozenset[str], *, sample_is_enough: bool) -> None:
    from guardai.model import ancestors

    met = [label for label in report.labels() if seek.intersection((label, *ancestors(label)))]
    if met:
        refuse(f"found: {', '.join(met)}", code=REFUSED)
    if any(source.unexpected for source in report.sources):
        refuse("something failed that nobody expected; what it was, and where, stands above", code=USAGE)
    if any(source.error for source in report.sources):
        raise typer.Exit(USAGE)
    if seek and not report.whole:
        refuse(
            "not all could be looked at, so nobody can tell whether there is any",
            code=USAGE,
            next_step="What was left out stands above.",
        )
    if seek and report.sampled and not sample_is_enough:
        refuse(
            "only a sample was looked at, so nobody can tell whether there is any in the rest",
            code=USAGE,
            next_step="Look at more (--sample; of text files --max-size), or say that it will do: --sample-is-enough",
        )


# ---- writing ----


def _write(report: Report, bundle: Bundle, *, yes: bool, quiet: bool) -> dict[str, Any]:
    from guardai.policy.columns import save, with_labels

    file = bundle.path / "catalog.toml"
    try:
        before = file.read_bytes().decode() if file.exists() else ""
    except OSError as error:
        refuse(f"{file}: cannot be read: {error.strerror}", code=USAGE)
    proposals = report.proposals()
    after = with_labels(before, proposals, str(file), bundle.labels)
    if after == before:
        if not quiet:
            console.print(f"{file} says all of this already; nothing was written.", soft_wrap=True, markup=False)
        return {"file": str(file), "added": {}}
    if not quiet:
        _print_diff(file, before, after)
    if not yes:
        try:
            agreed = typer.confirm(f"Write this to {file}?")
        except typer.Abort:
            agreed = False
        if not agreed:
            refuse("nothing was written")
    save(file, before, after)
    return {"file": str(file), "added": proposals}


def _written(file: str, folder: Path) -> None:
    from rich.text import Text

    done = Text.assemble(("✓", "green"), f" wrote {file}. Then: guardai policy check {folder}")
    console.print(done, soft_wrap=True)


def _print_diff(file: Path, before: str, after: str) -> None:
    from rich.text import Text

    from guardai.gate.reports.found import legible

    colours = {"+": "green", "-": "red", "@": "cyan"}
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(file), str(file), lineterm="", n=1)
    console.print()
    for line in lines:
        console.print(Text(legible(line), style=colours.get(line[0], "")), soft_wrap=True)


# ---- for programs ----


def _as_data(report: Report, written: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "targets": [_source(source) for source in report.sources],
        "labels": {label: {"columns": held[0], "places": held[1]} for label, held in report.labels().items()},
        "proposals": report.proposals(),
        "whole": report.whole,
        "sampled": report.sampled,
        "written": written,
    }


def _source(source: Source) -> dict[str, Any]:
    told = source.files
    return {
        "target": source.target,
        "kind": source.kind,
        "error": source.error or None,
        "unexpected": source.unexpected,
        "tables": [
            {
                "name": table.name,
                "kind": table.kind,
                "rows_sampled": table.sampled,
                "larger": table.larger,
                "cells_cut": table.cut,
                "rows_broken": table.broken,
                "error": table.error or None,
                "columns": [_column(column) for column in table.columns],
            }
            for table in source.tables
        ],
        "findings": [{"file": one.file, "line": one.line, "label": one.label} for one in source.places],
        "counted": dict(sorted(source.counted.items())),
        "files": None
        if told is None
        else {
            "looked_at": told.looked_at,
            "binary": told.binary,
            "links": told.links,
            "folders_left_out": told.folders_left_out,
            "problems": [{"file": file, "why": why} for file, why in told.problems],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    holds = column.holds
    found: dict[str, Any] = {"name": column.name, "type": column.type, "known": list(column.known)}
    if holds is None:
        return {**found, "kind": "skipped", "reason": column.skipped}
    return {
        **found,
        "kind": holds.kind,
        "label": holds.label,
        "confidence": holds.confidence or None,
        "share": holds.share,
        "counted": dict(holds.counted),
        "sampled": holds.sampled,
        "blank": holds.blank,
        "named": holds.named or None,
        "reason": holds.reason,
        "proposed": column.proposed or None,
    }


# ---- for people ----


def _print(report: Report) -> None:
    for source in report.sources:
        _print_source(source)


def _print_source(source: Source) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console.print(Text(source.target, style="bold"), soft_wrap=True)
    if source.error:
        console.print(Text.assemble(("  ✗ ", "red"), source.error), soft_wrap=True)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in ("", "table", "column", "label", "sure", "why"):
        grid.add_column(head, overflow="fold")
    nothing = left_out = 0
    for table in source.tables:
        name = table.name
        for column in table.columns:
            row = _row(column)
            if row is None:
                nothing += column.holds is not None
                left_out += column.holds is None and column.skipped != "not read"
                continue
            label, sure, why = row
            grid.add_row("", Text(name), Text(column.name), label, sure, Text(why))
            name = ""
    if grid.row_count:
        (console if console.is_terminal else Console(width=_WIDE, highlight=False)).print(grid)
    for place in source.places[:_SHOWN]:
        console.print(
            Text.assemble(f"  {place.file}:{place.line}  ", (place.label, _style(place.label))), soft_wrap=True
        )
    more = sum(source.counted.values()) - min(len(source.places), _SHOWN)
    if more > 0:
        console.print(f"  … and {more:,} more in files; --json lists more of them", style="dim")
    _print_rest(source, nothing, left_out)


def _print_rest(source: Source, nothing: int, left_out: int) -> None:
    from rich.text import Text

    told = source.files
    parts = []
    if source.tables:
        parts.append(_rows(source.tables))
        if cut := sum(table.cut for table in source.tables):
            parts.append(f"of {_count(cut, 'long cell')} only the beginning")
    if told is not None and source.kind == "folder":
        parts.append(f"{_count(told.looked_at, 'file')} looked at")
        parts += [
            f"{number:,} {what}"
            for number, what in (
                (told.binary, "binary"), (told.links, "links not followed"), (told.folders_left_out, "folders left out"),
            )
            if number
        ]  # fmt: skip
    if nothing:
        parts.append(f"in {_count(nothing, 'column')} of the sample nothing was found")
    if left_out:
        parts.append(f"{_count(left_out, 'column')} not looked at (numbers, dates, binary)")
    if not source.error and not parts and not source.places:
        parts.append("nothing was found")
    if parts:
        console.print(f"  {'; '.join(parts)}", style="dim", soft_wrap=True)
    problems = [(table.name, table.error) for table in source.tables if table.error]
    problems += [
        (table.name, f"{_count(table.broken, 'row')} could not be read as the others")
        for table in source.tables
        if table.broken
    ]
    problems += told.problems if told is not None else []
    for name, why in problems[:_SHOWN]:
        console.print(Text.assemble(("  ? ", "yellow"), f"{name}: {why}"), soft_wrap=True)
    if len(problems) > _SHOWN:
        console.print(f"  … and {len(problems) - _SHOWN:,} more that could not be read; --json lists them", style="dim")


def _rows(tables: Sequence[Table]) -> str:
    """How many rows were looked at, and whether these are all there are."""
    rows = f"{sum(table.sampled for table in tables):,} rows of"
    larger = sum(table.larger for table in tables)
    if larger == len(tables):
        return f"{rows} a larger table" if larger == 1 else f"{rows} {larger:,} larger tables"
    return f"{rows} {_count(len(tables), 'table')}" + (f", {larger:,} of them larger than that" if larger else "")


def _row(column: Column) -> tuple[Any, Any, str] | None:
    """(label, how sure, why) of a column that there is something to say of."""
    from rich.text import Text

    holds = column.holds
    known = ", ".join(column.known)
    if holds is None or holds.kind in ("nothing", "empty"):
        why = column.skipped if holds is None else holds.reason
        if known:
            return Text(known), Text("catalog", style="dim"), why
        if holds is not None and holds.named:
            return Text(f"({holds.named})", style="dim"), Text(""), f"only the name says so; {why}"
        return None
    counted = ", ".join(f"{label} {count}" for label, count in holds.counted.items())
    if holds.kind == "mixed":
        label = Text(known) if known else Text("in part", style="yellow")
        return label, Text("catalog" if known else "", style="dim"), f"{holds.reason}: {counted}"
    assert holds.label is not None
    if not column.proposed and known:
        return Text(known), Text("catalog", style="dim"), f"{holds.label}: {holds.reason}"
    return (
        Text(holds.label, style=_style(holds.label)),
        Text(holds.confidence, style=_SURE[holds.confidence]),
        holds.reason,
    )


def _style(label: str) -> str:
    return "red" if label.startswith("secret") else "cyan"


def _next_step(report: Report, folder: Path | None) -> None:
    proposals = report.proposals()
    if not proposals:
        return
    where = f"{folder}/catalog.toml" if folder is not None else "the catalog of a policy folder"
    hint = "the same again with --write"
    if folder is None:
        hint += " --policy FOLDER. There is none yet? guardai init makes one"
    console.print(
        f"\n{_count(len(proposals), 'label')} could go into {where}: {hint}",
        soft_wrap=True,
        markup=False,
    )


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
