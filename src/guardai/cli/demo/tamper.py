"""A copy of a home with one byte of one event changed: somebody else did it, says the copy."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Change", "copy_and_change"]


class Change(NamedTuple):
    """What was changed.

    Attributes:
        event: the id of the event.
        file: which file of the copy, relative to it.
        offset: the byte's place in that file.
        before, after: the user whom the event names, as recorded and as the copy has it.
    """

    event: str
    file: str
    offset: int
    before: str
    after: str


def copy_and_change(home: Path, copy: Path, event: bytes) -> Change:
    """Copies `home` to `copy` and changes one byte of `event` in it, so that it names another user.

    Events are stored as they were signed, uncompressed, so that the bytes are found wherever they lie: in a log, in the
    store, or in both. The first place is changed; a verification covers all.

    Raises:
        LookupError: the event is in no file, or names no user.
    """
    user = str(json.loads(event)["principal"]["user"])
    at = event.find(b'"user":"' + user.encode() + b'"')
    if not user or at < 0:
        raise LookupError("the event names no user")
    at += len(b'"user":"') + len(user.encode()) - 1
    shutil.copytree(home, copy)
    for file in sorted(path for path in copy.rglob("*") if path.is_file()):
        start = file.read_bytes().find(event)
        if start < 0:
            continue
        other = _other(event[at])
        with file.open("r+b") as stream:
            stream.seek(start + at)
            stream.write(bytes([other]))
        return Change(
            event=str(json.loads(event)["id"]),
            file=file.relative_to(copy).as_posix(),
            offset=start + at,
            before=user,
            after=user[:-1] + chr(other),
        )
    raise LookupError("the event is in no file of the home")


def _other(byte: int) -> int:
    """A digit becomes the next digit, anything else a letter: what stands there stays valid JSON."""
    if chr(byte).isdigit():
        return ord("0") + (byte - ord("0") + 1) % 10
    return ord("x") if byte != ord("x") else ord("y")
