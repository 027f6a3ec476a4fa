"""Social security numbers and taxpayers' numbers of the United States, days of birth, places on earth."""

from __future__ import annotations

from random import Random

__all__ = ["day", "geo", "latitude", "longitude", "us_itin", "us_ssn"]


def us_ssn(rng: Random, arg: str) -> str:
    """Area 001–899 without 666, group 01–99, serial 0001–9999. `arg`: `bare`, `space`; else with dashes."""
    area = rng.choice([n for n in range(1, 900) if n != 666])
    by = {"bare": "", "space": " "}.get(arg, "-")
    return f"{area:03}{by}{rng.randint(1, 99):02}{by}{rng.randint(1, 9999):04}"


def us_itin(rng: Random, arg: str) -> str:
    """Nine, then a group of 50–65, 70–88, 90–92, 94–99. `arg` as for `us_ssn`."""
    group = rng.choice([*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)])
    by = {"bare": "", "space": " "}.get(arg, "-")
    return f"9{rng.randint(0, 99):02}{by}{group}{by}{rng.randint(1, 9999):04}"


_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}


def day(rng: Random, arg: str) -> str:
    """A day from 1935 to 2015. `arg`: how it is written: iso, us, eu, dot, short, compact, or a language for words."""
    year, month, date = rng.randint(1935, 2015), rng.randint(1, 12), rng.randint(1, 28)
    form = arg or rng.choice(("iso", "us", "eu", "en"))
    match form:
        case "iso":
            return f"{year}-{month:02}-{date:02}"
        case "us":
            return rng.choice((f"{month:02}/{date:02}/{year}", f"{month}/{date}/{year}"))
        case "eu":
            return rng.choice((f"{date:02}/{month:02}/{year}", f"{date:02}-{month:02}-{year}"))
        case "dot":
            return rng.choice((f"{date:02}.{month:02}.{year}", f"{date}.{month}.{year}"))
        case "short":
            return f"{month:02}/{date:02}/{year % 100:02}"
        case "compact":
            return f"{year}{month:02}{date:02}"
        case "ja" | "zh":
            return f"{year}年{month}月{date}日"
        case "ko":
            return f"{year}년 {month}월 {date}일"
    name = _MONTHS[form].split()[month - 1]
    match form:
        case "en":
            return rng.choice(
                (
                    f"{name} {date}, {year}",
                    f"{date} {name} {year}",
                    f"{name[:3]} {date}, {year}",
                    f"{date}-{name[:3]}-{year}",
                )
            )
        case "de":
            return f"{date}. {name} {year}"
        case "es" | "pt":
            return f"{date} de {name} de {year}"
    return f"{date} {name} {year}"


def latitude(rng: Random, arg: str) -> str:
    """Degrees with four to seven places."""
    return f"{rng.uniform(-60, 70):.{int(arg or rng.randint(4, 7))}f}"


def longitude(rng: Random, arg: str) -> str:
    """Degrees with four to seven places."""
    return f"{rng.uniform(-170, 170):.{int(arg or rng.randint(4, 7))}f}"


def geo(rng: Random, arg: str) -> str:
    """Latitude and longitude. `arg`: `pair` (the default), `close` (no space), `dms` (degrees, minutes, seconds), `side`."""
    lat, lon = rng.uniform(5, 69), rng.uniform(5, 169)
    places = rng.randint(4, 6)
    north, east = rng.choice("NS"), rng.choice("EW")
    match arg:
        case "dms":

            def parts(value: float) -> str:
                minutes = (value % 1) * 60
                return f"{int(value)}°{int(minutes):02}'{(minutes % 1) * 60:04.1f}\""

            return f"{parts(lat)}{north} {parts(lon)}{east}"
        case "side":
            return f"{lat:.{places}f}° {north}, {lon:.{places}f}° {east}"
        case "close":
            return f"{lat * (1 if north == 'N' else -1):.{places}f},{lon * (1 if east == 'E' else -1):.{places}f}"
    return f"{lat * (1 if north == 'N' else -1):.{places}f}, {lon * (1 if east == 'E' else -1):.{places}f}"
