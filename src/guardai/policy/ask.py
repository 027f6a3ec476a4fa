"""One question to Cedar, and its answer without values."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import cedarpy
import msgspec

_batch: Any
try:  # what `cedarpy.is_authorized` calls: 20 µs instead of 27, for it decodes with `json` what is never looked at
    from cedarpy import _internal

    _batch = _internal.is_authorized_batch
except (ImportError, AttributeError):  # a cedarpy that is built otherwise
    _batch = None

__all__ = ["Answer", "Question", "ask"]

_ERROR: Final = re.compile(r"error while evaluating policy `([^`]*)`: (.*)", re.DOTALL)
_MISSING: Final = re.compile(r"does not have the attribute `([^`]+)`")
_TYPE: Final = re.compile(r"type error: (expected [a-z ]+, got [a-z]+)")


class Answer(NamedTuple):
    """What Cedar said to one question."""

    allowed: bool
    reasons: tuple[str, ...]
    errors: tuple[str, ...]


class Question(NamedTuple):
    """One question to Cedar, all but its context.

    Attributes:
        policies: the parsed set.
        entities: parsed.
        request: principal, action and resource.
        about: the type of what is acted on, for people.
        ids: the policies of the set.
        what: what is acted on, as counters know it.
    """

    policies: Any
    entities: Any
    request: dict[str, Any]
    about: str
    ids: tuple[str, ...] = ()
    what: tuple[str, ...] = ()


class _Diagnostics(msgspec.Struct):
    reason: list[str]
    errors: list[str]


class _Said(msgspec.Struct):
    decision: str
    diagnostics: _Diagnostics


_decode: Final = msgspec.json.Decoder(_Said).decode
_NO_ANSWER: Final = Answer(allowed=False, reasons=(), errors=("the question could not be put to Cedar",))


def ask(question: Question, context: str) -> Answer:
    """One question to Cedar. Whatever is not a plain answer is an error in it."""
    request = {**question.request, "context": context}
    try:
        if _batch is None:
            return _asked(request, question)
        said = _decode(_batch([request], question.policies, question.entities._inner, None, False)[0])
    except Exception:  # not as this cedarpy is built
        return _asked(request, question)
    return _answer(said.decision, said.diagnostics.reason, said.diagnostics.errors)


def _asked(request: dict[str, Any], question: Question) -> Answer:
    """The same by cedarpy's public face."""
    try:
        result = cedarpy.is_authorized(request, question.policies, question.entities)
        return _answer(result.decision.value, result.diagnostics.reasons, result.diagnostics.errors)
    except Exception:  # whatever it is, it is no permission
        return _NO_ANSWER


def _answer(decision: str, reason: list[str], errors: list[str]) -> Answer:
    reasons = tuple(sorted(reason)) if len(reason) > 1 else tuple(reason)
    if errors:
        return Answer(allowed=False, reasons=reasons, errors=tuple(sorted({_without_values(one) for one in errors})))
    if decision == "Allow":
        return Answer(allowed=True, reasons=reasons, errors=())
    return Answer(allowed=False, reasons=reasons, errors=()) if decision == "Deny" else _NO_ANSWER


def _without_values(error: str) -> str:
    """The policy and what is wrong. Cedar's own message can hold values: `invalid IP address: …`."""
    parts = _ERROR.fullmatch(error)
    if not parts:
        return "the question could not be put to Cedar"
    policy, detail = parts.groups()
    if missing := _MISSING.search(detail):
        return f"{policy}: attribute {missing[1]} is missing"
    if mismatch := _TYPE.fullmatch(detail):
        return f"{policy}: {mismatch[1]}"
    return f"{policy}: could not be evaluated"
