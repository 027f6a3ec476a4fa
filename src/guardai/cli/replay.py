"""`guardai replay SESSION`: a session as it happened, step by step, with what its calls carried where that was kept.

Exit codes: 0 told; 1 something of it was altered or removed; 2 wrong usage, or it cannot be told.
"""

from __future__ import annotations

import json
import time
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardai.cli.options import (
    BROKEN,
    USAGE,
    Home,
    Json,
    RootKey,
    console,
    home_of,
    ledger_in,
    print_json,
    refuse,
    unreadable,
)
from guardai.cli.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.gate.reports.session import Content, Replayed, Step

__all__ = ["register"]

#: How `more` of an event is told, in this order; whatever else it holds is for programs.
_TOLD: Final = ("rows", "affected", "captured", "played", "error", "does", "purpose", "labels")
#: Longer JSON is laid out in lines.
_WIDE: Final = 100
_VERDICTS: Final = ("whole", "broken", "cannot tell")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(replay)


def replay(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="The session's id, as its events have it.", show_default=False)
    ],
    home: Home = None,
    as_json: Json = False,
    key: RootKey = None,
    contents: Annotated[
        bool, typer.Option("--contents/--no-contents", help="Read what was kept of the calls; that is recorded.")
    ] = True,
) -> None:
    """Show a session as it happened, with what its calls carried, where policy had that kept: @capture("content").

    Signatures, and every content against the commitment in its event, are checked. That somebody looked is recorded first.

    Exit codes: 0 told, 1 something of it was altered or removed, 2 it cannot be told.
    """
    from guardai.errors import GuardError
    from guardai.gate.reports.session import replayed
    from guardai.gate.vault import record_look
    from guardai.identity import acting_user
    from guardai.ledger import StoreError

    where = ledger_in(home_of(home))
    if key is not None and not key.is_file():
        refuse(f"there is no key {key}", code=USAGE)
    try:
        with Bar("verifying", shown=not as_json) as bar:
            checked = 0

            def progress(events: int) -> None:
                nonlocal checked
                checked += events
                bar("events", checked, 0)

            found = replayed(where, session, contents=contents, key=key, progress=progress)
        if not found.steps:
            refuse(
                f"there is no session {session!r} under {where}",
                next_step="guardai log --json shows the session of every event",
                code=USAGE,
            )
        if contents and found.shown:
            record_look(where, session, found.shown, by=acting_user())
    except StoreError as error:
        unreadable(error)
    except GuardError as error:
        refuse(str(error), code=USAGE)
    if as_json:
        print_json(_as_data(found))
    else:
        for line in _lines(found):
            console.print(line, soft_wrap=True, markup=False)
    verdict = found.report.verdict
    raise typer.Exit(BROKEN if found.faults or verdict == BROKEN else verdict)


def _as_data(found: Replayed) -> dict[str, Any]:
    return {
        "session": found.session,
        "ledger": _VERDICTS[found.report.verdict],
        "faults": [{"event": event, "fault": fault} for event, fault in found.faults],
        "steps": [
            {
                **step._asdict(),
                "contents": [
                    {"side": one.side, "state": one.state, "bytes": one.bytes, "value": one.value}
                    for one in step.contents
                ],
            }
            for step in found.steps
        ],
    }


def _lines(found: Replayed) -> Iterator[str]:
    day = ""
    for step in found.steps:
        date, _, clock = _moment(step.ts).partition(" ")
        if date != day:
            yield (day := date)
        indent = "  " * step.depth
        yield f"{indent}{clock}  {_head(step)}"
        if step.fault:
            yield f"{indent}    ✗ {step.fault}: guardai verify tells more"
        for content in step.contents:
            for line in _content(content):
                yield f"{indent}    {line}"
    yield ""
    faults = found.faults
    for event, fault in faults:
        yield f"✗ {event}  {fault}"
    yield f"{len(found.steps)} events, {found.shown} contents kept; the ledger: {_VERDICTS[found.report.verdict]}"


def _head(step: Step) -> str:
    who = f"{step.agent} for {step.user}" if step.agent and step.user else step.agent or step.user
    told = ", ".join(f"{name} {_plain(step.more[name])}" for name in _TOLD if step.more.get(name) not in (None, "", []))
    if step.kind == "call.outcome":
        took = f"{step.dur / 1000:,.1f} ms" if step.dur is not None else ""
        parts = [f"← {step.action}", step.status, told, took]
    else:
        word = f"→ {step.action}" if step.kind == "call.intent" else step.kind
        on = ", ".join(step.on[:3]) + (f" +{len(step.on) - 3}" if len(step.on) > 3 else "")
        by = f" by {', '.join(step.policies)}" if step.policies else ""
        masked = f"masked {', '.join(sorted(step.masks))}" if step.masks else ""
        parts = [word, on, who, f"{step.effect}{by}" if step.effect else "", masked, told]
    return _safe("  ".join(part for part in [*parts, step.id] if part)).replace("\n", " ")


def _content(content: Content) -> Iterator[str]:
    if content.state != "kept" or content.value is None:
        state = "kept" if content.state == "kept" else content.state
        yield f"{content.side}: ({state}, {content.bytes:,} bytes)"
        return
    if content.side in ("rows", "more"):
        yield f"{content.side}:"
        for row in content.value:
            cells = row.get("columns", row) if isinstance(row, dict) else row
            yield "  " + _safe(" | ".join(map(_plain, cells)) if isinstance(cells, list) else _plain(cells))
        return
    text = _plain(content.value)
    if len(text) > _WIDE and not isinstance(content.value, str):
        text = json.dumps(content.value, ensure_ascii=False, indent=2)
    lines = _safe(text).split("\n")
    if len(lines) == 1:
        yield f"{content.side}: {lines[0]}"
        return
    yield f"{content.side}:"
    for line in lines:
        yield f"  {line}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _safe(text: str) -> str:
    """Without what would move a terminal's cursor, or the reading direction: what is shown may be an attacker's."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else f"\\u{ord(char):04x}"
        for char in text
    )


def _moment(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest // 1000:03d}"
