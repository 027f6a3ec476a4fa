"""One connection of asyncpg's governed without patching its library: `guardai.wrap(connection)`.

The object stays the same and becomes one of a subclass of its class; so does what it makes: prepared statements, cursors,
transactions.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable
from typing import Any, Final

from guardai_dbapi.asyncpg.methods import PATCHES
from guardai_dbapi.subclasses import governed_method

__all__ = ["governed"]

#: What makes something on a connection whose class has to be a governed one, too.
_MAKING: Final = ("_prepare", "cursor", "transaction")


def governed(made: Any) -> Any:
    """The object, of a governed class from now on."""
    if not isinstance(made, _Governed):
        made.__class__ = _class(type(made))  # type: ignore[arg-type]
    return made


class _Governed:
    """Marks the classes of what is governed one by one."""

    __slots__ = ()


@functools.cache
def _class(kind: Any) -> type:
    """The subclass of a class of asyncpg's whose methods are governed. Of the same layout: an object can become one."""
    bases = {base.__name__ for base in kind.__mro__ if base.__module__.startswith("asyncpg.")}
    methods: dict[str, Any] = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    for name, wrapper in PATCHES.items():
        _, owner, attribute = name.split(".") if name.count(".") == 2 else ("", "", "")
        if owner in bases:
            methods[attribute] = governed_method(getattr(kind, attribute), wrapper)
    methods |= {name: _making(getattr(kind, name)) for name in _MAKING if hasattr(kind, name)}
    return type(kind.__name__, (_Governed, kind), methods)


def _making(original: Any) -> Any:
    async def later(made: Awaitable[Any]) -> Any:
        return governed(await made)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        return later(made) if inspect.iscoroutine(made) else governed(made)

    return method
