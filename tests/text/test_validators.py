"""Checksums, ranges, lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.validators import IBAN_LENGTHS, card_brand, entropy, iban, ip4, ip6, luhn, ssn


@given(st.text(alphabet="0123456789", min_size=1, max_size=30))
def test_luhn_is_the_textbook_one(digits):
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    assert luhn(digits.encode()) == (total % 10 == 0)


@pytest.mark.parametrize(
    ("digits", "answer"),
    [
        (b"4111111111111111", True),
        (b"2223003122003222", True),
        (b"378282246310005", True),
        (b"4222222222222", None),
        (b"676770000005", None),
        (b"1234567890123456", False),
        (b"170000000000000", None),
        (b"9999999999999999", False),
    ],
)
def test_an_issuer_s_range_says_what_a_number_is(digits, answer):
    assert card_brand(digits) is answer


@pytest.mark.parametrize(
    "value",
    [b"GB29NWBK60161331926819", b"NO9386011117947", b"MT84MALT011000012345MTLCAST001S", b"SA0380000000608010167519"],
)
def test_an_iban_passes_and_its_misprints_do_not(value):
    assert iban(value)
    assert not iban(value[:-1])
    for at in range(4, len(value)):
        if value[at : at + 1].isdigit():
            assert not iban(value[:at] + bytes([48 + (value[at] - 47) % 10]) + value[at + 1 :])


def test_every_country_has_a_plausible_length():
    assert len(IBAN_LENGTHS) > 100
    assert all(15 <= length <= 33 for length in IBAN_LENGTHS.values())


def test_a_social_security_number_is_one_that_is_issued():
    assert ssn(b"078051120")
    for never in (b"000121234", b"666121234", b"912121234", b"123001234", b"123450000"):
        assert not ssn(never)


@pytest.mark.parametrize(
    "value", [b"10.0.0.1", b"255.1.1.1", b"0.1.2.3", b"1.2.3", b"01.2.3.4", b"1.2.3.256", b"127.0.0.1"]
)
def test_four_octets_are_an_address_only_if_somebody_has_it(value):
    assert ip4(value) == (value == b"10.0.0.1")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"2001:db8::1", True),
        (b"fe80::", True),
        (b"1:2:3:4:5:6:7:8", True),
        (b"::ffff:10.0.0.1", True),
        (b"0:0:0:0:0:ffff:10.0.0.1", True),
        (b"1:2:3:4:5:6:7", False),
        (b"1:2:3:4:5:6:7:8:9", False),
        (b"1::2::3", False),
        (b"::", False),
        (b"::1", False),
        (b"a::b", False),
        (b"00:1b:44:11:3a:b7:00:01", False),
        (b"12345::1", False),
        (b"::ffff:10.0.0.256", False),
        (b"1:2:3:4:5:6:7:8::", False),
    ],
)
def test_the_forms_of_ipv6(value, answer):
    assert ip6(value) is answer


def test_entropy_is_in_bits():
    assert entropy(b"aaaa") == 0
    assert entropy(b"abcd") == 2
