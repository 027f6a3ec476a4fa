"""The vault: where what tokens stand for is kept, so that the processes of one home agree on it, and a restart does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

__all__ = ["GAP", "Drawer", "Kept", "Vault"]

#: A number in a text that is so far above those that were issued is reserved by itself. Whoever writes a text would
#: else choose the numbers of all tokens that come after it.
GAP: Final = 1000


class Kept(NamedTuple):
    """A value that a token stands for. It holds what must never be shown.

    Attributes:
        name: of the token, `EMAIL`.
        label: the kind of data, `pii.email`.
        value: as it was found.
        compared: the form in which it is compared with others of its label.
    """

    name: str
    label: str
    value: str
    compared: str

    def __repr__(self) -> str:
        return f"<Kept: a {self.label}>"


class Drawer(Protocol):
    """One session's part of a vault. Every method may raise a `GuardError`: nothing was kept then, and nothing is known."""

    @property
    def life(self) -> float:
        """Seconds after the last use until what is in it is forgotten."""
        ...

    def allocate(self, wanted: Sequence[Kept], floor: Mapping[str, int]) -> list[int]:
        """The numbers of the tokens that stand for these values: those that they have, else new ones, kept before it returns.

        INVARIANT: within a session equal values have the same number, in every process, and no number stands for two.

        Args:
            wanted: the values.
            floor: name → the lowest number that a new one may have; 1 where there is none.
        """
        ...

    def get(self, tokens: Collection[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, str]]:
        """What tokens, as (name, number), stand for, as (label, value); without those that stand for nothing."""
        ...

    def reserve(self, name: str, number: int) -> int:
        """Makes sure that no token of this name and number is issued from now on; the lowest number that still may be.

        That is the next one, unless the number is `GAP` or more above all others: then those between may be issued.
        """
        ...

    def renew(self) -> None:
        """The session is in use: what is in the drawer lives on."""
        ...


class Vault(Protocol):
    """What a gate asks for drawers."""

    def drawer(self, session: str, owner: str, *, lasting: bool = False) -> Drawer:
        """A session's drawer.

        Args:
            session: its id.
            owner: on whose behalf it is; the same id of another owner is another drawer.
            lasting: somebody chose the id and may come back with it: its numbers are not used anew even after its values
                are forgotten.
        """
        ...

    def expire(self) -> int:
        """Forgets what has not been used for too long; how many drawers."""
        ...
