"""`guardai prove` and `guardai verify-proof`: one event, proven to somebody who has a public key and this file.

Exit codes: 0 proven, 1 refused, 2 wrong usage, or a file cannot be read.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape

from guardai.cli.anchors import policy_in
from guardai.cli.ledger import sealed
from guardai.cli.options import (
    USAGE,
    Home,
    Json,
    RevokedFiles,
    console,
    home_of,
    ledger_in,
    print_json,
    refuse,
    unreadable,
)

if TYPE_CHECKING:
    from guardai.ledger import Proven, Revocation, TrustPolicy

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("prove")(prove_command)
    app.command("verify-proof")(verify_command)


def prove_command(
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="The event's id, as the log prints it.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the proof goes; default: EVENT.tlog-proof.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a proof that an event was recorded, for somebody who has the root's public key. It holds the event itself.

    What is still in a spool is sealed first.
    """
    from guardai.errors import LedgerError
    from guardai.ledger import ProofError, SealError, StoreError, find, prove

    where = ledger_in(home_of(home))
    try:
        try:
            proof = prove(where, event)
        except ProofError as error:
            if find(where, event) is None:
                refuse(str(error), next_step="guardai log lists them")
            sealed(where)
            proof = prove(where, event)
    except StoreError as error:
        unreadable(error)
    except (LedgerError, ProofError, SealError) as error:
        refuse(str(error))
    file = output or Path(f"{event}.tlog-proof")
    try:
        file.write_bytes(proof)
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}", code=USAGE)
    if as_json:
        print_json({"ok": True, "event": event, "file": str(file), "bytes": len(proof)})
        return
    console.print(f"[green]proven[/] {escape(event)}: {escape(str(file))}, {len(proof):,} bytes", soft_wrap=True)
    console.print(
        "Whoever has keys/root.pub of this home checks it: guardai verify-proof FILE --key root.pub", soft_wrap=True
    )


def verify_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof.", show_default=False)],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="PUB", help="The root's public key (PEM).", show_default=False)
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="TRUST", help="A C2SP tlog-policy: which logs and witnesses count.", show_default=False
        ),
    ] = None,
    revoked: RevokedFiles = None,
    as_json: Json = False,
) -> None:
    """Check a proof, and show what it proves. Asks nobody, and needs no ledger."""
    from guardai.ledger import ProofError, check_proof

    if (key is None) == (policy is None):
        refuse("whose word counts? Give --key or --policy", code=USAGE)
    try:
        with file.open("rb") as opened:
            data = opened.read(1 << 20)
    except OSError as error:
        refuse(f"{file}: cannot be read: {error.strerror}", code=USAGE)
    trusted = _trusted(key, policy)
    try:
        proven = check_proof(data, trusted, _revoked(revoked or [], trusted))
    except ProofError as error:
        if as_json:
            print_json({"ok": False, "error": str(error)})
        refuse(f"{file} proves nothing: {error}")
    if as_json:
        print_json({"ok": True, **_as_data(proven)})
    else:
        _print(proven)


def _trusted(key: Path | None, policy: Path | None) -> bytes | TrustPolicy:
    from guardai.errors import LedgerError
    from guardai.ledger import public_key

    if policy is not None:
        return policy_in(policy)
    assert key is not None
    try:
        return public_key(key)
    except LedgerError as error:
        refuse(str(error), code=USAGE)


def _revoked(files: list[Path], trusted: bytes | TrustPolicy) -> dict[str, Revocation]:
    from guardai.ledger import read_all

    if not files:
        return {}
    if not isinstance(trusted, bytes):
        refuse("--revoked needs the root's --key; a policy says itself which logs count", code=USAGE)
    found, notes = read_all(files, trusted)
    for note in notes:
        refuse(note, code=USAGE)
    return found


def _as_data(proven: Proven) -> dict[str, Any]:
    return {
        "id": proven.id,
        "event": msgspec.json.decode(proven.event),
        "leaf": proven.leaf,
        "origin": proven.checkpoint.origin,
        "size": proven.checkpoint.size,
        "root": proven.checkpoint.root.hex(),
        "witnesses": dict(proven.witnesses),
    }


def _print(proven: Proven) -> None:
    event = msgspec.json.decode(proven.event)
    head = proven.checkpoint
    console.print(
        f"[bold green]✓ recorded[/]  {escape(proven.id)}  {escape(str(event.get('kind', '')))}", soft_wrap=True
    )
    console.print(f"  at {_moment(event.get('ts', 0) / 1e6)} by its writer's clock", soft_wrap=True)
    console.print(f"  leaf {proven.leaf:,} of {head.size:,} in the tree of {escape(head.origin)}", soft_wrap=True)
    for name, when in proven.witnesses.items():
        console.print(f"  witnessed by {escape(name)} at {_moment(when)}", soft_wrap=True)
    sys.stdout.flush()
    sys.stdout.buffer.write(proven.event + b"\n")
    sys.stdout.buffer.flush()


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "a time that is none"
