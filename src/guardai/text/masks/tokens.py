"""Reversible tokens: a session's table of what `<EMAIL_1>` stands for.

Within one session the same value is the same token, so a model can tell people apart without knowing them. What comes
back is re-identified where policy permits. The table is in memory; with a drawer of a vault it is also there, so that the
processes that share a session agree on it, and one that comes later knows it.

A text may hold a look-alike that nobody issued, or that was issued for somebody else's value. Two rules keep it from
being re-identified to that value:

- a number that was seen in a text before it was issued is never issued (`reserve`): what the look-alike said, it keeps
  saying;
- `escape` marks every look-alike in a text that is known to be fresh from outside, `<!EMAIL_1>`, and `resolve` leaves a
  marked one alone; `unescape` takes one mark away. `unescape(escape(x)) == x` for every text.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from guardai.errors import GuardError
from guardai.model import Drawer, Kept
from guardai.model.vault import GAP
from guardai.text.documents import DEEPEST, Depth, written
from guardai.text.masks.render import normal, redact
from guardai.text.masks.spelling import LOOKALIKE, NAME, QUOTED, STIRS, TOKEN, bracketed, certainly, read, seen, unread

__all__ = ["StreamResolver", "Tokens"]

#: What JSON writes as it is.
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
#: The first number that is never issued. A look-alike may use the numbers up: then values are redacted.
_END: Final = 100_000_000
#: What texts have said is remembered by itself of so many names, and of so many numbers far above the others. Of more, the
#: highest number is remembered, and tokens go on above it. 15 MB of the longest names, whatever texts say.
_NAMES: Final = 10_000
_APART: Final = 100_000
#: A drawer is renewed this many times in its life, and tried again after so many seconds.
_OFTEN: Final = 8
_AGAIN: Final = 60.0
_NEVER: Final = float("inf")


class Tokens:
    """One session's table. Safe for threads.

    Args:
        drawer: where the table is kept besides; without one it is in memory alone and ends with the object.
    """

    def __init__(self, drawer: Drawer | None = None) -> None:
        self._lock = threading.RLock()
        self._drawer = drawer
        #: (label, value as found or as compared) → its token
        self._issued: dict[tuple[str, str], str] = {}
        self._values: dict[str, tuple[str, str]] = {}
        #: name → the lowest number that may still be issued, as far as is known here; and of names that have none.
        self._next: dict[str, int] = {}
        self._others = 1
        #: Tokens with numbers above it that texts have said, each by itself.
        self._apart: set[str] = set()
        #: When the drawer has to be told that the session is in use, and when it has forgotten it.
        self._renew = self._forgotten = _NEVER

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Tokens: {len(self._values)} issued>"

    @property
    def shared(self) -> bool:
        """Whether there is a drawer, so that issuing many at once is cheaper than one by one."""
        return self._drawer is not None

    def token(self, label: str, value: str) -> str:
        """The token that stands for `value`: the one it has, or a new one.

        Args:
            label: its kind; the name is the label's last part in capitals, of all secrets `SECRET`.
            value: compared in a normal form (an e-mail address without case, a card without spaces).

        Returns:
            The token; after a hundred million of a name the redacted value.

        Raises:
            GuardError: the vault cannot keep it.
        """
        issued = self._issued
        made = issued.get((label, value))
        if made is not None:
            return made
        key = label, normal(label, value)
        with self._lock:
            made = issued.get(key)
            if made is None:
                kept = Kept(_name(label), label, value, key[1])
                if self._drawer is None:
                    made = self._take(kept, self._free(kept.name))
                else:
                    made = self._allocate(self._drawer, [kept])[0]
            issued[label, value] = made
        return made

    def issue(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Gives tokens to many values, as (label, value), in one transaction of the vault. `token` tells them.

        Raises:
            GuardError: the vault cannot keep them; then none of the new ones exists.
        """
        if self._drawer is None:
            return
        issued = self._issued
        with self._lock:
            # In the order of the text, so that the first address is <EMAIL_1>, spelt as it came first.
            wanted: dict[tuple[str, str], Kept] = {}
            for label, value in pairs:
                if (label, value) not in issued:
                    key = label, normal(label, value)
                    if key not in issued and key not in wanted:
                        wanted[key] = Kept(_name(label), label, value, key[1])
            if wanted:
                self._allocate(self._drawer, list(wanted.values()))

    def _allocate(self, drawer: Drawer, wanted: list[Kept]) -> list[str]:
        floor = self._next
        if self._others > 1:
            floor = {kept.name: floor.get(kept.name, self._others) for kept in wanted}
        numbers = drawer.allocate(wanted, floor)
        self._used(drawer)
        return [self._take(kept, number) for kept, number in zip(wanted, numbers, strict=True)]

    def _take(self, kept: Kept, number: int) -> str:
        name, label, value, compared = kept
        if number >= _END:
            made = redact(label)
        else:
            made = f"<{name}_{number}>"
            self._values[made] = label, value
            if number >= self._next.get(name, 1):
                self._next[name] = number + 1
        self._issued[label, compared] = made
        return made

    def _free(self, name: str) -> int:
        """The next number that no text has said."""
        number, apart = self._next.get(name, self._others), self._apart
        while f"<{name}_{number}>" in apart:
            number += 1
        return number

    def reserve(self, text: str) -> None:
        """Makes sure that no token is issued from now on that `text` holds already, in any process of the session.

        Raises:
            GuardError: the vault cannot keep that.
        """
        if "<" not in text and ("\\" not in text or not bracketed(text)):
            return
        others = self._others if self._drawer is None else 1  # what is high enough here is not known to other processes
        for name, number in seen(text):
            # One that was issued is most likely our own, coming back in the history of a conversation.
            if self._next.get(name, others) <= number < _END and f"<{name}_{number}>" not in self._apart:
                with self._lock:
                    self._said(name, number)

    def _said(self, name: str, number: int) -> None:
        """A text has said a number that may still be issued."""
        upcoming = self._next.get(name, self._others if self._drawer is None else 1)
        if self._drawer is not None:
            lowest = self._drawer.reserve(name, number)
            self._used(self._drawer)
        else:
            lowest = upcoming if number >= upcoming + GAP else number + 1
        if lowest <= number:
            if len(self._apart) < _APART:
                self._apart.add(f"<{name}_{number}>")
            elif self._drawer is None:  # somebody wants it so
                lowest = number + 1
        if lowest > upcoming:
            if name in self._next or len(self._next) < _NAMES:
                self._next[name] = lowest
            else:
                self._others = max(lowest, self._others)

    def resolve(
        self, text: str, permitted: Callable[[str], bool], *, quoted: bool = False, behind: Depth | None = None
    ) -> str:
        """Puts back the values whose label is permitted. What was not issued, and what is not permitted, stays.

        So does, of the values that JSON escapes, what stands in more strings of JSON than `DEEPEST`.

        SECURITY INVARIANT: a value ends no string of JSON that its token stands in, also where JSON stands in a text or in
        a string of JSON. Who chose a value does not choose what the document says besides.

        Args:
            text: what came back.
            permitted: whether data of a label may be known where it goes.
            quoted: the text is JSON, its tokens stand in strings: values are written as JSON writes them.
            behind: how deep in strings the text begins, if it is the rest of one.

        Raises:
            GuardError: the vault cannot be read.
        """
        pattern = QUOTED if quoted and "\\" in text else TOKEN
        if "<" not in text and (pattern is TOKEN or "u003" not in text):
            return text
        if self._drawer is not None:
            self._fetch(self._drawer, map(read, pattern.finditer(text)))
        if not self._values:
            return text

        depth: Depth | None = None
        done = 0

        def value(match: re.Match[str]) -> str:
            nonlocal depth, done
            known = self._values.get("<{}_{}>".format(*read(match)))
            if known is None or not permitted(known[0]):
                return match[0]
            plain = _PLAIN.fullmatch(known[1])
            if plain and (pattern is TOKEN or (match[0][0] == "<" and match[0][-1] == ">")):
                return known[1]
            if depth is None:
                depth = Depth(json=quoted) if behind is None else behind.copy()
            depth.read(text[done : match.start()])
            done = match.start()
            deep = max(depth.deep, 1) if quoted else depth.deep
            if deep > DEEPEST and not plain:
                return match[0]
            kept = unread(match, depth.backslashes, deep) if pattern is QUOTED else ""
            return match[0] if kept is None else kept + (known[1] if plain else written(known[1], deep))

        return pattern.sub(value, text)

    def _fetch(self, drawer: Drawer, asked: Iterable[tuple[str, int]]) -> None:
        """Reads from the vault what tokens stand for that another process, or an earlier one, has issued."""
        unknown = [token for token in set(asked) if token[1] < _END and f"<{token[0]}_{token[1]}>" not in self._values]
        if not unknown:
            return
        with self._lock:
            for (name, number), (label, value) in drawer.get(unknown).items():
                made = f"<{name}_{number}>"
                self._values[made] = label, value
                self._issued[label, normal(label, value)] = made
                self._next[name] = max(number + 1, self._next.get(name, 1))
                # Reading puts nothing off: the next masking will.
                self._renew, self._forgotten = 0.0, time.time() + drawer.life

    def escape(self, text: str) -> str:
        """Marks what looks like a token: `<EMAIL_1>` → `<!EMAIL_1>`, and a marked one once more."""
        return LOOKALIKE.sub(r"\1!", text) if bracketed(text) else text

    def unescape(self, text: str) -> str:
        """Takes one mark from each."""
        return LOOKALIKE.sub(lambda m: m[1].removesuffix("!"), text) if "!" in text else text

    def resolver(self, permitted: Callable[[str], bool], *, quoted: bool = False) -> StreamResolver:
        """`resolve` for a stream."""
        return StreamResolver(self, permitted, quoted=quoted)

    # ---- for how long ----

    def keep(self) -> None:
        """The session is in use. Said at every masking, told to the vault now and then.

        What the vault has forgotten meanwhile, for want of use, is forgotten here, too.
        """
        now = time.time()
        if now < self._renew or self._drawer is None:
            return
        with self._lock:
            if now >= self._forgotten:
                self._issued.clear()
                self._values.clear()
                self._renew = self._forgotten = _NEVER
                return
            try:
                self._drawer.renew()
            except GuardError:  # what is known here goes on; the next new token will say what is wrong
                self._renew = now + _AGAIN
            else:
                self._used(self._drawer)

    def _used(self, drawer: Drawer) -> None:
        now, life = time.time(), drawer.life
        self._renew, self._forgotten = now + life / _OFTEN, now + life

    def in_child(self) -> None:
        """In a forked child: a lock that another thread of the parent held is held by nobody."""
        self._lock = threading.RLock()


@lru_cache(maxsize=512)
def _name(label: str) -> str:
    """What a token of that label is called: as it is read, which is no longer than a stream waits for its end."""
    if label.startswith("secret."):
        return "SECRET"
    last = label.rpartition(".")[2]
    return (last if last[:1].isalpha() else label.replace(".", "_"))[:NAME].rstrip("_").upper()


class StreamResolver:
    """Re-identifies a stream, with the result that `Tokens.resolve` has on the whole; what looks like a token is reserved.

    It holds back what may be the beginning of a token, and of an escape that may be its bracket. One stream, one object.
    """

    __slots__ = ("_depth", "_held", "_permitted", "_quoted", "_tokens")

    def __init__(self, tokens: Tokens, permitted: Callable[[str], bool], *, quoted: bool = False) -> None:
        self._tokens = tokens
        self._permitted = permitted
        self._quoted = quoted
        self._depth = Depth(json=quoted)
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Takes more text and returns what is certain."""
        if self._held:
            chunk = self._held + chunk
            self._held = ""
        if "<" in chunk:
            certain = certainly(chunk)
        elif "\\" in chunk and (stirs := STIRS(chunk)) is not None:
            certain = certainly(chunk) if stirs.lastgroup is not None else stirs.start()
        else:  # most of a text
            self._depth.read(chunk)
            return chunk
        if certain < len(chunk):
            self._held = chunk[certain:]
            if not certain:
                return ""
            chunk = chunk[:certain]
        return self._passed(chunk)

    def finish(self) -> str:
        """The text has ended: returns the rest."""
        text, self._held = self._held, ""
        return self._passed(text)

    def _passed(self, text: str) -> str:
        made = text
        if "<" in text or ("\\" in text and bracketed(text)):
            self._tokens.reserve(text)
            made = self._tokens.resolve(text, self._permitted, quoted=self._quoted, behind=self._depth)
        self._depth.read(text)
        return made
