"""A stored procedure of pymssql's: judged when it is run, its output parameters masked before anybody reads them."""

from __future__ import annotations

import re
from typing import Any, Final

import wrapt

from guardai.hooks import acting
from guardai_dbapi.pymssql.call import DIALECT, Open, Text, advance, governed
from guardai_dbapi.tsql import is_name

__all__ = ["Procedure"]

_PARAMETER: Final = re.compile(r"@\w+")


class Procedure(wrapt.ObjectProxy[Any]):
    """The library's own object, whose parameters are bound only once policy has seen them.

    INVARIANT: an agent's call sends what policy lets leave, and hands out what policy reveals.
    """

    def __init__(self, procedure: Any, connection: Any, name: str) -> None:
        super().__init__(procedure)
        self._self_connection = connection
        self._self_name = name
        #: Value, the rest of what `bind` was given, and the name of the parameter.
        self._self_bound: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = []
        self._self_sent = 0

    def bind(self, value: Any, *args: Any, **kwargs: Any) -> None:
        """Binds a parameter; an agent's, when the procedure is run."""
        name = args[1] if len(args) > 1 else kwargs.get("param_name")
        self._self_bound.append((value, args, kwargs, name or ""))
        if acting(self._text, DIALECT) is None:
            self._bind([value for value, *_ in self._self_bound])

    def _bind(self, values: list[Any]) -> None:
        for at in range(self._self_sent, len(self._self_bound)):
            _, args, kwargs, _ = self._self_bound[at]
            self._self_sent += 1
            self.__wrapped__.bind(values[at], *args, **kwargs)

    @property
    def _text(self) -> str:
        named = enumerate((name for *_, name in self._self_bound), start=1)
        return f"EXEC {self._self_name} {', '.join(f'{name} = @p{at}' if name else f'@p{at}' for at, name in named)}".rstrip()

    def execute(self) -> Any:
        """Runs it; returns its status."""
        connection, bound = self._self_connection, self._self_bound
        open_: Open = connection._guardai
        values = [value for value, *_ in bound]
        run = acting(self._text, DIALECT)
        if run is None:
            connection.cancel()  # as the library does, but what waits is an agent's, maybe
            self._bind(values)
            return self.__wrapped__.execute()
        told = is_name(self._self_name) and all(_PARAMETER.fullmatch(name) for *_, name in bound if name)
        text = Text(self._text, DIALECT if told else "unknown", None, bool(self._self_sent))
        return governed(connection, run, text, values, self._run, begins=lambda status: self._handed_out(open_, status))

    def _run(self, values: list[Any]) -> Any:
        self._bind(values)
        before = dict(self.__wrapped__.parameters)
        status = self.__wrapped__.execute()
        parameters = self.__wrapped__.parameters
        changed = {key: value for key, value in parameters.items() if key not in before or value is not before[key]}
        # What cannot be masked is not there.
        parameters.update(dict.fromkeys(changed))
        return status, changed

    def _handed_out(self, open_: Open, ran: tuple[Any, dict[int | str, Any]]) -> Any:
        """The status and the output parameters, which pass as a row does."""
        status, changed = ran
        if changed or status:
            statement = open_.statement
            assert statement is not None, "it has run"
            names = ["status", *(str(key) for key in changed)]
            status, *cells = statement.began(names).one((status, *changed.values()))
            self.__wrapped__.parameters.update(zip(changed, cells, strict=True))
        advance(self._self_connection)
        return status
