"""Sessions go where work goes: into threads and into pools.

Tasks and `asyncio.to_thread` copy the context by themselves. A thread starts with an empty one, and a pool's worker
keeps the one in which it was born, so that one user's task would run as another.

INVARIANT: the session of a submitted piece of work is that of its submitter, captured for each submit; a worker itself
has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardai.gate import HERE, Here

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.hooks.patches import Hooks

__all__ = ["install"]


def install(hooks: Hooks) -> None:
    """Carries the session into threads and thread pools."""
    hooks.wrap("threading:Thread.start", _start)
    hooks.wrap("concurrent.futures.thread:ThreadPoolExecutor.submit", _submit)
    for method in ("apply_async", "_map_async", "imap", "imap_unordered"):
        hooks.wrap(f"multiprocessing.pool:Pool.{method}", _hand_over)


def _start(wrapped: Any, thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = HERE.get()
    # The workers of a ThreadPool are no piece of work: they must not keep the session in which they were born.
    if here is not None and "run" not in vars(thread) and not hasattr(thread, "exitcode"):
        run = thread.run

        def carried() -> None:
            del thread.run  # as it was: the instance must not keep itself alive through this function
            HERE.set(here)
            run()

        thread.run = carried
    return wrapped(*args, **kwargs)


def _submit(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = HERE.get()
    if here is None or not args:
        return wrapped(*args, **kwargs)
    function, *rest = args
    HERE.set(None)  # a worker that is born now must not inherit it
    try:
        return wrapped(_Carried(here, function), *rest, **kwargs)
    finally:
        HERE.set(here)


def _hand_over(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = HERE.get()
    if here is None or not args or not _of_threads(pool):
        return wrapped(*args, **kwargs)
    return wrapped(_Carried(here, args[0]), *args[1:], **kwargs)


def _of_threads(pool: Any) -> bool:
    # What goes to another process has to be pickled; a session cannot be.
    return any(kind.__name__ == "ThreadPool" for kind in type(pool).__mro__)


class _Carried:
    """A function with the session of whoever submitted it."""

    __slots__ = ("_function", "_here")

    def __init__(self, here: Here, function: Callable[..., Any]) -> None:
        self._here = here
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = HERE.get()
        HERE.set(self._here)
        try:
            return self._function(*args, **kwargs)
        finally:
            HERE.set(before)
