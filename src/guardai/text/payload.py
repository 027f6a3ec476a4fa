"""Structured payloads as text: what leaves there are, and the payload with some of them replaced.

Iterative, because a payload may be nested deeper than the interpreter's stack; it is refused where it is nested deeper
than anybody could serialise. Nothing is changed in place: a container is rebuilt only if something in it changed, and
an unchanged subtree is the same object.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from guardai.errors import GuardError

__all__ = ["MAX_DEPTH", "NAMING", "PROTOCOL", "REMOVED", "Leaf", "PayloadError", "Tree", "under"]

#: json.dumps gives up at the interpreter's recursion limit, 1,000; so does whatever would send the payload.
MAX_DEPTH: Final = 900
MAX_NODES: Final = 5_000_000
#: From so many containers on, and at every doubling, it is asked whether the payload holds itself.
_DOUBTFUL: Final = 20_000

#: Keys of the protocols that models speak, and what stands under them: neither is content.
PROTOCOL: Final = frozenset(
    """
    role content type name text input output model messages message tool tools
    tool_calls tool_call tool_call_id id function arguments parameters index delta choices finish_reason user
    assistant system developer refusal annotations stop length usage object created description properties
    required string integer number boolean array null items enum title default additionalProperties
    json_schema schema strict stream temperature top_p max_tokens response_format tool_choice auto none args
    kwargs params query sql body data value values output_text input_text call_id status
    completed metadata url detail low high image_url reasoning reasoning_content summary instructions thinking partial_json completion answer result response transcript
    """.split()  # noqa: SIM905 -- a table of words
)
#: What becomes of a leaf whose entry is to leave its dictionary or set.
REMOVED: Final = object()

_PASSING: Final = (
    int,
    float,
    complex,
    bool,
    type(None),
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
)

#: What is no text and is read as one: drivers give addresses this way.
_SPOKEN: Final = (
    ipaddress.IPv4Address | ipaddress.IPv6Address | ipaddress.IPv4Network | ipaddress.IPv6Network | pathlib.PurePath
)


class PayloadError(GuardError, ValueError):
    """A payload cannot be looked through, so it cannot be masked. The message tells where, never what."""


#: (container's place in the tree, key or index there, the leaf, what names it or "", whether it is the key itself)
Leaf = tuple[int, Any, Any, str, bool]

#: What a list of contacts, of settings or of headers calls its values, and beside it what they are values of.
_VALUE: Final = frozenset(("value", "Value", "val"))
NAMING: Final = ("name", "Name", "key", "Key", "type", "kind", "system", "label", "field", "header")
#: What a result calls the names of its columns, and its rows.
_COLUMNS: Final = ("columns", "fields", "headers", "header")
_ROWS: Final = frozenset(("rows", "data", "values", "records"))
#: A name of a column, or of a header, has no more characters.
_NAME: Final = 64
#: An option of a command line, whose value is the next element.
_OPTION: Final = re.compile(r"--?[A-Za-z][A-Za-z0-9_\-]{0,47}")
#: A number of fewer digits needs a name to be anything.
_LONG_NUMBER: Final = 10**11


class Tree:
    """A payload, its containers and its leaves.

    A leaf is named by its key, and by the key before that: `{"phone": {"work": …}}`. A key of the protocols says nothing, so
    the one before it stands alone; `{"name": "DB_PASSWORD", "value": …}` names its value by what stands beside it,
    `["--password", …]` by the option before it, and in a list of pairs, `[("X-Api-Key", …), …]`, the first names the second.
    The cells of a table are named by its columns: `{"columns": ["id", "phone"], "rows": [[…], …]}`, or a list of rows of
    which the first holds the names.

    Args:
        payload: dict, list, tuple, set, str, bytes that are UTF-8, numbers, dates, None; in one another.
        foreign: asked when there is an object of any other kind: whether it passes as it is. Without it, it is refused.
        columns: the payload is a list of rows with these columns: their names name the cells, and only text is a leaf.

    Raises:
        PayloadError: too deep, too large, or holding what cannot be looked into.
    """

    __slots__ = ("_changes", "_columns", "_nodes", "_parents", "_rows", "_tables", "leaves")

    def __init__(
        self, payload: Any, *, foreign: Callable[[], bool] | None = None, columns: Sequence[str] | None = None
    ) -> None:
        # A root container makes the payload itself a child like any other.
        self._nodes: list[Any] = [[payload]]
        self._parents: list[tuple[int, Any, int]] = [(-1, None, 0)]
        self._changes: dict[int, dict[Any, Any]] = {}
        self._columns = None if columns is None else [str.__str__(name) for name in columns]
        #: Places of tables, and of rows → what the columns are called.
        self._tables: dict[int, Sequence[str]] = {}
        self._rows: dict[int, Sequence[str]] = {}
        self.leaves: list[Leaf] = []
        self._visit(foreign)

    def _visit(self, foreign: Callable[[], bool] | None) -> None:
        nodes, parents, leaves, columns = self._nodes, self._parents, self.leaves, self._columns
        doubtful = _DOUBTFUL
        # In the order of the payload, so that the first address is <EMAIL_1>.
        queue: deque[tuple[int, str]] = deque([(0, "")])
        while queue:
            place, named = queue.popleft()
            node = nodes[place]
            depth = parents[place][2] + 1
            if depth > MAX_DEPTH + 1 or len(nodes) > doubtful:
                self._doubt(place, depth)
                doubtful = min(2 * len(nodes), MAX_NODES)
            mapping = isinstance(node, dict)
            names, table = self._called(place, node, depth, mapping=mapping)
            option = ""
            for key, value in node.items() if mapping else enumerate(node):
                name, passed = named, named
                if mapping:
                    if key.__class__ is str and key in PROTOCOL and key not in _VALUE:
                        name = passed = named if named and named not in PROTOCOL else key
                    else:
                        own = _spelt(key)
                        name, passed = under(own, named, _beside(node) if own in _VALUE else "")
                        if _content(key):
                            leaves.append((place, key, key, "", True))
                elif names:
                    name = (names[key] if key < len(names) else "") or named
                elif option:
                    name, option = under(option, named)[0], ""
                kind = type(value)
                if kind is str:
                    # What begins with a hyphen stands before a full stop, which takes half the time to ask.
                    if not mapping and value < "." and columns is None and _OPTION.fullmatch(value):
                        # `["--password", "…"]`: it names what follows it, and is named by nothing before it.
                        option, name = value.lstrip("-"), named
                    leaves.append((place, key, value, name, False))
                elif kind is dict or kind is list or kind is tuple:
                    if value:
                        if name and kind is not dict and columns is None and _pair(value):
                            leaves.append((place, key, value, name, False))
                            continue
                        parents.append((place, key, depth))
                        nodes.append(value)
                        queue.append((len(nodes) - 1, passed))
                        if table and value is not table:
                            self._rows[len(nodes) - 1] = table
                        elif kind is list and mapping and key in _ROWS:
                            self._tables[len(nodes) - 1] = _columns(node)
                elif kind is int or kind is float:
                    # A number with a name may be a phone's; one without is a card's, or a number.
                    if columns is None and _number(value, named=name if mapping or kind is int else ""):
                        leaves.append((place, key, value, name, False))
                elif kind is not bool and value is not None:
                    self._other((place, key, name, depth), value, queue, foreign)

    def _other(
        self,
        at: tuple[int, Any, str, int],
        value: Any,
        queue: deque[tuple[int, str]],
        foreign: Callable[[], bool] | None,
    ) -> None:
        """A leaf or container of a rarer type."""
        place, key, name, depth = at
        if isinstance(value, enum.Enum) and not isinstance(value, str | int):
            value = value.value
        if isinstance(value, str | bytes | bytearray | memoryview | _SPOKEN):
            self.leaves.append((place, key, value, name, False))
        elif isinstance(value, dict | list | tuple | set | frozenset | deque):
            self._parents.append((place, key, depth))
            self._nodes.append(value)
            queue.append((len(self._nodes) - 1, name))
        elif isinstance(value, int | float | decimal.Decimal):
            if self._columns is None and _number(value, named=name):
                self.leaves.append((place, key, value, name, False))
        elif isinstance(value, dt.date):
            if self._columns is None and name:
                self.leaves.append((place, key, value, name, False))
        elif not isinstance(value, _PASSING) and not (foreign is not None and foreign()):
            raise PayloadError(
                f"the payload holds an object of type {type(value).__name__}, which cannot be looked into; "
                "give what it holds as dictionaries and lists"
            )

    def _called(self, place: int, node: Any, depth: int, *, mapping: bool) -> tuple[Sequence[str], Sequence[str]]:
        """What the elements of a sequence are called, and what those of its rows are; empty where nothing says it."""
        if self._columns is not None:
            return self._columns if depth == 3 else (), ()
        if mapping or isinstance(node, set | frozenset):
            return (), ()
        names = self._rows.get(place) or getattr(node, "_fields", ())
        if names:
            return names, ()
        if len(node) == 2 and place > 1 and isinstance(self._nodes[self._parents[place][0]], list | tuple):
            own = _spelt(node[0])
            if 0 < len(own) <= _NAME:
                return ("", own), ()
        return (), self._tables.get(place) or _headed(node)

    def _doubt(self, place: int, depth: int) -> None:
        """It is deep, or large: does it ever end?"""
        around: set[int] = set()
        at = place
        while at > 0:
            if id(self._nodes[at]) in around:
                raise PayloadError("the payload holds itself: one of its containers stands inside of itself")
            around.add(id(self._nodes[at]))
            at = self._parents[at][0]
        if depth > MAX_DEPTH + 1:
            raise PayloadError(f"the payload is nested more than {MAX_DEPTH} deep")
        if len(self._nodes) > MAX_NODES:
            raise PayloadError(f"the payload holds more than {MAX_NODES} containers")

    def removable(self, leaf: Leaf) -> bool:
        """Whether a leaf's entry can go: not out of a sequence, and not out of the outermost dictionary."""
        node = self._nodes[leaf[0]]
        return isinstance(node, set | frozenset) or (leaf[0] > 1 and isinstance(node, dict))

    def put(self, leaf: Leaf, made: Any) -> None:
        """Notes what becomes of a leaf."""
        self._changes.setdefault(leaf[0], {})[(leaf[1], leaf[4])] = made

    def payload(self) -> Any:
        """The payload with what was noted; the same object if nothing was."""
        changes = self._changes
        if not changes:
            return self._nodes[0][0]
        # Children stand behind their parents, so going backwards a container is rebuilt after all that is in it.
        for place in range(len(self._nodes) - 1, -1, -1):
            noted = changes.get(place)
            if noted is None:
                continue
            made = _rebuilt(self._nodes[place], noted)
            parent, key, _ = self._parents[place]
            if parent < 0:
                return made[0]
            changes.setdefault(parent, {})[(key, False)] = made
        raise AssertionError("the root is rebuilt last")


def under(own: str, named: str, beside: str = "") -> tuple[str, str]:
    """What names the value under the key `own`, and what of it names what is in that.

    Args:
        own: the key.
        named: what names the container that it stands in.
        beside: what the container says its `value` is of.
    """
    if beside and own in _VALUE:
        own = beside
    if not own or own in PROTOCOL:
        kept = named if named and named not in PROTOCOL else own
        return kept, kept
    return (own if not named or named in PROTOCOL else f"{named} {own}"), own


def _beside(node: dict[Any, Any]) -> str:
    for naming in NAMING:
        said = node.get(naming)
        if type(said) is str and 0 < len(said) <= 64:
            return said
    return ""


def _spelt(key: Any) -> str:
    """A key as it is spelt; "" for one that is no text. Of an enumeration's member its value: its form may be another."""
    if isinstance(key, str):
        return str.__str__(key)
    return bytes(key).decode("latin-1") if isinstance(key, bytes) and len(key) <= _NAME else ""


def _columns(node: dict[Any, Any]) -> Sequence[str]:
    """What a result says that its columns are called."""
    for naming in _COLUMNS:
        said = node.get(naming)
        if isinstance(said, list | tuple) and said:
            names = [one.get("name") if isinstance(one, dict) else one for one in said]
            if all(isinstance(name, str) for name in names):
                return [_spelt(name) for name in names]
    return ()


def _headed(node: Any) -> Sequence[str]:
    """The first row of a table, if it names the columns: three or more, all different, in rows of as many cells."""
    if not isinstance(node, list | tuple) or len(node) < 2:
        return ()
    first = node[0]
    if type(first) not in (list, tuple) or len(first) < 3:
        return ()
    if not all(type(name) is str and 0 < len(name) <= _NAME and not name[0].isdigit() for name in first):
        return ()
    even = all(type(row) in (list, tuple) and len(row) == len(first) for row in node)
    return first if even and len(set(first)) == len(first) else ()


def _content(key: Any) -> bool:
    """Whether a key may be more than a name, which is letters and underscores."""
    if isinstance(key, str):
        return not (key and len(key) <= 32 and key.replace("_", "").isalpha())
    if isinstance(key, int):
        return abs(key) >= _LONG_NUMBER
    return not isinstance(key, _PASSING)


def _number(value: Any, *, named: str) -> bool:
    """Whether a number may be more than one: digits of something, or degrees."""
    if (
        isinstance(value, decimal.Decimal) and not value.is_finite()
    ):  # of which a signalling one raises where it is used
        return False
    if not isinstance(value, int) and not math.isfinite(value):
        return False
    size = abs(value)
    if size >= 10**20:  # before it is made an int, which takes for ever of a Decimal with a large exponent
        return False
    if not named:
        return not isinstance(value, float) and bool(_LONG_NUMBER <= size < 10**19)
    return bool(99_999 < size < 10**20 if value == int(value) else size <= 180)


def _pair(value: Any) -> bool:
    """Whether these are two or three numbers with a fraction, as places on earth are given."""
    return 2 <= len(value) <= 3 and all(type(one) is float and abs(one) <= 180 for one in value[:2])


def _rebuilt(node: Any, noted: dict[Any, Any]) -> Any:
    """A container with some of what is in it replaced; of the same class, if that can be made anew."""
    made: Any
    if isinstance(node, dict):
        made = {}
        counts: dict[Any, int] = {}
        for key, value in node.items():
            new = noted.get((key, False), value)
            if new is REMOVED:
                continue
            renamed = kept = noted.get((key, True), key)
            # Two keys must not become one, nor one the other.
            while renamed is not key and (renamed in made or renamed in node):
                counts[kept] = count = counts.get(kept, 1) + 1
                renamed = f"{kept} {count}"
            made[renamed] = new
    else:
        made = [new for at, value in enumerate(node) if (new := noted.get((at, False), value)) is not REMOVED]
        for kind in (tuple, set, frozenset, deque):
            if isinstance(node, kind):
                made = kind(made)
    return made if type(made) is type(node) else _like(node, made)


def _like(node: Any, content: Any) -> Any:
    """`content` in a container of the class of `node`, which somebody derived; else `content` itself."""
    make: Callable[..., Any] | None = getattr(node, "_make", None)
    try:
        if make is not None:
            made = make(content)
        elif isinstance(node, tuple | frozenset):
            made = type(node)(content)
        else:
            made = copy.copy(node)
            made.clear()
            made.extend(content) if isinstance(node, list) else made.update(content)
        same = type(made) is type(node) and made == content
    except Exception:  # whatever a class of somebody else's raises, the plain container is right
        return content
    return made if same else content
