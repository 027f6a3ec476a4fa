"""asyncpg's cursors of an agent: real subclasses that hold masked rows alone, the rows fetched ahead included.

The library makes its cursors in `CursorFactory`, and they have slots, so an agent's are made here.
"""

# ruff: noqa: ASYNC109 - the signatures are asyncpg's
from __future__ import annotations

import functools
from typing import Any

from guardai.hooks import Run
from guardai_dbapi.asyncpg.call import begun, means, performed, shown
from guardai_dbapi.statement import Statement

__all__ = ["governed_cursor", "governed_iterator"]


def governed_iterator(iterator: Any, run: Run) -> Any:
    """What `async for` goes through, in place of the library's own."""
    kind, _ = _classes()
    if isinstance(iterator, kind):
        return iterator
    made = kind(
        iterator._connection,
        iterator._query,
        iterator._state,
        iterator._args,
        iterator._record_class,
        iterator._prefetch,
        iterator._timeout,
    )
    made._guardai_run = run
    return made


async def governed_cursor(factory: Any, run: Run) -> Any:
    """What `await connection.cursor(…)` gives."""
    _, kind = _classes()
    cursor = kind(factory._connection, factory._query, factory._state, factory._args, factory._record_class)
    cursor._guardai_run = run
    return await cursor._init(factory._timeout)


class _Governed:
    """In front of a cursor class of asyncpg's.

    INVARIANT: what `_bind_exec` and `_exec` return, and so what any buffer holds, has been masked.
    """

    __slots__ = ()

    _connection: Any
    _args: Any
    _exhausted: bool
    _guardai_run: Run
    _guardai: Statement | None
    _query: str
    _state: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._guardai = None  # type: ignore[misc]

    async def _begin(self) -> Statement:
        """Once: before the statement is sent to be prepared."""
        if self._guardai is None:
            statement = await begun(self._connection, self._guardai_run, self._query, tuple(self._args))
            ticket = statement.ticket
            if ticket.plan.changes and ticket.obligations.affected_cap is not None:
                ticket.impossible("a cursor does not tell how many rows it changes, and policy limits them")
            self._args = statement.parameters
            self._guardai = statement  # type: ignore[misc]
            ticket.run.open.add(ticket)  # the session's end is its end, if nobody comes to it
        return self._guardai

    async def _sound(self, statement: Statement, work: Any) -> Any:
        """Awaits what may fail; `StopAsyncIteration` is no failure."""
        try:
            return await work
        except StopAsyncIteration:
            raise
        except BaseException as exc:
            statement.failed(exc, **means(self._connection, exc))
            raise

    def _began(self, statement: Statement) -> None:
        if statement.rows is None:
            statement.began([attribute.name for attribute in self._state._get_attributes()])

    def _passed(self, statement: Statement, records: list[Any]) -> list[Any]:
        passed = shown(statement, records)
        self._over()
        return passed

    def _over(self) -> None:
        if self._exhausted and self._guardai is not None and self._guardai.rows is not None:
            self._guardai.rows.end()

    async def _bind(self, timeout: Any) -> Any:
        statement = await self._begin()
        bound = super()._bind  # type: ignore[misc]
        result = await performed(self._connection, statement, lambda _: bound(timeout))
        self._began(statement)
        return result

    async def _bind_exec(self, n: int, timeout: Any) -> Any:
        statement = await self._begin()
        executed = super()._bind_exec  # type: ignore[misc]
        records = await performed(self._connection, statement, lambda _: executed(n, timeout))
        self._began(statement)
        return self._passed(statement, records)

    async def _exec(self, n: int, timeout: Any) -> Any:
        statement = await self._begin()
        executed = super()._exec  # type: ignore[misc]
        # What stands around the statement stands around each part of it: what changes rows does so when it is first read.
        records = await performed(self._connection, statement, lambda _: executed(n, timeout))
        return self._passed(statement, records)

    def __del__(self) -> None:
        if self._guardai is not None:
            self._guardai.ticket.abandon()
        super().__del__()  # type: ignore[misc]


@functools.cache
def _classes() -> tuple[Any, Any]:
    from asyncpg.cursor import Cursor, CursorIterator

    class GovernedIterator(_Governed, CursorIterator):  # type: ignore[misc]
        __slots__ = ("_guardai", "_guardai_run")

        async def __anext__(self) -> Any:
            statement = await self._begin()
            return await self._sound(statement, super().__anext__())

    class GovernedCursor(_Governed, Cursor):  # type: ignore[misc]
        __slots__ = ("_guardai", "_guardai_run")

        async def _init(self, timeout: Any) -> Any:
            statement = await self._begin()
            return await self._sound(statement, super()._init(timeout))

        async def fetch(self, n: int, *, timeout: Any = None) -> Any:
            records = await super().fetch(n, timeout=timeout)
            self._over()
            return records

        async def fetchrow(self, *, timeout: Any = None) -> Any:
            record = await super().fetchrow(timeout=timeout)
            self._over()
            return record

        async def forward(self, n: int, *, timeout: Any = None) -> int:
            moved: int = await super().forward(n, timeout=timeout)
            self._over()
            return moved

    for made, kind in ((GovernedIterator, CursorIterator), (GovernedCursor, Cursor)):
        made.__name__, made.__qualname__, made.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return GovernedIterator, GovernedCursor
