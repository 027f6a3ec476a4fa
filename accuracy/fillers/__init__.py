"""What a template's slots are filled with: `<<kind:argument>>` → a value, made anew from a seed at every run.

Written from the public rules (numbering plans, registries, providers' documentation) and without a look at what guardai
checks: a mistake that both made would not show. A value with the shape of a key exists only while the report is made.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from accuracy.fillers import contact, identity, keys, machine, money, national, noise

__all__ = ["FILLERS", "Filler"]


class Filler(NamedTuple):
    """One kind of slot.

    Attributes:
        label: the type that the gold span bears, None if the value is nothing that should be found.
        make: (randomness, argument) → value.
    """

    label: str | None
    make: Callable[[Random, str], str]


FILLERS: dict[str, Filler] = {
    "email": Filler("email", contact.email),
    "phone": Filler("phone", contact.phone),
    "card": Filler("card", money.card),
    "iban": Filler("iban", money.iban),
    "bic": Filler("bic", money.bic),
    "crypto": Filler("crypto", money.crypto),
    "us_ssn": Filler("us_ssn", identity.us_ssn),
    "us_itin": Filler("us_itin", identity.us_itin),
    "dob": Filler("dob", identity.day),
    "geo": Filler("geo", identity.geo),
    "lat": Filler("geo", identity.latitude),
    "lon": Filler("geo", identity.longitude),
    "ip": Filler("ip", machine.ip),
    "mac": Filler("mac", machine.mac),
    "url_password": Filler("url_password", machine.url_password),
    "password": Filler("password", machine.password),
    "key": Filler("key", keys.key),
    "jwt": Filler("jwt", keys.jwt),
    "private_key": Filler("private_key", keys.private_key),
    "id": Filler("id", national.number),
    **{name: Filler(None, make) for name, make in noise.FILLERS.items()},
}
