"""Parameters of python-oracledb's: some are variables, which the program fills before and the server after a statement."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from guardai_dbapi.statement import Statement

__all__ = ["Bound"]

_NOT_SET: Final = object()


class Bound:
    """What is bound to one statement.

    INVARIANT: what the server put into a variable can be read only once it is masked; what cannot be masked in a variable
    of its type is None.

    Attributes:
        values: as it is judged: of variables what they hold.
        opaque: something in it cannot be looked into.
    """

    def __init__(self, given: Any, *, many: bool = False) -> None:
        self._given = given
        self._many = many
        self._variables: dict[Any, list[Any]] = {}
        self._cursors: list[Any] = []
        self._fixed = False
        self.opaque = False
        self.values = [self._seen(row) for row in given] if many and given is not None else self._seen(given)

    def _seen(self, row: Any) -> Any:
        """One set of parameters as data; the same object if it is nothing else."""
        from oracledb import DbObject, Var
        from oracledb.cursor import BaseCursor
        from oracledb.lob import BaseLOB

        if not isinstance(row, (list, tuple, dict)):
            return row
        items = list(row.items() if isinstance(row, dict) else enumerate(row))
        made = {}
        for key, value in items:
            if isinstance(value, Var):
                held = self._variables.setdefault(key, list(value.values))
                cursors = [one for one in held if isinstance(one, BaseCursor)]
                self._cursors += cursors
                opaque = any(isinstance(one, (BaseLOB, DbObject)) for one in held)
                self.opaque = self.opaque or opaque
                seen = [] if cursors or opaque else held
                made[key] = seen if len(seen) > 1 else seen[0] if seen else None
            elif isinstance(value, BaseCursor):
                self._cursors.append(value)
                made[key] = None
            elif isinstance(value, (BaseLOB, DbObject)):
                self.opaque = True
                made[key] = None
        if not made:
            return row
        self._fixed = True
        data = {key: made.get(key, value) for key, value in items}
        return data if isinstance(row, dict) else list(data.values())

    def fixed(self, masked: Any) -> bool:
        """Whether a value would have to be masked that a variable holds, beside which nothing can be put."""
        return self._fixed and masked != self.values

    def put_back(self, masked: Any) -> Any:
        """What the library is given."""
        return self._given if self._fixed or masked is self.values or masked == self.values else masked

    def mask_outputs(self, cursor: Any, statement: Statement) -> list[Any]:
        """Masks what the server put into variables; returns the cursors among it.

        Raises:
            ResultWithheld: it could not be looked into. It is gone.
        """
        from oracledb.cursor import BaseCursor

        told = cursor._impl.get_bind_vars()
        named = list(told.items() if isinstance(told, dict) else enumerate(told))
        filled = []
        children = list(self._cursors)
        for key, variable in named:
            if variable is None:
                continue
            values = list(variable.values)
            if self._is_input(key, values, plain=statement.ticket.plan.changes):
                continue
            children += [value for value in values if isinstance(value, BaseCursor)]
            if not all(isinstance(value, BaseCursor) for value in values):
                filled.append((key if isinstance(key, str) else f":{key + 1}", variable, values))
        if not filled:
            return children
        try:
            rows = statement.began([name for name, *_ in filled])
            passed = rows.one(
                tuple([None if isinstance(v, BaseCursor) else v for v in values] for *_, values in filled)
            )
        except BaseException:
            for _, variable, values in filled:
                _fill(variable, values, [None] * len(values))
            raise
        for (_, variable, values), masked in zip(filled, passed, strict=True):
            _fill(
                variable, values, masked if isinstance(masked, Sequence) and not isinstance(masked, str) else [masked]
            )
        return children

    def _is_input(self, key: Any, values: list[Any], *, plain: bool) -> bool:
        """Whether a variable holds what was bound, still."""
        from oracledb.lob import BaseLOB

        if key in self._variables:
            before: Any = self._variables[key]
        elif self._many:
            before = [_of(row, key) for row in self._given or ()]
        else:
            before = _of(self._given, key)
            before = before if isinstance(before, list) else [before]
        if plain and len(before) == len(values):
            # The library makes temporary LOBs of long texts that are bound.
            pairs = zip(values, before, strict=True)
            values = [b if isinstance(v, BaseLOB) and isinstance(b, (str, bytes)) else v for v, b in pairs]
        try:
            return bool(values == before)
        except Exception:
            return False


def _of(row: Any, key: Any) -> Any:
    try:
        return row[key]
    except (KeyError, IndexError, TypeError):
        return _NOT_SET


def _fill(variable: Any, values: list[Any], masked: Sequence[Any]) -> None:
    from oracledb.cursor import BaseCursor

    if len(masked) != len(values):
        masked = [None] * len(values)
    if variable._impl.is_array:
        if list(masked) != values:
            try:
                variable.setvalue(0, list(masked))
            except Exception:
                variable.setvalue(0, [None] * len(values))
        return
    for position, (value, other) in enumerate(zip(values, masked, strict=True)):
        if isinstance(value, BaseCursor) or other is value:
            continue
        with contextlib.suppress(Exception):
            variable.setvalue(position, other)
            continue
        variable.setvalue(position, None)
