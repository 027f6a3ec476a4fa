"""The rows of a statement: masked by what their columns are labelled and by what their cells contain, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from guardai.gate.plan import Plan
from guardai.model import Mask, strongest
from guardai.sql import SqlNotUnderstood, column_lineage

if TYPE_CHECKING:
    from guardai.gate.road import Ticket
    from guardai.policy import Catalog

__all__ = ["Rows", "Schema"]

#: Gives {table: [columns]} of the live database.
Schema = Callable[[], dict[str, list[str]]]


class Rows:
    """What passes the rows of one statement. `count` is how many have passed.

    INVARIANT: a column whose label owes a mask is masked in every row, whatever its cells contain; every other cell of
    text is scanned.
    """

    __slots__ = ("_masked", "_masking", "_ticket", "count")

    def __init__(
        self, ticket: Ticket, catalog: Catalog, plan: Plan, columns: tuple[str, ...], schema: Schema | None
    ) -> None:
        self._ticket = ticket
        self.count = 0
        self._masking = ticket.returning()
        #: (position, label) of the columns that are masked as wholes.
        self._masked: list[tuple[int, str]] = []
        if catalog.has_columns and ticket.enforcing:
            for position, labels in enumerate(_labels(catalog, plan, ticket.call.statement or "", columns, schema)):
                for label in sorted(labels):
                    ticket.found({label: 1}, {})
                owed: dict[Mask, str] = {}
                for label in sorted(labels):
                    mask = ticket.owed_back(label)
                    if mask is not None:
                        owed.setdefault(mask, label)
                if owed:
                    self._masked.append((position, owed[strongest(list(owed))]))

    def many(self, rows: list[Any]) -> list[Any]:
        """Rows as the driver gave them (tuples), in one scan.

        Raises:
            ResultWithheld: they could not be inspected.
        """
        self.count += len(rows)
        ticket = self._ticket
        if not rows or not ticket.enforcing:
            return rows
        try:
            if self._masked:
                rows = [self._columns(row) for row in rows]
            passed: list[Any] = self._masking.rows(rows)
        except Exception as exc:  # noqa: BLE001 - the road's rule 2
            ticket.withhold(exc)
        return passed

    def one(self, row: Any) -> Any:
        """One row."""
        return self.many([row])[0]

    def end(self) -> None:
        """The last row has passed."""
        if not self._ticket.ended:
            self._ticket.close(None)

    def fail(self, exc: BaseException) -> None:
        """The driver raised while it fetched."""
        self._ticket.fail(exc)

    def abandon(self) -> None:
        """Nobody reads the rest."""
        self._ticket.abandon()

    def report(self) -> None:
        """What was found so far, for an outcome that comes before the last row."""
        self._ticket.found(self._masking.found, self._masking.masked)

    def _columns(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        cells = list(row)
        for position, label in self._masked:
            value = cells[position]
            if value is not None:
                told = value if isinstance(value, str) else value.hex() if isinstance(value, bytes) else repr(value)
                masked = self._masking.replace(label, told)
                cells[position] = masked.encode() if isinstance(value, bytes) and masked is not None else masked
        return tuple(cells)


def _labels(
    catalog: Catalog, plan: Plan, statement: str, columns: Sequence[str], schema: Schema | None
) -> list[frozenset[str]]:
    """The labels of each result column: those of the source columns it was made from."""
    inspection = plan.inspection
    if inspection is None:
        return [frozenset()] * len(columns)
    live = {} if schema is None else schema()
    tables = inspection.reads | inspection.writes
    everything = frozenset().union(
        *(catalog.column_labels(table, column) for table in tables for column in live.get(table, ()))
    )
    try:
        sources = column_lineage(statement, str(plan.facts["sql.dialect"]), live)
    except SqlNotUnderstood:
        sources = []
    if len(sources) != len(columns):
        # Not proven which column is which: each may be any.
        named = [frozenset().union(*(catalog.column_labels(t, name) for t in tables)) for name in columns]
        return [everything | labels for labels in named]
    found: list[frozenset[str]] = []
    for name, source in zip(columns, sources, strict=True):
        labels: frozenset[str] = frozenset()
        for address in source:
            table, _, column = address.rpartition(".")
            labels |= catalog.column_labels(table, column)
        if not live:
            labels |= frozenset().union(*(catalog.column_labels(table, name) for table in tables))
        found.append(labels)
    return found
