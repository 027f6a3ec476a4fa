"""asyncpg: its own classes are patched, and what is prepared is judged before it reaches the server."""

from guardai_dbapi.asyncpg.driver import AsyncpgDriver

__all__ = ["AsyncpgDriver"]
