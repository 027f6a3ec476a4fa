"""`guardai keys`: who vouches for the ledger: make keys, list them, have another host take over, revoke one, show the public ones.

Exit codes: 0 done, 1 refused, 2 wrong usage, or a key or a file cannot be used.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from guardai.cli.options import USAGE, Home, Json, at_hand, console, home_of, print_json, refuse

if TYPE_CHECKING:
    from guardai.ledger import KnownHost, KnownKeys, Root

__all__ = ["app"]

app: Final = typer.Typer(help="The keys that vouch for the ledger: root, hosts, revocations.", no_args_is_help=True)

RootKey = Annotated[
    str,
    typer.Option(
        "--root-key",
        envvar="GUARDAI_ROOT_KEY",
        metavar="KEY",
        help="The root's private key, if it is not in the home: a PEM file, or a URI of a KMS or HSM with # and the file of its "
        "public key.",
        show_default=False,
    ),
]


@app.command("init")
def init_command(root_key: RootKey = "", home: Home = None, as_json: Json = False) -> None:
    """Make the keys of a home. Programs do so by themselves, with a root in a file; this is for a root that is elsewhere.

    Exit codes: 0 made, 1 there are keys already, 2 a key or a file cannot be used.
    """
    from guardai.ledger import init_keys, known_keys, open_keys

    where = home_of(home)
    if (where / "keys" / "host.cert").exists():
        refuse(f"{where / 'keys'} has keys already", next_step="guardai keys list shows them")
    root = _root(root_key, None)
    try:
        if root is not None:
            init_keys(where, root)
        else:
            open_keys(where)
    except OSError as error:
        refuse(f"{error.filename or where}: {error.strerror}", code=USAGE)
    known = known_keys(where)
    if as_json:
        print_json({"ok": True, **_as_data(known)})
        return
    console.print(f"[green]made[/] the keys of {escape(str(where))}", soft_wrap=True)
    _print(known)
    console.print(f"Whoever is to check this ledger needs {escape(str(where / 'keys' / 'root.pub'))}.", soft_wrap=True)


@app.command("list")
def list_command(home: Home = None, as_json: Json = False) -> None:
    """Show the root, and every host that it vouches for.

    Exit codes: 0 shown, 2 the home has no keys, or they cannot be read.
    """
    from guardai.errors import LedgerError
    from guardai.ledger import known_keys

    try:
        known = known_keys(_at(home))
    except LedgerError as error:
        refuse(str(error), next_step="guardai keys init makes keys", code=USAGE)
    if as_json:
        print_json(_as_data(known))
    else:
        _print(known)


@app.command("rotate")
def rotate_command(root_key: RootKey = "", home: Home = None, as_json: Json = False) -> None:
    """Have the root certify another host key, which takes over. Running programs follow at their next event a second later.

    Exit codes: 0 done, 1 refused, 2 a key or a file cannot be used.
    """
    from guardai.ledger import rotate
    from guardai.lineage import EdgeTable

    where = _at(home)
    done = rotate(where, _root(root_key, where), EdgeTable())
    if as_json:
        print_json({"ok": True, "former": done.former, "current": done.current})
        return
    console.print(f"[green]rotated[/] host {done.current} has taken over from {done.former or 'none'}", soft_wrap=True)


@app.command("revoke")
def revoke_command(
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="The host's id, as the list shows it.", show_default=False)
    ],
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="From when on nothing of its is believed, 2027-03-01T08:00:00Z say; default: from when on no program of this home "
            "can be using it any more.",
            show_default=False,
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Stands in the revocation.")] = "",
    root_key: RootKey = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have the root say that a host's key is not to be believed any more. If it is the current one, another takes over first.

    Exit codes: 0 done, 1 refused, 2 a key or a file cannot be used.
    """
    from guardai.ledger import revoke
    from guardai.lineage import EdgeTable

    where, micros = _at(home), _micros(since)
    done = revoke(where, host, _root(root_key, where), since=micros, reason=reason, projection=EdgeTable())
    if as_json:
        told = {"host": done.host, "since": done.since, "current": done.current, "file": str(done.file)}
        print_json({"ok": True, **told})
        return
    console.print(
        f"[green]revoked[/] host {done.host} from {_moment(done.since)} on; {done.current} signs now", soft_wrap=True
    )
    console.print(
        f"Give {escape(str(done.file))} to whoever checks your exports and proofs: a thief would leave it out.",
        soft_wrap=True,
    )


@app.command("export-public")
def export_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.", show_default=False)
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write what anybody may have: the root's public key, the hosts' certificates, revocations, and a C2SP tlog-policy of them.

    Exit codes: 0 written, 1 refused, 2 a file cannot be read or written.
    """
    from guardai.ledger import export_public

    try:
        trusted = export_public(_at(home), output)
    except OSError as error:
        refuse(f"{error.filename or output}: {error.strerror}", code=USAGE)
    if as_json:
        told = {"folder": str(output), "hosts": len(trusted.hosts), "revoked": len(trusted.revoked)}
        print_json({"ok": True, "origin": trusted.origin, **told})
        return
    console.print(
        f"[green]written[/] {escape(str(output))}: the public keys of {trusted.origin}, {len(trusted.hosts)} hosts, "
        f"{len(trusted.revoked)} of them revoked",
        soft_wrap=True,
    )


def _at(home: Path | None) -> Path:
    """The home, whose store can be read."""
    where = home_of(home)
    at_hand(where)
    return where


def _root(given: str, home: Path | None) -> Root | None:
    from guardai.cli.bundle import passphrase
    from guardai.ledger import root_at

    return root_at(given, passphrase, home / "keys" / "root.pub" if home is not None else None) if given else None


def _micros(since: str) -> int | None:
    from datetime import UTC, datetime, timedelta

    from guardai.policy.trust.manifest import moment

    try:
        return (moment(since) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) if since else None
    except ValueError:
        refuse(f"--since {since}: no time; write 2027-03-01 or 2027-03-01T08:00:00Z", code=USAGE)


def _as_data(known: KnownKeys) -> dict[str, Any]:
    return {
        "root": {"id": known.root, "kind": known.kind, "private": known.private},
        "hosts": [_host_as_data(host) for host in known.hosts],
        "notes": list(known.notes),
    }


def _host_as_data(host: KnownHost) -> dict[str, Any]:
    data = {"id": host.id, "since": host.since, "until": host.until, "state": host.state, "private": host.private}
    if (one := host.revocation) is not None:
        data["revocation"] = {"since": one.since, "made": one.made, "reason": one.reason}
    return data


def _print(known: KnownKeys) -> None:
    console.print(
        f"root {known.root}  {known.kind}  {'its private key is here' if known.private else 'its private key is elsewhere'}",
        soft_wrap=True,
    )
    for host in known.hosts:
        colour = {"current": "green", "former": "dim"}.get(host.state, "red")
        key = ", its private key is here" if host.private else ""
        console.print(
            f"host {host.id}  [{colour}]{host.state}[/]  {_moment(host.since)} to {_moment(host.until)}{key}",
            soft_wrap=True,
        )
        if (one := host.revocation) is not None:
            why = f": {escape(one.reason)}" if one.reason else ""
            console.print(f"  revoked from {_moment(one.since)} on{why}", soft_wrap=True)
    for note in known.notes:
        console.print(f"  [yellow]?[/] {escape(note)}", soft_wrap=True)


def _moment(micros: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(micros / 1e6))
    except (OverflowError, OSError, ValueError):
        return "a time that is none"
