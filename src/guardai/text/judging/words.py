"""The words of all packs: what kind of value they announce.

The nearest word decides; it may be a phrase, and its parts may be joined as identifiers are (`tax_id`, `taxId`). None is
seen beyond another finding that masking replaced, so that masking a text changes nothing about what is left of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from guardai.text.judging.signs import spoken
from guardai.text.spaces import narrow

__all__ = ["LOOK", "PLACES", "Words", "placed"]

#: How far before a value words count, in bytes.
LOOK: Final = 48
#: How far behind a value a word directly after it may reach, with what says that its clause ends.
PLACES: Final = 24

Kinds = tuple[str, ...]
_NONE: Final[Kinds] = ()
#: Kinds of words that make nothing of a number.
_NOTHING: Final = frozenset(("amount", "other"))


class _Table:
    """Words and phrases → kinds."""

    def __init__(self) -> None:
        self.single: dict[bytes, Kinds] = {}
        #: The last word of a phrase → (the words before it, kinds), the longest first.
        self.phrases: dict[bytes, list[tuple[list[bytes], Kinds]]] = {}
        #: Words of scripts that do not separate words.
        self.inside: dict[bytes, Kinds] = {}
        #: Signs that are words, `☎`.
        self.signs: set[str] = set()

    def add(self, kind: str, phrase: str) -> None:
        raw = narrow(phrase.lower().encode())
        parts = _WORD.findall(spoken(raw))
        if not parts:
            parts = _WORD.findall(raw)
            self.signs.update(phrase)
        if not parts:
            return
        if len(parts) > 1:
            known = self.phrases.setdefault(parts[-1], [])
            for at, (earlier, kinds) in enumerate(known):
                if earlier == parts[:-1]:
                    known[at] = (earlier, _with(kinds, kind))
                    return
            known.append((parts[:-1], (kind,)))
            known.sort(key=lambda entry: -len(entry[0]))
            return
        self.single[parts[0]] = _with(self.single.get(parts[0], _NONE), kind)
        if max(phrase) >= "\u0e00":
            self.inside[parts[0]] = _with(self.inside.get(parts[0], _NONE), kind)

    def kinds(self, words: list[bytes], at: int) -> Kinds:
        """What the word at `at`, with those before it, announces."""
        word = words[at]
        if word in self.phrases:
            for earlier, kinds in self.phrases[word]:
                if at >= len(earlier) and words[at - len(earlier) : at] == earlier:
                    return kinds
        found = self.single.get(word)
        if found is not None:
            return found
        if word[-1] >= 0x80 and self.inside:
            best = max((word.rfind(part), len(part), kinds) for part, kinds in self.inside.items())
            if best[0] >= 0:
                return best[2]
        return _NONE

    def length(self, words: list[bytes], at: int) -> int:
        """How many words that is."""
        for earlier, _ in self.phrases.get(words[at], ()):
            if at >= len(earlier) and words[at - len(earlier) : at] == earlier:
                return len(earlier) + 1
        return 1 if self.kinds(words, at) else 0


def _with(kinds: Kinds, kind: str) -> Kinds:
    return kinds if kind in kinds else (*kinds, kind)


class Words:
    """What announces what.

    Args:
        before: tables kind → words that stand before a number; phrases too.
        after: tables kind → words directly after a number.
        own: tables label → words, of detectors. They count before and after for that label alone: the word `wallet`
            says nothing about a number.
    """

    def __init__(
        self,
        before: Iterable[Mapping[str, tuple[str, ...]]],
        after: Iterable[Mapping[str, tuple[str, ...]]],
        own: Iterable[tuple[str, tuple[str, ...]]] = (),
    ) -> None:
        self._before = _Table()
        self._after: dict[bytes, Kinds] = {}
        self._own: dict[str, _Table] = {}
        for table in before:
            for kind, words in table.items():
                for word in words:
                    self._before.add(kind, word)
        for table in after:
            for kind, words in table.items():
                for word in words:
                    raw = narrow(word.lower().encode())
                    self._after[raw] = _with(self._after.get(raw, _NONE), kind)
        for label, words in own:
            for word in words:
                self._own.setdefault(label, _Table()).add(label, word)
        self._known = self._before.single.keys() | self._before.phrases.keys()
        self._signs = frozenset[str]().union(*(table.signs for table in (self._before, *self._own.values())))

    def announcing(self) -> tuple[set[bytes], set[bytes]]:
        """Words of which one stands before a number that a word announces, the longest of each phrase; and behind one."""
        before = {word for word, kinds in self._before.single.items() if not _NOTHING.issuperset(kinds)}
        for last, phrases in self._before.phrases.items():
            before |= {max((*earlier, last), key=len) for earlier, kinds in phrases if not _NOTHING.issuperset(kinds)}
        return before | set(_PHONE_ENDS), {
            word for word, kinds in self._after.items() if not _NOTHING.issuperset(kinds)
        }

    def announces(self, data: bytes) -> bool:
        """Whether what follows `data` may be of some kind because of it, or of none."""
        end = len(data)
        return any(self.before(data, 0, end, own) for own in ("", *self._own))

    def before(self, data: bytes, wall: int, start: int, own: str = "") -> Kinds:
        """The kinds that the nearest word between `wall` and `start` announces; none, and () is the answer.

        Args:
            data: the text.
            wall: where the finding before ends; nothing before counts.
            start: where the value begins.
            own: a detector's label, whose own words count as well.
        """
        low = max(wall, start - LOOK)
        text = data[low:start]
        if low > wall and data[low - 1] in _LETTERS:
            text = text.lstrip(_LETTERS)  # the end of a word is no word
        if 0x00 in text:  # the leaf before, where several are scanned as one text
            text = text[text.rindex(b"\x00") + 1 :]
        if 0x5D in text or 0x3E in text or 0x2A in text:
            for placed in reversed(list(_PLACED.finditer(text))):
                text = text[placed.end() :]
                break
        line = text.rfind(b"\n")
        if line >= 0 and _LETTER.search(text, line):
            text = text[line:]  # a line with words of its own speaks for itself
        mine = self._own.get(own) if own else None
        if not text.isascii():
            text = spoken(text, self._signs)
        if mine is None and text.isascii() and (text.islower() or not _HUMP.search(text)):
            return self._nearest(text.translate(_SMALL))
        words = self._split(text, mine)
        for at in range(len(words) - 1, -1, -1):
            # `Korean passport` says more than `passport`.
            if mine is not None and (size := mine.length(words, at)) and size >= self._before.length(words, at):
                return mine.kinds(words, at)
            if kinds := self._before.kinds(words, at):
                return kinds
            if _names_a_phone(words[at]):
                return _PHONE
        return _NONE

    def _nearest(self, text: bytes) -> Kinds:
        """The same for a text of small ASCII letters and spaces, which nearly every text can be made."""
        words, known = text.split(), self._known
        for at in range(len(words) - 1, -1, -1):
            word = words[at]
            if word in known and (kinds := self._before.kinds(words, at)):
                return kinds
            if word[-1] in _PHONE_LAST and _names_a_phone(word):
                return _PHONE
        return _NONE

    def _split(self, text: bytes, mine: _Table | None) -> list[bytes]:
        """The words, in lower case; identifiers such as `homePhone` taken apart, `WhatsApp` not."""
        if text.islower() or not _HUMP.search(text):
            return _WORD.findall(_lower(text))
        words = []
        for word in _MIXED.findall(text):
            whole = _lower(word)
            known = whole in self._before.single or whole in _NO_PHONES or (mine is not None and whole in mine.single)
            if known or not _HUMP.search(word):
                words.append(whole)
            else:
                words += [_lower(part) for part in _PART.findall(word)]
        return words

    def ahead(self, data: bytes, start: int, stop: int) -> set[str]:
        """All that `after` may answer for a place from `start` to `stop`, and perhaps more."""
        found: set[str] = set()
        for match in _AHEAD.finditer(data, start, stop + PLACES):
            if kinds := self._after.get(match[1].lower()):
                found.update(kinds)
        return found

    def after(self, data: bytes, end: int, own: str = "", limit: int | None = None) -> Kinds:
        """The kinds that a word directly after `end` announces; () for none.

        What says that digits are a phone's is an adjective as often: `1200000 home visits`. Alone in brackets it is sure;
        behind a bracket or a comma, or where its clause ends, it says as much as a call does, and elsewhere nothing.

        Args:
            data: the text.
            end: where the value ends.
            own: a detector's label, whose own words count instead.
            limit: where the next finding begins; nothing from there on counts.
        """
        stop = end + PLACES
        if limit is not None and limit < stop:
            stop = limit
        match = _FOLLOWS.match(data, end, stop)
        if match is None:
            return _NONE
        word = match[1].lower()
        if own and own in self._own:
            return self._own[own].single.get(word, _NONE)
        kinds = self._after.get(word) or _NONE
        if "phone" not in kinds:
            return kinds
        joined, ends = match[0], _CLAUSE.match(data, match.end(), stop) is not None
        if ends and b"(" in joined:
            return kinds
        rest = _NONE if kinds == _PHONE else tuple(kind for kind in kinds if kind != "phone")
        if b" /" in joined:
            return rest  # a directory: `488245288 /home`
        return (*rest, "call") if ends or b"(" in joined or b"," in joined else rest


def _lower(text: bytes) -> bytes:
    return text.lower() if text.isascii() else text.decode("utf-8", "ignore").lower().encode()


def placed(data: bytes, at: int, to: int) -> bool:
    """Whether something that masking put there, `[DOB]` or `<DOB_1>`, stands around `at`, or between it and `to`."""
    low = max(0, at - LOOK)
    begin = max(data.rfind(b"[", low, at), data.rfind(b"<", low, at))
    around = _PLACED.match(data, begin + 1, begin + 2 * LOOK) if begin >= 0 else None
    return (around is not None and around.end() > at) or _PLACED.search(data, at, to) is not None


#: The end of something that masking put there; no word before or inside of it counts.
_PLACED: Final = re.compile(rb"[A-Z][A-Z0-9_]*(?::[A-Za-z0-9_]+)*\]|[A-Z][A-Z0-9_]*_[0-9]+ ?>|\*{3}")
_LETTERS: Final = bytes(range(65, 91)) + bytes(range(97, 123))
_LETTER: Final = re.compile(rb"[A-Za-z\xc3-\xf4]")
_WORD: Final = re.compile(rb"[a-z\x80-\xff]+")
#: Every byte as it is read: a capital as a small letter, what is no letter as a space.
_SMALL: Final = bytes(c + 32 if 65 <= c <= 90 else c if 97 <= c <= 122 else 32 for c in range(256))
_MIXED: Final = re.compile(rb"[A-Za-z\x80-\xff]+")
#: Where one part of an identifier ends and the next begins: userId, SSNumber.
_HUMP: Final = re.compile(rb"[a-z][A-Z]|[A-Z]{2}[a-z]")
_PART: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z\x80-\xff]+|[\x80-\xff]+")
_PHONE: Final[Kinds] = ("phone",)
_PHONE_ENDS: Final = (b"phone", b"phonenumber", b"mobile", b"phoneno", b"telefon", b"mobilenumber")
_PHONE_LAST: Final = frozenset(word[-1] for word in _PHONE_ENDS)
#: Things that are called so and have no number, vehicles among them; besides what is made of Greek, `microphone`, `homophone`.
_NO_PHONES: Final = frozenset(
    b"iphone smartphone headphone earphone megaphone vibraphone sousaphone dictaphone automobile snowmobile bookmobile immobile".split()
)
_GREEK: Final = b"ophone"


def _names_a_phone(word: bytes) -> bool:
    """Whether a word that no table has is a compound for a phone, `homephone`, `customermobile`, `diensttelefon`."""
    return word.endswith(_PHONE_ENDS) and not word.endswith(_GREEK) and word not in _NO_PHONES


#: The same, wherever it is.
_AHEAD: Final = re.compile(rb"[ \-,\\/(:]([A-Za-z\xc3\xa0-\xbf]{3,12})(?![A-Za-z0-9_@\x80-\xff]|\.[^\s])")
_FOLLOWS: Final = re.compile(rb"[ \-,\\/(:]{1,3}([A-Za-z\xc3\xa0-\xbf]{3,12})(?![A-Za-z0-9_@\x80-\xff]|\.[^\s])")
#: What says that a word ends its clause, or that it stands for a phone with the next: `home number`.
_CLAUSE: Final = re.compile(
    rb"\Z|[^ /:=(\-]| (?:[^A-Za-z\x80-\xff]|\Z|(?i:number|phone|line|and|or|und|oder|et|y)(?![A-Za-z0-9_\x80-\xff]))"
)
