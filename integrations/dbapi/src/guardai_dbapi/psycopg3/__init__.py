"""psycopg 3, sync and async: methods of its cursor classes are wrapped, so that everything derived from them is governed.

What waits for the server is written once, as generators: psycopg runs them under the connection's lock, for both faces.
What decides stands around the public methods, outside of the lock.

What goes round it: `pgconn` and `pgresult`, libpq's own objects, and `Copy` objects that a program makes itself.
"""

from guardai_dbapi.psycopg3.driver import Psycopg3Driver

__all__ = ["Psycopg3Driver"]
