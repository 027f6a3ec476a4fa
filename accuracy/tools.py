"""guardai and its peers: how each is run, and what its kinds are called here.

Each runs in a process of its own, under the Python that has it installed. What a tool claims is what its documentation
lists as found by patterns; it is judged on that alone. A kind that is translated to None is not counted against it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accuracy.score import Finding, canonical

__all__ = ["TOOLS", "Tool", "ours", "run", "version"]

ROOT = Path(__file__).parent.parent

_GUARDAI = {
    "pii.email": "email",
    "pii.phone": "phone",
    "pii.card": "card",
    "pii.iban": "iban",
    "pii.bic": "bic",
    "pii.us_ssn": "us_ssn",
    "pii.us_itin": "us_itin",
    "pii.ip": "ip",
    "pii.mac": "mac",
    "pii.geo": "geo",
    "pii.dob": "dob",
    "pii.crypto": "crypto",
}


def ours(label: str) -> str | None:
    """The type of one of guardai's labels."""
    if label.startswith("secret."):
        return "secret"
    if label in _GUARDAI:
        return _GUARDAI[label]
    return "id" if label.startswith("pii.") else None


_PRESIDIO = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "US_ITIN": "us_itin",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
    "CRYPTO": "crypto",
    "URL": "url",
    "DATE_TIME": "date",
    "US_DRIVER_LICENSE": "us_driver_license",
}
#: The countries' recognisers of Presidio that find what the templates hold.
_PRESIDIO_COUNTRIES = {
    "DE_TAX_ID": "de_tax_id",
    "DE_SOCIAL_SECURITY": "de_pension",
    "ES_NIF": "es_dni",
    "ES_NIE": "es_nie",
    "IT_FISCAL_CODE": "it_fiscal",
    "IT_VAT_CODE": "it_vat",
    "PL_PESEL": "pl_pesel",
    "UK_NHS": "uk_nhs",
    "UK_NINO": "uk_nino",
    "SE_PERSONNUMMER": "se_personal",
    "FI_PERSONAL_IDENTITY_CODE": "fi_hetu",
    "TR_NATIONAL_ID": "tr_national",
    "IN_AADHAAR": "in_aadhaar",
    "IN_PAN": "in_pan",
    "KR_RRN": "kr_resident",
    "SG_NRIC_FIN": "sg_nric",
    "AU_TFN": "au_tfn",
    "AU_MEDICARE": "au_medicare",
    "CA_SIN": "ca_sin",
    "ZA_ID_NUMBER": "za_id",
    "US_NPI": "us_npi",
}


@dataclass(frozen=True)
class Tool:
    """One way of running one tool.

    Attributes:
        key: short, unique.
        title: as the tables call it.
        peer: its module in `benchmarks.peers`, or in `accuracy.peers`.
        options: of that module's `load`.
        kinds: what it calls a kind → our type.
        details: the countries' numbers that it claims; None: all.
        environment: variables of its process.
    """

    key: str
    title: str
    peer: str
    kinds: Callable[[str], str | None]
    claims: frozenset[str]
    options: Mapping[str, object] = field(default_factory=dict)
    details: frozenset[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def _presidio(key: str, title: str, threshold: float) -> Tool:
    return Tool(
        key, title, "benchmarks.peers.presidio", _PRESIDIO.get, frozenset(_PRESIDIO.values()), {"threshold": threshold}
    )


_LANGCHAIN = {"email": "email", "credit_card": "card", "ip": "ip", "mac_address": "mac", "url": "url"}
# Its date is what it calls DOB in its documentation: any date.
_DATAFOG = {
    "EMAIL": "email",
    "PHONE": "phone",
    "CREDIT_CARD": "card",
    "SSN": "us_ssn",
    "IP_ADDRESS": "ip",
    "DATE": "date",
}
_SCRUBADUB = {
    "email": "email",
    "phone": "phone",
    "credit_card": "card",
    "social_security_number": "us_ssn",
    "credential": "secret",
    "url": "url",
}

TOOLS: dict[str, Tool] = {
    tool.key: tool
    for tool in (
        Tool("guardai", "guardai", "benchmarks.peers.guardai", ours, frozenset((*_GUARDAI.values(), "secret"))),
        _presidio("presidio", "Presidio, default", 0.0),
        _presidio("presidio_35", "Presidio, from .35", 0.35),
        Tool("datafog", "DataFog", "benchmarks.peers.datafog", _DATAFOG.get, frozenset(_DATAFOG.values())),
        Tool(
            "detect_secrets",
            "detect-secrets",
            "benchmarks.peers.detect_secrets",
            lambda _kind: "secret",
            frozenset(("secret",)),
        ),
        Tool(
            "langchain", "LangChain", "benchmarks.peers.langchain_pii", _LANGCHAIN.get, frozenset(_LANGCHAIN.values())
        ),
        Tool("scrubadub", "scrubadub", "accuracy.peers.scrubadub", _SCRUBADUB.get, frozenset(_SCRUBADUB.values())),
    )
}
#: Those that know countries' numbers, all of them switched on.
COUNTRIES: dict[str, Tool] = {
    tool.key: tool
    for tool in (
        Tool(
            "guardai_all",
            "guardai, all countries",
            "benchmarks.peers.guardai",
            ours,
            frozenset((*_GUARDAI.values(), "secret", "id")),
            environment={"GUARDAI_TEXT_COUNTRIES": "all"},
        ),
        Tool(
            "presidio_all",
            "Presidio, all, from .35",
            "benchmarks.peers.presidio",
            lambda kind: "id" if kind in _PRESIDIO_COUNTRIES else _PRESIDIO.get(kind),
            frozenset((*_PRESIDIO.values(), "id")),
            {"threshold": 0.35, "every": True},
            frozenset(_PRESIDIO_COUNTRIES.values()),
        ),
    )
}


def version(tool: Tool, python: str) -> str | None:
    """The version under `python`, None if it is not installed there."""
    done = _python(python, ["-m", "accuracy.worker", tool.peer], tool)
    return done.stdout.strip() or None if done.returncode == 0 else None


def run(
    tool: Tool, texts: Sequence[str], python: str, advance: Callable[[int], None] = lambda _count: None
) -> list[list[tuple[int, int, str]]]:
    """What the tool finds in each text, by its own names for the kinds.

    Raises:
        RuntimeError: its process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task.json"
        task.write_text(json.dumps({"options": dict(tool.options), "texts": list(texts)}), encoding="utf-8")
        said = Path(folder) / "stderr"
        with (
            said.open("w", encoding="utf-8") as stderr,
            subprocess.Popen(
                [python, "-m", "accuracy.worker", tool.peer, str(task)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=ROOT,
                env={**os.environ, **tool.environment},
            ) as process,
        ):
            assert process.stdout is not None
            found = []
            for line in process.stdout:
                found.append([tuple(f) for f in json.loads(line)])
                advance(1)
        if process.returncode or len(found) != len(texts):
            last = said.read_text(encoding="utf-8").strip().rpartition("\n")[2]
            raise RuntimeError(f"{tool.title} stopped after {len(found)} of {len(texts)} texts: {last}")
    return found  # type: ignore[return-value]


def translated(tool: Tool, found: Sequence[Sequence[tuple[int, int, str]]]) -> list[list[Finding]]:
    """The same with our types."""
    return [[(start, end, canonical(tool.kinds(kind))) for start, end, kind in findings] for findings in found]


def _python(python: str, arguments: list[str], tool: Tool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **tool.environment},
    )


def here() -> str:
    """This Python, which has guardai."""
    return sys.executable
