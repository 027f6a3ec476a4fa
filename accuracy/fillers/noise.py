"""What stands around the values, and what looks like one and is none: names, hashes, numbers of orders, dates, versions."""

from __future__ import annotations

import base64
import unicodedata
import uuid
from collections.abc import Callable
from random import Random

__all__ = ["FILLERS", "ascii_name", "slug"]

#: Language → first names, last names; the second line is how they are written in an address.
_NAMES: dict[str, tuple[str, str]] = {
    "en": (
        "James Olivia Marcus Priya Hannah Derek Aisha Colin Megan Tobias Grace Nathan Leah Oscar",
        "Whitfield Okafor Brennan Castillo Nguyen Hargreaves Patel Morrison Lindqvist Dunmore Abbott Reyes Fairchild O'Connell",
    ),
    "de": (
        "Jürgen Annika Matthias Sabine Lukas Käthe Friedrich Heike Jonas Petra",
        "Müller Schäfer Brandt Krüger Hoffmann Lehmann Weiß Vogel Baumgärtner Zimmermann",
    ),
    "fr": (
        "Élodie Jérôme Camille Thibault Anaïs Benoît Margaux Hervé",
        "Lefèvre Dubois Garnier Moreau Chevalier Fontaine Rousseau Girard",
    ),
    "es": (
        "Íñigo Lucía Andrés Carmen Raúl Pilar Sergio Begoña",
        "Fernández Ibáñez Castro Domínguez Vega Muñoz Herrera Ortega",
    ),
    "it": (
        "Giulia Lorenzo Chiara Matteo Niccolò Francesca Alessio Ilaria",
        "Bianchi Ricci Colombo Ferrari Moretti Gallo Fontana Rinaldi",
    ),
    "pt": (
        "João Inês Tiago Catarina Rui Beatriz Gonçalo Mariana",
        "Carvalho Nogueira Fonseca Araújo Pinheiro Teixeira Barbosa Lopes",
    ),
    "nl": (
        "Sander Femke Joost Marieke Daan Willemijn Bram Anouk",
        "Bakker Visser Dijkstra Hoekstra Mulder Jansen Kuipers Smit",
    ),
    "pl": (
        "Łukasz Agnieszka Paweł Małgorzata Zbigniew Ewa Michał Żaneta",
        "Kowalski Wiśniewska Zając Wójcik Dąbrowski Mazur Lewandowska Szymański",
    ),
    "ru": ("Алексей Ольга Дмитрий Наталья Сергей Ирина", "Соколов Морозова Лебедев Кузнецова Орлов Зайцева"),
    "uk": ("Олександр Ірина Богдан Оксана", "Шевченко Коваль Бондаренко Ткачук"),
    "zh": ("伟 芳 敏 静 磊 洋", "王 李 张 刘 陈 赵"),
    "ja": ("太郎 花子 健一 美咲", "佐藤 鈴木 高橋 田中"),
    "ko": ("민준 서연 지훈 하은", "김 이 박 최"),
    "ar": ("محمد فاطمة أحمد سارة", "الشمري العتيبي حسن منصور"),
    "hi": ("राहुल प्रिया अमित सुनीता", "शर्मा वर्मा गुप्ता सिंह"),
    "tr": ("Emre Zeynep Burak Elif", "Yılmaz Kaya Demir Şahin"),
    "sv": ("Åsa Björn Linnea Erik", "Lindström Öberg Nyström Holm"),
}
_ASCII = {
    "ru": ("aleksey olga dmitry natalia sergey irina", "sokolov morozova lebedev kuznetsova orlov zaitseva"),
    "uk": ("oleksandr iryna bohdan oksana", "shevchenko koval bondarenko tkachuk"),
    "zh": ("wei fang min jing lei yang", "wang li zhang liu chen zhao"),
    "ja": ("taro hanako kenichi misaki", "sato suzuki takahashi tanaka"),
    "ko": ("minjun seoyeon jihoon haeun", "kim lee park choi"),
    "ar": ("mohammed fatima ahmed sara", "alshammari alotaibi hassan mansour"),
    "hi": ("rahul priya amit sunita", "sharma verma gupta singh"),
}


def _ascii(word: str) -> str:
    plain = unicodedata.normalize(
        "NFKD", word.replace("ß", "ss").replace("ł", "l").replace("Ł", "L").replace("ı", "i").replace("ø", "o")
    )
    return "".join(c for c in plain if c.isascii() and c.isalpha()).lower()


def ascii_name(rng: Random, language: str) -> tuple[str, str]:
    """First and last name in the letters that an address takes."""
    first, last = _ASCII.get(language) or _NAMES.get(language, _NAMES["en"])
    return _ascii(rng.choice(first.split())), _ascii(rng.choice(last.split()))


_SLUGS = (
    "northwind harbourline tessera bluefin quillworks arden-foods novabank stellar-freight greenleaf ironclad maplecare "
    "papertrail lumen orbitek vantage kestrel sundial redwood altona mirabel pixelforge medora cobalt hexagon seabright"
).split()
_FORMS = {
    "de": "GmbH",
    "fr": "SARL",
    "es": "S.L.",
    "it": "S.r.l.",
    "nl": "B.V.",
    "pl": "Sp. z o.o.",
    "pt": "Lda.",
    "en": "Ltd",
}


def slug(rng: Random) -> str:
    """A company's name as it stands in a domain."""
    return rng.choice(_SLUGS)


def _name(rng: Random, arg: str) -> str:
    first, last = _NAMES.get(arg or "en", _NAMES["en"])
    pair = rng.choice(first.split()), rng.choice(last.split())
    return pair[1] + pair[0] if arg in ("zh", "ja", "ko") else " ".join(pair)


def _first(rng: Random, arg: str) -> str:
    return rng.choice(_NAMES.get(arg or "en", _NAMES["en"])[0].split())


def _last(rng: Random, arg: str) -> str:
    return rng.choice(_NAMES.get(arg or "en", _NAMES["en"])[1].split())


def _company(rng: Random, arg: str) -> str:
    return f"{rng.choice(_SLUGS).replace('-', ' ').title()} {_FORMS.get(arg or 'en', 'Ltd')}"


_STREETS = {
    "en": "Maple Avenue|Station Road|Harbour Street|Elm Drive|King's Lane",
    "de": "Lindenstraße|Bahnhofstr.|Am Markt|Goethestraße|Industrieweg",
    "fr": "rue de la République|avenue Victor Hugo|boulevard Voltaire|place du Marché",
    "es": "Calle Mayor|Avda. de la Constitución|Calle del Sol|Paseo de Gracia",
    "it": "Via Garibaldi|Corso Italia|Piazza Dante|Viale Europa",
    "nl": "Dorpsstraat|Keizersgracht|Molenweg|Stationsplein",
    "pl": "ul. Długa|ul. Mickiewicza|al. Jerozolimskie|ul. Polna",
    "pt": "Rua Augusta|Avenida da Liberdade|Rua do Comércio|Rua das Flores",
}


def _street(rng: Random, arg: str) -> str:
    street, number = rng.choice(_STREETS.get(arg or "en", _STREETS["en"]).split("|")), rng.randint(1, 240)
    return f"{number} {street}" if arg in ("", "en", "fr") else f"{street} {number}"


_CITIES = {
    "en": "Portland|Leeds|Dayton|Brighton|Tucson|Halifax|Geelong",
    "de": "80331 München|50667 Köln|01067 Dresden|20095 Hamburg",
    "fr": "69002 Lyon|31000 Toulouse|44000 Nantes|67000 Strasbourg",
    "es": "28013 Madrid|46002 Valencia|41001 Sevilla|48009 Bilbao",
    "it": "20121 Milano|00184 Roma|10121 Torino|50122 Firenze",
    "nl": "1012 AB Amsterdam|3511 LN Utrecht|9712 HM Groningen",
    "pl": "00-950 Warszawa|30-002 Kraków|61-701 Poznań",
    "pt": "1100-148 Lisboa|4050-014 Porto|3000-456 Coimbra",
}


def _city(rng: Random, arg: str) -> str:
    return rng.choice(_CITIES.get(arg or "en", _CITIES["en"]).split("|"))


def _zip(rng: Random, arg: str) -> str:
    return f"{rng.randint(501, 99950):05}" + (f"-{rng.randint(0, 9999):04}" if arg == "4" else "")


# ---- numbers ----


def _int(rng: Random, arg: str) -> str:
    count = int(arg or 6)
    return str(rng.randint(1, 9)) + "".join(rng.choices("0123456789", k=count - 1))


def _digits(rng: Random, arg: str) -> str:
    return "".join(rng.choices("0123456789", k=int(arg or 6)))


def _between(rng: Random, arg: str) -> str:
    low, high = arg.split("-")
    return str(rng.randint(int(low), int(high)))


def _float(rng: Random, arg: str) -> str:
    return f"{rng.uniform(-1, 1):.{int(arg or 8)}f}"


def _vector(rng: Random, arg: str) -> str:
    return ", ".join(f"{rng.gauss(0, 0.1):.{rng.randint(6, 17)}f}" for _ in range(int(arg or 12)))


def _amount(rng: Random, arg: str) -> str:
    value = rng.choice((rng.uniform(1, 100), rng.uniform(100, 10_000), rng.uniform(10_000, 9_000_000)))
    plain = f"{value:,.2f}"
    if arg in ("de", "es", "it", "nl", "pt"):
        return plain.translate(str.maketrans(",.", ".,"))
    if arg in ("fr", "pl", "ru"):
        return plain.replace(",", " ").replace(".", ",")
    return plain


def _uuid(rng: Random, _arg: str) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _hex(rng: Random, arg: str) -> str:
    count = int(arg or 32)
    return "".join(rng.choices("0123456789abcdef", k=count))


def _upper_hex(rng: Random, arg: str) -> str:
    return _hex(rng, arg).upper()


def _b64(rng: Random, arg: str) -> str:
    return base64.b64encode(rng.randbytes(int(arg or 60))).decode()


def _b64url(rng: Random, arg: str) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(int(arg or 24))).decode().rstrip("=")


def _picture(rng: Random, arg: str) -> str:
    return "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA" + base64.b64encode(rng.randbytes(int(arg or 240))).decode()


def _hexdump(rng: Random, arg: str) -> str:
    lines = []
    for row in range(int(arg or 4)):
        data = rng.randbytes(16)
        text = "".join(chr(b) if 32 < b < 127 and b not in b"<>@" else "." for b in data)
        lines.append(f"{row * 16:08x}  {data[:8].hex(' ')}  {data[8:].hex(' ')}  |{text}|")
    return "\n".join(lines)


# ---- times ----


def _date(rng: Random, arg: str) -> str:
    year, month, day = rng.randint(2009, 2026), rng.randint(1, 12), rng.randint(1, 28)
    match arg:
        case "us":
            return f"{month:02}/{day:02}/{year}"
        case "eu":
            return f"{day:02}/{month:02}/{year}"
        case "dot":
            return f"{day:02}.{month:02}.{year}"
        case "compact":
            return f"{year}{month:02}{day:02}"
        case "syslog":
            return f"{'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()[month - 1]} {day:>2}"
        case "apache":
            return f"{day:02}/{'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()[month - 1]}/{year}"
        case "words":
            return f"{'January February March April May June July August September October November December'.split()[month - 1]} {day}, {year}"
    return f"{year}-{month:02}-{day:02}"


def _time(rng: Random, arg: str) -> str:
    plain = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    return {
        "ms": f"{plain},{rng.randint(0, 999):03}",
        "short": plain[:5],
        "us": f"{plain}.{rng.randint(0, 999999):06}",
    }.get(arg, plain)


def _iso(rng: Random, arg: str) -> str:
    end = rng.choice(("Z", "+00:00", "+02:00", f".{rng.randint(0, 999):03}Z", f".{rng.randint(0, 999999):06}"))
    return f"{_date(rng, '')}{arg or 'T'}{_time(rng, '')}{end}"


def _epoch(rng: Random, arg: str) -> str:
    seconds = rng.randint(1_300_000_000, 1_790_000_000)
    return {
        "ms": f"{seconds}{rng.randint(0, 999):03}",
        "us": f"{seconds}{rng.randint(0, 999999):06}",
        "ns": f"{seconds}{rng.randint(0, 999999999):09}",
        "float": f"{seconds}.{rng.randint(0, 999999):06}",
    }.get(arg, str(seconds))


# ---- numbers of things ----


def _version(rng: Random, arg: str) -> str:
    r = rng.randint
    return rng.choice(
        {
            "4": (f"{r(0, 12)}.{r(0, 30)}.{r(0, 400)}.{r(0, 60)}", f"{r(90, 130)}.0.{r(4000, 6999)}.{r(10, 250)}"),
            "quad": (f"{r(1, 12)}.{r(0, 30)}.{r(0, 200)}.{r(0, 60)}",),
        }.get(
            arg,
            (
                f"{r(0, 12)}.{r(0, 30)}.{r(0, 60)}",
                f"{r(0, 9)}.{r(0, 30)}.{r(0, 9)}-rc.{r(1, 9)}",
                f"{r(2019, 2026)}.{r(1, 12)}.{r(0, 9)}",
                f"{r(0, 9)}.{r(0, 40)}.{r(0, 9)}+build.{r(100, 99999)}",
            ),
        )
    )


def _order(rng: Random, arg: str) -> str:
    d = lambda n: _digits(rng, str(n))  # noqa: E731
    return rng.choice(
        (
            f"ORD-{d(8)}",
            f"{d(3)}-{d(7)}-{d(7)}",
            f"#{_int(rng, '9')}",
            f"PO{_int(rng, '7')}",
            f"SO-{rng.randint(2018, 2026)}-{d(6)}",
            f"{rng.randint(2018, 2026)}/{d(5)}",
            f"B{d(2)}-{d(4)}-{d(5)}",
            _int(rng, "10"),
            _int(rng, "12"),
        )
    )


def _sku(rng: Random, _arg: str) -> str:
    up = lambda n: "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=n))  # noqa: E731
    d = lambda n: _digits(rng, str(n))  # noqa: E731
    return rng.choice(
        (
            f"{up(3)}-{d(5)}-{up(2)}",
            f"{up(2)}{d(6)}",
            f"{d(4)}-{d(3)}-{up(1)}",
            f"{up(4)}{d(4)}{up(2)}{d(1)}",
            f"{d(3)}.{d(3)}.{d(2)}",
            f"{d(6)}-{d(3)}",
        )
    )


def _isbn(rng: Random, arg: str) -> str:
    body = "978" + rng.choice("013") + "".join(rng.choices("0123456789", k=8))
    check = -sum(int(c) * (3 if at % 2 else 1) for at, c in enumerate(body)) % 10
    if arg == "bare":
        return f"{body}{check}"
    return f"{body[:3]}-{body[3]}-{body[4:8]}-{body[8:12]}-{check}"


def _ean(rng: Random, _arg: str) -> str:
    body = rng.choice(("400", "501", "871", "301", "690", "590", "843")) + "".join(rng.choices("0123456789", k=9))
    return f"{body}{-sum(int(c) * (3 if at % 2 else 1) for at, c in enumerate(body)) % 10}"


def _tracking(rng: Random, _arg: str) -> str:
    up = lambda n: "".join(rng.choices("ABCDEFGHJKLMNPRSTVWXYZ0123456789", k=n))  # noqa: E731
    d = lambda n: _digits(rng, str(n))  # noqa: E731
    return rng.choice(
        (
            f"1Z{up(6)}{d(10)}",
            f"9400 1000 0000 {d(4)} {d(4)} {d(2)}",
            f"JD{d(18)}",
            f"RR{d(9)}DE",
            f"{d(12)}",
            f"00340434{d(12)}",
            f"LX{d(9)}CN",
        )
    )


def _doi(rng: Random, _arg: str) -> str:
    return f"10.{rng.randint(1000, 9999)}/{rng.choice(('j.cell', 's41586', 'journal.pone', 'nature'))}.{rng.randint(2008, 2025)}.{_digits(rng, '6')}"


def _vin(rng: Random, _arg: str) -> str:
    return (
        rng.choice(("WVW", "1HG", "JTD", "5YJ"))
        + "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", k=8))
        + _digits(rng, "6")
    )


def _pick(rng: Random, arg: str) -> str:
    return rng.choice(arg.split("|"))


_WORDS = "please check whether delivery of the remaining pallets can be moved because our warehouse will be closed during stocktaking and nobody is there to sign for them thanks".split()


def _words(rng: Random, arg: str) -> str:
    return " ".join(rng.choices(_WORDS, k=int(arg or 8)))


FILLERS: dict[str, Callable[[Random, str], str]] = {
    "name": _name,
    "first": _first,
    "last": _last,
    "company": _company,
    "slug": lambda rng, _arg: slug(rng),
    "street": _street,
    "city": _city,
    "zip": _zip,
    "int": _int,
    "digits": _digits,
    "between": _between,
    "float": _float,
    "vector": _vector,
    "amount": _amount,
    "uuid": _uuid,
    "hex": _hex,
    "uhex": _upper_hex,
    "b64": _b64,
    "b64url": _b64url,
    "picture": _picture,
    "hexdump": _hexdump,
    "date": _date,
    "time": _time,
    "iso": _iso,
    "epoch": _epoch,
    "version": _version,
    "order": _order,
    "sku": _sku,
    "isbn": _isbn,
    "ean": _ean,
    "tracking": _tracking,
    "doi": _doi,
    "vin": _vin,
    "pick": _pick,
    "words": _words,
}
