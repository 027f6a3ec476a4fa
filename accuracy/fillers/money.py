"""Cards (ISO/IEC 7812), bank accounts (ISO 13616 and the SWIFT registry), BICs (ISO 9362) and crypto addresses."""

from __future__ import annotations

import hashlib
from random import Random

__all__ = ["bic", "card", "iban", "crypto"]

#: Brand → (prefixes, lengths), as the networks publish them.
_BRANDS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "visa": (("4",), (16,)),
    "visa19": (("4",), (19,)),
    "visa13": (("4",), (13,)),
    "mastercard": (("51", "52", "53", "54", "55", "2221", "2300", "2511", "2699", "2720"), (16,)),
    "amex": (("34", "37"), (15,)),
    "discover": (("6011", "644", "649", "65"), (16,)),
    "diners": (("36", "38", "300", "305"), (14,)),
    "jcb": (("3528", "3541", "3589"), (16,)),
    "unionpay": (("620", "622126", "6250"), (16, 19)),
    "maestro": (("5018", "5020", "5038", "6304", "6759", "6761"), (12, 13, 16, 18, 19)),
    "mir": (("2200", "2204"), (16,)),
    "rupay": (("6521", "6071", "8172"), (16,)),
    "elo": (("636368", "504175", "650905"), (16,)),
}
_COMMON = (
    "visa",
    "visa",
    "visa",
    "mastercard",
    "mastercard",
    "mastercard",
    "amex",
    "discover",
    "diners",
    "jcb",
    "unionpay",
)


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        weighted = int(digit) * (2 if place % 2 == 0 else 1)
        total += weighted - 9 if weighted > 9 else weighted
    return str(-total % 10)


def card(rng: Random, arg: str) -> str:
    """A card's number. `arg`: brand, then `/bare`, `/space` or `/dash`."""
    brand, _, form = arg.partition("/")
    prefixes, lengths = _BRANDS[brand or rng.choice(_COMMON)]
    prefix, length = rng.choice(prefixes), rng.choice(lengths)
    body = prefix + "".join(rng.choices("0123456789", k=length - len(prefix) - 1))
    number = body + _luhn(body)
    form = form or rng.choices(("bare", "space", "dash"), (5, 4, 1))[0]
    if form == "bare":
        return number
    by = " " if form == "space" else "-"
    if length in (14, 15):
        return by.join((number[:4], number[4:10], number[10:]))
    return by.join(number[at : at + 4] for at in range(0, length, 4))


#: Country → the account part of its IBAN: n digits, a capitals, c either.
_ACCOUNTS = dict(
    entry.split(":")
    for entry in (
        "DE:18n FR:10n11c2n GB:4a14n ES:20n IT:1a10n12c NL:4a10n BE:12n AT:16n CH:5n12c PL:24n PT:21n IE:4a14n SE:20n DK:14n "
        "NO:11n FI:14n CZ:20n SK:20n HU:24n RO:4a16c BG:4a6n8c GR:7n16c HR:17n SI:15n LT:16n LV:4a13c EE:16n LU:3n13c MT:4a5n18c "
        "CY:8n16c LI:5n12c IS:22n TR:5n1n16c AE:3n16n SA:2n18c IL:19n UA:6n19c BR:23n1a1c RS:18n GE:2a16n KZ:3n13c PK:4a16c "
        "QA:4a21c KW:4a22c BH:4a14c EG:25n MC:10n11c2n SM:1a10n12c GI:4a15c AD:8n12c"
    ).split()
)
_USUAL = "DE DE FR FR GB ES IT NL BE AT CH PL PT IE SE DK NO FI CZ HU RO GR TR AE UA".split()


def iban(rng: Random, arg: str) -> str:
    """An account's number. `arg`: country in lower case, then `/bare`, `/space` or `/lower`."""
    country, _, form = arg.partition("/")
    code = country.upper() or rng.choice(_USUAL)
    account, count = "", ""
    for mark in _ACCOUNTS[code]:
        if mark.isdigit():
            count += mark
            continue
        letters = {"n": "0123456789", "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "c": "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"}[mark]
        weights = [1.0] * len(letters) if mark != "c" else [3.0] * 10 + [0.3] * (len(letters) - 10)
        account += "".join(rng.choices(letters, weights, k=int(count)))
        count = ""
    as_number = "".join(str(ord(c) - 55) if c.isalpha() else c for c in f"{account}{code}00")
    whole = f"{code}{98 - int(as_number) % 97:02}{account}"
    form = form or rng.choice(("bare", "space"))
    if form == "bare":
        return whole
    if form == "lower":
        return whole.lower()
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


_BANKS = (
    "DEUTDEFF COBADEFFXXX GENODEF1ULM BNPAFRPP SOGEFRPPXXX AGRIFRPP CHASUS33 BOFAUS3N CITIUS33 INGBNL2A ABNANL2AXXX RABONL2U "
    "BARCGB22 NWBKGB2L LOYDGB2LXXX BSCHESMM CAIXESBB BBVAESMMXXX UNCRITMM BCITITMM PKOPPLPW BREXPLPWXXX UBSWCHZH80A "
    "POFICHBEXXX NDEASESS DABADKKK DNBANOKKXXX OKOYFIHH KREDBEBB GEBABEBB AIBKIE2D CGDIPTPL BKCHCNBJ BOTKJPJT HDFCINBB SBININBB "
    "CZNBKRSE NCBKSAJE TCZBTR2A ITAUBRSP ROYCCAT2 CTBAAU2S DBSSSGSG SABRRUMM PRIVATBA"
).split()


def bic(rng: Random, _arg: str) -> str:
    """A bank's code: a published one, or four letters, a country, a place and perhaps a branch."""
    if rng.random() < 0.6:
        return rng.choice(_BANKS[:-1])
    bank = "".join(rng.choices("ABCDEFGHIJKLMNOPRSTUVW", k=4))
    place = rng.choice("2ABCFGLMPRSZ") + rng.choice("ABCDEFGHKLMPRSUZ2378")
    return bank + rng.choice(_USUAL) + place + rng.choice(("", "", "XXX", f"{rng.randint(100, 999)}"))


# ---- crypto ----

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _base58(payload: bytes, alphabet: str = _BASE58) -> str:
    payload += hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(payload, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return alphabet[0] * (len(payload) - len(payload.lstrip(b"\0"))) + text


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                check ^= term
    return check


def _segwit(prefix: str, version: int, program: bytes) -> str:
    """BIP 173 for version 0, BIP 350 for those after."""
    bits = int.from_bytes(program, "big") << (-len(program) * 8 % 5)
    count = -(-len(program) * 8 // 5)
    data = [version, *(bits >> 5 * at & 31 for at in reversed(range(count)))]
    head = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = _polymod([*head, *data, 0, 0, 0, 0, 0, 0]) ^ (1 if version == 0 else 0x2BC830A3)
    return prefix + "1" + "".join(_BECH32[v] for v in (*data, *(check >> 5 * at & 31 for at in reversed(range(6)))))


_ROUNDS = []
_lfsr = 1
for _ in range(24):
    _constant = 0
    for _j in range(7):
        if _lfsr & 1:
            _constant |= 1 << (1 << _j) - 1
        _lfsr = (_lfsr << 1 ^ (0x171 if _lfsr & 0x80 else 0)) & 0x1FF
    _ROUNDS.append(_constant)


def _keccak(data: bytes) -> bytes:
    """Keccak-256 with the padding of before FIPS 202, as Ethereum uses it."""
    wide = (1 << 64) - 1

    def turn(lane: int, by: int) -> int:
        by %= 64
        return (lane << by | lane >> 64 - by) & wide

    block = bytearray(data + b"\x01" + b"\0" * (135 - len(data)))
    block[135] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for at in range(17):
        lanes[at % 5][at // 5] = int.from_bytes(block[at * 8 : at * 8 + 8], "little")
    for constant in _ROUNDS:
        column = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mixed = [column[(x - 1) % 5] ^ turn(column[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mixed[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], turn(current, (step + 1) * (step + 2) // 2)
        lanes = [
            [lanes[x][y] ^ (~lanes[(x + 1) % 5][y] & wide & lanes[(x + 2) % 5][y]) for y in range(5)] for x in range(5)
        ]
        lanes[0][0] ^= constant
    return b"".join(lanes[at % 5][at // 5].to_bytes(8, "little") for at in range(4))


def _ethereum(rng: Random) -> str:
    """EIP-55: capitals where the hash's nibble is 8 or more."""
    plain = rng.randbytes(20).hex()
    marks = _keccak(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(mark, 16) >= 8 else c for c, mark in zip(plain, marks, strict=False))


def crypto(rng: Random, arg: str) -> str:
    """An address. `arg`: btc, btc_script, btc_segwit, btc_taproot, eth, eth_lower, ltc, doge, tron, xrp; any if empty."""
    coin = arg or rng.choice(
        ("btc", "btc_script", "btc_segwit", "btc_taproot", "eth", "eth", "eth_lower", "ltc", "doge", "tron", "xrp")
    )
    twenty = rng.randbytes(20)
    match coin:
        case "btc":
            return _base58(b"\x00" + twenty)
        case "btc_script":
            return _base58(b"\x05" + twenty)
        case "btc_segwit":
            return _segwit("bc", 0, twenty)
        case "btc_taproot":
            return _segwit("bc", 1, rng.randbytes(32))
        case "eth":
            return _ethereum(rng)
        case "eth_lower":
            return "0x" + twenty.hex()
        case "ltc":
            return rng.choice((_base58(b"\x30" + twenty), _segwit("ltc", 0, twenty)))
        case "doge":
            return _base58(b"\x1e" + twenty)
        case "tron":
            return _base58(b"\x41" + twenty)
        case "xrp":
            return _base58(b"\x00" + twenty, _RIPPLE)
    raise KeyError(coin)
