"""asyncpg's driver: what is patched when its package is imported, and one connection without patching."""

from __future__ import annotations

from typing import Any

from guardai.hooks import Hooks
from guardai_dbapi.asyncpg.methods import PATCHES
from guardai_dbapi.asyncpg.one import governed

__all__ = ["AsyncpgDriver"]


class AsyncpgDriver:
    """asyncpg, with or without pools."""

    library = "asyncpg"
    targets: tuple[str, ...] = ("asyncpg",)
    versions = ">=0.29,<1"

    def install(self, hooks: Hooks) -> None:
        """Waits for the whole package: its pool copies the connection's methods when it is imported."""
        for name, wrapper in PATCHES.items():
            hooks.wrap(f"asyncpg:{name}", wrapper)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, or the one that a pool lent: the same object, its class a governed subclass."""
        if not any(kind.__module__ == "asyncpg.connection" for kind in type(obj).__mro__):
            return None
        connection = getattr(obj, "_con", obj)
        if hasattr(connection, "_executemany"):
            governed(connection)
        return obj
