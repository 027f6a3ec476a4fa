"""The labelled set: templates written by hand, filled at run time, split by a hash into `dev` and `held-out`.

A template is a text with slots (`<<phone:de>>`); what a slot of personal data or of a secret is filled with is a gold
span, and nothing else is. A slot with a question mark (`<<?hex:32>>`) marks what one may see either way: a finding there
is neither right nor wrong. Only misses of `dev` may be looked at while rules are written.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from accuracy.fillers import FILLERS

__all__ = ["CORPORA", "LABELLED", "SENTENCES", "Span", "Text", "own", "sentences"]

CORPORA = Path(__file__).parent / "corpora"
#: How often a template is filled, each time with other values.
TIMES = 4
#: The types that the set of our own labels. Dates and URLs stand there too, and are neither right nor wrong.
LABELLED = frozenset(
    ("email", "phone", "card", "iban", "bic", "us_ssn", "us_itin", "ip", "mac", "geo", "dob", "crypto", "secret", "id")
)
_SLOT = re.compile(r"<<(\?)?([a-z_0-9]+)(?::([^<>]*))?>>")


class Span(NamedTuple):
    """A gold span in characters; `kind` is None where a finding is neither right nor wrong."""

    start: int
    end: int
    kind: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A labelled text.

    Attributes:
        name: of its template, and which filling it is.
        half: `dev` or `held-out`.
    """

    name: str
    text: str
    spans: tuple[Span, ...]
    domain: str
    language: str = "en"
    half: str = "held-out"


def own() -> list[Text]:
    """The set of our own, the same at every run."""
    made: dict[str, Text] = {}
    for path in sorted((CORPORA / "templates").glob("*.toml")):
        for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
            for template in group["texts"]:
                for text in _filled(template, path.stem, group["domain"], group.get("language", "en")):
                    made.setdefault(text.text, text)
    return list(made.values())


def _filled(template: str, file: str, domain: str, language: str) -> Iterator[Text]:
    digest = hashlib.sha256(template.encode()).hexdigest()
    half = "dev" if int(digest[:8], 16) % 2 else "held-out"
    for time in range(TIMES if _SLOT.search(template) else 1):
        rng = Random(f"{digest}:{time}")
        parts, spans, done, length = [], [], 0, 0
        for slot in _SLOT.finditer(template):
            filler = FILLERS[slot[2]]
            value = filler.make(rng, slot[3] or "")
            before = template[done : slot.start()]
            start = length + len(before)
            parts += [before, value]
            done, length = slot.end(), start + len(value)
            if slot[1]:
                spans.append(Span(start, length, None))
            elif filler.label:
                spans.append(Span(start, length, filler.label, slot[3] or ""))
        parts.append(template[done:])
        yield Text(f"{file}/{digest[:8]}.{time}", "".join(parts), tuple(spans), domain, language, half)


#: What the pattern-able types of presidio-research are called here. The others (names, places) are not looked for.
SENTENCES = {
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "US_SSN": "us_ssn",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "DATE_TIME": "date",
    "DOMAIN_NAME": "url",
    "US_DRIVER_LICENSE": "us_driver_license",
}


def sentences() -> list[Text]:
    """Sentences that were generated for presidio-research (MIT licence), with its labels."""
    lines = (CORPORA / "pii_sentences.jsonl").read_text(encoding="utf-8").splitlines()
    texts = []
    for at, line in enumerate(lines):
        entry = json.loads(line)
        spans = tuple(Span(start, end, SENTENCES[kind]) for start, end, kind in entry["spans"] if kind in SENTENCES)
        texts.append(Text(f"sentence/{at}", entry["text"], spans, "sentences"))
    return texts
