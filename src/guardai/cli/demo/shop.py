"""The demo's database: a shop of 2,000 customers and 10,000 orders, the same every time.

Everything in it is valid in form and belongs to nobody: cards from the test ranges of the card networks with a right
Luhn digit, IBANs of banks that do not exist with right check digits, telephone numbers from the ranges that the
regulators of Germany, France, Sweden and the United Kingdom keep free for films, addresses under example.com/.net/.org.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CUSTOMERS", "ORDERS", "Customer", "build"]

CUSTOMERS: Final = 2_000
ORDERS: Final = 10_000
_SEED: Final = "guardai demo"

_FIRST: Final = (
    "Ada Agnes Alice Anna Arthur Astrid Basil Beatrice Bruno Camille Clara Cosima Daniel Edith Elias Emil Erik Ewa "
    "Félix Freja Greta Hanna Hugo Ida Ingrid Jakob Jonas Julia Karin Lars Léa Lena Louise Maja Marie Max Nils Nora "
    "Oskar Paul Rosa Selma Simon Sofia Theo Tilda Ulla Vera Viktor Zoë"
)
_LAST: Final = (
    "Ahlberg Bauer Becker Berger Blanc Brandt Chevalier Dahl Dubois Eriksson Fischer Fontaine Forsberg Garnier Hahn "
    "Hansson Hill Holm Keller König Lambert Lang Larsson Lindqvist Marchand Mercier Meyer Moreau Nyström Olsson "
    "Palmer Petit Richter Roux Sandberg Schmitt Shaw Sjöberg Stone Vogel"
)
_DOMAINS: Final = ("example.com", "example.net", "example.org")
#: Prefixes of numbers that card networks and processors publish for tests, and how long such a number is.
_CARDS: Final = (("42424242", 16), ("41111111", 16), ("55555555", 16), ("60111111", 16), ("37828224", 15))
_PRODUCTS: Final = (
    ("desk lamp", 4_900),
    ("bookcase", 18_900),
    ("armchair", 34_900),
    ("wall clock", 5_900),
    ("tea kettle", 3_900),
    ("wool blanket", 7_900),
    ("standing desk", 52_900),
    ("garden bench", 27_900),
)
_STATUSES: Final = ("placed", "shipped", "delivered", "delivered", "delivered", "returned")
_FIRST_DAY: Final = date(2026, 1, 1)

_Maker = Callable[[Random], str]
#: Region → how its telephone numbers and its IBANs look.
_REGIONS: Final[dict[str, tuple[_Maker, _Maker]]] = {
    "eu-central": (
        lambda chance: f"+49 30 23125 {_digits(chance, 3)}",
        lambda chance: _iban("DE", f"99999999{_digits(chance, 10)}"),
    ),
    "eu-west": (
        lambda chance: f"+33 1 99 00 {_digits(chance, 2)} {_digits(chance, 2)}",
        lambda chance: _iban("FR", f"9999999999{_digits(chance, 13)}"),
    ),
    "eu-north": (
        lambda chance: f"+46 8 465 004 {_digits(chance, 2)}",
        lambda chance: _iban("SE", f"999{_digits(chance, 17)}"),
    ),
    "uk": (
        lambda chance: f"+44 20 7946 0{_digits(chance, 3)}",
        lambda chance: _iban("GB", f"TEST999999{_digits(chance, 8)}"),
    ),
}

_SCHEMA: Final = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT NOT NULL,
    iban TEXT NOT NULL, card TEXT NOT NULL, region TEXT NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), product TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, placed TEXT NOT NULL, status TEXT NOT NULL
);
CREATE INDEX orders_by_customer ON orders (customer_id);
"""


class Customer(NamedTuple):
    """A row of `customers`."""

    id: int
    name: str
    email: str
    phone: str
    iban: str
    card: str
    region: str


def build(path: Path) -> None:
    """Writes the shop to a new SQLite file at `path`."""
    chance = Random(_SEED)  # noqa: S311 - the same shop every time is the point
    connection = sqlite3.connect(path)
    try:
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO customers VALUES (?,?,?,?,?,?,?)", _customers(chance))
        connection.executemany("INSERT INTO orders VALUES (?,?,?,?,?,?)", _orders(chance))
        connection.commit()
    finally:
        connection.close()


def _customers(chance: Random) -> list[Customer]:
    # Fifty first names and forty last names are two thousand people; each combination occurs once.
    people = [(first, last) for first in _FIRST.split() for last in _LAST.split()]
    chance.shuffle(people)
    rows = []
    for number, (first, last) in enumerate(people[:CUSTOMERS], start=1):
        region = chance.choice(tuple(_REGIONS))
        phone, bank = _REGIONS[region]
        rows.append(
            Customer(
                id=number,
                name=f"{first} {last}",
                email=f"{_plain(first)}.{_plain(last)}@{chance.choice(_DOMAINS)}",
                phone=phone(chance),
                iban=bank(chance),
                card=_card(chance),
                region=region,
            )
        )
    return rows


def _orders(chance: Random) -> list[tuple[int, int, str, int, str, str]]:
    rows = []
    for number in range(1, ORDERS + 1):
        product, cents = chance.choice(_PRODUCTS)
        placed = _FIRST_DAY + timedelta(days=number * 300 // ORDERS)
        count = chance.choice((1, 1, 1, 2, 3))
        customer = chance.randint(1, CUSTOMERS)
        rows.append((number, customer, product, cents * count, placed.isoformat(), chance.choice(_STATUSES)))
    return rows


def _plain(name: str) -> str:
    """The name as it stands in an address: no accents, lower case."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if letter.isascii()).lower()


def _digits(chance: Random, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


def _card(chance: Random) -> str:
    prefix, length = chance.choice(_CARDS)
    body = prefix + _digits(chance, length - len(prefix) - 1)
    return body + str(_luhn(body))


def _luhn(body: str) -> int:
    """The digit that makes `body` a number that passes the Luhn check."""
    doubled = (int(digit) * (2 - n % 2) for n, digit in enumerate(reversed(body)))
    return -sum(value - 9 if value > 9 else value for value in doubled) % 10


def _iban(country: str, account: str) -> str:
    """The IBAN of `account`, with the check digits of ISO 13616."""
    number = int("".join(str(int(letter, 36)) for letter in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"
