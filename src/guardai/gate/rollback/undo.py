"""Takes back what one statement did, if its rows are still as it left them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardai.gate.faces import opened
from guardai.gate.rollback.engines import RollbackError
from guardai.gate.run import HERE
from guardai.gate.runtime import Runtime
from guardai.ledger import find
from guardai.model import Call, Target
from guardai.sql import Image

if TYPE_CHECKING:
    from guardai.gate.rollback.engines import Engine

__all__ = ["Kept", "State", "fits", "kept", "state", "take_back", "why_not"]

#: `left`: as the statement left them. `before`: as they were before it. `changed`: neither. `nothing`: it changed none.
State = Literal["left", "before", "changed", "nothing"]


class Kept(msgspec.Struct, frozen=True):
    """What is known of a statement whose rows were kept.

    Attributes:
        event: the id of its intent.
        outcome: that of its outcome, or again of its intent where it has none.
        intent: the record.
        image: the rows. Holds data.
    """

    event: str
    outcome: str
    intent: Mapping[str, Any]
    image: Image


def kept(runtime: Runtime, home: Path, event: str) -> Kept:
    """The rows that were kept for a statement.

    Args:
        runtime: the process's.
        home: where the ledger is.
        event: the id of the statement's intent or outcome.

    Raises:
        RollbackError: there are none.
        VaultError: they cannot be read.
    """
    found = find(home, event)
    if found is None:
        raise RollbackError(f"there is no event {event} under {home}")
    intent = outcome = msgspec.json.decode(found)
    if outcome["kind"] == "call.outcome" and outcome.get("lineage"):
        found = find(home, outcome["lineage"][0]["from"])
        intent = msgspec.json.decode(found) if found is not None else intent
    content = runtime.images.get(intent["id"]) if runtime.images is not None else None
    if content is None:
        raise RollbackError(
            f"no rows are kept for event {event}: policy did not ask for it (@capture), or they have expired"
        )
    image = msgspec.json.decode(content, type=Image)
    if image.left is None:
        raise RollbackError("the statement did not come to its end, as far as is known; there is nothing to take back")
    return Kept(intent["id"], outcome["id"], intent, image)


def fits(engine: Engine, image: Image) -> None:
    """INVARIANT: rows go back to the database that they are of, which is the one that policy is asked about.

    Raises:
        RollbackError: this is another one.
    """
    if engine.dialect.replace("mariadb", "mysql") != image.dialect.replace("mariadb", "mysql"):
        raise RollbackError(f"the rows are of {image.dialect}, and this is {engine.dialect}")
    if not engine.holds(image.uri):
        raise RollbackError(f"the rows are of {image.uri}, and this is another database")


def state(engine: Engine, image: Image) -> tuple[State, int]:
    """How the rows are now, and how many are not as the statement left them. They are locked until the transaction ends."""
    if not image.changed:
        return "nothing", 0
    now = [row for sql in image.now() for row in engine.query(sql)]
    differing = image.differs(now)
    if not differing:
        return "left", 0
    return ("before" if image.same(now) else "changed"), differing


def why_not(how: State, differing: int, of: int) -> str:
    """Why rows in this state are not put back, in plain words."""
    if how == "nothing":
        return "the statement left every row as it was; there is nothing to put back"
    if how == "before":
        return "the rows are as they were before the statement: it was not committed, or has been taken back already"
    return f"{differing:,} of {of:,} rows are not as the statement left them any more"


def take_back(
    runtime: Runtime, engine: Engine, found: Kept, progress: Callable[[str, int, int], None] = lambda *_: None
) -> int:
    """Puts the rows back, in one transaction, on the road: policy decides on it, and it is recorded.

    Returns:
        How many rows were put back.

    Raises:
        PolicyDenied: it may not be done; nothing happened.
        RollbackError: it cannot be done; nothing happened.
    """
    image = found.image
    fits(engine, image)
    here = HERE.get()
    if here is not None:
        here.run.fed.read(found.outcome)
    call = Call("db", Target("database", image.uri), statement=image.template, dialect=image.dialect)
    ticket = opened(runtime.gate, call)
    try:
        engine.begin(image.settings)
        count = _put_back(engine, image, progress)
        engine.commit()
    except BaseException as exc:
        engine.back()
        ticket.fail(exc)
        raise
    ticket.close(None, affected=count)
    return count


def _put_back(engine: Engine, image: Image, progress: Callable[[str, int, int], None]) -> int:
    how, differing = state(engine, image)
    if how != "left":
        raise RollbackError(why_not(how, differing, len(image.rows)))
    statements = image.undone(engine.writable(image.table))
    for done, sql in enumerate(statements):
        if engine.run(sql) != 1:
            raise RollbackError("a row could not be put back")
        progress("putting back", done + 1, len(statements))
    if not image.same([row for sql in image.now() for row in engine.query(sql)]):
        raise RollbackError(
            "the rows would not be as they were before the statement: something else changes them with it, a trigger say"
        )
    return len(statements)
