"""The demo's shop: the same every time, valid in form, nobody's."""

import re
import sqlite3

import pytest

from guardai.cli.demo import shop


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    shop.build(path)
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def column(connection, name):
    return [row[0] for row in connection.execute(f"SELECT {name} FROM customers ORDER BY id")]


def passes_luhn(number):
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[::2]) % 10 + sum(sum(divmod(2 * d, 10)) for d in digits[1::2]) % 10 in (0, 10)


def passes_mod_97(iban):
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


def test_the_shop_has_two_thousand_customers_and_ten_thousand_orders(connection):
    counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("customers", "orders")]
    assert counts == [2_000, 10_000]


def test_two_builds_are_the_same(tmp_path):
    dumps = []
    for name in ("a.db", "b.db"):
        shop.build(tmp_path / name)
        connection = sqlite3.connect(tmp_path / name)
        dumps.append(list(connection.iterdump()))
        connection.close()
    assert dumps[0] == dumps[1]


def test_every_card_passes_luhn_and_is_of_a_test_range(connection):
    cards = column(connection, "card")
    assert all(passes_luhn(card) for card in cards)
    assert {card[:6] for card in cards} == {"424242", "411111", "555555", "601111", "378282"}


def test_every_iban_has_right_check_digits_and_the_length_of_its_country(connection):
    ibans = column(connection, "iban")
    assert all(passes_mod_97(iban) for iban in ibans)
    assert {(iban[:2], len(iban)) for iban in ibans} == {("DE", 22), ("FR", 27), ("SE", 24), ("GB", 22)}


def test_every_address_is_under_a_domain_that_belongs_to_nobody(connection):
    emails = column(connection, "email")
    assert len(set(emails)) == 2_000
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+@example\.(com|net|org)", email) for email in emails)


def test_every_phone_is_of_a_range_kept_free_for_films(connection):
    free = r"\+49 30 23125 \d{3}|\+33 1 99 00 \d\d \d\d|\+46 8 465 004 \d\d|\+44 20 7946 0\d{3}"
    assert all(re.fullmatch(free, phone) for phone in column(connection, "phone"))


def test_orders_belong_to_customers(connection):
    connection.execute("PRAGMA foreign_keys = ON")
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
