"""What a column holds, told from a sample of its values: all of one kind, or text in which something stands, or nothing.

A sample proves what is there, never what is not: `nothing` is no promise, and whoever masks goes on scanning the cells.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from guardai.text.columns import CHECKS, Named, named
from guardai.text.find import scan

__all__ = ["CELL", "WHOLE", "Classification", "classify"]

#: Share of the values that have to be a value of the label, and nothing else, for the column to get it.
WHOLE: Final = 0.8
#: The same where the column's name says so too.
_NAMED: Final = 0.5
#: Characters of a value that are looked at.
CELL: Final = 4096
#: From this score on a finding has a check digit, or a form that nothing else has (see `Finding.score`).
_CHECKED: Final = 0.9
#: With fewer values than this nobody can be sure.
_FEW: Final = 20
#: What programs write for nothing.
_BLANK: Final = frozenset({"", "null", "none", "nil", "nan", "n/a", "na", "-", "--", "\\n", "(null)", "?"})
_NUMBER: Final = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false")

#: As 4155552671 is written where a column of whole numbers has gaps.
_WHOLE_NUMBER: Final = re.compile(r"([0-9]{4,19})\.0")

Confidence = Literal["high", "medium", "low", ""]


class Classification(msgspec.Struct, frozen=True):
    """What a column holds, as far as a sample tells. It holds no value of it.

    Attributes:
        kind: `label`: the column should bear `label`. `mixed`: labels stand in some of the values, or in parts of them.
            `nothing`: the sample has none. `empty`: there was no value to look at.
        label: what the column should bear; only with the kind `label`.
        confidence: `high`: almost every value is one, and has a check digit or a form of its own; `medium`: they are, by
            their form, or half of them are and the name says so; `low`: the name says so, and the values do not speak
            against it. Empty where there is no label.
        share: 0 to 1, of the values, that are a value of `label` and nothing else; of the kind `mixed`, that hold any.
        counted: label → how many values hold it, whole or in part.
        sampled: how many values were looked at.
        blank: how many more were null or empty.
        named: the label that the name alone speaks of; "" if it says nothing.
        reason: the above in a sentence.
    """

    kind: Literal["label", "mixed", "nothing", "empty"]
    label: str | None = None
    confidence: Confidence = ""
    share: float = 0.0
    counted: Mapping[str, int] = {}
    sampled: int = 0
    blank: int = 0
    named: str = ""
    reason: str = ""


class _Tally:
    """What was found in the values: how many are, or hold, what."""

    def __init__(self) -> None:
        self.wholes: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()
        self.having: Counter[str] = Counter()
        self.findings = 0
        #: In values that are no numbers; a number's check digits may be right by chance.
        self.sure = 0
        self.agreeing = 0
        self.numbers = 0
        self.sampled = 0

    def add(self, text: str, times: int, name: str, says: Named | None) -> None:
        self.sampled += times
        number = _NUMBER.fullmatch(text) is not None
        self.numbers += number * times
        if says is not None and says.check in CHECKS and CHECKS[says.check](text):
            self.agreeing += times
        found = scan(text, hint=name)
        if number:
            # A counter, a price, a duration: digits are something only if a check digit or the column's name says so.
            found = [f for f in found if f.score >= _CHECKED or (says is not None and says.label == f.label)]
        if not found:
            return
        self.findings += times
        self.sure += times * (not number)
        labels = {f.label for f in found}
        for label in labels:
            self.having[label] += times
        rest, at = [], 0
        for one in found:
            rest.append(text[at : one.start])
            at = one.end
        rest.append(text[at:])
        if len(labels) == 1 and not any(c.isalnum() for part in rest for c in part):
            (label,) = labels
            self.wholes[label] += times
            self.checked[label] += times * all(f.score >= _CHECKED for f in found)

    def most(self) -> tuple[str, int, int]:
        """The label that most values are, how many, and how many of these are beyond doubt. Keys of several providers are one kind."""
        if not self.wholes:
            return "", 0, 0
        label = max(self.wholes, key=lambda one: (self.wholes[one], one))
        secrets = [one for one in self.wholes if one.startswith("secret.")]
        together = sum(self.wholes[one] for one in secrets)
        if len(secrets) > 1 and together > self.wholes[label]:
            return "secret.generic", together, sum(self.checked[one] for one in secrets)
        return label, self.wholes[label], self.checked[label]


def classify(name: str, values: Iterable[object], *, table: str = "") -> Classification:
    """Tells what a column holds.

    Args:
        name: the column's name, which is context for what stands in it.
        values: a sample of its values, of any type that a driver gives. Bytes that are no UTF-8 count as blank.
        table: the table's name; that `name` means a person's is clear in `customers`.

    Returns:
        What it is. A label is proposed where at least 80 % of the values that are not blank are such a value and nothing
        else, or 50 % and the name says so too, or where the name says so, no detector knows the kind, and at least 80 %
        of the values look as they would have to. Numbers, dates and truth values are nothing unless a check digit or the
        name says otherwise.
    """
    distinct: Counter[str] = Counter()
    blank = 0
    for value in values:
        text = _text(value)
        if text is None:
            blank += 1
        else:
            distinct[text] += 1
    says = named(name, table)
    spoken = says.label if says is not None else ""
    tally = _Tally()
    for text, times in distinct.items():
        tally.add(text, times, name, says)
    total = tally.sampled
    if not total:
        return Classification("empty", blank=blank, named=spoken, reason="no value to look at")

    def answer(
        kind: Literal["label", "mixed", "nothing"], label: str | None, confidence: Confidence, share: float, reason: str
    ) -> Classification:
        counted = dict(sorted(tally.having.items())) if kind != "nothing" else {}
        return Classification(kind, label, confidence, round(share, 4), counted, total, blank, spoken, reason)

    label, whole, checked = tally.most()
    share = whole / total
    if label and says is not None and says.label.startswith("secret.") and label == "secret.generic":
        label = says.label  # the better word for the same
    if label and share >= WHOLE:
        sure: Confidence = "high" if checked >= WHOLE * total and total >= _FEW else "medium"
        return answer("label", label, sure, share, f"{_of(whole, total)} values")
    if label and says is not None and says.label == label and share >= _NAMED:
        return answer("label", label, "medium", share, f"the name says so, and {_of(whole, total)} values are")
    if says is not None and tally.agreeing >= WHOLE * total and (says.check != "words" or not _few_words(distinct)):
        share = tally.agreeing / total
        return answer(
            "label", says.label, "low", share, f"the name says so, and {_of(tally.agreeing, total)} values look so"
        )
    unlike = f"; the name says {spoken}" if spoken else ""
    if tally.sure or (tally.findings and tally.numbers < WHOLE * total):
        share = tally.findings / total
        return answer("mixed", None, "", share, f"{_of(tally.findings, total)} values hold some{unlike}")
    return answer("nothing", None, "", 0.0, f"nothing found in {total} {'value' if total == 1 else 'values'}{unlike}")


def _few_words(distinct: Mapping[str, int]) -> bool:
    """Whether a handful of words stands there again and again: a list of choices, not names of people."""
    return len(distinct) <= 5 and sum(distinct.values()) >= 10 * len(distinct)


def _of(count: int, total: int) -> str:
    return f"{count} of {total}"


def _text(value: Any) -> str | None:
    """A value as a text to look at; None if it is nothing, or cannot be looked at."""
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode()
        except UnicodeDecodeError:
            return None
    elif isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, dt.date | dt.time):
        value = value.isoformat()
    elif isinstance(value, dict | list | tuple):
        try:
            value = json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):  # within itself, or deeper than anybody wrote by hand
            return None
    text = str(value)[:CELL].strip()
    if (whole := _WHOLE_NUMBER.fullmatch(text)) is not None:
        text = whole[1]
    return None if text.lower() in _BLANK else text
