"""Writes what follows from the packs: docs/labels.md, and the vocabulary's src/guardai/model/labels.py.

`python tools/labels.py`; with `--check` it only says whether they are up to date.
"""

# ruff: noqa: INP001, T201 - a script for developers: it tells what it wrote
from __future__ import annotations

import sys
from pathlib import Path

from guardai.text import packs
from guardai.text.detectors.reference import Entry, entries

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "labels.md"
MODULE = ROOT / "src" / "guardai" / "model" / "labels.py"

INTRODUCTION = """# Labels

What is found in text, and the label that it bears. A policy names these labels, or what covers them: `pii` stands for all
that begin with `pii.`. This page is written by `tools/labels.py` from the packs.

Some values give themselves away, by their form or a check digit. Others count only where a word announces them, before
the value or directly after it, in the text, in the key of a JSON object or in the name of a column: a bank's code after
`BIC`, a date after `born`, ten digits after `phone`. Digits are those of ASCII: numbers in full-width, Arabic-Indic or
Devanagari digits are not found.
"""
COUNTRIES = """
## Countries

Looked for where the country is chosen: `GUARDAI_TEXT_COUNTRIES=de,nl`, or `all`; `guardai.text.configure(countries=…)`; or
`countries = ["de", "nl"]` in the `detectors.toml` of a policy.
"""
OTHERS = {
    "pii.address": "Postal address: the label of a column",
    "pii.driver_license": "Number of a driving licence: the label of a column",
    "pii.location": "Name of a place: what a recogniser of names finds",
    "pii.name": "Name of a person: the label of a column",
    "pii.national_id": "Number that a state knows a person by: the label of a column",
    "pii.organization": "Name of an organisation: what a recogniser of names finds",
    "pii.passport": "Number of a passport: the label of a column",
    "pii.person": "Name of a person: what a recogniser of names finds",
    "pii.postcode": "Postal code: the label of a column",
    "pii.tax_id": "Number that a tax office knows a person by: the label of a column",
}


def table(rows: list[Entry]) -> str:
    """Rows of Markdown."""
    lines = ["", "| label | what it is | example |", "| --- | --- | --- |"]
    for entry in rows:
        title, example = (text.replace("|", "\\|") for text in (entry.title, entry.example))
        lines.append(f"| `{entry.label}` | {title} | `{example}` |")
    return "\n".join(lines) + "\n"


def page(found: list[Entry]) -> str:
    """docs/labels.md."""
    core = [entry for entry in found if entry.pack == "core"]
    secrets = [entry for entry in found if entry.pack == "secrets"]
    parts = [
        INTRODUCTION,
        f"\n## Personal data\n\nPack `core`, always there: {len({e.label for e in core if e.label.startswith('pii.')})} labels.\n",
        table([entry for entry in core if entry.label.startswith("pii.")]),
        f"\n## Keys and passwords\n\nPack `secrets`, always there: {len(secrets)} labels.\n",
        table(secrets + [entry for entry in core if not entry.label.startswith("pii.")]),
        COUNTRIES,
    ]
    for pack in dict.fromkeys(entry.pack for entry in found if entry.pack.startswith("countries.")):
        parts += [f"\n### {pack.partition('.')[2]}\n", table([entry for entry in found if entry.pack == pack])]
    parts.append(
        "\n## Not in text\n\nGiven to columns by their names, and to names by a recogniser that is installed.\n\n"
    )
    parts.append("| label | what it is |\n| --- | --- |\n")
    parts += [f"| `{label}` | {title} |\n" for label, title in OTHERS.items()]
    return "".join(parts)


def module(found: list[Entry]) -> str:
    """src/guardai/model/labels.py."""
    lines = [
        '"""Every label of personal data that the shipped packs find, and what it is. Written by `tools/labels.py`."""',
        "",
        "from __future__ import annotations",
        "",
        "from types import MappingProxyType",
        "from typing import Final",
        "",
        '__all__ = ["LABELS", "OTHERS"]',
        "",
        "#: Found in text: label → what it is, in one line.",
        "LABELS: Final = MappingProxyType(",
        "    {",
    ]
    lines += [f"        {quoted(e.label)}: {quoted(e.title)}," for e in sorted(found) if e.label.startswith("pii.")]
    lines += ["    }", ")", "", "#: Given to columns by their names, and to names by a recogniser that is installed."]
    lines += ["OTHERS: Final = MappingProxyType(", "    {"]
    lines += [f"        {quoted(label)}: {quoted(title)}," for label, title in OTHERS.items()]
    return "\n".join([*lines, "    }", ")", ""])


def quoted(text: str) -> str:
    """A string of Python, in double quotes as far as that can be."""
    return (
        f"'{text}'" if '"' in text and "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )


def main() -> int:
    """Writes both, or with --check says whether they are as they should be."""
    found = entries([packs.core(), packs.secrets(), *packs.countries("all")])
    late = 0
    for path, text in ((PAGE, page(found)), (MODULE, module(found))):
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        late += 1
        if "--check" not in sys.argv[1:]:
            path.write_text(text, "utf-8")
        print(f"{path.relative_to(ROOT)} {'is out of date' if '--check' in sys.argv[1:] else 'written'}")
    return late if "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
