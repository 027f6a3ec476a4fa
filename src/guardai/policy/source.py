"""Cedar text, cut into single policies that know their file and line.

Cedar's parser names no position, and it answers a whole file at once; one policy at a time gives every error a place.

SECURITY INVARIANT: no text reaches Cedar's parser before `_too_deep` has passed it. The parser recurses on the native
stack and has no limit of its own: 2,000 nested brackets end the process, 40 do on a thread with a stack of 512 KB.
"""

from __future__ import annotations

import re
from typing import Any, Final

import cedarpy
import msgspec

__all__ = ["MAX_DEPTH", "MAX_OPERATORS", "Fault", "Policy", "parse", "split"]

#: Nested brackets in one policy. Crashes begin at 40 on a 512 KB stack; people write five.
MAX_DEPTH: Final = 24
#: Operators in one policy. Each of a chain is one level of the parser's stack; crashes begin at 500 on a 512 KB stack.
MAX_OPERATORS: Final = 400

# Cedar's whole lexical grammar for what can hide a semicolon: a string (with escapes, newlines allowed) and a line comment.
_TOKEN: Final = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<comment>//[^\r\n]*)|(?P<end>;)|(?P<open>[(\[{])|(?P<close>[)\]}])'
    r"|(?P<op>&&|\|\||[=!<>]=|[-+*.<>!]|\b(?:if|in|has|like|is)\b)|(?P<word>\w+)|(?P<rest>\S)",
    re.DOTALL,
)
_NAME: Final = re.compile(r"[^\x00-\x1f`\x7f]{1,128}")


class Policy:
    """One policy of a bundle. It does not change.

    Attributes:
        id: its `@id`, or `file:line` if it has none.
        effect: `permit` or `forbid`.
        annotations: name → value.
        source: its text as written, comments before it left out.
        file: relative to the bundle, `policies/starter.cedar`.
        line: where it begins, from 1.
    """

    __slots__ = ("_json", "annotations", "effect", "file", "id", "line", "source")

    def __init__(
        self,
        id: str,  # noqa: A002 - it is what everybody calls it
        effect: str,
        annotations: dict[str, str],
        source: str,
        file: str,
        line: int,
        json: bytes | None = None,
    ) -> None:
        """`json` is None where the text was found good by whoever built the bundle; then it is parsed when it is needed."""
        self.id = id
        self.effect = effect
        self.annotations = annotations
        self.source = source
        self.file = file
        self.line = line
        self._json = json

    @property
    def json(self) -> bytes:
        """Its syntax tree in Cedar's JSON format: what slices are put together from.

        Raises:
            ValueError: a text that nobody parsed before is no policy after all.
        """
        found = self._json
        if found is None:
            # INVARIANT: not even a text that is said to be good gets past `split` unseen.
            [(_, text)] = split(self.source)
            found = self._json = parse(text, self.file, self.line).json
        return found

    @property
    def tree(self) -> dict[str, Any]:
        """The syntax tree. Decoded anew each time: 10,000 of them would take 20 MB that nobody looks at again."""
        found: dict[str, Any] = msgspec.json.decode(self.json)
        return found


class Fault(ValueError):
    """This text is no policy. `line` is where the policy begins that it should have been."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def split(text: str) -> list[tuple[int, str]]:
    """Cuts a file into its policies: (line, text) pairs, comments and blank space between them left out.

    Raises:
        Fault: a policy is nested too deeply, or the text after the last semicolon is more than comments.
    """
    policies: list[tuple[int, str]] = []
    begin = -1
    depth = operators = 0
    line_at = _Lines(text)
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "comment":
            continue
        if begin < 0:
            begin = token.start()
        if kind == "end":
            policies.append((line_at(begin), text[begin : token.end()]))
            begin, depth, operators = -1, 0, 0
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "op":
            operators += 1
        if depth > MAX_DEPTH or operators > MAX_OPERATORS:
            what = f"{MAX_DEPTH} nested brackets" if depth > MAX_DEPTH else f"{MAX_OPERATORS} operators"
            raise Fault(f"a policy has more than {what}; split it, or write a list of values as a set", line_at(begin))
    if begin >= 0:
        raise Fault("a policy is not finished: no semicolon ends it", line_at(begin))
    return policies


class _Lines:
    """Line numbers for offsets that only grow, in one pass over the text."""

    __slots__ = ("_at", "_line", "_text")

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def __call__(self, offset: int) -> int:
        self._line += self._text.count("\n", self._at, offset)
        self._at = offset
        return self._line


def parse(text: str, file: str, line: int) -> Policy:
    """Reads one policy as `split` returned it.

    Raises:
        Fault: it is not Cedar, or Cedar that a bundle cannot hold (a template, an `@id` that cannot be shown).
    """
    try:
        tree = msgspec.json.decode(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise Fault(_plain(str(error)), line) from None
    if tree["templates"]:
        raise Fault("templates (`?principal`, `?resource`) are not supported; write the policy out", line)
    (policy,) = tree["staticPolicies"].values()
    encoded = msgspec.json.encode(policy)
    try:
        # The limit here is on nested JSON: about sixty links of one && or || chain.
        cedarpy.PolicySet.from_json_str(document([("policy0", encoded)]))
    except ValueError:
        raise Fault("a condition is nested too deeply; write a list of values as a set", line) from None
    annotations = {name: value or "" for name, value in policy.get("annotations", {}).items()}
    name = annotations.get("id", f"{file}:{line}")
    if not _NAME.fullmatch(name):
        raise Fault("an @id is 1 to 128 printable characters without backquotes", line)
    return Policy(name, policy["effect"], annotations, text, file, line, encoded)


def document(policies: list[tuple[str, bytes]]) -> str:
    """A policy set in Cedar's JSON format, each policy under the id that its answers will name."""
    body = ",".join(f"{msgspec.json.encode(name).decode()}:{encoded.decode()}" for name, encoded in policies)
    return f'{{"templates":{{}},"templateLinks":[],"staticPolicies":{{{body}}}}}'


def _plain(message: str) -> str:
    return "not Cedar: " + " ".join(message.split())
