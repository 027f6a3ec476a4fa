"""Dates that move."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.masks.dates import days, moved, rewritten

DATES = st.dates(dt.date(1970, 1, 1), dt.date(2067, 12, 31))
BY = st.integers(-365, 365).filter(bool)


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("1976-07-04", "1976-08-03"),
        ("1976-07-04T10:20:30.123Z", "1976-08-03T10:20:30.123Z"),
        ("1976-07-04 10:20", "1976-08-03 10:20"),
        ("1976-07-04T10:20:30+02:00", "1976-08-03T10:20:30+02:00"),
        ("19760704", "19760803"),
        ("1976/7/4", "1976/8/3"),
        ("4.7.1976", "3.8.1976"),
        ("04.07.76", "03.08.76"),
        ("4. 7. 1976", "3. 8. 1976"),
        ("04-07-76", "03-08-76"),
        ("07-31-1976", "08-30-1976"),
        ("7/4/1976", "8/3/1976"),
        ("07/04/1976, 5:30 PM", "08/03/1976, 5:30 PM"),
        ("31/12/2023", "30/01/2024"),
        ("4 July 1976", "3 August 1976"),
        ("July 4th, 1976", "August 3rd, 1976"),
        ("JUL 4, 76", "AUG 3, 76"),
        ("Sept. 4, 1976", "Oct. 4, 1976"),
        ("14-Jul-76", "13-Aug-76"),
        ("14-May-2001", "13-Jun-2001"),
        ("14 May 2001", "13 June 2001"),
        ("4th of July, 1976", "3rd of August, 1976"),
        ("4. Juli 1976", "3. August 1976"),
        ("4 juillet 1976", "3 août 1976"),
        ("1er mars 1980", "31 mars 1980"),
        ("1º de março de 1981", "31 de março de 1981"),
        ("4 de julio de 1976", "3 de agosto de 1976"),
        ("4 luglio 1976", "3 agosto 1976"),
        ("4 juli 1976", "3 august 1976"),
        ("4 lipca 1976", "3 sierpnia 1976"),
        ("4 июля 1976", "3 августа 1976"),
        ("1976年7月4日", "1976年8月3日"),
        ("2024-02-28", "2024-03-29"),
    ],
)
def test_a_date_is_written_as_it_was(text, later):
    assert rewritten(text, 30) == later


@pytest.mark.parametrize(
    "text",
    ["", "July 1976", "1976", "07/76", "2023-02-29", "13.13.2020", "0000-01-01", "9999-12-31", "4 Foo 1976", "10:20",
     "next Monday", "12345678", "1976-07-04 and more", "1976-07/04"],
)  # fmt: skip
def test_what_is_no_date_is_none(text):
    assert rewritten(text, 30) is None


FORMS = [
    "%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%m/%d/%y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y",
    "%Y-%m-%dT%H:%M:%S",
]  # fmt: skip


@given(DATES, BY, st.sampled_from(FORMS))
def test_any_date_in_any_form_moves_by_that_many_days(date, by, form):
    later = date + dt.timedelta(days=by)
    if "%y" in form and not 1969 <= later.year <= 2068:
        return
    made = rewritten(date.strftime(form), by)
    assert dt.datetime.strptime(made, form).date() == later


@given(DATES, DATES, BY)
def test_intervals_stay(one, other, by):
    first, second = (dt.date.fromisoformat(rewritten(date.isoformat(), by)) for date in (one, other))
    assert second - first == other - one


def test_a_session_moves_its_dates_by_one_number_of_days_which_is_never_none():
    drawn = [days(b"key", f"session-{at}") for at in range(3000)]
    assert 0 not in drawn
    assert min(drawn) >= -365
    assert max(drawn) <= 365
    assert len(set(drawn)) > 700
    assert days(b"key", "s") == days(b"key", "s")
    assert [days(b"other", f"session-{at}") for at in range(20)] != drawn[:20]


def test_a_date_keeps_its_type_and_its_time():
    class Stamp(dt.datetime):
        pass

    zone = dt.timezone(dt.timedelta(hours=2))
    assert moved(dt.date(2024, 2, 28), 2) == dt.date(2024, 3, 1)
    assert moved(dt.datetime(2024, 2, 28, 23, 59, 1, 5, zone), 2) == dt.datetime(2024, 3, 1, 23, 59, 1, 5, zone)
    assert type(moved(Stamp(2024, 1, 1), 1)) is Stamp
    assert moved(dt.date.max, 1) is moved(dt.date.min, -1) is None
