"""The rows of a statement: masked by what their columns are labelled and by what their cells contain, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardai.errors import ResultWithheld
from guardai.gate.questions import Columns
from guardai.model import Call, LiveSchema, Mask, strongest
from guardai.sql import Inspection, SqlNotUnderstood, lineage_of, own_name

if TYPE_CHECKING:
    from guardai.gate.road import Ticket
    from guardai.policy import Catalog
    from guardai.text import Masking

__all__ = ["Form", "Rows"]

_UNKNOWN: Final = LiveSchema()


class Form:
    """How rows are kept for replay: their columns' names, until those are told; what of them is masked there as a whole."""

    __slots__ = ("columns", "masked", "names", "partly")

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.names: tuple[str, ...] | None = columns
        self.masked: tuple[tuple[int, str], ...] = ()
        self.partly: frozenset[int] = frozenset()

    def passed(self, masking: Masking, rows: Sequence[Any]) -> list[Any]:
        """The rows as they may be kept."""
        if self.masked:
            return _by_column(masking, self.masked, self.partly, self.columns, rows)
        return masking.rows(list(rows), self.columns)


class Rows:
    """What passes the rows of one statement. `count` is how many have passed.

    INVARIANT: a column whose label owes a mask is masked in every row, whatever its cells contain; every other cell of
    text is scanned.
    """

    __slots__ = ("_about", "_cap", "_form", "_masked", "_masking", "_partly", "_ticket", "count")

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
        self._masked: tuple[tuple[int, str], ...] = ()
        self._partly: frozenset[int] = frozenset()
        self._about = (catalog, inspection, columns, origins)
        self._cap = ticket.obligations.row_cap
        self._form = Form(columns) if ticket.keeping is not None else None

    def label(self) -> None:
        """Finds out what the columns are labelled. Until then, and if that fails, no row passes.

        Raises:
            ResultWithheld: it could not be found out.
        """
        catalog, inspection, columns, origins = self._about
        ticket = self._ticket
        if not catalog.has_columns or inspection is None or not ticket.inspecting:
            return
        kept = ticket.columns
        known = kept.get((columns, origins))
        if known is None:
            try:
                labelled = _labels(catalog, inspection, ticket.call, columns, origins)
                known = _known(labelled, ticket.owed_back)
            except Exception as exc:
                self.withhold(exc)
                return
            kept[columns, origins] = known
        self._masked, self._partly = known.masked, known.partly
        if self._form is not None:
            kept_as = _known(known.borne, ticket.owed_kept)
            self._form.masked, self._form.partly = kept_as.masked, kept_as.partly
        if known.labels:
            ticket.found(known.labels, {})

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
            passed = self._passed(rows)
        except Exception as exc:
            self.withhold(exc)
            return rows
        ticket.run.saw(self._masking.found.keys())
        if self._form is not None and ticket.keeping is not None:
            ticket.keeping.rows(lambda: passed, self._form)
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
                made[position] = masking.column(label, cells(position))
            for position in texts:
                if position in labelled:
                    if position not in self._partly:
                        continue
                    given = [(cell,) for cell in made[position]]
                else:
                    given = [(cell,) for cell in cells(position)]
                scanned = masking.rows(given, names[position : position + 1])
                if scanned is not given:
                    made[position] = [cell for (cell,) in scanned]
        except Exception as exc:
            self.withhold(exc)
            return {}
        ticket.run.saw(masking.found.keys())
        if self._form is not None and ticket.keeping is not None:
            every = range(len(names))
            ticket.keeping.rows(
                lambda: list(zip(*(made.get(at) or cells(at) for at in every), strict=True)), self._form
            )
        return made if ticket.enforcing else {}

    @property
    def masked(self) -> dict[int, Mask]:
        """Position → mask, of the columns that are masked as wholes; known before the first row. None in observe mode."""
        ticket = self._ticket
        if not ticket.enforcing:
            return {}
        owed = {position: ticket.owed_back(label) for position, label in self._masked}
        return {position: mask for position, mask in owed.items() if mask is not None}

    def withhold(self, why: Exception) -> None:
        """The result cannot be inspected, or not masked in this form: nobody gets it. In observe mode it passes.

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
        ticket.passing(count)
        self.count += count

    @property
    def room(self) -> int | None:
        """How many more rows policy lets pass; None if it does not limit them."""
        return None if self._cap is None or self._ticket.ended else self._cap - self.count

    def one(self, row: Any) -> Any:
        """One row."""
        return self.many([row])[0]

    def again(self, rows: list[Any]) -> list[Any]:
        """Rows that have passed before, read once more: masked as they were, not counted.

        Raises:
            ResultWithheld: they could not be inspected.
        """
        ticket = self._ticket
        if not ticket.enforcing:
            return rows
        try:
            return self._passed(rows)
        except Exception as exc:
            ticket.withhold(exc)

    def follow(self, before: Rows) -> None:
        """This result is another of the same statement's, and counts on."""
        before.report()
        self.count = before.count

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

    def _passed(self, rows: list[Any]) -> list[Any]:
        names = self._about[2]
        if self._masked:
            return _by_column(self._masking, self._masked, self._partly, names, rows)
        return self._masking.rows(rows, names)


def _by_column(
    masking: Masking,
    labelled: tuple[tuple[int, str], ...],
    partly: frozenset[int],
    names: tuple[str, ...],
    rows: Sequence[Any],
) -> list[Any]:
    """The rows with the cells of labelled columns masked, the others scanned. A cell stays a cell: `drop` leaves None."""
    columns: list[Any] = list(zip(*rows, strict=True))
    finished: dict[int, list[Any]] = {}
    for position, label in labelled:
        masked = masking.column(label, columns[position])
        if position in partly:
            columns[position] = masked  # what is left of the value may still be something
        else:
            finished[position] = masked
            columns[position] = (None,) * len(rows)
    scanned = masking.rows(list(zip(*columns, strict=True)), names)
    if not finished:
        return scanned
    columns = list(zip(*scanned, strict=True))
    for position, masked in finished.items():
        columns[position] = masked
    return list(zip(*columns, strict=True))


def _known(labelled: Sequence[frozenset[str]], asked: Callable[[str], Mask | None]) -> Columns:
    """What columns that bear these labels owe."""
    found: dict[str, int] = {}
    masked: list[tuple[int, str]] = []
    partly: set[int] = set()
    for position, labels in enumerate(labelled):
        owed: dict[Mask, str] = {}
        for label in sorted(labels):
            found[label] = found.get(label, 0) + 1
            mask = asked(label)
            if mask is not None:
                owed.setdefault(mask, label)
        if owed:
            mask = strongest(list(owed))
            masked.append((position, owed[mask]))
            if mask == "partial":
                partly.add(position)
    return Columns(found, tuple(masked), frozenset(partly), tuple(labelled))


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
    schema = call.schema if call.schema is not None else _UNKNOWN
    try:
        sources = lineage_of(schema, call.dialect or "").columns(call.statement or "")
    except SqlNotUnderstood:
        sources = []
    if len(sources) == len(columns):
        return [
            frozenset().union(*(_label(catalog, *_address(source)) for source in sources_of_one))
            for sources_of_one in sources
        ]
    # What a procedure or a prepared text reads is not told by the statement that runs it.
    everything: frozenset[str] = frozenset() if inspection.effects <= {"read", "write"} else catalog.labels
    for table in inspection.reads | inspection.writes:
        known = schema.tables.get(own_name(table, schema.path, schema.tables) or "")
        everything |= (
            catalog.labels if known is None else frozenset().union(*(catalog.column_labels(table, c) for c in known))
        )
    return [everything] * len(columns)


def _label(catalog: Catalog, table: str, column: str) -> frozenset[str]:
    if column != "*":
        return catalog.column_labels(table, column)
    # A table or view of which nothing is known may hold anything; one that tells of tables holds nothing of theirs.
    return frozenset() if table.startswith("information_schema.") else catalog.labels


def _address(source: str) -> tuple[str, str]:
    table, _, column = source.rpartition(".")
    return table, column
