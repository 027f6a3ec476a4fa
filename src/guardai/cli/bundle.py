"""`guardai bundle`: from a policy folder to a signed file, and from there to every process."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from guardai.cli.options import USAGE, Home, Json, console, home_of, print_json, refuse
from guardai.cli.policy import detectors_tried, pack_labels
from guardai.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

__all__ = ["SigningKeys", "app", "passphrase", "signers_of"]

SigningKeys = Annotated[
    list[str],
    typer.Option(
        "--key",
        metavar="KEY",
        help="A private key: a PEM file, or a URI of a KMS or HSM with # and the file of its public key; repeat it.",
        show_default=False,
    ),
]

#: Seconds that one who signs waits for another, who has only a small file to write.
_PATIENCE: Final = 10.0

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
    from guardai.policy.trust.writing import put

    if not directory.is_dir():
        refuse(f"{directory}: no such folder", code=USAGE, next_step="Name one with policies/*.cedar in it.")
    labels = pack_labels()
    problems = check(directory, labels)
    problems += detectors_tried(directory, problems, home_of(home) / "cache")
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
        data = build(directory, labels, name=name, version=version, created=begun, expires=until)
        bundle = Bundle.load(output, labels, data=data, now=datetime.min.replace(tzinfo=UTC))
        put(output, data)
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
    except OverflowError:
        refuse(f"{expires}: no calendar goes that far", code=USAGE)
    try:
        return moment(expires)
    except ValueError:
        refuse(f"{expires}: no time; write 2027-03-01, or 90d", code=USAGE)


@app.command("key")
def key_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key; FILE.pub is the public one.")],
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Ask for a passphrase, or take GUARDAI_KEY_PASSPHRASE.")
    ] = False,
) -> None:
    """Make a key pair that signs bundles (Ed25519). Whoever has the private key decides what agents may do.

    Exit codes: 0 made, 2 a file is there already, or cannot be written.
    """
    from guardai.policy.trust.keys import make

    key = make(file, passphrase(str(file), confirm=True) if encrypt else "")
    how = "encrypted" if encrypt else "not encrypted, readable by you alone"
    console.print(
        f"[green]made[/] {escape(str(file))} ({how}) and {escape(str(file))}.pub, key {key.keyid}", soft_wrap=True
    )


@app.command("sign")
def sign_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle file.", show_default=False)],
    keys: SigningKeys,
) -> None:
    """Sign a bundle file; the signatures go into FILE.dsse, beside those of others.

    Exit codes: 0 signed, 1 it is no bundle, or FILE.dsse is no envelope, 2 a key or a file cannot be used.
    """
    from guardai.policy.trust.build import honest
    from guardai.policy.trust.signed import beside, sign

    signers = signers_of(keys)
    envelope = beside(file)
    try:
        data = _content(file)
        honest(data, pack_labels())
        _gather(envelope, sign(data, signers))
    except BundleError as error:
        refuse(f"{file}: {error}")
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}", code=USAGE)
    for one in signers:
        console.print(f"[green]signed[/] {escape(str(file))} with key {one.public_key.keyid}", soft_wrap=True)
    console.print(f"The signatures: {escape(str(envelope))}", soft_wrap=True)


def _gather(file: Path, envelope: bytes) -> None:
    """Puts the signatures beside those that are there by now: somebody else may have signed while a person found their PIN."""
    from guardai.policy.trust.lock import held
    from guardai.policy.trust.signed import gathered
    from guardai.policy.trust.writing import put

    with held(file.with_name(f".{file.name}.lock"), _PATIENCE, what="envelope", mode=0o666):
        try:
            whole = gathered(envelope, _content(file)) if file.exists() else envelope
        except BundleError as error:
            refuse(f"{file} is no envelope; remove it to sign anew ({error})")
        put(file, whole)


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle file.", show_default=False)],
    key: Annotated[
        list[Path],
        typer.Option("--key", metavar="PUB", help="A public key that counts; repeat it.", show_default=False),
    ],
    threshold: Annotated[
        int,
        typer.Option(min=0, help="How many of the keys must have signed; default: all of them.", show_default=False),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Check who signed a bundle file, that it is whole, and that it can be used.

    Exit codes: 0 good, 1 refused, 2 a key or a file cannot be read.
    """
    from guardai.policy import Bundle
    from guardai.policy.trust.keys import public_all
    from guardai.policy.trust.signed import beside, verify

    counted = public_all(key)
    wanted = threshold or len(counted)
    if wanted > len(counted):
        refuse(f"--threshold is {wanted}, and there are {len(counted)} different keys", code=USAGE)
    data, envelope = _content(file), beside(file)
    try:
        if not envelope.exists():
            raise BundleError(f"nobody signed it: there is no {envelope}")
        good = verify(data, _content(envelope), counted, wanted)
        bundle = Bundle.load(file, pack_labels(), data=data)
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "error": str(error)})
        refuse(f"{file}: {str(error).removeprefix(f'{file}: ')}")
    if as_json:
        told = {"name": bundle.name, "version": bundle.version, "digest": bundle.digest}
        print_json({"ok": True, **told, "keys": good, "threshold": wanted})
        return
    console.print(
        f"[green]good[/] {escape(bundle.name)} {escape(bundle.version)}, digest {bundle.digest}, signed by "
        f"{', '.join(good)}",
        soft_wrap=True,
    )


def signers_of(keys: list[str]) -> list[Signer]:
    """What signs with the keys that the command was given."""
    from guardai.policy.trust.keys import signer

    return [signer(key, passphrase) for key in keys]


def passphrase(what: str, *, confirm: bool = False) -> str:
    """The passphrase of a key: of GUARDAI_KEY_PASSPHRASE, or asked for."""
    given = os.environ.get("GUARDAI_KEY_PASSPHRASE", "")
    if given:
        return given
    if not sys.stdin.isatty():
        raise ConfigError(f"{what} needs a passphrase, and nobody can be asked. Set GUARDAI_KEY_PASSPHRASE.")
    try:
        asked: str = typer.prompt(f"passphrase of {what}", hide_input=True, confirmation_prompt=confirm, err=True)
    except typer.Abort:  # an error to whatever signs; this one goes through
        raise KeyboardInterrupt from None
    return asked


def _content(file: Path) -> bytes:
    from guardai.policy.trust.archive import MAX_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        refuse(f"{file}: cannot be read: {error.strerror}", code=USAGE)
