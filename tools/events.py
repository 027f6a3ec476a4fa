"""Writes what follows from the structs of events: docs/event-schema.json, and the tables of docs/events.md.

`python tools/events.py`; with `--check` it only says whether they are up to date.
"""

# ruff: noqa: INP001, T201 - a script for developers: it tells what it wrote
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from guardai.model import RESERVED, VERSION
from guardai.model.kinds import VERSIONS, ProgramsOwn, Recorded

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "docs" / "event-schema.json"
PAGE = ROOT / "docs" / "events.md"

KINDS: Final = VERSIONS[VERSION]
#: The tables stand behind this line of the page.
MARK: Final = "<!-- What follows is written by tools/events.py from the structs. -->\n"
_SAFE: Final = 2**53 - 1
#: Any JSON that an event can hold: whole numbers only, and those that every reader knows exactly.
VALUE: Final = {
    "title": "Value",
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "integer", "minimum": -_SAFE, "maximum": _SAFE},
        {"type": "array", "items": {"$ref": "#/$defs/Value"}},
        {
            "type": "object",
            "propertyNames": {"pattern": r"^[\x00-\x7f]*$"},
            "additionalProperties": {"$ref": "#/$defs/Value"},
        },
    ],
}


def schema() -> dict[str, Any]:
    """docs/event-schema.json: JSON Schema 2020-12 of one event, one alternative a kind."""
    structs = [*KINDS.values(), ProgramsOwn]
    references, parts = msgspec.json.schema_components(structs, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"An event of guardai's ledger, version {VERSION}",
        "description": "Written by tools/events.py from the structs in src/guardai/model/kinds. The bytes are this in RFC 8785.",
        "oneOf": list(references),
        "$defs": {**parts, "Value": VALUE},
    }


def tables() -> str:
    """What each kind holds, in Markdown."""
    parts = schema()["$defs"]
    common = msgspec.json.schema_components([Recorded])[1]["Recorded"]
    seen: list[str] = []
    lines = ["\n## What every event has\n", *_table(_rows(common, common["properties"], parts, seen))]
    for kind, struct in KINDS.items():
        lines += ["\n## `" + kind + "`\n", *_section(parts[struct.__name__], common, parts, seen)]
    lines += ["\n## What programs record\n", *_section(parts["ProgramsOwn"], common, parts, seen)]
    lines += [f"\nIts kind does not begin with {', '.join(f'`{word}.`' for word in RESERVED)}."]
    lines += ["\n## Parts"]
    for name in seen:  # grows meanwhile
        rows = _rows(parts[name], parts[name]["properties"], parts, seen)
        lines += [f"\n### {name}\n", f"{parts[name]['description']}\n", *_table(rows)]
    return "\n".join(lines) + "\n"


def _section(part: Any, common: Any, parts: Any, seen: list[str]) -> list[str]:
    """One kind: what it has besides what all have; its body field by field."""
    own = [name for name in part["properties"] if name not in common["properties"]]
    rows = _rows(part, own, parts, seen)
    return [f"{part['description']}\n", *_table(rows)]


def _rows(part: Any, names: Any, parts: Any, seen: list[str], before: str = "") -> list[tuple[str, str]]:
    rows = []
    for name in sorted(names):
        field = part["properties"][name]
        body = parts[field["$ref"].rpartition("/")[2]] if name == "body" and "$ref" in field else None
        if body is not None:
            rows += _rows(body, body["properties"], parts, seen, "body.")
            continue
        seen += [one for one in _references(field) if one not in seen]
        absent = "" if name in part["required"] else ", if any"
        text = field.get("description", "")
        rows.append((f"{before}{name}", f"{_kind(field)}{absent}{': ' if text else ''}{text}"))
    return rows


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return ["| field | what it is |", "| --- | --- |", *(f"| `{name}` | {text} |" for name, text in rows)]


def _references(field: Any) -> list[str]:
    """The parts that a field refers to."""
    if isinstance(field, dict):
        name = str(field.get("$ref", "")).rpartition("/")[2]
        inner = [one for value in field.values() for one in _references(value)]
        return [name, *inner] if name not in ("", "Value") else inner
    return [one for inner in field for one in _references(inner)] if isinstance(field, list) else []


def _kind(field: dict[str, Any]) -> str:
    """The type of a field, for people."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "any JSON without fractions" if name == "Value" else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field["anyOf"]))
    if "const" in field:
        return _literal(field["const"])
    if "enum" in field:
        return " or ".join(_literal(one) for one in field["enum"])
    if field["type"] == "array":
        return "two texts" if "prefixItems" in field else f"list of {_kind(field['items'])}"
    if field["type"] == "object":
        return f"map to {_kind(field['additionalProperties'])}"
    return {"string": "text"}.get(field["type"], field["type"])


def _literal(value: object) -> str:
    return f"`{value}`" if value and isinstance(value, str) else f"`{json.dumps(value)}`"


def main() -> int:
    """Writes both, or with --check says whether they are as they should be."""
    checking = "--check" in sys.argv[1:]
    head, _, _ = PAGE.read_text("utf-8").partition(MARK)
    wanted = {SCHEMA: json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", PAGE: head + MARK + tables()}
    late = 0
    for path, text in wanted.items():
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        late += 1
        if not checking:
            path.write_text(text, "utf-8")
        print(f"{path.relative_to(ROOT)} {'is out of date' if checking else 'written'}")
    return late if checking else 0


if __name__ == "__main__":
    sys.exit(main())
