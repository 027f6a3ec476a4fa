"""Results that come later, in a pipeline, and cursors that pass from an agent to the application."""

from __future__ import annotations

from typing import Any

from guardai_dbapi.psycopg3.governed import Governed
from guardai_dbapi.psycopg3.makers import Passing, Slot, borne_by, nothing_made

__all__ = ["has_been_sent", "kept", "left", "replaced"]


def has_been_sent(cursor: Any, governed: Governed) -> None:
    """It has been sent. Outside of a pipeline its results are there; within, they are told to us when they come."""
    pipeline = governed.outer
    if pipeline is not None:
        queue = pipeline.result_queue
        for at, entry in enumerate(queue):
            if entry is not None and entry[0] is cursor:
                queue[at] = (_Receipt(cursor, governed), entry[1])
                governed.pending += 1
    if not governed.pending:
        governed.settle(cursor)


class _Receipt:
    """Stands for the cursor in a pipeline's queue: results go to the statement that they are of."""

    __slots__ = ("_cursor", "_governed")

    def __init__(self, cursor: Any, governed: Governed) -> None:
        self._cursor = cursor
        self._governed = governed

    @property
    def _conn(self) -> Any:
        return self._cursor._conn

    def _check_results(self, results: Any) -> None:
        try:
            self._cursor._check_results(results)
        except BaseException as exc:
            self._governed.pending -= 1
            self._governed.failed(self._cursor, exc)
            raise

    def _set_results(self, results: Any) -> None:
        cursor, governed = self._cursor, self._governed
        now = borne_by(cursor)
        latest = now is governed and not governed.superseded
        governed.superseded = False
        if not latest:
            Slot.set(cursor, Passing(governed, nothing_made, cursor))
        cursor._set_results(results)
        governed.pending -= 1
        if not governed.pending:
            governed.settle(cursor)
        if not latest:
            # The next results are those of a later statement.
            governed.superseded = True


def left(cursor: Any) -> Governed | None:
    """The application takes a cursor that bears an agent's statement."""
    before = borne_by(cursor)
    if before is None or before.superseded:
        return None
    before.superseded = True
    return before


def replaced(before: Governed | None) -> None:
    """The application's statement has replaced it."""
    if before is not None:
        before.release()


def kept(cursor: Any, before: Governed | None) -> None:
    """The application's statement has failed: what it would have replaced is over, or still there if it has not."""
    if before is None:
        return
    if borne_by(cursor) is before and cursor.pgresult is not None:
        before.superseded = False
    else:
        before.release()
