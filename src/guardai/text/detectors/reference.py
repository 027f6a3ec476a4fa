"""What every label stands for: those of the packs, and those that code finds; for `docs/labels.md` and the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, NamedTuple

from guardai.text.detectors.detector import Pack, PackError

__all__ = ["CODE", "Entry", "entries"]


class Entry(NamedTuple):
    """A label, what it is in one line, how it looks, and the pack that finds it."""

    label: str
    title: str
    example: str
    pack: str


#: What no pack holds, because it has a shape of its own (`judging/`): label → title, example.
CODE: Final = MappingProxyType(
    {
        "pii.card": ("Payment card number, of every issuer, with its check digit", "4111 1111 1111 1111"),
        "pii.email": ("E-mail address", "jane.doe@example.com"),
        "pii.iban": ("International bank account number, with its check digits", "GB29 NWBK 6016 1331 9268 19"),
        "pii.ip": ("Address of a machine, IPv4 or IPv6", "192.0.2.17"),
        "pii.phone": ("Telephone number, international or local", "+1 415 555 2671"),
        "pii.us_ssn": ("US social security number", "078-05-1120"),
    }
)


def entries(packs: Iterable[Pack]) -> list[Entry]:
    """What the packs find, sorted by pack and label; code's kinds are the pack `core`'s.

    Raises:
        PackError: a label has no title, or no example.
    """
    made: dict[str, Entry] = {label: Entry(label, *said, "core") for label, said in CODE.items()}
    order: dict[str, int] = {"core": 0}
    for pack in packs:
        order.setdefault(pack.name, len(order))
        titled = {kind.label: kind for kind in reversed(pack.kinds()) if kind.title and kind.example}
        for kind in pack.kinds():
            if kind.label in made:
                continue
            if kind.label not in titled:
                raise PackError(f"pack {pack.name}: {kind.label} has no title, or no example")
            first = titled[kind.label]
            made[kind.label] = Entry(kind.label, first.title, first.example, pack.name)
    return sorted(made.values(), key=lambda entry: (order[entry.pack], entry.label))
