"""pymssql: judged and masked at the low-level connection, by which everything else of the library's sends and reads.

`pymssql.Connection` and `Cursor` are immutable C types, but all that they do they ask of an object of `_mssql`'s. That one
is of a governed subclass from its opening on; the library's own connections and cursors stay what they are, what a program
does by `connection._conn` is governed as they are, and so are connections of a `connect` that it kept from before `init`.

What goes round it: `MSSQLConnection(…)` and the C types' own methods called by name, connections that were open before
`init` (see `guardai.wrap`), and what the server says in messages (`PRINT`) and in errors.

INVARIANT: rows of an agent's leave the low-level connection masked, those of each further result by its own columns.
"""

from guardai_dbapi.pymssql.driver import PymssqlDriver

__all__ = ["PymssqlDriver"]
