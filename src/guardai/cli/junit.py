"""Results of policy tests as JUnit XML, which build servers read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from guardai.policy.trial import Result

__all__ = ["document"]

#: What XML 1.0 cannot hold, not even escaped.
_IMPOSSIBLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(results: Sequence[Result]) -> bytes:
    """One suite for each file, one test case for each request."""
    suites: dict[str, list[Result]] = {}
    for result in results:
        suites.setdefault(result.case.file, []).append(result)
    root = ET.Element("testsuites", {"name": "guardai policy test", **_counts(results)})
    for file, ran in suites.items():
        suite = ET.SubElement(root, "testsuite", {"name": _text(file), **_counts(ran)})
        for result in ran:
            named = {
                "name": _text(result.name),
                "classname": _text(file.removesuffix(".toml").replace("/", ".")),
                "time": f"{result.seconds:.6f}",
            }
            case = ET.SubElement(suite, "testcase", named)
            if result.failures:
                said = _text("\n".join(result.failures))
                failure = ET.SubElement(case, "failure", {"message": said.partition("\n")[0], "type": "unexpected"})
                failure.text = f"{_text(file)}:{result.case.line}\n{said}"
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(bool(result.failures) for result in results)),
        "errors": "0",
        "skipped": "0",
        "time": f"{sum(result.seconds for result in results):.6f}",
    }


def _text(text: str) -> str:
    return _IMPOSSIBLE.sub("�", text)
