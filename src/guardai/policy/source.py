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

from guardai.policy.pace import breathe

__all__ = ["MAX_DEPTH", "MAX_OPERATORS", "Fault", "Policy", "parse", "position", "split"]

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
_UNEXPECTED: Final = re.compile(r"unexpected token `(.+)`")
#: Whatever can make an expression one level deeper; inside of strings, too, which does no harm.
_NESTING: Final = re.compile(r"[-+*.!=<>(\[{|&]|\b(?:if|in|has|like|is)\b")
_NEAR: Final = 40
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
        column: where in its line it begins, from 1.
    """

    __slots__ = ("_json", "annotations", "column", "effect", "file", "id", "line", "source")

    def __init__(
        self,
        id: str,  # noqa: A002 - it is what everybody calls it
        effect: str,
        annotations: dict[str, str],
        source: str,
        file: str,
        line: int,
        json: bytes | None = None,
        column: int = 1,
    ) -> None:
        """`json` is None where the text was found good by whoever built the bundle; then it is parsed when it is needed."""
        self.id = id
        self.effect = effect
        self.annotations = annotations
        self.source = source
        self.file = file
        self.line = line
        self._json = json
        self.column = column

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
    """This text is no policy. `line` and `column` are where it stops being one; `column` is 0 where that is not known."""

    def __init__(self, message: str, line: int, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def position(text: str, offset: int, line: int = 1, column: int = 1) -> tuple[int, int]:
    """Line and column, both from 1, of an offset in a text that itself begins at `line` and `column`."""
    lines = text.count("\n", 0, offset)
    return line + lines, offset - text.rfind("\n", 0, offset) if lines else column + offset


def split(text: str) -> list[tuple[int, str]]:
    """Cuts a file into its policies: (line, text) pairs; as `cut`, without columns."""
    return [(line, piece) for line, _, piece in cut(text)]


def cut(text: str) -> list[tuple[int, int, str]]:
    """Cuts a file into its policies: (line, column, text), comments and blank space between them left out.

    Raises:
        Fault: a policy is nested too deeply, or the text after the last semicolon is more than comments.
    """
    policies: list[tuple[int, int, str]] = []
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
            breathe()
            policies.append((line_at(begin), begin - text.rfind("\n", 0, begin), text[begin : token.end()]))
            begin, depth, operators = -1, 0, 0
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "op":
            operators += 1
        if depth > MAX_DEPTH or operators > MAX_OPERATORS:
            what = f"{MAX_DEPTH} nested brackets" if depth > MAX_DEPTH else f"{MAX_OPERATORS} operators"
            column = begin - text.rfind("\n", 0, begin)
            raise Fault(
                f"a policy has more than {what}; split it, or write a list of values as a set", line_at(begin), column
            )
    if begin >= 0:
        column = begin - text.rfind("\n", 0, begin)
        raise Fault("a policy is not finished: no semicolon ends it", line_at(begin), column)
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


def parse(text: str, file: str, line: int, column: int = 1) -> Policy:
    """Reads one policy as `cut` returned it.

    Raises:
        Fault: it is not Cedar, or Cedar that a bundle cannot hold (a template, an `@id` that cannot be shown).
    """
    breathe()
    try:
        tree = msgspec.json.decode(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise Fault(_plain(str(error)), *position(text, _stops(text, str(error)), line, column)) from None
    if tree["templates"]:
        raise Fault("templates (`?principal`, `?resource`) are not supported; write the policy out", line, column)
    (policy,) = tree["staticPolicies"].values()
    encoded = msgspec.json.encode(policy)
    # The limit here is on nested JSON: about sixty links of one && or || chain. What cannot come near it is not tried, which
    # takes a quarter of the time of loading.
    if len(_NESTING.findall(text)) > _NEAR:
        try:
            cedarpy.PolicySet.from_json_str(document([("policy0", encoded)]))
        except ValueError:
            raise Fault("a condition is nested too deeply; write a list of values as a set", line, column) from None
    annotations = {name: value or "" for name, value in policy.get("annotations", {}).items()}
    name = annotations.get("id", f"{file}:{line}")
    if not _NAME.fullmatch(name):
        raise Fault("an @id is 1 to 128 printable characters without backquotes", line, column)
    return Policy(name, policy["effect"], annotations, text, file, line, encoded, column)


def _stops(text: str, error: str) -> int:
    """The offset at which Cedar stops understanding a policy; it does not tell.

    Its parser refuses a token as soon as nothing that begins so can be a policy. So the first token is looked for up to
    which the text is refused for something else than its end: by halves, some ten questions.
    """
    tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "comment"]
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if _refused(text[: tokens[middle].end()]):
            high = middle
        else:
            low = middle + 1
    if named := _UNEXPECTED.search(error):
        # Where the parser goes on after a bad token it is refused at a later one.
        return next((one.start() for one in tokens[low::-1] if one[0] == named[1]), tokens[low].start())
    if "token" in error:
        return tokens[low].start()
    # What is found wrong after parsing, such as a variable in the head, is named at the message's end.
    word = error.rpartition(": ")[2]
    found = re.search(rf"{re.escape(word)}\b", text) if re.fullmatch(r"@?\w+", word) else None
    return found.start() if found else 0


def _refused(text: str) -> bool:
    try:
        cedarpy.policies_to_json_str(text)
    except ValueError as error:
        return "unexpected end" not in str(error)
    return False


def document(policies: list[tuple[str, bytes]]) -> str:
    """A policy set in Cedar's JSON format, each policy under the id that its answers will name."""
    body = ",".join(f"{msgspec.json.encode(name).decode()}:{encoded.decode()}" for name, encoded in policies)
    return f'{{"templates":{{}},"templateLinks":[],"staticPolicies":{{{body}}}}}'


def _plain(message: str) -> str:
    return "not Cedar: " + " ".join(message.split())
