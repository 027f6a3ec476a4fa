"""A bar on stderr for work that has taken a second, and for people only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar"]

_PATIENCE: float = 1.0


class Bar:
    """Shows what is being worked on; nothing before a second is over, nothing where nobody looks.

    Args:
        doing: `scanning`.
        shown: whether it may be shown at all.
    """

    def __init__(self, doing: str, *, shown: bool) -> None:
        self._doing, self._shown = doing, shown
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, of: int) -> None:
        """`what` is being worked on, `done` are done, of `of` (0: nobody knows)."""
        if self._bar is None:
            if not self._shown or time.monotonic() - self._began < _PATIENCE:
                return
            self._start()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=of or None, what=what[-60:])

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True, highlight=False)
        if not console.is_terminal:
            self._shown = False
            return
        columns = (
            TextColumn(self._doing),
            BarColumn(),
            TextColumn("{task.completed:,.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", markup=False),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(self._doing, total=None, what="")
        self._bar.start()
