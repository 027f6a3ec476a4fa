"""Checksums, ranges, lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.validators import IBAN_LENGTHS, VALIDATORS, card_brand, coins, entropy, iban, ip4, ip6, luhn, ssn
from guardai.text.validators.personal import birthday, geo, mac


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


# ---- cryptocurrencies ----

#: Of the genesis block, of the specifications, and of exchanges that publish theirs.
ADDRESSES = [
    ("coin", b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("coin", b"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
    ("coin", b"DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L"),
    ("coin", b"TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    (
        "coin",
        b"xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
    ),
    ("ripple", b"rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"),
    ("bech32", b"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ("bech32", b"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
    ("cashaddr", b"bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"),
    ("stellar", b"GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"),
    ("ethereum", b"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    ("ethereum", b"0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"),
    ("monero", b"44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"),
]


@pytest.mark.parametrize(("name", "address"), ADDRESSES)
def test_an_address_of_a_cryptocurrency_passes_and_its_misprints_do_not(name, address):
    check = VALIDATORS[name]
    assert check(address) is True
    for at in range(max(3, address.find(b":") + 1), len(address)):
        changed = b"3" if address[at : at + 1] != b"3" else b"4"
        assert not check(address[:at] + changed + address[at + 1 :])
    assert not check(address[:-1])


def test_keccak_is_not_sha3():
    assert coins.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert coins.keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert coins.keccak256(b"a" * 135) != coins.keccak256(b"a" * 136) != coins.keccak256(b"a" * 137)


def test_what_holds_no_checksum_is_unknown_and_a_constant_is_invalid():
    lower = b"0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"
    assert coins.ethereum(lower) is coins.ethereum(b"0x" + lower[2:].upper()) is None
    assert coins.ethereum(b"0x" + b"0" * 36 + b"dead") is False
    assert coins.solana(b"4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T") is None
    assert coins.solana(b"4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB") is False


def test_bech32_is_in_one_case():
    assert coins.bech32(b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4")
    assert not coins.bech32(b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3t4")


@given(st.binary(max_size=60))
def test_no_validator_fails_on_bytes_of_its_alphabet(raw):
    base58 = bytes(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[c % 58] for c in raw)
    for name in ("coin", "ripple", "solana", "monero"):
        assert VALIDATORS[name](base58) in (True, False, None)


# ---- what a context announces ----


@pytest.mark.parametrize(
    "value",
    "1980-03-12 12/03/1980 3/12/1980 12.3.80 19800312 12031980".split()
    + [
        "12 March 1980",
        "March 12th, 1980",
        "12. März 1980",
        "1er août 1980",
        "12 de marzo de 1980",
        "12 марта 1980",
        "1980年3月12日",
    ],
)
def test_a_date_of_birth_is_a_day_on_which_somebody_can_have_been_born(value):
    assert birthday(value.encode()) is None


@pytest.mark.parametrize(
    "value",
    ["1980-13-12", "31/02/1980", "1880-03-12", "2999-03-12", "12 tables 1980", "12 words 1980", "12345678", "12.3.4.5"],
)
def test_other_figures_are_no_date_of_birth(value):
    assert birthday(value.encode()) is False


def test_degrees_are_those_of_a_globe():
    assert geo(b"52.52, 13.405") is geo("−33.86, 151.2".encode()) is geo(b"179.99") is None
    assert geo(b"95.1, 97.2") is geo(b"52.5, 181.0") is geo(b"180.5") is False


def test_a_hardware_address_is_not_one_pair_repeated():
    assert mac(b"00:1B:44:11:3A:B7") is None
    assert mac(b"00-00-00-00-00-00") is mac(b"ffff.FFFF.ffff") is False
