"""What lies below python-oracledb's own classes, before SQLite: they run for real up to here, with no Oracle to be had.

In place of the library's C types for one connection and one cursor (its protocol) stand these; like them they check what
they are given, and tell of every text that would leave.
"""

import asyncio
import re
import sqlite3
import sys
from types import SimpleNamespace

import oracledb
from oracledb.base_impl import BaseConnImpl

errors = sys.modules["oracledb.errors"]
#: Makes the library's own variables, for which it needs no server.
VARIABLES = sys.modules["oracledb.thin_impl"].ThinConnImpl().create_cursor_impl(False)

TRANSACTIONS = {"SAVEPOINT guardai": "SAVEPOINT guardai", "ROLLBACK TO SAVEPOINT guardai": "ROLLBACK TO guardai"}


class Server:
    """Attributes:
    received: every text that has arrived, with what was bound to it.
    procedures: name → what a block that calls it does with its variables; returns implicit results.
    timeouts: the limit of time of each turn.
    """

    def __init__(self):
        self.received, self.procedures, self.loaded, self.queued, self.timeouts = [], {}, [], [], []
        self.commits = 0
        self.down = False
        self.stuck = None
        self.database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


class Turn:
    """One turn to the server."""

    def __init__(self, impl, work):
        self.impl, self.work = impl, work

    def process(self):
        server = self.impl.server
        server.timeouts.append(self.impl.timeout)
        if server.down:
            self.impl.healthy = False
            errors._raise_err(errors.ERR_CONNECTION_CLOSED)
        self.work()


def connection_class(server):
    class Connection(BaseConnImpl):
        def __init__(self, is_async=False):
            self.server, self.is_async, self.timeout, self.healthy = server, is_async, 0, True

        async def _process_async_operation_sub_op(self, sub_op):
            if self.server.stuck is not None:
                await self.server.stuck.wait()
            await asyncio.sleep(0)
            sub_op.process()

        def connect(self, pool):
            yield Turn(self, lambda: None)
            return self

        def close(self):
            yield Turn(self, lambda: None)

        def commit(self):
            yield Turn(self, self._commit)

        def _commit(self):
            self.server.commits += 1
            if self.server.database.in_transaction:
                self.server.database.execute("COMMIT")

        def rollback(self):
            yield Turn(self, lambda: self.server.database.in_transaction and self.server.database.execute("ROLLBACK"))

        def create_cursor_impl(self, scrollable):
            return CursorImpl(self)

        def direct_path_load(self, schema, table, columns, data, batch_size):
            yield Turn(self, lambda: self.server.loaded.append((schema, table, columns, data)))

        def create_queue_impl(self):
            options = {"deq_options_impl": None, "enq_options_impl": None, "initialize": lambda *_: None}
            return SimpleNamespace(**options, deq_one=lambda: self.server.queued.append(1))

        def supports_pipelining(self):
            return True

        def run_pipeline_with_pipelining(self, connection, results, continue_on_error):
            self.server.received.append(("PIPELINE", None))
            yield Turn(self, lambda: None)

        def run_pipeline_without_pipelining(self, connection, results, continue_on_error):
            for result in results:
                operation = result.operation
                cursor = connection.cursor()
                try:
                    yield from cursor._execute(operation.statement, operation.parameters)
                    if operation.op_type is oracledb.PipelineOpType.FETCH_ALL:
                        cursor.rowfactory = operation.rowfactory
                        self.server.received.append(("ROWS", (yield from cursor._fetchall())))
                except Exception as exc:
                    if not continue_on_error:
                        raise
                    self.server.received.append(("ERROR", type(exc).__name__))

        def get_call_timeout(self):
            return self.timeout

        def set_call_timeout(self, value):
            self.timeout = value

        def get_host(self):
            return "DB.example"

        def get_port(self):
            return 1521

        def get_service_name(self):
            return "Sales"

        def get_is_healthy(self):
            return self.healthy

        def get_instance_name(self):
            return "sales1"

    return Connection


class VarImpl:
    """A variable that the library fills in C alone: with a cursor, or with the list of what a statement returned."""

    def __init__(self, dbtype, data):
        self.metadata = SimpleNamespace(dbtype=dbtype, objtype=None)
        self.num_elements, self.is_array, self.data = 1, False, data

    def get_all_values(self):
        return [self.data]

    def get_value(self, pos):
        return self.data

    def set_value(self, pos, value):
        if isinstance(value, list):
            errors._raise_err(
                errors.ERR_UNSUPPORTED_PYTHON_TYPE_FOR_DB_TYPE,
                py_type_name=type(value).__name__,
                db_type_name=self.metadata.dbtype.name,
            )
        self.data = value


def variable(typ, *args, **kwargs):
    if typ is oracledb.DB_TYPE_CURSOR:
        return oracledb.Var._from_impl(VarImpl(typ, None))
    return VARIABLES.create_var(None, typ, *args, **kwargs)


class CursorImpl:
    def __init__(self, connection):
        self.connection = connection
        self.statement = self.rowfactory = self.fetch_vars = self.bind_vars = self.warning = None
        self.inputtypehandler = self.outputtypehandler = self.schema_impl = None
        self.fetching_arrow = self.scrollable = False
        self.rowcount, self.arraysize, self.prefetchrows = 0, 100, 2
        self.fetch_metadata, self.rows, self.results = [], [], None

    def close(self, in_del=False):
        self.rows = []

    def is_query(self, cursor):
        return self.fetch_vars is not None

    def prepare(self, statement, tag, cache_statement):
        self.statement, self.rowfactory, self.fetch_vars, self.bind_vars = statement, None, None, None

    def create_var(self, connection, typ, size=0, num_elements=1, *others, is_array=False, **more):
        return variable(typ, size, num_elements, is_array=is_array)

    def _prepare_for_execute(self, cursor, statement, parameters, keyword_parameters=None):
        if statement is None and self.statement is None:
            errors._raise_err(errors.ERR_NO_STATEMENT)
        if keyword_parameters:
            if parameters:
                errors._raise_err(errors.ERR_ARGS_AND_KEYWORD_ARGS)
            parameters = keyword_parameters
        elif parameters is not None and not isinstance(parameters, list | tuple | dict):
            errors._raise_err(errors.ERR_WRONG_EXECUTE_PARAMETERS_TYPE)
        if statement and statement != self.statement:
            self.prepare(statement, None, True)
        if parameters is not None:
            self._bind([parameters])
        self.rowcount = 0

    def _bind(self, rows):
        named = isinstance(rows[0], dict)
        made = {}
        for at, row in enumerate(rows):
            for key, value in row.items() if named else enumerate(row):
                if isinstance(value, oracledb.Var):
                    made[key] = value
                    continue
                if key not in made:
                    cursor = isinstance(value, oracledb.Cursor)
                    array = isinstance(value, list)
                    typ = oracledb.DB_TYPE_CURSOR if cursor else type(value[0] if array else value)
                    made[key] = variable(typ, 0, len(value) if array else len(rows), is_array=array)
                made[key].setvalue(at, value)
        self.named = named
        self.bind_vars = [SimpleNamespace(name=key, var=var, get_value=var.getvalue) for key, var in made.items()]

    def get_bind_vars(self):
        if self.bind_vars is None:
            return []
        if self.named:
            return {bound.name: bound.var for bound in self.bind_vars}
        return [bound.var for bound in self.bind_vars]

    def get_fetch_vars(self):
        return self.fetch_vars

    def get_implicit_results(self, connection):
        if self.results is None:
            errors._raise_err(errors.ERR_NO_STATEMENT_EXECUTED)
        return self.results

    def _prepare_for_executemany(self, cursor, statement, parameters, batch_size=0):
        if statement is not None and statement != self.statement:
            self.prepare(statement, None, True)
        if isinstance(parameters, list):
            self._bind(parameters)
        self.many, self.rowcount = parameters, 0
        self.manager = SimpleNamespace(num_rows=1, message_offset=0, next_batch=self._no_more)
        return self.manager

    def _no_more(self):
        self.manager.num_rows = 0

    def executemany(self, cursor, num_rows, batcherrors, arraydmlrowcounts, offset):
        def run():
            self.connection.server.received.append((self.statement, self.many))
            for row in self.many if isinstance(self.many, list) else ():
                self.rowcount += self._run(cursor, self.statement, row)

        yield Turn(self.connection, run)

    def parse(self, cursor):
        yield Turn(self.connection, lambda: self.connection.server.received.append((self.statement, "PARSED")))

    def execute(self, cursor):
        def run():
            values = self.get_bind_vars()
            bound = (
                {key: var.getvalue() for key, var in values.items()}
                if isinstance(values, dict)
                else [var.getvalue() for var in values]
            )
            self.connection.server.received.append((self.statement, bound))
            found = self._run(cursor, self.statement, bound)
            if found is not None:
                self.rowcount = found
            if self.connection.autocommit and found is not None:
                self.connection._commit()

        yield Turn(self.connection, run)

    def _run(self, cursor, text, bound):
        server = self.connection.server
        call = re.match(r"begin (?::retval := )?([\w.]+)\(", text)
        if call:
            self.results = server.procedures[call[1]](cursor, *self.get_bind_vars())
            return 0
        returning = re.search(r" returning (.+) into .+$", text, re.IGNORECASE)
        text = text if returning is None else text[: returning.start()] + f" RETURNING {returning[1]}"
        database = server.database
        if text in TRANSACTIONS and not database.in_transaction:
            database.execute("BEGIN")
        values = bound if isinstance(bound, dict) else {str(at): value for at, value in enumerate(bound, 1)}
        done = database.execute(TRANSACTIONS.get(text, text), values)
        if returning is not None:
            variable = self.bind_vars[-1].var
            variable._impl = VarImpl(variable.type, [row[0] for row in done.fetchall()])
            return 1
        if done.description is None:
            return max(done.rowcount, 0)
        self.describe([column[0] for column in done.description], done.fetchall())
        return None

    def describe(self, names, rows):
        self.fetch_metadata = [
            SimpleNamespace(name=name.upper(), dbtype=oracledb.DB_TYPE_VARCHAR, objtype=None) for name in names
        ]
        for at, info in enumerate(self.fetch_metadata):
            if any(isinstance(row[at], oracledb.Cursor | oracledb.AsyncCursor) for row in rows):
                info.dbtype = oracledb.DB_TYPE_CURSOR
        self.rows = list(rows)
        self.fetch_vars = [variable(str) for _ in names]

    def _row(self):
        row = self.rows.pop(0)
        self.rowcount += 1
        return row if self.rowfactory is None else self.rowfactory(*row)

    def fetch_one_row(self, cursor):
        yield Turn(self.connection, lambda: None)
        return self._row() if self.rows else None

    def fetch_n_rows(self, cursor, n):
        yield Turn(self.connection, lambda: None)
        return [self._row() for _ in range(min(n, len(self.rows)))]

    def fetch_all_rows(self, cursor):
        yield Turn(self.connection, lambda: None)
        return [self._row() for _ in range(len(self.rows))]

    def fetch_df_all(self, cursor):
        yield Turn(self.connection, lambda: None)
        return list(self.rows)

    def fetch_df_first_batch(self, cursor):
        yield Turn(self.connection, lambda: None)
        return list(self.rows)

    def fetch_df_next_batch(self, cursor):
        yield Turn(self.connection, lambda: None)
