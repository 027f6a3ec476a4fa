"""The demo's story for people: a page for each scene, the table, the verification, the copy that was changed."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from guardai.cli.options import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from guardai.cli.demo.story import Act, CallTold, Story, Verified

__all__ = ["as_json", "pages", "waiting"]

#: Where nobody's window says how wide it is.
_WIDTH: Final = 110
#: A mask in a text: `<EMAIL_1>` and the like, `[…]`, `…***…`.
_MASKED: Final = r"<[A-Z][A-Z0-9_]*>|\[[A-Za-z][\w.: -]*\]|\S*\*{2,}\S*|\S*…\S*"
_LABEL: Final = 13


def as_json(story: Story) -> None:
    """The story as one JSON document on stdout."""
    print_json(msgspec.to_builtins(story) | {"held": story.held})


def _console(*, stderr: bool = False) -> Console:
    probe = Console(stderr=stderr, highlight=False)
    if probe.is_terminal or "COLUMNS" in os.environ:
        return probe
    return Console(stderr=stderr, highlight=False, width=_WIDTH)


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Says what is going on while the scenes are played, where somebody is watching."""
    console = _console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("building a shop …") as status:
        yield lambda title: status.update(f"{title} …")


def pages(story: Story) -> None:
    """Prints all of it."""
    # Names have accents and tables have arrows: where the output knows none, a question mark is better than a traceback.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = _console()
    console.print()
    console.print(Rule(Text("guardai demo", "bold"), align="left"))
    console.print(Padding(_opening(story), (1, 2)))
    for number, act in enumerate(story.acts, start=1):
        console.print(Rule(Text(f"{number}  {act.title}", "bold"), align="left", style="dim"))
        console.print(Padding(_act(act), (1, 2)))
    for title, body in (
        ("The story of the session", _table(story)),
        ("The proof", _proof(story)),
        ("A copy in which one byte is another", _tampered(story)),
        ("What was promised", _checks(story)),
    ):
        console.print(Rule(Text(title, "bold"), align="left", style="dim"))
        console.print(Padding(body, (1, 2)))
    # Lines to copy are never wrapped.
    for line, style in (
        (f"It took {story.milliseconds / 1000:.1f} s. Look at what it left:", ""),
        (f"  guardai log --home {story.home}", "bold"),
        (f"  guardai verify --home {story.home}", "bold"),
        (f"  guardai verify --home {story.tampered.verified.home}", "bold"),
        (f"Shop and changed copy are in {story.folder}; remove it when you are done.", "dim"),
    ):
        console.print(Text(f"  {line}", style), soft_wrap=True)
    console.print()


def _opening(story: Story) -> RenderableType:
    who = (
        f"The model is a stand-in: a server on loopback ({story.model.base_url}) that speaks the OpenAI protocol over "
        "real HTTP from a script. Nothing here leaves this machine; give --base-url to put a real model in its place."
        if story.model.stand_in
        else f"The model is {story.model.name} at {story.model.base_url}. It may do something else than the scenes expect."
    )
    return Text(
        "A shop of 2,000 customers and 10,000 orders in SQLite; an agent that knows the openai client and sqlite3 and "
        f"nothing of guardai; and a model. {who}"
    )


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid


def _marked(written: str, style: str = "") -> Text:
    text = Text(written, style)
    text.highlight_regex(_MASKED, "bold cyan")
    return text


def _act(act: Act) -> RenderableType:
    grid = _grid()
    reader = "a person" if act.audience == "person" else "the process"
    grid.add_row("session", f"{act.user} through {act.agent}, for {act.purpose}; the answer is read by {reader}")
    grid.add_row("asked", Text(act.question))
    arrived = _arrived(act, "user")
    if arrived and arrived[0] != act.question:
        grid.add_row("arrived as", _marked(arrived[0]))
    for tool in act.tools:
        grid.add_row("model called", Text.assemble(tool.tool, "  ", (tool.wrote, "yellow")))
        if not tool.result.startswith(("[", "{")):
            grid.add_row("", Text(tool.result, "red" if tool.denied else "dim"))
    parts: list[RenderableType] = [grid]
    sides = _sides(act)
    if sides.row_count:
        parts += ["", sides]
    if act.pieces is None or act.model_sent is None:
        answer = _grid()
        answer.add_row("answer", _marked(act.answer))
        parts += ["", answer] if sides.row_count else [answer]
    if act.note:
        note = _grid()
        note.add_row("", Text(act.note, "dim italic"))
        parts += ["", note]
    return Group(*parts)


def _arrived(act: Act, role: str) -> list[str]:
    return [message["content"] for message in act.model_received or () if message["role"] == role]


def _sides(act: Act) -> Table:
    """What the agent's process had beside what the model had, where they differ and both can be seen."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(style="dim", width=_LABEL, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.add_column(overflow="fold", ratio=1)
    for tool, arrived in zip(act.tools, _arrived(act, "tool"), strict=False):
        if arrived != tool.result:
            table.add_row("", Text("the agent's process had", "dim"), Text("the model received", "dim"))
            table.add_row("rows", _lines(tool.result), _lines(arrived))
    if act.pieces is not None and act.model_sent is not None:
        if table.row_count:
            table.add_row()
        table.add_row("", Text("the person saw", "dim"), Text("the model wrote, piece by piece", "dim"))
        table.add_row("answer", _marked("".join(act.pieces)), _pieces(act.model_sent))
    return table


def _lines(result: str) -> Text:
    """JSON rows, a line for each value: what matters is legible."""
    try:
        rows = json.loads(result)
    except ValueError:
        return _marked(result)
    rows = rows if isinstance(rows, list) else [rows]
    blocks = ["\n".join(str(value) for value in row.values()) for row in rows if isinstance(row, dict)]
    return _marked("\n\n".join(blocks))


def _pieces(pieces: list[str]) -> Text:
    text = Text()
    for n, piece in enumerate(pieces):
        text.append("│" if n else "", "dim")
        text.append(piece)
    text.highlight_regex(_MASKED, "bold cyan")
    return text


def _table(story: Story) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    for name, ratio in (("who", 3), ("did", 3), ("with", 3), ("found → became", 5), ("policy", 5), ("outcome", 3)):
        table.add_column(name, ratio=ratio, overflow="fold")
    before = ""
    for call in story.calls:
        who = Text()
        if call.scene != before:
            if before:
                table.add_row()
            before = call.scene
            who = Text.assemble(call.user, "\n", (call.purpose, "dim"))
        good = call.status in {"ok", "masked"}
        table.add_row(
            who,
            call.action,
            Text("\n".join(_short(uri) for uri in call.data)),
            _marked(_found(call)),
            Text("\n".join(call.policies) or "none permits it", "" if call.policies else "dim"),
            Text(call.status, "green" if good else "red"),
        )
    return table


def _short(uri: str) -> str:
    """`sqlite:///…/shop.db#customers` → `customers`, `model://127.0.0.1:1234/gpt` → `gpt`."""
    return uri.rpartition("#" if "#" in uri else "/")[2]


def _found(call: CallTold) -> str:
    lines = []
    for label, count in sorted(call.findings.items()):
        became = call.masks.get(label)
        times = f" \N{MULTIPLICATION SIGN}{count}" if count > 1 else ""
        lines.append(f"{label}{times}" + (f" → {became}" if became else ""))
    return "\n".join(lines)


def _add_verdict(grid: Table, verified: Verified) -> None:
    grid.add_row("verdict", Text(verified.verdict, "bold green" if verified.verdict == "whole" else "bold red"))
    for fault in verified.faults:
        where = f"event {fault.event}: " if fault.event else ""
        grid.add_row("", Text(f"{where}{fault.meaning} ({fault.code})", "red"))
    for note in verified.notes:
        grid.add_row("", Text(note, "yellow"))


def _proof(story: Story) -> RenderableType:
    verified = story.verification
    grid = _grid()
    grid.add_row("ledger", Text(verified.home))
    grid.add_row("events", Text(f"{verified.events:,}, of which {verified.signed:,} stand under a signature"))
    _add_verdict(grid, verified)
    return grid


def _tampered(story: Story) -> RenderableType:
    tampered = story.tampered
    grid = _grid()
    grid.add_row("changed", Text(f"event {tampered.event} now says {tampered.after} where it said {tampered.before}"))
    grid.add_row("where", Text(f"byte {tampered.offset:,} of {tampered.file} in {tampered.verified.home}"))
    _add_verdict(grid, tampered.verified)
    return grid


def _checks(story: Story) -> RenderableType:
    grid = _grid()
    for check in story.checks:
        grid.add_row(Text("held", "green") if check.held else Text("NOT HELD", "bold red"), Text(check.what))
    return grid
