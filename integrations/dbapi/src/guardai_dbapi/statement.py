"""One statement of an agent at a driver: what all drivers share, without I/O.

A driver's file does what this says, sync or async::

    run = acting(sql, dialect)                  None: the application's own, left alone
    statement = begin(...)                      decided, parameters masked, intent recorded
    statement.guarded(...)                      what has to stand around the effect
    perform(query, statement, effect)           or `await aperform(…)`, or `yield from gperform(…)`
    statement.began(…) / statement.wrote(…)     rows come, or not

`query` runs a text of ours on the same connection, unseen by the gate, and drops what comes back; `ask` runs a query of ours
and hands over what comes back, as tuples, whatever rows the program wants.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from guardai import GuardError, PolicyDenied
from guardai.hooks import Answer, Ask, Call, Capture, LiveSchema, Rows, Run, Target, Ticket, opened

__all__ = ["Guard", "Statement", "aperform", "begin", "gperform", "perform"]

T = TypeVar("T")

_NAME: Final = "guardai"


class Guard(NamedTuple):
    """What runs on the connection around one statement.

    Attributes:
        before: before it.
        after: when it has run.
        back: instead of `after`, when it did more than it may.
        failed: when it raised. What fails there is passed over: the statement's own error counts.
        locked: the engine refuses whatever is no read.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    locked: bool = False


_NONE: Final = Guard()
_TEXT: Final = (str, bytes, bytearray, memoryview)

#: Dialect → begin, begin for reading alone, savepoint, release, back to it. "" is what the engine does not have.
_WORDS: Final = {
    "postgres": (
        "BEGIN",
        "BEGIN READ ONLY",
        f"SAVEPOINT {_NAME}",
        f"RELEASE SAVEPOINT {_NAME}",
        f"ROLLBACK TO SAVEPOINT {_NAME}",
    ),
    "mysql": (
        "START TRANSACTION",
        "START TRANSACTION READ ONLY",
        f"SAVEPOINT {_NAME}",
        f"RELEASE SAVEPOINT {_NAME}",
        f"ROLLBACK TO SAVEPOINT {_NAME}",
    ),
    "sqlite": ("", "", f"SAVEPOINT {_NAME}", f"RELEASE {_NAME}", f"ROLLBACK TO {_NAME}"),
    "duckdb": ("BEGIN TRANSACTION", "BEGIN TRANSACTION READ ONLY", "", "", ""),
    # A savepoint goes with its transaction.
    "oracle": ("", "", f"SAVEPOINT {_NAME}", "", f"ROLLBACK TO SAVEPOINT {_NAME}"),
    # A transaction within another only counts up and down, so this holds in one and outside of any.
    "tsql": (
        "",
        "",
        f"BEGIN TRANSACTION SAVE TRANSACTION {_NAME}",
        "COMMIT TRANSACTION",
        f"ROLLBACK TRANSACTION {_NAME}",
    ),
}
_REMEMBER: Final = f"SELECT set_config('{_NAME}.timeout', current_setting('statement_timeout'), false); "
#: Setting a limit of time, in milliseconds and seconds, and putting the former one back.
_TIMES: Final = {
    "postgres": (
        _REMEMBER + "SELECT set_config('statement_timeout', '{ms}', false)",
        f"SELECT set_config('statement_timeout', current_setting('{_NAME}.timeout'), false)",
    ),
    "mysql": (
        f"SET @{_NAME}_timeout = @@SESSION.max_execution_time, SESSION max_execution_time = {{ms}}",
        f"SET SESSION max_execution_time = @{_NAME}_timeout",
    ),
    "mariadb": (
        f"SET @{_NAME}_timeout = @@SESSION.max_statement_time, SESSION max_statement_time = {{s}}",
        f"SET SESSION max_statement_time = @{_NAME}_timeout",
    ),
}


class Statement:
    """From the decision to the end of the rows.

    Attributes:
        parameters: as policy lets them leave; what was given if nothing is masked.
        guard: what stands around the effect.
        capture: what keeps the rows as they are before they change; None if nothing has to.
        rows: what passes the result's rows; None before `began`.
    """

    __slots__ = ("capture", "guard", "parameters", "rows", "ticket")

    def __init__(self, ticket: Ticket, parameters: Any) -> None:
        self.ticket = ticket
        self.parameters = parameters
        self.guard = _NONE
        self.capture: Capture | None = None
        self.rows: Rows | None = None

    def guarded(self, dialect: str, *, autocommit: bool, transaction: bool, asks: bool = False) -> None:
        """Finds out what has to stand around the effect; mostly nothing.

        Args:
            dialect: the engine's.
            autocommit: a statement outside a transaction is one of its own.
            transaction: one is open. Where neither holds, the driver must have begun one before.
            asks: rows can be asked for before and after the effect; not for many sets of parameters, say.

        Raises:
            PolicyDenied: policy limits how many rows may change, and this engine could not take them back; or rows have to
                be kept as they are before they change, and cannot be.
        """
        ticket = self.ticket
        obligations = ticket.obligations
        cap = obligations.affected_cap if ticket.plan.changes else None
        reads = ticket.reads_only
        self.capture = capture = ticket.capture() if obligations.capture else None
        if capture is not None and not asks:
            ticket.unkept("here they cannot be asked for, only for a single statement with one set of parameters")
        if cap is None and not reads and obligations.timeout is None and capture is None:
            return
        begin, begin_reading, savepoint, release, back = _WORDS["mysql" if dialect == "mariadb" else dialect]
        alone = autocommit and not transaction
        before: list[str] = []
        after: list[str] = []
        failed: list[str] = []
        undo: list[str] = []
        locked = False
        times = _TIMES.get(dialect)
        if obligations.timeout is not None and times is not None:
            before.append(times[0].format(ms=obligations.timeout * 1000, s=obligations.timeout))
            after.append(times[1])
            # In a transaction of PostgreSQL's that has failed nothing can be set; its end takes the setting back.
            failed.append(times[1])
        if cap is not None or capture is not None:
            if alone and begin:
                before.append(begin)
                after.insert(0, "COMMIT")
                undo = ["ROLLBACK"]
                failed.insert(0, "ROLLBACK")
            elif savepoint:
                before.append(savepoint)
                if release:
                    after.insert(0, release)
                undo = [back, release] if release else [back]
                if release and dialect != "postgres":
                    failed.insert(0, release)  # what a statement of many did before its error stays, as without guardai
            else:
                ticket.impossible(
                    "the engine has no savepoints, and policy limits how many rows may change, or has them kept before"
                )
            undo += [text for text in after if text not in {"COMMIT", release}]
        elif reads:
            locked = True
            if alone and begin_reading:
                before.append(begin_reading)
                after.insert(0, "COMMIT")
                failed.insert(0, "ROLLBACK")
            elif dialect == "postgres":
                # The end of a savepoint ends its being read-only, too.
                before += [savepoint, "SET LOCAL transaction_read_only = on"]
                after.insert(0, release)
            else:
                locked = False
        self.guard = Guard(tuple(before), tuple(after), tuple(undo), tuple(failed), locked)

    def keeping(self, parameters: Any) -> Generator[Ask, Answer, None]:
        """Before the effect: asks for the rows that it will change, and keeps them. Called only where that is owed.

        Args:
            parameters: as the driver is given them.

        Raises:
            PolicyDenied: they cannot be kept; nothing happened.
        """
        assert self.capture is not None, "asked only where it is owed"
        try:
            yield from self.capture.before(parameters)
        except GuardError as why:
            self.ticket.unkept(str(why))

    def kept(self, changed: Callable[[], int | None]) -> Generator[Ask, Answer, str]:
        """After the effect: keeps the rows as it left them; returns why it has to be taken back, "" if it has not."""
        if self.capture is not None:
            try:
                yield from self.capture.after(changed())
            except GuardError as why:
                return str(why)
            self.ticket.captured(self.capture.count)
        return ""

    def began(self, columns: Sequence[str], origins: Sequence[str] = ()) -> Rows:
        """The effect has happened, rows will come. Of several results each begins when it is the one that is read.

        Raises:
            ResultWithheld: it could not be told what they bear. None of them has passed.
        """
        before = self.rows
        rows = self.rows = self.ticket.result_rows(columns, origins)
        if before is not None:
            rows.follow(before)
        rows.label()
        return rows

    def pending(self) -> None:
        """Results wait to be read, and nobody may ever do it: then the session's end is the call's."""
        if not self.ticket.ended:
            self.ticket.run.open.add(self.ticket)

    def wrote(self, affected: int | None) -> None:
        """The effect has happened, and there are no rows."""
        self.ticket.close(None, affected=affected)

    def failed(self, exc: BaseException, *, lost: bool = False, barred: bool = False) -> None:
        """The driver raised. Its exception goes on.

        Args:
            exc: what it raised.
            lost: the connection is gone: what was sent may have happened.
            barred: it is the engine's word for "read only".
        """
        if barred and self.guard.locked:
            self.ticket.barred(exc)
        else:
            self.ticket.fail(exc, unknown=lost)

    def exceeds(self, affected: int | None) -> bool:
        """Whether it changed more rows than it may."""
        cap = self.ticket.obligations.affected_cap
        return cap is not None and bool(self.guard.back) and affected is not None and affected > cap


def begin(
    run: Run,
    target: Target,
    sql: str,
    dialect: str,
    parameters: Any = None,
    schema: LiveSchema | None = None,
    returns: tuple[str, ...] = (),
    opaque: tuple[str, ...] = (),
) -> Statement:
    """Decides, masks the parameters, records the intent.

    Args:
        run: what `acting` found.
        target: the database.
        sql: the statement.
        dialect: the engine's.
        parameters: what is bound to it, as JSON-like data; for many rows a list of them, or what yields them one by one.
        schema: what the database told of itself.
        returns: labels of a result that cannot be masked.
        opaque: labels of what leaves besides and cannot be masked.

    Raises:
        PolicyDenied: nothing happened.
        LedgerError: it cannot be recorded; nothing happened.
    """
    if not isinstance(parameters, list | tuple | dict):
        if isinstance(parameters, Mapping):
            parameters = dict(parameters)
        elif (
            hasattr(parameters, "__len__") and hasattr(parameters, "__getitem__") and not isinstance(parameters, _TEXT)
        ):
            parameters = tuple(parameters[at] for at in range(len(parameters)))  # a row of another result, say
    whole = isinstance(parameters, list | tuple | dict)
    call = Call(
        "db",
        target,
        payload=parameters if whole and parameters else None,
        statement=sql,
        dialect=dialect,
        schema=schema,
        opaque=opaque,
        returns=returns,
    )
    ticket = opened(call, run)
    if whole:
        return Statement(ticket, ticket.payload if parameters else parameters)
    return Statement(ticket, ticket.leaving(parameters) if isinstance(parameters, Iterable) else parameters)


def perform(
    query: Callable[[str], object],
    statement: Statement,
    effect: Callable[[Any], T],
    affected: Callable[[], int | None],
    ended: Callable[[BaseException], dict[str, bool]] = lambda _: {},
    *,
    ask: Callable[[Ask], Answer] | None = None,
    changed: Callable[[], int | None] | None = None,
    numbered: Callable[[Any], Any] = lambda bound: bound,
) -> T:
    """Runs the effect with what has to stand around it.

    Args:
        query: runs a text of ours on the same connection.
        statement: what was begun.
        effect: runs the statement, given its parameters.
        affected: how many rows it changed, asked afterwards.
        ended: what an exception means: `lost`, `barred` of `Statement.failed`.
        ask: runs a query of ours; needed where `guarded` was told that rows can be asked for.
        changed: how many rows of its own table it changed, where `affected` counts more.
        numbered: its parameters in the order in which the statement that was judged numbers them.

    Raises:
        PolicyDenied: it changed more rows than policy permits, or others than were kept, and has been taken back.
    """
    steps = _steps(statement, affected, ended, changed or affected, numbered)
    step = next(steps)
    try:
        while True:
            try:
                if step is None:
                    got: Any = effect(statement.parameters)
                else:
                    got = query(step) if isinstance(step, str) else ask(step)  # type: ignore[misc]
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as end:
        result: T = end.value
        return result


async def aperform(
    query: Callable[[str], Awaitable[object]],
    statement: Statement,
    effect: Callable[[Any], Awaitable[T]],
    affected: Callable[[], int | None],
    ended: Callable[[BaseException], dict[str, bool]] = lambda _: {},
    *,
    ask: Callable[[Ask], Awaitable[Answer]] | None = None,
    changed: Callable[[], int | None] | None = None,
) -> T:
    """Awaits the effect; otherwise as `perform`."""
    steps = _steps(statement, affected, ended, changed or affected)
    step = next(steps)
    try:
        while True:
            try:
                if step is None:
                    got: Any = await effect(statement.parameters)
                else:
                    got = await (query(step) if isinstance(step, str) else ask(step))  # type: ignore[misc]
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as end:
        result: T = end.value
        return result


def gperform(
    query: Callable[[str], Generator[Any, Any, object]],
    statement: Statement,
    effect: Callable[[Any], Generator[Any, Any, T]],
    affected: Callable[[], int | None],
    ended: Callable[[BaseException], dict[str, bool]] = lambda _: {},
    *,
    ask: Callable[[Ask], Generator[Any, Any, Answer]] | None = None,
) -> Generator[Any, Any, T]:
    """Yields what the effect yields, for a library whose waiting and awaited faces drive the same generators."""
    steps = _steps(statement, affected, ended, affected)
    step = next(steps)
    try:
        while True:
            try:
                if step is None:
                    got: Any = yield from effect(statement.parameters)
                else:
                    got = yield from (query(step) if isinstance(step, str) else ask(step))  # type: ignore[misc]
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as end:
        result: T = end.value
        return result


def _steps(
    statement: Statement,
    affected: Callable[[], int | None],
    ended: Callable[[BaseException], dict[str, bool]],
    changed: Callable[[], int | None],
    numbered: Callable[[Any], Any] = lambda bound: bound,
) -> Generator[str | Ask | None, Any, Any]:
    """What is done, in order: a text or a query of ours, or None for the effect itself, whose result it is sent and returns."""
    guard = statement.guard
    done = False
    try:
        for text in guard.before:
            yield text
        if statement.capture is not None:
            yield from statement.keeping(numbered(statement.parameters))
        result = yield None
        done = True
        count = affected() if guard.back else None
        unkept = yield from statement.kept(changed)
        for text in guard.back if unkept or statement.exceeds(count) else guard.after:
            yield text
    except BaseException as exc:
        # Once it has run and its end cannot be settled, nobody knows what of it stands.
        statement.failed(exc, **{**ended(exc), **({"lost": True} if done else {})})
        refused = isinstance(exc, PolicyDenied) or (done and statement.capture is not None)
        with contextlib.suppress(Exception):
            for text in guard.back if guard.back and (refused or statement.exceeds(affected())) else guard.failed:
                with contextlib.suppress(Exception):
                    yield text
        raise
    if unkept:
        statement.ticket.unkept(unkept)
    if count is not None and statement.exceeds(count):
        statement.ticket.overstepped(count)
    return result
