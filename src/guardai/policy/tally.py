"""The counters of one call: which it is counted in, and the numbers that it took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from guardai.model import REVEAL, Principal, Resource
from guardai.policy.counters import PARTS, Counters, Entry, Key

__all__ = ["Counted", "Tally", "What"]

#: A resource: type and id. A label: `Label`, the label, and the kind of destination.
What = tuple[str, ...]

#: What a call is counted in when it is asked about, itself among them.
_TAKEN: Final = frozenset({"calls", "same_action", "same_resource"})


class Counted(NamedTuple):
    """The counters that a bundle's policies read: no others are kept.

    Attributes:
        acts: taken when a call is asked about.
        reveals: taken when a label is asked about.
        rows, tokens: added to while a call runs.
        labels: all that answers about labels depend on.
    """

    acts: tuple[str, ...]
    reveals: tuple[str, ...]
    rows: tuple[str, ...]
    tokens: tuple[str, ...]
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, read: Iterable[tuple[Iterable[str], Iterable[str]]]) -> Counted | None:
        """From the counters and actions of each policy that reads any; None if none does."""
        acts: set[str] = set()
        reveals: set[str] = set()
        for names, actions in read:
            verbs = set(actions)
            reveals.update(names if REVEAL in verbs else ())
            acts.update(names if verbs - {REVEAL} else ())
        if not acts | reveals:
            return None
        by_call = {name for name in reveals if PARTS[name][:2] == ("count", "calls")}

        def of(names: Iterable[str], *measures: str) -> tuple[str, ...]:
            return tuple(sorted(name for name in names if PARTS[name][1] in measures))

        return cls(
            of(acts | by_call, *_TAKEN),
            of(reveals - by_call, *_TAKEN),
            of(acts | reveals, "rows"),
            of(acts | reveals, "tokens"),
            tuple(sorted(reveals)),
        )


class Tally:
    """The counters of one call: its numbers, taken once and the same for as long as it runs.

    Attributes:
        asked: whether any answer so far depended on a counter.
        seen: the numbers that the act was decided with; None where they were not the same for all of its questions.
    """

    __slots__ = (
        "_counted",
        "_counters",
        "_held",
        "_numbers",
        "_resources",
        "_session",
        "_taking",
        "_who",
        "asked",
        "seen",
    )

    def __init__(
        self, counters: Counters, counted: Counted, principal: Principal, session: str, *, taking: bool = True
    ) -> None:
        """Without `taking` nothing is counted: policy sees the number that the call would have."""
        self._counters = counters
        self._counted = counted
        self._who = (principal.kind, principal.agent, principal.user)
        self._session = session
        self._taking = taking
        self._numbers: dict[Key, int] = {}
        self._held: dict[Key, Entry] = {}
        self._resources: tuple[What, ...] = ()
        self.asked = False
        self.seen: dict[str, int | None] = {}

    @property
    def labels(self) -> bool:
        """Whether answers about labels depend on counters, so that each call has to ask for itself what may be revealed."""
        return bool(self._counted.labels)

    def act(self, actions: Iterable[str], resources: Iterable[Resource]) -> None:
        """Takes the call's numbers, before policy is asked. Asking again, after an approval say, takes no others.

        Raises:
            GuardError: it cannot be counted.
        """
        self._resources = tuple(dict.fromkeys((one.type, one.id) for one in resources))
        whats = self._resources or (("", ""),)
        self._take(self._key(name, action, what) for name in self._counted.acts for action in actions for what in whats)

    def reveal(self, label: str, kind: str) -> None:
        """Takes the numbers of a label, before policy is asked whether it may be revealed; once a call.

        Raises:
            GuardError: it cannot be counted.
        """
        self._take(self._key(name, REVEAL, ("Label", label, kind)) for name in self._counted.reveals)

    def masked(self, label: str, kind: str) -> None:
        """The label was not revealed: its numbers are given back. Those of all labels together are the call's."""
        whose = [name for name in self._counted.reveals if PARTS[name][1] != "same_action"]
        keys = [self._key(name, REVEAL, ("Label", label, kind)) for name in whose]
        self._counters.give_back([(key, self._held.pop(key)) for key in keys if key in self._held])

    def values(self, names: Iterable[str], action: str, what: What) -> dict[str, object]:
        """The numbers that policy compares."""
        self.asked = True
        numbers = {name: self._number(self._key(name, action, what)) for name in names}
        if action != REVEAL:
            for name, number in numbers.items():
                self.seen[name] = number if self.seen.get(name, number) == number else None
        return {**numbers}

    def told(self) -> dict[str, int]:
        """What of `seen` can be asked again with: one number each."""
        return {name: number for name, number in sorted(self.seen.items()) if number is not None}

    def left(self, name: str, action: str, what: What) -> float:
        """Seconds until the counter's window ends."""
        return self._counters.left(self._key(name, action, what))

    def keep(self) -> None:
        """The call is let through: what was taken is counted for good."""
        if self._held:
            held, self._held = self._held, {}
            self._counters.keep(held.values())

    def give_back(self) -> None:
        """The call is not let through."""
        if self._held:
            held, self._held = self._held, {}
            self._counters.give_back(held.items())

    def rows(self, number: int) -> None:
        """So many rows are about to be handed out."""
        self._add(self._counted.rows, number)

    def tokens(self, number: int) -> None:
        """A model has used so many tokens."""
        self._add(self._counted.tokens, number)

    def _add(self, names: tuple[str, ...], number: int) -> None:
        if names and number > 0 and self._taking:
            whats = self._resources or (("", ""),)
            self._counters.add({self._key(name, "", what) for name in names for what in whats}, number)

    def _take(self, keys: Iterable[Key]) -> None:
        if not self._taking:
            return
        wanted = [key for key in dict.fromkeys(keys) if key not in self._numbers]
        for key, entry, number in self._counters.take(wanted) if wanted else ():
            self._held[key] = entry
            self._numbers[key] = number

    def _number(self, key: Key) -> int:
        number = self._numbers.get(key)
        if number is None:
            # Not taken: by an answer that has no effect of its own. It sees what the call's number would be.
            number = self._counters.read(key) + (PARTS[key[0]][1] in _TAKEN)
        return number

    def _key(self, name: str, action: str, what: What) -> Key:
        record, measure, window = PARTS[name]
        if record == "resource_count":
            return (name, *what)
        session = (self._session,) if window == "session" else ()
        if measure == "same_action":
            return (name, *self._who, *session, action)
        if measure == "same_resource":
            return (name, *self._who, *session, *what)
        return (name, *self._who, *session)
