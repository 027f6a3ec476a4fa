"""The page `docs/accuracy.md`, and the same as JSON."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from typing import Any

from accuracy.corpus import SENTENCES, Text
from accuracy.measure import COMMON, Alarms, Measured, Plan
from accuracy.score import SECRETS, Score

__all__ = ["figures", "page"]


TYPES = ("email", "phone", "card", "iban", "bic", "us_ssn", "us_itin", "ip", "mac", "geo", "dob", "crypto", "secret")
NAMES = {
    "email": "e-mail address",
    "phone": "phone number",
    "card": "payment card",
    "iban": "IBAN",
    "bic": "BIC",
    "us_ssn": "US SSN",
    "us_itin": "US ITIN",
    "ip": "IP address",
    "mac": "MAC address",
    "geo": "coordinates",
    "dob": "date of birth",
    "crypto": "crypto address",
    "secret": "secrets, all",
    "key": "keys of providers",
    "password": "passwords and nameless keys",
    "url_password": "passwords in URLs",
    "jwt": "web tokens",
    "private_key": "private keys",
    "date": "date",
    "url": "URL",
    "us_driver_license": "US driver license",
}
LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian",
    "zh": "Chinese",
}  # fmt: skip

HEAD = """# Accuracy

Written by `nox -s accuracy`; do not edit. What guardai finds, and what the tools that people use today find on the same texts
in the same run. Cells are recall / precision / **F1** by overlap: a value counts as found if a finding of its type touches
it, a finding as right if it touches a value of its type (`accuracy/score.py` has the rules). Each tool is judged on the
types that it claims and on no others; "–" is a type that it does not claim.

{tools}

Python {python}. Presidio runs its pattern recognisers with a blank spaCy model whose lemmas are the words in lower case (without
lemmas its context words do nothing); models for names are not measured, names are not among the types. "From .35" drops
what it scores lower. DataFog runs its regex engine, detect-secrets all its plugins, LangChain the detectors of its
PIIMiddleware, scrubadub what is on by default for the United States and Great Britain.
"""


def page(plan: Plan, all_measured: Sequence[Measured], absent: Sequence[str]) -> str:
    """The whole page."""
    measured = [m for m in all_measured if m.sentences is not None]
    versions = ", ".join(f"{m.tool.title} ({m.version})" for m in measured)
    tools = f"Measured: {versions}."
    if absent:
        tools += f" Not measured, because not installed: {', '.join(absent)}."
    parts = [HEAD.format(tools=tools, python=platform.python_version())]
    parts += [_sentences(plan, measured), _own(plan, measured), _groups(plan, measured)]
    countries = [m for m in all_measured if m.countries is not None]
    if countries:
        parts.append(_countries(plan, countries))
    parts.append(_alarms(measured))
    parts.append(_providers(measured))
    return "\n".join(parts)


# ---- the sections ----


def _sentences(plan: Plan, measured: Sequence[Measured]) -> str:
    rows = []
    for title, kinds in (
        ("**without dates**: the six types below", COMMON),
        ("with dates", (*COMMON, "date")),
        ("with dates, URLs and driver licenses", (*COMMON, "date", "url", "us_driver_license")),
    ):
        rows.append((title, [_cell(m.sentences, [k for k in kinds if k in m.tool.claims]) for m in measured]))
    for kind in (*COMMON, "date", "url", "us_driver_license"):
        count = sum(s.kind == kind for t in plan.sentences for s in t.spans)
        rows.append(
            (
                f"{NAMES[kind]} ({count})",
                [_cell(m.sentences, [kind]) if kind in m.tool.claims else "–" for m in measured],
            )
        )
    rows.append(
        ("findings of kinds not labelled there", [str(m.sentences.other if m.sentences else 0) for m in measured])
    )
    return _section(
        "Sentences of presidio-research",
        f"{len(plan.sentences):,} generated English sentences in `accuracy/corpora/pii_sentences.jsonl` (MIT licence), the types that have a "
        f"pattern ({', '.join(SENTENCES)}). guardai and LangChain claim no dates; a date of birth is a type of its own below.",
        measured,
        rows,
    )


def _own(plan: Plan, measured: Sequence[Measured]) -> str:
    rows = [
        ("**all types that it claims**", [_cell(m.own, m.claims) for m in measured]),
        ("dev half", [_cell(m.halves.get("dev"), m.claims) for m in measured]),
        ("held-out half", [_cell(m.halves.get("held-out"), m.claims) for m in measured]),
        (
            "of those found, masked to the last character",
            [_share(_total(m.own, "whole", m), _total(m.own, "found", m)) for m in measured],
        ),
        (
            "of *all* values, touched by any finding",
            [_share(m.own.masked, m.own.everything) if m.own else "–" for m in measured],
        ),
    ]
    for kind in TYPES:
        rows.append((f"{NAMES[kind]} ({_count(plan.own, kind)})", [_cell(m.own, [kind], m) for m in measured]))
        if kind == "secret":
            for part in ("key", "password", "url_password", "jwt", "private_key"):
                rows.append(
                    (f"· {NAMES[part]} ({_count(plan.own, part)}), recall", [_recall(m, part) for m in measured])
                )
    values = sum(s.kind is not None for t in plan.own for s in t.spans)
    return _section(
        "A labelled set of our own",
        f"{len(plan.own):,} texts from {len({t.name.split('.')[0] for t in plan.own})} templates written by hand, {values:,} values: logs, code, "
        "settings, data, chat, mail, stack traces, documents, sixteen languages beside English, and texts with nothing in them but what "
        "looks like a value. Templates stand in `accuracy/corpora/templates`, what fills them in `accuracy/fillers`, written from the public "
        "rules and not from what guardai checks; nothing that is filled in is kept. A hash of the template says which half it "
        "belongs to; rules were tuned by looking at the dev half alone.",
        measured,
        rows,
    )


def _groups(plan: Plan, measured: Sequence[Measured]) -> str:
    parts = []
    for title, attribute, names in (("Domain", "domains", {}), ("Language", "languages", LANGUAGES)):
        rows = []
        for name in sorted({n for m in measured for n in getattr(m, attribute)}):
            count = sum(getattr(t, "domain" if attribute == "domains" else "language") == name for t in plan.own)
            rows.append(
                (f"{names.get(name, name)} ({count})", [_group(getattr(m, attribute).get(name), m) for m in measured])
            )
        parts.append(_table(title, measured, rows))
    return (
        "## By domain and language\n\nThe same set. Of hard negatives, what was found in them, which should be nothing.\n\n"
        + "\n".join(parts)
    )


def _countries(plan: Plan, measured: Sequence[Measured]) -> str:
    rows = [
        ("**numbers of persons and firms that it claims**", [_cell(m.countries, ["id"]) for m in measured]),
        ("the same, of all there are: recall", [_all_ids(plan, m) for m in measured]),
        ("false alarms of such numbers in the set above", [str(m.own.wrong["id"] if m.own else 0) for m in measured]),
        ("all false alarms per 100 KB of source code", [_per(m.code, "false") for m in measured]),
        ("all false alarms per 100 KB of prose", [_per(m.prose, "false") for m in measured]),
    ]
    for detail in sorted({s.detail for t in plan.countries for s in t.spans if s.kind == "id"}):
        cells = []
        for m in measured:
            counts = m.countries.details.get(f"id:{detail}") if m.countries else None
            cells.append(f"{counts[0]} of {counts[1]}" if counts else "–")
        rows.append((f"`{detail}`", cells))
    return _section(
        "Countries' numbers",
        f"{len(plan.countries)} further texts, with the packs of all countries switched on. A number counts as found whatever country's it is taken for.",
        measured,
        rows,
    )


def _alarms(measured: Sequence[Measured]) -> str:
    rows = []
    for title, pick in (("source code", lambda m: m.code), ("prose", lambda m: m.prose)):
        rows.append((f"{title}: **false alarms per 100 KB**", [_per(pick(m), "false") for m in measured]))
        rows.append((f"{title}: e-mail and IP addresses per 100 KB", [_per(pick(m), "addresses") for m in measured]))
        rows.append((f"{title}: URLs and dates per 100 KB", [_per(pick(m), "links") for m in measured]))
        rows.append(
            (
                f"{title}: what the false alarms are called",
                [", ".join(f"{kind} {count}" for kind, count in pick(m).false.most_common(5)) or "–" for m in measured],
            )
        )
    first = measured[0]
    sizes = tuple(f"{alarms.size / 1e6:.2f} MB" for alarms in (first.code, first.prose) if alarms)
    return _section(
        "False alarms",
        f"{sizes[0]} of source code (CPython's library and installed packages, without tests and without python-stdnum, which holds valid numbers of all kinds) and {sizes[1]} of prose (docstrings, packages' "
        "descriptions). E-mail addresses, addresses of machines, URLs and dates do stand there, so they are no false alarms and are counted "
        "apart; everything else is one.",
        measured,
        rows,
    )


def _providers(measured: Sequence[Measured]) -> str:
    secret = [m for m in measured if "secret" in m.claims]
    names = sorted({k for m in secret if m.own for k in m.own.details if k.startswith("key:")})
    rows = []
    for name in names:
        cells = []
        for m in secret:
            counts = m.own.details.get(name, [0, 0]) if m.own else [0, 0]
            cells.append(f"{counts[0]} of {counts[1]}")
        rows.append((f"`{name.partition(':')[2]}`", cells))
    return _section(
        "Keys by provider",
        f"Of the set of our own: {len(names)} providers. Found is found as any secret.",
        secret,
        rows,
    )


# ---- cells and tables ----


def _section(title: str, text: str, measured: Sequence[Measured], rows: list[tuple[str, list[str]]]) -> str:
    return f"## {title}\n\n{text}\n\n{_table('', measured, rows)}"


def _table(first: str, measured: Sequence[Measured], rows: list[tuple[str, list[str]]]) -> str:
    lines = [
        f"| {first} | " + " | ".join(m.tool.title for m in measured) + " |",
        "| --- |" + " ---: |" * len(measured),
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows),
    ]
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".lstrip("0") if value < 1 else "1"


def _cell(score: Score | None, kinds: Sequence[str] | frozenset[str], of: Measured | None = None) -> str:
    if score is None or (of is not None and not set(kinds) <= of.claims):
        return "–"
    recall, precision, f1 = score.figures(kinds)
    if math.isnan(recall):
        wrong = sum(score.wrong[k] for k in kinds)
        return f"{wrong} wrong" if wrong else "–"
    return f"{_short(recall)} / {_short(precision)} / **{_short(f1)}**"


def _group(score: Score | None, of: Measured) -> str:
    if score is None:
        return "–"
    if not any(score.gold.values()):
        return f"{sum(score.wrong[k] for k in of.claims)} wrong"
    return _cell(score, of.claims)


def _total(score: Score | None, name: str, of: Measured) -> int:
    return sum(getattr(score, name)[k] for k in of.claims) if score else 0


def _share(part: int, whole: int) -> str:
    return _short(part / whole) if whole else "–"


def _count(texts: Sequence[Text], kind: str) -> int:
    kinds = SECRETS if kind == "secret" else {kind}
    return sum(s.kind in kinds for t in texts for s in t.spans)


def _recall(of: Measured, part: str) -> str:
    if "secret" not in of.tool.claims or of.own is None:
        return "–"
    return _share(of.own.found[part], of.own.gold[part])


def _all_ids(plan: Plan, of: Measured) -> str:
    return _share(of.countries.found["id"], _count(plan.countries, "id")) if of.countries else "–"


def _per(alarms: Alarms | None, name: str) -> str:
    if alarms is None:
        return "–"
    count = alarms.false.total() if name == "false" else getattr(alarms, name)
    return f"{alarms.per(count):.2f}"


# ---- for programs ----


def figures(measured: Sequence[Measured]) -> dict[str, Any]:
    """All counts, by tool."""
    return {m.tool.key: _figures(m) for m in measured}


def _figures(of: Measured) -> dict[str, Any]:
    told: dict[str, Any] = {"title": of.tool.title, "version": of.version}
    for name in ("sentences", "own", "countries"):
        if (score := getattr(of, name)) is not None:
            told[name] = _counts(score, of.tool.claims if name == "sentences" else of.claims)
    for name in ("halves", "domains", "languages"):
        told[name] = {key: _counts(score, of.claims) for key, score in getattr(of, name).items()}
    for name in ("code", "prose"):
        if (alarms := getattr(of, name)) is not None:
            told[name] = {
                "characters": alarms.size,
                "false": dict(alarms.false),
                "addresses": alarms.addresses,
                "links": alarms.links,
                "false_per_100_kb": alarms.per(alarms.false.total()),
            }
    return told


def _counts(score: Score, claims: frozenset[str]) -> dict[str, Any]:
    recall, precision, f1 = score.figures(claims)
    kinds = sorted(score.gold | score.wrong)
    return {
        "recall": _plain(recall),
        "precision": _plain(precision),
        "f1": _plain(f1),
        "masked": score.masked,
        "everything": score.everything,
        "types": {
            kind: {name: getattr(score, name)[kind] for name in ("gold", "found", "whole", "right", "wrong")}
            for kind in kinds
        },
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
