"""Columns told from samples of their values."""

import datetime as dt
import decimal
import json
import random
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import scan
from guardai.text.classify import WHOLE, Classification, classify
from guardai.text.columns import named

ADDRESSES = [f"user{n}@example.com" for n in range(100)]
PHONES = [f"415-555-{n:04}" for n in range(100)]
SSNS = [f"{n % 600 + 100:03}{n % 90 + 10:02}{n + 1000:04}" for n in range(100)]

ANYTHING = st.one_of(
    st.none(), st.text(max_size=60), st.integers(), st.floats(), st.booleans(), st.binary(max_size=20), st.dates(),
    st.datetimes(), st.times(), st.decimals(), st.uuids(), st.lists(st.text(max_size=10), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.sampled_from(ADDRESSES + PHONES),
)  # fmt: skip


class TestValues:
    def test_column_of_one_kind_gets_its_label(self):
        found = classify("x", ADDRESSES)
        assert (found.kind, found.label, found.confidence, found.share) == ("label", "pii.email", "high", 1.0)
        assert found.sampled == 100

    def test_column_of_any_kind_holds_what_its_cells_hold(self, example):
        _, value, before = example
        cell = (before + value).strip()
        inside = scan(cell, hint="x")
        found = classify("x", [cell] * 30)
        assert found.counted == {one.label: 30 for one in inside}
        if [(one.start, one.end) for one in inside] == [(0, len(cell))]:
            assert found.label == inside[0].label

    @given(st.integers(0, 100))
    def test_label_needs_four_fifths_of_the_values(self, valid):
        found = classify("x", ADDRESSES[:valid] + ["nothing of the kind"] * (100 - valid))
        expected = "label" if valid >= WHOLE * 100 else "mixed" if valid else "nothing"
        assert found.kind == expected
        assert found.counted.get("pii.email", 0) == valid

    @given(st.integers(0, 100))
    def test_half_of_the_values_are_enough_where_the_name_says_so_too(self, valid):
        found = classify("email", ADDRESSES[:valid] + ["nothing of the kind"] * (100 - valid))
        assert (found.kind == "label") == (valid >= 50)

    def test_nulls_and_blanks_do_not_count(self):
        found = classify("x", ADDRESSES + [None, "", "  ", "NULL", "n/a"] * 100)
        assert (found.label, found.share, found.blank) == ("pii.email", 1.0, 500)

    def test_text_in_which_something_stands_is_told_apart_from_a_column_of_it(self):
        found = classify("note", [f"please call {phone}" for phone in PHONES] + ["nothing"] * 300)
        assert (found.kind, found.label, found.share) == ("mixed", None, 0.25)
        assert found.counted == {"pii.phone": 100}

    def test_two_kinds_in_one_column_are_no_label(self):
        found = classify("contact_details", ADDRESSES + PHONES)
        assert found.kind == "mixed"
        assert found.counted == {"pii.email": 100, "pii.phone": 100}

    def test_several_in_one_cell_are_still_a_column_of_them(self):
        assert classify("x", [f"{a}; {b}" for a, b in zip(ADDRESSES, reversed(ADDRESSES))]).label == "pii.email"
        assert classify("x", [[address] for address in ADDRESSES]).label == "pii.email"

    def test_keys_of_several_providers_are_one_kind(self):
        body = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7jK9mN1pQ2sT4vW6yZ8"
        keys = ["ghp_" + body[n : n + 26] + body[:10] for n in range(20)] + [
            "glpat-" + body[n : n + 20] for n in range(20)
        ]
        assert classify("x", keys).label == "secret.generic"

    def test_few_values_are_never_sure(self):
        assert classify("x", ADDRESSES[:3]).confidence == "medium"

    def test_no_value_is_nothing_to_tell_from_but_its_name(self):
        found = classify("email", [None, ""])
        assert (found.kind, found.label, found.named, found.blank) == ("empty", None, "pii.email", 2)


class TestNumbers:
    def test_numbers_are_nothing_because_they_have_the_right_length(self):
        draw = random.Random(1)
        for name in ("id", "amount", "call_duration_ms", "views", "epoch"):
            for digits in (7, 9, 10, 11, 15, 16, 18):
                values = [draw.randrange(10 ** (digits - 1), 10**digits) for _ in range(200)]
                for sample in (values, [str(value) for value in values], [float(value) for value in values]):
                    assert classify(name, sample).kind == "nothing", (name, digits)

    @pytest.mark.parametrize("kind", [int, str, float, decimal.Decimal])
    def test_number_is_a_phone_number_where_the_name_says_so(self, kind):
        numbers = [4155552671 + n for n in range(50)]
        assert classify("phone", [kind(n) for n in numbers]).label == "pii.phone"
        assert classify("mobile_number", [f"{n}.0" for n in numbers]).label == "pii.phone"

    def test_number_with_a_check_digit_needs_no_name(self):
        def checked(stem):
            digits = f"4{stem:014}"
            total = sum(sum(divmod(int(d) * (2 - n % 2), 10)) for n, d in enumerate(digits))
            return int(f"{digits}{-total % 10}")

        assert classify("x", [checked(n * 7919) for n in range(50)]).label == "pii.card"

    def test_social_security_numbers_without_dashes_need_the_name(self):
        assert classify("ssn", SSNS).label == "pii.us_ssn"
        assert classify("customer_code", SSNS).kind == "nothing"

    @pytest.mark.parametrize(
        "values",
        [
            [dt.date(1950 + n, 1 + n % 12, 1 + n % 28) for n in range(50)],
            [dt.datetime(1950 + n, 1 + n % 12, 1) for n in range(50)],
            [f"{1 + n % 28:02}.{1 + n % 12:02}.{1950 + n}" for n in range(50)],
            [f"{1 + n % 12}/{1 + n % 28}/{1950 + n}" for n in range(50)],
            [1950 + n for n in range(50)],
        ],
    )
    def test_dates_are_of_birth_only_by_name(self, values):
        assert classify("date_of_birth", values).label == "pii.dob"
        assert classify("dob", values).label == "pii.dob"
        assert classify("created_at", values).kind == "nothing"

    def test_dates_of_the_future_are_of_nobodys_birth(self):
        assert classify("birth_year", [2900 + n for n in range(50)]).kind == "nothing"

    def test_truth_values_are_nothing_whatever_the_name_says(self):
        assert classify("email", [True, False] * 50).kind == "nothing"
        assert classify("password", ["true", "false"] * 50).kind == "nothing"


class TestNames:
    NAMES = ["Ann Lee", "Bob Stone", "José Núñez", "Zoë O'Neil", "李 小龙", "Anna-Maria von Berg", "Jean Luc"] * 4

    def test_names_of_people_are_told_by_the_columns_name(self):
        for column in ("first_name", "lastName", "Surname", "full name", "Vorname", "prénom"):
            found = classify(column, self.NAMES)
            assert (found.label, found.confidence) == ("pii.name", "low"), column

    def test_whose_name_it_is_depends_on_the_table(self):
        assert classify("name", self.NAMES, table="customers").label == "pii.name"
        assert classify("name", self.NAMES, table="products").kind == "nothing"

    def test_handful_of_choices_is_no_list_of_names(self):
        assert classify("name", ["free", "pro"] * 50, table="accounts").kind == "nothing"

    def test_name_alone_is_not_enough_where_the_values_speak_against_it(self):
        found = classify("email", ["yes please", "no thanks"] * 20)
        assert (found.kind, found.label, found.named) == ("nothing", None, "pii.email")
        assert classify("first_name", [f"A{n}7" for n in range(50)]).kind == "nothing"

    def test_password_is_told_by_its_name(self):
        hashes = ["$2b$12$" + f"{n:05}" + "abcDEF123" * 5 for n in range(30)]
        assert classify("password_hash", hashes).label.startswith("secret.")

    @pytest.mark.parametrize(
        ("column", "table", "label"),
        [
            ("email", "", "pii.email"), ("customerEmail2", "", "pii.email"), ("E-Mail-Adresse", "", "pii.email"),
            ("EMAIL_ADDRESS", "", "pii.email"), ("emails", "", "pii.email"), ("contact.email", "", "pii.email"),
            ("email_verified", "", None), ("email_template_id", "", None), ("mailing_list", "", None),
            ("home_phone_no", "", "pii.phone"), ("phone_model", "", None), ("Straße", "kunden", "pii.address"),
            ("ip_address", "hosts", "pii.ip"), ("mac_address", "users", None), ("address", "memory_blocks", None),
            ("shipping_address", "x", "pii.address"), ("user_name", "users", None), ("customer_name", "x", "pii.name"),
            ("zip", "customers", "pii.postcode"), ("zip", "archives", None), ("token_count", "", None),
            ("api-key", "", "secret.generic"), ("password_changed_at", "", None), ("", "", None), ("12", "", None),
            ("手机", "", "pii.phone"), ("x" * 10_000 + "_email", "", None),
        ],
    )  # fmt: skip
    def test_name_says(self, column, table, label):
        said = named(column, table)
        assert (said.label if said else None) == label

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_no_name_is_too_odd(self, column, table):
        named(column, table)


class TestAnything:
    @given(st.text(max_size=20), st.lists(ANYTHING, max_size=20), st.text(max_size=20))
    def test_every_value_is_looked_at_or_blank(self, name, values, table):
        found = classify(name, values, table=table)
        assert found.sampled + found.blank == len(values)
        assert (found.kind == "empty") == (not found.sampled)
        assert (found.label is not None) == (found.kind == "label") == bool(found.confidence)

    @given(st.lists(ANYTHING, max_size=20), st.randoms())
    def test_order_of_the_values_does_not_matter(self, values, draw):
        shuffled = list(values)
        draw.shuffle(shuffled)
        assert classify("x", shuffled) == classify("x", values)

    def test_classification_holds_no_value(self):
        for values in (ADDRESSES, PHONES, [f"call {p}" for p in PHONES], [{"a": a} for a in ADDRESSES]):
            told = msgspec.json.encode(classify("x", values)).decode()
            assert "@" not in told
            assert "555" not in told

    def test_odd_objects_are_texts(self):
        class Odd:
            def __str__(self):
                return "user1@example.com"

        assert classify("x", [Odd()] * 20).label == "pii.email"
        assert classify("x", [uuid.UUID(int=n) for n in range(20)]).kind == "nothing"

    def test_what_is_nested_deeper_than_anybody_writes_is_blank(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        assert classify("x", [deep]) == Classification("empty", blank=1, reason="no value to look at")

    def test_bytes_are_text_if_they_are(self):
        assert classify("x", [a.encode() for a in ADDRESSES]).label == "pii.email"
        assert classify("x", [b"\xff\xfe\x00"] * 20).blank == 20

    def test_long_values_are_looked_at_as_far_as_a_cell_goes(self):
        assert classify("x", ["x " * 10_000 + "user1@example.com"] * 3).kind == "nothing"
        assert classify("x", ["user1@example.com " + "x " * 1_000_000] * 3).kind == "mixed"

    def test_json_of_it_is_small(self):
        assert len(json.dumps(msgspec.to_builtins(classify("x", ADDRESSES)))) < 500


def test_a_key_among_numbers_is_told():
    values = [str(n) for n in range(1000, 1099)] + ["gh" + "p_" + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7j"]
    found = classify("note", values)
    assert found.kind == "mixed"
    assert found.counted == {"secret.github_token": 1}
