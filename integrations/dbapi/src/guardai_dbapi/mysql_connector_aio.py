"""`mysql.connector.aio`: what `mysql_connector` says of the library that waits, each step awaited."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any, Final

from guardai.hooks import Hooks, Run
from guardai_dbapi.mysql_connector import CONNECTION, CURSORS, Plan, Steps, governed, iterated
from guardai_dbapi.subclasses import governed_class

__all__ = ["MysqlConnectorAioDriver"]

_HOME: Final = "mysql.connector.aio"


class MysqlConnectorAioDriver:
    """mysql-connector-python's own asynchronous connections, for MySQL and MariaDB."""

    library = "mysql-connector-python"
    targets: tuple[str, ...] = (f"{_HOME}.connection", f"{_HOME}.cursor")
    versions = ">=26.10,<27"

    def install(self, hooks: Hooks) -> None:
        """Wraps what sends and what reads; connections that are open already are governed too."""
        for kind, methods in CURSORS.items():
            for name, plan in methods.items():
                hooks.wrap(f"{_HOME}.cursor:{kind}.{name}", _awaited(plan))
        for name, wrapper in _CONNECTION.items():
            hooks.wrap(f"{_HOME}.connection:MySQLConnection.{name}", wrapper)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not any(kind.__module__ == f"{_HOME}.connection" for kind in type(obj).__mro__):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _subclass(kind)
        return obj


def _awaited(plan: Plan) -> Any:
    async def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        steps = plan(wrapped, instance, args, kwargs)
        return await (wrapped(*args, **kwargs) if steps is None else _run(steps))

    return wrapper


async def _run(steps: Steps) -> Any:
    try:
        step = next(steps)
        while True:
            try:
                got = await step
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as end:
        return end.value


def _cmd_query_iter(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = iterated(connection, args, kwargs)
    results = wrapped(*args, **kwargs)
    return results if found is None else _each(results, connection, *found)


async def _each(results: Any, connection: Any, run: Run, text: str) -> AsyncIterator[Any]:
    async with contextlib.aclosing(results):
        yield await _run(governed(connection, run, text, None, lambda _: anext(results)))
        async for result in results:
            yield result


_CONNECTION: Final[dict[str, Any]] = {
    **{name: _awaited(plan) for name, plan in CONNECTION.items()},
    "cmd_query_iter": _cmd_query_iter,
}


@functools.cache
def _subclass(kind: Any) -> Any:
    """The governed subclass of a connection's class. Its cursors are judged and masked by what they send and read."""
    return governed_class(kind, _CONNECTION, _guardai_governed=True)
