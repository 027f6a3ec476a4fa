"""The rows of a statement: masked by what their columns are labelled and by what their cells contain, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from guardai.errors import GuardError, ResultWithheld
from guardai.model import Call, Mask, strongest
from guardai.sql import Inspection, SqlNotUnderstood, column_lineage

if TYPE_CHECKING:
    from guardai.gate.road import Ticket
    from guardai.policy import Catalog

__all__ = ["Rows"]


class Rows:
    """What passes the rows of one statement. `count` is how many have passed.

    INVARIANT: a column whose label owes a mask is masked in every row, whatever its cells contain; every other cell of
    text is scanned.
    """

    __slots__ = ("_about", "_cap", "_lifelike", "_masked", "_masking", "_ticket", "count")

    def __init__(
        self,
        ticket: Ticket,
        catalog: Catalog,
        inspection: Inspection | None,
        columns: tuple[str, ...],
        origins: tuple[str, ...],
    ) -> None:
        self._ticket = ticket
        self.count = 0
        self._masking = ticket.returning()
        #: (position, label) of the columns that are masked as wholes.
        self._masked: list[tuple[int, str]] = []
        #: Positions of those whose masked cells look like any others.
        self._lifelike: set[int] = set()
        self._about = (catalog, inspection, columns, origins)
        self._cap = ticket.obligations.row_cap

    def label(self) -> None:
        """Finds out what the columns are labelled. Until then, and if that fails, no row passes.

        Raises:
            ResultWithheld: it could not be found out.
        """
        catalog, inspection, columns, origins = self._about
        ticket = self._ticket
        if not catalog.has_columns or inspection is None or not ticket.inspecting:
            return
        try:
            for position, labels in enumerate(_labels(catalog, inspection, ticket.call, columns, origins)):
                owed: dict[Mask, str] = {}
                for label in sorted(labels):
                    ticket.found({label: 1}, {})
                    mask = ticket.owed_back(label)
                    if mask is not None:
                        owed.setdefault(mask, label)
                if owed:
                    mask = strongest(list(owed))
                    self._masked.append((position, owed[mask]))
                    if mask in ("shift", "fpe"):
                        self._lifelike.add(position)
        except Exception as exc:
            if ticket.enforcing:
                ticket.withhold(exc)
            ticket.unseen(exc)

    def many(self, rows: list[Any]) -> list[Any]:
        """Rows as the driver gave them (tuples), in one scan.

        Raises:
            ResultWithheld: they could not be inspected, or they are more than policy permits: none of these passes.
        """
        ticket = self._ticket
        if not rows:
            return rows
        self._passing(len(rows))
        if not ticket.inspecting:
            return rows
        try:
            passed = self._columns(rows) if self._masked else self._masking.rows(rows, self._about[2])
        except Exception as exc:
            if ticket.enforcing:
                ticket.withhold(exc)
            ticket.unseen(exc)
            return rows
        ticket.run.saw(self._masking.found.keys())
        return passed if ticket.enforcing else rows

    def columns(self, count: int, texts: Iterable[int], cells: Callable[[int], list[Any]]) -> dict[int, list[Any]]:
        """As `many`, for rows that the driver gives column by column: only columns that change are made anew.

        Args:
            count: how many rows these are.
            texts: positions of the columns that may hold text, to be scanned; numbers are none.
            cells: position → the cells of that column. Asked only for columns that are looked at.

        Returns:
            Position → the column's new cells. What is not there stays as it is.

        Raises:
            ResultWithheld: as `many`.
        """
        ticket = self._ticket
        if not count:
            return {}
        self._passing(count)
        if not ticket.inspecting:
            return {}
        masking, names = self._masking, self._about[2]
        labelled = dict(self._masked)
        made: dict[int, list[Any]] = {}
        try:
            for position, label in labelled.items():
                whole = cells(position)
                masking.ready((label, cell) for cell in whole)
                made[position] = [masking.value(label, cell) for cell in whole]
            for position in texts:
                if position in labelled:
                    if position in self._lifelike:
                        continue  # what looks real would be found, and masked twice
                    given = [(cell,) for cell in made[position]]
                else:
                    given = [(cell,) for cell in cells(position)]
                scanned = masking.rows(given, names[position : position + 1])
                if scanned is not given:
                    made[position] = [cell for (cell,) in scanned]
        except Exception as exc:
            if ticket.enforcing:
                ticket.withhold(exc)
            ticket.unseen(exc)
            return {}
        ticket.run.saw(masking.found.keys())
        return made if ticket.enforcing else {}

    @property
    def masked(self) -> dict[int, Mask]:
        """Position → mask, of the columns that are masked as wholes; known before the first row. None in observe mode."""
        ticket = self._ticket
        if not ticket.enforcing:
            return {}
        owed = {position: ticket.owed_back(label) for position, label in self._masked}
        return {position: mask for position, mask in owed.items() if mask is not None}

    def withhold(self, why: GuardError) -> None:
        """The result cannot be masked in this form: nobody gets it. In observe mode it passes.

        Raises:
            ResultWithheld: the call ran; its result stays.
        """
        if self._ticket.enforcing:
            self._ticket.withhold(why)
        self._ticket.unseen(why)

    def _passing(self, count: int) -> None:
        """So many more rows pass, if they may.

        Raises:
            ResultWithheld: they are more than policy permits, or the call has ended.
        """
        ticket = self._ticket
        if self._cap is not None and self.count + count > self._cap:
            ticket.overflow()
        if ticket.ended and ticket.enforcing:
            # INVARIANT: no row passes that the outcome does not count.
            raise ResultWithheld(
                "the call has ended; read its rows inside the session", action=ticket.call.action, event=ticket.outcome
            )
        if not self.count:
            ticket.reading()
        self.count += count

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

    def _columns(self, rows: list[Any]) -> list[Any]:
        """The rows with the cells of labelled columns masked, the others scanned. A cell stays a cell: `drop` leaves None."""
        masking, columns = self._masking, self._masked
        masking.ready((label, row[position]) for row in rows for position, label in columns)
        made, later = [], []
        for row in rows:
            cells = list(row)
            for position, label in columns:
                masked = masking.value(label, cells[position])
                if position in self._lifelike:
                    later.append(masked)
                    masked = None
                cells[position] = masked
            made.append(tuple(cells))
        scanned = masking.rows(made, self._about[2])
        if not later:
            return scanned
        # What looks real was not scanned: it would be found, and masked twice.
        upcoming = iter(later)
        return [
            tuple(next(upcoming) if at in self._lifelike else cell for at, cell in enumerate(row)) for row in scanned
        ]


def _labels(
    catalog: Catalog, inspection: Inspection, call: Call, columns: Sequence[str], origins: Sequence[str]
) -> list[frozenset[str]]:
    """The labels of each result column: those of the source columns it was made from.

    INVARIANT: where it is not proven which columns those are, they are all columns of all tables read.
    """
    found = _proven(catalog, inspection, call, columns)
    if len(origins) != len(found):
        return found
    return [
        labels | catalog.column_labels(*_address(origin)) if origin else labels
        for labels, origin in zip(found, origins, strict=True)
    ]


def _proven(catalog: Catalog, inspection: Inspection, call: Call, columns: Sequence[str]) -> list[frozenset[str]]:
    live = {} if call.schema is None else call.schema.tables
    tables = inspection.reads | inspection.writes
    known = tables <= live.keys()
    # A view, or a table that the schema does not show, may hold any column of any table.
    within = tables if known else live.keys()
    everything = frozenset().union(*(catalog.column_labels(table, c) for table in within for c in live[table]))
    if not live:
        everything = catalog.labels
    named = [frozenset().union(*(catalog.column_labels(table, name) for table in tables)) for name in columns]
    try:
        sources = column_lineage(call.statement or "", call.dialect or "", live)
    except SqlNotUnderstood:
        sources = []
    if len(sources) != len(columns) or not known:
        return [everything | labels for labels in named]
    return [
        frozenset().union(*(catalog.column_labels(*_address(source)) for source in sources_of_one))
        for sources_of_one in sources
    ]


def _address(source: str) -> tuple[str, str]:
    table, _, column = source.rpartition(".")
    return table, column
