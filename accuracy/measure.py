"""What is measured of every tool: the sentences, the set of our own, the countries' numbers, false alarms."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from accuracy import corpus, sources
from accuracy.corpus import Text
from accuracy.score import Score, score
from accuracy.tools import COUNTRIES, TOOLS, Tool, run, translated

__all__ = ["COMMON", "Alarms", "Measured", "Plan", "alarms", "measure", "plan"]

#: The types that the sentences of presidio-research label and that have a pattern, without dates.
COMMON = ("card", "phone", "email", "us_ssn", "iban", "ip")


@dataclass(frozen=True, slots=True)
class Plan:
    """The texts, the same for every tool."""

    sentences: list[Text]
    own: list[Text]
    countries: list[Text]
    code: list[str]
    prose: list[str]

    def texts(self, tool: Tool) -> list[str]:
        """All that the tool is given, in order."""
        first = self.countries if tool.key in COUNTRIES else self.sentences
        return [*(t.text for t in (*first, *self.own)), *self.clean(tool, self.code), *self.clean(tool, self.prose)]

    def clean(self, tool: Tool, texts: list[str]) -> list[str]:
        """Code or prose for the tool: a quarter of it where all countries are looked for, which takes Presidio minutes."""
        return texts[::4] if tool.key in COUNTRIES else texts


def plan(*, small: bool = False) -> Plan:
    """The texts. `small`: a tenth of them, to see that everything runs."""
    own = corpus.own()
    size = 100_000 if small else 2_000_000
    step = 10 if small else 1
    return Plan(
        sentences=corpus.sentences()[::step],
        own=[t for t in own if t.domain != "countries"][::step],
        countries=[t for t in own if t.domain == "countries"][::step],
        code=sources.code(size),
        prose=sources.prose(size // 2),
    )


@dataclass(slots=True)
class Alarms:
    """Findings in texts that were written without anything to hide.

    Attributes:
        size: of the texts in characters.
        addresses: findings that are e-mail addresses or addresses of machines, which such texts do hold.
        links: findings called URLs or dates, which they hold as well.
        false: all others, by the tool's own name for them.
    """

    size: int = 0
    addresses: int = 0
    links: int = 0
    false: Counter[str] = field(default_factory=Counter)

    def per(self, count: int) -> float:
        """In 100 KB."""
        return count * 100_000 / self.size if self.size else 0.0


@dataclass(slots=True)
class Measured:
    """A tool's results. None: not measured for this tool.

    Attributes:
        claims: those of its types that the set of our own labels.
    """

    tool: Tool
    version: str
    claims: frozenset[str]
    sentences: Score | None = None
    own: Score | None = None
    halves: dict[str, Score] = field(default_factory=dict)
    domains: dict[str, Score] = field(default_factory=dict)
    languages: dict[str, Score] = field(default_factory=dict)
    countries: Score | None = None
    code: Alarms | None = None
    prose: Alarms | None = None


def measure(tool: Tool, version: str, plan: Plan, python: str, advance: Callable[[int], None]) -> Measured:
    """Runs the tool on everything and counts."""
    found = run(tool, plan.texts(tool), python, advance)
    named = translated(tool, found)
    claims = tool.claims & corpus.LABELLED
    result = Measured(tool, version, claims)
    first = len(plan.countries if tool.key in COUNTRIES else plan.sentences)
    if tool.key in COUNTRIES:
        result.countries = score(plan.countries, named[:first], claims, tool.details)
    else:
        result.sentences = score(plan.sentences, named[:first], tool.claims)
    second = first + len(plan.own)
    own = named[first:second]
    result.own = score(plan.own, own, claims, tool.details)
    for table, of in (
        (result.halves, lambda t: t.half),
        (result.domains, lambda t: t.domain),
        (result.languages, lambda t: t.language),
    ):
        for name in sorted({of(t) for t in plan.own}):
            chosen = [(t, f) for t, f in zip(plan.own, own, strict=True) if of(t) == name]
            table[name] = score([t for t, _ in chosen], [f for _, f in chosen], claims, tool.details)
    code, prose = plan.clean(tool, plan.code), plan.clean(tool, plan.prose)
    third = second + len(code)
    result.code = alarms(tool, code, found[second:third])
    result.prose = alarms(tool, prose, found[third:])
    return result


_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\.?")


def alarms(tool: Tool, texts: Sequence[str], found: Sequence[Sequence[tuple[int, int, str]]]) -> Alarms:
    """Counts what is found in texts that hide nothing."""
    total = Alarms(size=sum(map(len, texts)))
    for text, findings in zip(texts, found, strict=True):
        for start, end, kind in findings:
            if tool.kinds(kind) in ("url", "date"):
                total.links += 1
            elif _address(text[start:end]):
                total.addresses += 1
            else:
                total.false[kind] += 1
    return total


def _address(value: str) -> bool:
    """By the rules of the web's forms for e-mail, and of the standard library for machines."""
    if _MAIL.fullmatch(value):
        return True
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
