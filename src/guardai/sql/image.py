"""Rows as a statement found and as it left them, and the statements that put them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardai.sql.before import SETTINGS, Before, NotKept
from guardai.sql.lexicon import MYSQL
from guardai.sql.literals import listed, literals, locking, quoted, told

__all__ = ["Image"]

#: Rows that are looked for by their keys in one query.
_AT_ONCE: Final = 500


class Image(msgspec.Struct):
    """Rows as they were before a statement and as it left them. Holds data: it is kept encrypted and never printed.

    Attributes:
        statement: `update` or `delete`.
        dialect: the engine's.
        table: where they are, as any connection to the database finds it.
        columns: their names and the driver's codes of their types, in order.
        key: positions of the primary key among them.
        settings: what the engine's own way of writing depends on.
        rows: the cells as they were, each as a literal of the dialect.
        left: the same rows as the statement left them, by their key; None until that is known.
        triggers: the engine did more than this when they changed.
        uri: of the table.
    """

    statement: str
    dialect: str
    table: str
    columns: list[tuple[str, int]]
    key: list[int]
    settings: dict[str, str]
    rows: list[list[str]]
    left: list[list[str]] | None = None
    triggers: bool = False
    uri: str = ""

    @classmethod
    def of(cls, before: Before, columns: Sequence[tuple[str, object]], place: Sequence[object], uri: str) -> Image:
        """Without rows yet.

        Args:
            before: how they are found.
            columns: what `shape` told.
            place: the row of `place`.
            uri: of the database.

        Raises:
            NotKept: what the engine says now is not what it said of the table before, or the table is gone when the
                connection is.
        """
        table = _lasting(before, place[0])
        names = [name.lower() for name, _ in columns]
        if sorted(names) != sorted(before.columns):
            raise NotKept("it has columns that a star leaves out, or has changed meanwhile")
        return cls(
            before.verb,
            before.dialect,
            table,
            [(name, code if isinstance(code, int) else -1) for name, code in columns],
            [names.index(name) for name in before.key],
            _settings(before, place),
            [],
            triggers=before.triggers,
            uri=uri,
        )

    def add(self, rows: Sequence[Sequence[object]], most: int) -> None:
        """The rows as they are, as the query gave them.

        Raises:
            NotKept: they are more than are kept.
        """
        if len(rows) > most:
            raise NotKept(f"it would change more than {most:,} rows")
        self.rows = literals(rows, self.dialect)
        if any("NULL" in self._key(row) for row in self.rows):
            raise NotKept("a row has no key")

    def now(self) -> Iterator[str]:
        """Queries for the same rows by their keys, as they are now."""
        what = listed(self.columns, self.dialect)
        for start in range(0, len(self.rows), _AT_ONCE):
            found = " OR ".join(self._at(row) for row in self.rows[start : start + _AT_ONCE])
            yield f"SELECT {what} FROM {self.table} WHERE {found}{locking(self.dialect)}"  # noqa: S608 - literals that the engine made

    def leave(self, rows: Sequence[Sequence[object]], affected: int | None) -> None:
        """The same rows as the statement left them.

        Args:
            rows: those that are still there under their keys.
            affected: how many rows the driver says it changed.

        Raises:
            NotKept: other rows have changed than those that were kept, or it cannot be told; so it has to be taken back.
        """
        self.left = literals(rows, self.dialect)
        if affected is None:
            raise NotKept("the driver does not say how many rows it changed")
        if self.statement == "delete":
            if len(self.rows) - len(self.left) != affected:
                raise NotKept("it deleted other rows than those that were there when they were looked for")
            return
        was = self._keyed(self.rows)
        if sorted(map(self._key, self.left)) != sorted(was):
            raise NotKept("rows that it changed have other keys now")
        # MySQL counts rows that are another afterwards, or, where the program wants that, those that it found.
        changed = sum(was[self._key(row)] != row for row in self.left)
        if affected != len(self.rows) and not (self.dialect in MYSQL and affected == changed):
            raise NotKept("it changed other rows than those that were there when they were looked for")

    def differs(self, rows: Sequence[Sequence[object]]) -> int:
        """How many of the rows are not any more as the statement left them."""
        left, now = self._keyed(self.left or ()), self._keyed(literals(rows, self.dialect))
        return sum(left.get(key) != now.get(key) for key in left.keys() | now.keys())

    def same(self, rows: Sequence[Sequence[object]]) -> bool:
        """Whether the rows are as they were before the statement: it was never committed, or has been taken back."""
        return self._keyed(literals(rows, self.dialect)) == self._keyed(self.rows)

    @property
    def changed(self) -> bool:
        """Whether there is anything to put back."""
        if self.statement == "delete":
            return bool(self.rows)
        return self._keyed(self.rows) != self._keyed(self.left or ())

    @property
    def template(self) -> str:
        """What puts a row back, as a statement whose values are left out: for policy and for people."""
        mark = "?" if self.dialect == "sqlite" else "%s"
        names = [quoted(name, self.dialect) for name, _ in self.columns]
        if self.statement == "delete":
            return f"INSERT INTO {self.table} ({', '.join(names)}) VALUES ({', '.join([mark] * len(names))})"  # noqa: S608
        left = self._keyed(self.left or ())
        changed = {
            at for row in self.rows for at, cell in enumerate(row) if left.get(self._key(row), row)[at] != cell
        } or set(range(len(names)))
        setting = ", ".join(f"{names[at]} = {mark}" for at in sorted(changed))
        # With the table before it: in sqlite a quoted name alone may be a string.
        found = " AND ".join(f"{self.table}.{names[at]} = {mark}" for at in self.key)
        return f"UPDATE {self.table} SET {setting} WHERE {found}"  # noqa: S608

    def undone(self, writable: Mapping[str, bool] | None = None) -> list[str]:
        """The statements that put the rows back, one for each that has to change.

        Args:
            writable: column → whether the engine takes a value for it; it computes the others.
        """
        takes = [at for at, (name, _) in enumerate(self.columns) if writable is None or writable.get(name, True)]
        if self.statement == "delete":
            names = ", ".join(quoted(self.columns[at][0], self.dialect) for at in takes)
            over = " OVERRIDING SYSTEM VALUE" if self.dialect == "postgres" else ""
            return [
                f"INSERT INTO {self.table} ({names}){over} VALUES ({', '.join(row[at] for at in takes)})"  # noqa: S608
                for row in self.rows
            ]
        left = self._keyed(self.left or ())
        found = []
        for row in self.rows:
            after = left.get(self._key(row))
            changed = [at for at in takes if after is None or after[at] != row[at]]
            if changed:
                setting = ", ".join(f"{quoted(self.columns[at][0], self.dialect)} = {row[at]}" for at in changed)
                found.append(f"UPDATE {self.table} SET {setting} WHERE {self._at(row)}")  # noqa: S608
        return found

    def _keyed(self, rows: Sequence[list[str]]) -> dict[tuple[str, ...], list[str]]:
        return {self._key(row): row for row in rows}

    def _key(self, row: Sequence[str]) -> tuple[str, ...]:
        return tuple(row[at] for at in self.key)

    def _at(self, row: Sequence[str]) -> str:
        return "(" + " AND ".join(f"{quoted(self.columns[at][0], self.dialect)} = {row[at]}" for at in self.key) + ")"


def _lasting(before: Before, place: object) -> str:
    """The table's name as any connection to the database finds it."""
    if before.dialect == "sqlite":
        if not place or before.qualifier not in ("", "main"):
            raise NotKept("it is no table of the database's own file, or has constraints that replace rows")
        return before.table
    if place is None:
        raise NotKept("it is no lasting table whose rows are its own: a temporary one, or one that others inherit from")
    if before.dialect == "postgres":
        return told(place)
    return before.table if before.qualifier else f"{quoted(told(place), before.dialect)}.{before.table}"


def _settings(before: Before, place: Sequence[object]) -> dict[str, str]:
    """What the engine's own way of writing depends on.

    Raises:
        NotKept: it writes values that do not come back as they were, or others may change rows between our query and theirs.
    """
    if before.dialect == "postgres":
        settings = {name: told(value) for name, value in zip(SETTINGS, place[1:], strict=True)}
        if int(settings["extra_float_digits"]) < 1:
            raise NotKept("extra_float_digits is below 1, so that numbers are written with less than they hold")
        return settings
    if before.dialect in MYSQL:
        _, zone, mode, isolation = map(told, place)
        if before.verb == "update" and isolation.upper() in ("READ-COMMITTED", "READ-UNCOMMITTED"):
            raise NotKept(f"under {isolation} other rows may appear before it changes them")
        return {"time_zone": zone, "sql_mode": mode}
    return {}
