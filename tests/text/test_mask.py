"""What a value becomes."""

import datetime as dt
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import Masking, Tokens, mask, mask_payload, scan
from guardai.text.masks.render import hashed, partial, redact

pytestmark = pytest.mark.usefixtures("engine")

#: What is put between examples: what text has between its words, and what it seldom has.
BETWEEN = st.sampled_from(
    [" ", "  ", "\n", "\t", ", ", ". ", "; ", ") ", "> ", " = ", " - ", " | ", "\u00a0", " é ", " 电话 ", '"', "("]
)


def test_the_name_is_the_last_part_of_the_label():
    assert redact("pii.us_ssn") == "[US_SSN]"
    assert redact("pii.email") == "[EMAIL]"
    assert redact("secret.aws_access_key") == "[SECRET:AWS_ACCESS_KEY]"


def test_masked_text_reads_as_documented():
    text = "john@example.com, +1 415 555 2671, 4111 1111 1111 1111, DE89370400440532013000, 078-05-1120, 10.20.30.40"
    assert mask(text) == "[EMAIL], [PHONE], [CARD], [IBAN], [US_SSN], [IP]"


@given(data=st.data())
def test_masking_a_masked_text_changes_nothing(examples, data):
    parts = data.draw(st.lists(st.tuples(st.sampled_from(examples), BETWEEN), min_size=1, max_size=6))
    text = "".join(before + value + between for (_, value, before), between in parts)
    masked = mask(text)
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "mask_of", ["[EMAIL]", "[SECRET:OKTA_TOKEN]", "[SECRET:OKTA_TOKEN:abcdefghijklmnop]", "<IP_3>"]
)
def test_a_mask_that_stands_where_a_password_would_is_none(mask_of):
    assert scan(f'password = "{mask_of}" db:{mask_of}; --password {mask_of} Server=db;Password={mask_of};') == []


@pytest.mark.parametrize(
    "key", ["CLOUDSMITH_API_KEY=" + "34d07714a1" * 3 + "f75ec838c(", "-----BEGIN RSA PRIVATE KEY-----"]
)
def test_a_password_that_the_next_secret_touches_is_found(key):
    assert "Qz#7o9iCfkd4" not in mask(f"run --db-password Qz#7o9iCfkd4({key} x")


@pytest.mark.parametrize("name", ["Server=db;User Id=app;Password=", "password = ", "run --password "])
@pytest.mark.parametrize(
    "value", ["Qz#7o9iCfkd4\u00a0john.doe@example.com", "Qz#7o9iCfkd4\u3000see example", "Qz#4john.doe@example.com"]
)
def test_an_address_of_an_example_makes_no_blank_of_the_password_before_it(name, value):
    masked = mask(name + value)
    assert "Qz#" not in masked and mask(masked) == masked


@pytest.mark.parametrize("value", ["changeme\u00a0john.doe@example.com", "john.doe@example.com"])
def test_a_blank_before_an_address_stays_one(value):
    assert mask(f"password = {value}") == "password = " + value.replace("john.doe@example.com", "[EMAIL]")


#: What is whitespace and not ASCII; and other signs behind which another text may begin.
WIDE = [chr(code) for code in range(0x80, 0x10000) if chr(code).isspace()]
SIGNS = [
    *(
        "\u200b",
        "\ufeff",
        "\u00ad",
        "\u2014",
        "\u201d",
        "\u3002",
        "\uff0c",
        "\uff08",
        "\u00a7",
        "\U0001f600",
        "\u060c",
        "\u0964",
    ),
    *("\u30fb", "\uff61", "\uff5e", "\u00d7", "\u037e", "\u0589", "\u1362", "\u17d4", "\u2026", "\u2022"),
]
NAMES = [
    "password = ",
    "pwd: ",
    "api_key = ",
    "secret = ",
    "run --password ",
    "Server=db;User Id=app;Password=",
    "the password is ",
    "curl -u bob:",
]
#: Behind a space none of them is of the value; within one, code or an example would be no secret.
TAILS = ["=> next", "-> b", "f(x)", "${X}", "a[0]", "see example", "example", "changeme"]
SECRETS = ["Qz#7o9iCfkd4", "aB3dE5gH7jK9" + "mN1pQ2sT4vW6yZ8"]


@pytest.mark.parametrize("space", WIDE, ids=ascii)
def test_a_secret_ends_at_any_space_as_it_does_at_ascii_s(space):
    for name in NAMES:
        for value in SECRETS:
            for tail in TAILS:
                plain = f"{name}{value} {tail}"
                text = f"{name}{value}{space}{tail}"
                assert scan(text) == scan(plain)
                masked = mask(text)
                assert value not in masked or value in mask(plain)
                assert mask(masked) == masked
    text, seen = f"password{space}={space}{SECRETS[0]}{space}x", "\n" if len(f"a{space}b".splitlines()) > 1 else " "
    assert scan(text) == scan(text.replace(space, seen))


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_what_follows_a_sign_that_is_not_ascii_makes_no_blank_of_a_secret(sign):
    for name in NAMES:
        for value in SECRETS:
            if value in mask(f"{name}{value} x"):
                continue  # under that name it is none
            for tail in TAILS:
                masked = mask(f"{name}{value}{sign}{tail}")
                assert value not in masked
                assert mask(masked) == masked


@pytest.mark.parametrize(
    "value",
    [
        "“V”。example", "「V」，example", "“V”（example）", "«V»example", "\ufeffV—example", "Qz—#7o9iCfkd4。example",
        "Q\u200bz#7o9iCfkd4。example", "V—example、b、c、d、e、f、g、h、i、j", "“V”—f(x)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["password = ", "password：", "the password is "])
def test_a_secret_within_signs_or_with_one_in_it_is_none_the_less_one(name, value):
    masked = mask(name + value.replace("V", SECRETS[0]))
    assert "fkd4" not in masked and masked.startswith(f"{name}[SECRET:GENERIC]")


@pytest.mark.parametrize("tail", ["(x) y", "{x} y", "[0] y", "> y", "`x` y", ", y"])
@pytest.mark.parametrize("value", ["Qz#7—o9iCfkd4x", "Qz#7o9iC。fkd4x", "Qz#7😀o9iCfkd4x"])
def test_nothing_is_let_out_of_a_secret_with_a_sign_in_it_whatever_ends_it(value, tail):
    for name in ("password = ", "run --password ", "the password is "):
        masked = mask(f"{name}{value}{tail}")
        assert masked.startswith(f"{name}[SECRET:") and masked.endswith(" y")
        assert not any(part in masked for part in ("Qz", "o9iC", "fkd4x"))


@pytest.mark.parametrize(
    "value", ["Gr\u00fcn7#Haus", "\u5bc6\u78017#xQz", "Qz#7\u2013o9iCfkd4", "Pass\u00a7w0rd!", "Qz#7o9\u200biCfkd4"]
)
def test_letters_and_signs_of_any_script_are_masked_with_the_secret_that_they_are_in(value):
    assert mask(f"password = {value} x") == "password = [SECRET:GENERIC] x"


@pytest.mark.parametrize(
    "value", ["changeme", "example", "xxxx", "abc\u2026", "\u2022\u2022\u2022\u20221234", "\u201cexample\u201d"]
)
@pytest.mark.parametrize("behind", ["\u00a0see", "\u3002see", "\u2014see"])
def test_a_blank_stays_one_whatever_stands_behind_it(value, behind):
    assert scan(f"password = {value}{behind}") == []


@pytest.mark.parametrize("space", WIDE, ids=ascii)
@pytest.mark.parametrize(
    "value", ["hunter2 and more", "Qz#7o9iC fkd4(x)!", "Qz#7 o9i", "Qz#7o9iCfkd4", "correct horse battery staple"]
)
def test_the_whole_value_under_a_password_s_name_begins_and_ends_at_any_space(space, value):
    seen = "\n" if len(f"a{space}b".splitlines()) > 1 else " "
    assert mask_payload({"password": f"{space}{value}"}) == {"password": f"{space}[SECRET:GENERIC]"}
    for text in (f"{space} {value}{space}", value.replace(" ", space), f"{value}{space}next words"):
        twin = text.replace(space, seen)
        assert scan(text, hint="password") == scan(twin, hint="password")
        assert (
            mask_payload({"password": text})["password"].replace(space, seen)
            == mask_payload({"password": twin})["password"]
        )


@given(st.text())
def test_masking_any_text_twice_is_masking_it_once(text):
    masked = mask(text)
    assert mask(masked) == masked


@pytest.mark.parametrize("how", ["drop", "null"])
def test_a_value_in_a_text_that_is_to_be_gone_leaves_nothing(how):
    assert Masking(lambda _: how).text("from a@b.co, to c@d.co.") == "from , to ."


def test_numbers_of_countries_are_compared_without_their_separators():
    assert hashed("pii.nl_bsn", "1234.56.782", b"") == hashed("pii.nl_bsn", "123456782", b"")
    assert hashed("dataset.note", "a b", b"") != hashed("dataset.note", "ab", b"")


def test_a_hash_is_the_same_for_the_same_value_under_the_same_key_only():
    one = hashed("pii.email", "John@Example.com", b"k1")
    assert one == hashed("pii.email", "john@example.com", b"k1") != hashed("pii.email", "john@example.com", b"k2")
    assert re.fullmatch(r"\[EMAIL:[a-p]{16}\]", one)
    assert hashed("pii.card", "4111 1111 1111 1111", b"") == hashed("pii.card", "4111111111111111", b"")


@pytest.mark.parametrize(
    ("label", "value", "left"),
    [
        ("pii.email", "john.doe@example.com", "j***@e***.com"),
        ("pii.card", "4111 1111 1111 1111", "************1111"),
        ("pii.phone", "+1 (415) 555-2671", "*********71"),
        ("pii.phone", "415-555-2671 x123", "********71"),
        ("pii.iban", "GB29 NWBK 6016 1331 9268 19", "GB****************6819"),
        ("pii.us_ssn", "078-05-1120", "***-**-1120"),
        ("pii.ip", "10.20.30.40", "10.***"),
        ("pii.ip", "2001:db8::1", "2001:***"),
        ("secret.generic", "hunter2X99!", "[SECRET:GENERIC]"),
        ("dataset.note", "anything", "a***"),
        ("dataset.note", '"quoted"', "***"),
        ("pii.nl_bsn", "123456782", "1***"),
    ],
)
def test_a_partial_mask_keeps_what_was_agreed(label, value, left):
    assert partial(label, value) == left


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("pii.ip", "4111 1111 1111 1111"),
        ("pii.us_ssn", "jane"),
        ("pii.email", "415-555-2671"),
        ("pii.email", "a@b.4155552671"),
        ("pii.phone", "Jane"),
        ("pii.phone", "12"),
        ("pii.card", "4111"),
        ("pii.iban", "DE89"),
    ],
)
def test_of_a_value_that_has_not_its_kind_s_form_nothing_is_left(label, value):
    assert Masking(lambda _: "partial").value(label, value) == redact(label)


def test_what_holds_a_secret_bears_a_secret_s_label():
    for text in ('api_key: "aB3dE5gH7-4111111111111111-jK9mQ2"', 'api_key: "4111-1111-1111-1111-aB3dE5gH7jK9"'):
        assert [f.label.partition(".")[0] for f in scan(text)] == ["secret"], text


def test_masking_counts_what_it_found_and_says_what_it_masked():
    masking = Masking({"pii.email": "redact", "pii.phone": None}.get)
    assert masking.text("a@b.co and c@d.co, +14155552671") == "[EMAIL] and [EMAIL], +14155552671"
    assert masking.found == {"pii.email": 2, "pii.phone": 1}
    assert masking.masked == {"pii.email": "redact"}


def test_what_is_owed_is_asked_once_a_label():
    asked = []
    masking = Masking(lambda label: asked.append(label) or "redact")
    masking.text("a@b.co c@d.co")
    masking.text("e@f.co")
    assert asked == ["pii.email"]


def test_a_text_whose_findings_may_pass_is_returned_itself():
    text = "write to a@b.co"
    assert Masking(lambda _: None).text(text) is text


def test_a_labelled_value_is_masked_as_a_whole():
    masking = Masking({"pii.name": "redact", "dataset.salary": "partial"}.get)
    assert masking.value("pii.name", "Jane Doe") == "[NAME]"
    assert masking.value("dataset.salary", 52000) == "5***"
    assert masking.value("other", "x") == "x"
    assert masking.value("pii.name", None) is None
    assert masking.value("pii.name", "") == ""
    assert masking.found == {"pii.name": 1, "dataset.salary": 1}


ZONE = dt.timezone.utc


@pytest.mark.parametrize("how", ["drop", "null"])
@pytest.mark.parametrize("value", ["x", 7, 1.5, True, Decimal(3), dt.date(2024, 1, 1), b"\xff", object()])
def test_a_whole_value_that_is_to_be_gone_is_none(how, value):
    assert Masking(lambda _: how).value("a.b", value) is None


def test_a_date_stays_a_date_and_an_interval_an_interval():
    masking = Masking(lambda _: "shift", key=b"k", scope="session")
    born, died = (masking.value("pii.date", dt.date(year, 5, 17)) for year in (1903, 1967))
    assert type(born) is dt.date
    assert born != dt.date(1903, 5, 17)
    assert died - born == dt.date(1967, 5, 17) - dt.date(1903, 5, 17)
    at = dt.datetime(2024, 1, 1, 10, 20, 30, 5, ZONE)
    assert (masking.value("pii.date", at) - at).seconds == 0
    assert masking.value("pii.date", "1903-05-17") == born.isoformat()
    assert masking.value("pii.date", b"1903-05-17") == born.isoformat().encode()
    assert masking.value("pii.date", 19030517) == int(born.strftime("%Y%m%d"))
    other = Masking(lambda _: "shift", key=b"k", scope="another session").value("pii.date", dt.date(1903, 5, 17))
    assert other != born


@pytest.mark.parametrize("value", ["not a date", 20240101.5, 7, dt.time(10, 20), dt.date.min, dt.date.max, True])
def test_what_is_no_date_that_can_move_is_redacted(value):
    made = Masking(lambda _: "shift", key=b"k", scope="").value("pii.date", value)
    assert made == "[DATE]" or (isinstance(value, dt.date) and type(made) is dt.date)


def test_a_date_that_would_leave_the_calendar_is_redacted():
    masking = Masking(lambda _: "shift", key=b"k", scope="s")
    assert "[DATE]" in (masking.value("pii.date", dt.date.min), masking.value("pii.date", dt.date.max))


@pytest.mark.parametrize("value", [5551234567, -5551234567, 100000, Decimal("12345.67"), Decimal("-1234567")])
def test_a_number_stays_a_number_of_as_many_digits(value):
    made = Masking(lambda _: "fpe", key=b"k").value("dataset.number", value)
    assert type(made) is type(value)
    assert made != value
    assert len(str(made)) == len(str(value))
    assert (made < 0) == (value < 0)


@pytest.mark.parametrize(
    "value",
    [99999, 1.5, True, Decimal("NaN"), Decimal("Infinity"), "jane@example.com", dt.date(2024, 1, 1), b"\xff\xfe"],
)
def test_what_has_too_few_digits_to_encipher_is_redacted(value):
    assert Masking(lambda _: "fpe", key=b"k").value("dataset.number", value) in ("[NUMBER]", b"[NUMBER]")


def test_a_card_too_short_to_encipher_is_masked_in_part():
    assert Masking(lambda _: "fpe", key=b"k").value("pii.card", "378282246310005") == "***********0005"


@pytest.mark.parametrize("how", ["redact", "hash", "partial", "token"])
@pytest.mark.parametrize("value", [52000, 1.5, Decimal("10.5"), dt.date(2024, 1, 1)])
def test_what_is_no_text_becomes_one_under_a_mask_that_writes_one(how, value):
    assert type(Masking(lambda _: how, tokens=Tokens()).value("a.b", value)) is str


def test_bytes_stay_bytes():
    for how, made in (("redact", b"[FACE]"), ("token", b"[FACE]"), ("partial", b"[FACE]")):
        assert Masking(lambda _, how=how: how, tokens=Tokens()).value("pii.face", b"\xff\xd8") == made
    hashing = Masking(lambda _: "hash", key=b"k")
    assert hashing.value("pii.face", b"\xff\xd8") == hashing.value("pii.face", b"\xff\xd8")
    assert hashing.value("pii.face", b"\xff\xd8") != hashing.value("pii.face", b"\xff\xd9")
    assert Masking(lambda _: "token", tokens=Tokens()).value("pii.email", b"a@b.co") == b"<EMAIL_1>"


def test_values_that_get_tokens_at_once_get_those_they_would_get_one_by_one():
    class Shared(Tokens):
        shared = True

    masking = Masking(lambda label: "token" if label == "pii.email" else "redact", tokens=Shared())
    masking.ready(
        [("pii.email", "a@b.co"), ("pii.phone", "+14155552671"), ("pii.email", None), ("pii.email", "c@d.co")]
    )
    assert masking.text("c@d.co, a@b.co") in ("<EMAIL_1>, <EMAIL_2>", "<EMAIL_2>, <EMAIL_1>")
