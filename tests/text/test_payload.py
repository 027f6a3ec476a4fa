"""Structured payloads."""

import datetime
import enum
import ipaddress
import json
import pathlib
import uuid
from collections import deque, namedtuple
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import GuardError
from guardai.text import Masking, PayloadError, StreamMasker, Tokens, mask, mask_payload, scan
from guardai.text.scanner import build

Person = namedtuple("Person", ["name", "phone"])


class Number(int):
    pass


class Choice(enum.Enum):
    ONE = 4155552671


def redacting(**more):
    return Masking(lambda _: "redact", **more)


def test_a_chat_request_is_masked_where_it_has_to_be():
    request = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "I am a@b.co"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": '{"to": "a@b.co"}'}}],
            },
        ],
    }
    before = json.dumps(request)
    masked = redacting().payload(request)
    assert masked["messages"][1] == {"role": "user", "content": [{"type": "text", "text": "I am [EMAIL]"}]}
    assert json.loads(masked["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL]"}
    assert masked["messages"][0] is request["messages"][0]
    assert json.dumps(request) == before


def test_a_payload_in_which_nothing_is_found_is_the_same_object():
    for payload in (
        {"a": [1, "some words", {"b": ("x" * 600, None)}]},
        ["plain words here"],
        "plain words",
        7,
        None,
        [],
        {},
    ):
        assert redacting().payload(payload) is payload


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.sampled_from(["a@b.co", "+14155552671", "x a@b.co é"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=20,
)


@given(JSON)
def test_masking_keeps_the_shape_and_masks_each_leaf_as_its_text(payload):
    masking = redacting()

    def check(old, new):
        if isinstance(old, dict):
            assert len(new) == len(old)
            if list(old) == list(new):
                for key in old:
                    check(old[key], new[key])
        elif isinstance(old, list):
            assert isinstance(new, list) and len(old) == len(new)
            [check(a, b) for a, b in zip(old, new, strict=True)]
        elif isinstance(old, str) and old in ("a@b.co", "+14155552671", "x a@b.co é"):
            assert new == masking.text(old)
        elif not isinstance(old, str | int | float):  # a number may be what its key says
            assert new is old or new == old

    check(payload, masking.payload(payload))


def test_a_changed_document_within_a_string_is_valid_json():
    text = '{"card": 4111111111111111, "quote": "\\"a\\u0040b.co\\"", "n": [1.5, null], "deep": "{\\"mail\\": \\"a@b.co\\"}"}'
    masked = redacting().payload({"arguments": text})["arguments"]
    assert json.loads(masked) == {
        "card": "[CARD]",
        "quote": '"[EMAIL]"',
        "n": [1.5, None],
        "deep": '{"mail": "[EMAIL]"}',
    }


def test_a_clean_document_within_a_string_keeps_its_form():
    payload = {"arguments": '{ "a" :  "b\\n" , "c":1.50 }'}
    assert redacting().payload(payload) is payload


def test_a_value_hidden_in_a_key_that_comes_twice_is_masked():
    masked = redacting().payload({"arguments": '{"a": "x@y.co", "a": "ok"}'})["arguments"]
    assert "x@y.co" not in masked


def test_tokens_within_a_document_are_put_back_as_json():
    tokens = Tokens()
    token = tokens.token("secret.private_key", 'line "one"\nline two')
    masking = Masking(lambda _: None, tokens=tokens, resolve=lambda _: True)
    assert json.loads(masking.payload({"arguments": f'{{"key": "{token}"}}'})["arguments"]) == {
        "key": 'line "one"\nline two'
    }


def test_the_key_is_context_for_its_value():
    masked = redacting().payload(
        {"phone": "5551234567", "order": "5551234567", "mobile": [5551234567], "password": "hunter2X99!"}
    )
    assert masked == {"phone": "[PHONE]", "order": "5551234567", "mobile": ["[PHONE]"], "password": "[SECRET:GENERIC]"}


def test_a_neighbour_is_no_context():
    assert redacting().payload(["my phone", "5551234567"]) == ["my phone", "5551234567"]


def test_content_that_stands_as_a_key_is_masked():
    assert redacting().payload({"a@b.co": 1, "name": {"+14155552671": []}}) == {"[EMAIL]": 1, "name": {"[PHONE]": []}}


def test_numbers_in_a_row_stay_numbers():
    row = [
        (
            4111111111111111,
            5551234567,
            1.5,
            True,
            None,
            datetime.date(2024, 1, 1),
            Decimal("4111111111111111"),
            uuid.UUID(int=5),
        )
    ]
    assert redacting().rows(row) is row


def test_types_of_containers_are_kept():
    Point = namedtuple("Point", "x y")
    masked = redacting().payload(
        {"t": ("a@b.co", 1), "n": Point("a@b.co", 2), "s": {"a@b.co"}, "f": frozenset({"a@b.co"})}
    )
    assert masked == {"t": ("[EMAIL]", 1), "n": Point("[EMAIL]", 2), "s": {"[EMAIL]"}, "f": frozenset({"[EMAIL]"})}
    assert type(masked["n"]) is Point


def test_text_in_other_clothes_is_masked():
    class Mail(str):
        pass

    class Kind(enum.Enum):
        A = "a@b.co"

    masked = redacting().payload([Mail("a@b.co"), Kind.A, b"a@b.co", bytearray(b"a@b.co")])
    assert masked == ["[EMAIL]", "[EMAIL]", b"[EMAIL]", b"[EMAIL]"]


def test_a_clean_value_in_other_clothes_stays_what_it_is():
    class Mail(str):
        pass

    payload = [Mail("nothing in here"), b"nothing in here"]
    assert redacting().payload(payload) is payload


@pytest.mark.parametrize("payload", [[b"\xff\xfe"], [object()], {"a": (b"\x80abc",)}, [lambda: 0]])
def test_what_cannot_be_looked_into_is_refused(payload):
    with pytest.raises(PayloadError) as caught:
        redacting().payload(payload)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, GuardError)


def test_whether_what_cannot_be_looked_into_passes_is_asked_only_where_there_is_some():
    asked = []
    masking = redacting(foreign=lambda: bool(asked.append(1)))
    assert masking.payload({"n": [1, None, "x"], "at": b"text"}) and not asked
    for payload in ([object()], [b"\xff\xfe"]):
        with pytest.raises(PayloadError):
            masking.payload(payload)
    assert len(asked) == 2


def test_what_cannot_be_looked_into_may_be_let_pass():
    payload = [b"\xff\xfe", object()]
    assert redacting(foreign=lambda: True).payload(payload) is payload


@pytest.mark.parametrize("depth", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)])
def test_a_payload_that_is_nested_too_deep_is_refused(depth, wrap):
    payload = "a@b.co"
    for _ in range(depth):
        payload = wrap(payload)
    with pytest.raises(PayloadError, match="nested"):
        redacting().payload(payload)


def test_a_payload_that_holds_itself_is_refused():
    payload = [1]
    payload += [payload, payload]
    with pytest.raises(PayloadError):
        redacting().payload(payload)


def test_json_that_is_nested_too_deep_is_masked_as_text():
    text = "[" * 100_000 + '"a@b.co"' + "]" * 100_000
    masked = redacting().payload({"arguments": text})["arguments"]
    assert "a@b.co" not in masked


def test_a_long_message_is_scanned_once(monkeypatch):
    masking, seen = redacting(), []
    find = masking._see_long.__self__.find
    monkeypatch.setattr(
        masking._see_long.__self__, "find", lambda data: seen.append(len(data)) or find(data), raising=False
    )
    text = "some long message, never seen before, of many words " * 40
    for _ in range(3):
        masking.payload({"messages": [{"role": "user", "content": text}]})
    assert len([size for size in seen if size == len(text)]) == 1


def test_what_is_remembered_is_bounded_and_holds_no_text():
    from guardai.text.scanner import build

    scanner = build("python")
    for at in range(2100):
        scanner.find_long(f"{at} {'x' * 40}".encode())
    assert len(scanner._known) <= 2048
    assert all(isinstance(key, bytes) and len(key) == 16 for key in scanner._known)


def test_a_detector_that_reads_across_leaves_hides_nothing(monkeypatch):
    masking = redacting()
    see = masking._see_patterns

    def greedy(data):
        """As if a detector took everything from `pass ` to the last byte for a value."""
        at = data.find(b"pass ")
        return see(data) if at < 0 else [*see(data[:at]), (at + 5, len(data), "secret.own", 0.5)]

    monkeypatch.setattr(masking, "_see_patterns", greedy)
    masked = masking.payload({"a": "pass word", "b": "a@b.co", "c": ["+14155552671", "fine words"]})
    assert masked == {"a": "pass [SECRET:OWN]", "b": "[EMAIL]", "c": ["[PHONE]", "fine words"]}


# ---- what stands in a payload is found as it would be alone ----


@pytest.mark.parametrize(
    "following",
    [
        "print(open(f).read())",
        "(see below)",
        '56789"',
        "-12345",
        "Chapter7",
        "==",
        "x" * 40,
        "'quoted'",
        "\\n",
        "}",
        "another leaf",
    ],
)
def test_the_leaf_behind_it_changes_nothing_about_a_leaf(examples, following):
    texts = [before + value for _, value, before in examples]
    for text in texts:
        assert mask_payload([text, following]) == [mask(text), mask(following)], text
    spaced = [part for text in texts for part in (text, following)]
    assert mask_payload(spaced) == [mask(part) for part in spaced]


def test_a_word_announces_nothing_in_the_leaf_behind_it():
    payload = ["enter your password: ", "Chapter7", "phone", "4155552671"]
    assert mask_payload(payload) is payload


def test_the_last_line_of_a_key_that_has_no_end_does_not_pass():
    body = "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4t5u6v7w8x9y0A1B2C3D4E5F6G7H8"
    pem = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\nAbC1dEf2G3=="
    putty = (
        "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nComment: x\nPublic-Lines: 1\nAAAAB3NzaC1yc2EAAAADAQABAAABAQ\n"
        "Private-Lines: 2\nAAAAgQDexample0000000000000000\nAbC1dEf2G3=="
    )
    for key in (pem, putty):
        assert mask_payload([key, "another leaf"]) == ["[SECRET:PRIVATE_KEY]", "another leaf"]


@pytest.mark.parametrize(
    "payload",
    [
        {"phone": "5551234567" + " " * 600},
        {"password": "x9Q!"},
        {"phone": {"number": "4155552671"}},
        {"phone": {"value": "4155552671"}},
        {"type": "phone", "value": "4155552671"},
        {"env": [{"name": "DB_PASSWORD", "value": "Winter2024!"}]},
        {"ssn": {"value": "123456789"}},
        {"card": Decimal("4111111111111111")},
        {"phone": Decimal("4155552671")},
        {"phone": 4155552671.0},
        {"lat": 52.52},
        {"coordinates": [13.4050, 52.5201]},
        {"places": [{"coordinates": (13.4050, 52.5201)}]},
        {"dob": datetime.date(1980, 3, 12)},
        {4111111111111111: "x"},
        [4111111111111111],
        {"phone": Number(4155552671)},
        {"phone": Choice.ONE},
        Person("Ann", "4155552671"),
    ],
    ids=repr,
)
def test_whatever_type_a_value_has_and_whatever_names_it_it_is_found(payload):
    for given in (payload, [payload], {"data": payload}):
        assert mask_payload(given) != given
    if not isinstance(payload, tuple):
        told = json.dumps(payload, default=lambda one: getattr(one, "value", str(one)))
        assert mask_payload(told) != told


def test_numbers_that_are_only_numbers_stay():
    payload = {
        "price": 52.52,
        "ts": 1700000000.123,
        "ids": [123456789012345678],
        "at": datetime.date(2024, 1, 1),
        "n": [0.1, 0.2],
    }
    assert mask_payload(payload) is payload


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2,"m":"jane\\u0040example.com"}',
        '{"a":1e999,"m":"jane\\u0040example.com"}',
        '{"a":' + "1" * 5000 + ',"m":"jane\\u0040example.com"}',
        "[" * 3000 + '"jane\\u0040example.com"' + "]" * 3000,
        '"jane\\u0040example.com"',
        '\ufeff{"m":"jane\\u0040example.com"}',
        '\r\n{"m":"jane\\u0040example.com"}',
        '{"m":"jane\\u0040example.com",}',
        '{"m":"jane\\u0040example.com"}\n{"m":1}',
        '{"m":"\\u002B14155552671"',
        "postgres:\\/\\/app:s3cr3t-p@ss@db",
    ],
)
def test_an_escape_hides_nothing_where_no_document_can_be_read(text):
    masked = mask_payload(text)
    assert "example.com" not in masked and "5552671" not in masked and "s3cr3t" not in masked
    stream = StreamMasker()
    assert "".join(map(stream.feed, text)) + stream.finish() == mask(text)


def test_what_is_found_in_a_document_s_text_does_not_pass_because_its_parts_are_harmless():
    for text in (
        '{"lat": 52.5200, "x": "lng", "y": 13.405}',
        '["gps", 52.520008, 13.404954]',
        '{"password":"hunter2X99! (old one)"}',
    ):
        assert json.loads(mask_payload(text)) != json.loads(text)


def test_two_sensitive_keys_stay_two():
    assert mask_payload({"a@b.co": 1, "c@d.co": 2, "[EMAIL] 2": 3}) == {"[EMAIL]": 1, "[EMAIL] 3": 2, "[EMAIL] 2": 3}


def test_the_name_of_a_column_is_context_for_its_cells():
    rows = [("Ann", "5551234567"), ("Bob", None)]
    assert redacting().rows(rows, ("name", "home_phone")) == [("Ann", "[PHONE]"), ("Bob", None)]
    assert redacting().rows(rows, ("name", "order_no")) is rows
    assert redacting().rows([(4155552671, "x")], ("phone", "note")) == [(4155552671, "x")]


#: What people choose, with what ends a value where one is assigned in code.
CHOSEN = [
    'ab"cdef' + "gh1X",
    "p4$$w" + ";rd9",
    "p4$$w" + "(rd9",
    "ab{cd" + "12X",
    "ab>cd[" + "12X",
    "{Xy12" + "zk9",
    "<Xy12" + "zk9!",
    "$ecret" + "99X",
    "@dm1n" + "Pass",
    "/Ab12" + "cd9x",
    "Xy12zk" + "\\Secret9",
    "Xy12zk`" + "Secret9",
    "Summer " + "2024!",
    "!@#$" + "%^&*",
    "correct horse battery staple",
    "hunter2" + "X99! and that is all",
]


@pytest.mark.parametrize("value", CHOSEN)
@pytest.mark.parametrize("key", ["password", "db_passwd", "Kennwort", "smtpPass"])
def test_the_whole_value_under_a_password_s_name_is_masked(key, value):
    assert mask_payload({key: value, "a": 1}) == {key: "[SECRET:GENERIC]", "a": 1}
    assert json.loads(mask_payload(json.dumps({key: value}))) == {key: "[SECRET:GENERIC]"}
    assert redacting().rows([("bob", value)], ["user", key]) == [("bob", "[SECRET:GENERIC]")]
    found = scan(f" {value}\n", hint=key)
    assert [(one.start, one.end, one.label) for one in found] == [(1, 1 + len(value), "secret.generic")]


@pytest.mark.parametrize(
    "value",
    [
        "${VAR}",
        "{{ vault.X1 }}",
        "<password>",
        "$DB_PASSWORD1",
        "%PASS%",
        "***",
        "",
        "null",
        "true",
        "string",
        "changeme",
        "password",
        'os.environ["X1"]',
        'request.form["p1X"]',
        "getpass()",
        "/run/secrets/db1",
        "^[A-Za-z0-9]{8,}$",
        "[SECRET:GENERIC]",
        "<SECRET_1>",
        "@Microsoft.KeyVault(SecretUri=https://x1.vault.example)",
        "https://example.com/Reset?step=1A",
        "This field is required.",
        "8-16 characters, letters and digits",
        "Mot de passe oublié ?",
        "密码(8-16位)",
    ],
)
@pytest.mark.parametrize("key", ["password", "api_key", "client_secret"])
def test_what_stands_for_a_password_or_speaks_of_one_stays(key, value):
    payload = {key: value}
    assert mask_payload(payload) is payload


#: What people choose that is a word, or holds what also fills a blank.
PLAIN = [
    "qwerty",
    "qwerty" + "uiop",
    "liver" + "pool",
    "fluffy" + "kitten",
    "arsenal",
    "Pa" + "55",
    "A1" + "b2",
]
FILLED = ["dummy" + "Pass9!", "Qx7..." + "K9p!", "K9p####" + "x2Q!", "ab1----" + "Cd9!", "example" + "Ab12cd9x"]


@pytest.mark.parametrize("value", [*PLAIN, *FILLED])
@pytest.mark.parametrize("key", ["password", "db_passwd", "userPassword", "user-password", "HASŁO", "Пароль"])
def test_under_a_name_that_says_password_a_word_is_one(key, value):
    assert mask_payload({key: value}) == {key: "[SECRET:GENERIC]"}


@pytest.mark.parametrize(
    "value",
    [
        "required", "optional", "invalid", "missing", "string", "varchar", "boolean", "hidden", "plaintext", "bcrypt", "passwort",
        "newpassword", "enabled", "disabled", "********", "<hidden>", "Password", "Contraseña", "true", "none", "example-secret-1",
        "Arsenal", "xxxxxxxx1", "......",
    ],
)  # fmt: skip
def test_a_word_that_speaks_of_passwords_is_none(value):
    payload = {"password": value}
    assert mask_payload(payload) is payload


@pytest.mark.parametrize(
    "key", ["password_mode", "passwordInput", "password_field", "pass", "clave", "api_key", "secret"]
)
@pytest.mark.parametrize("value", ["rotate", "arsenal", "alphanumeric"])
def test_under_a_name_that_says_more_or_less_than_password_a_word_stays(key, value):
    payload = {key: value}
    assert mask_payload(payload) is payload


@pytest.mark.parametrize("key", ["HASŁO", "CONTRASEÑA", "ŞİFRE", "JELSZÓ", "Κωδικός", "Пароли", "ПАРОЛЬ", "Mật Khẩu"])
def test_a_password_s_name_is_known_in_capitals_of_any_language(key):
    assert mask_payload({key: "Tr0ub4" + "dor&3", "a": 1}) == {key: "[SECRET:GENERIC]", "a": 1}


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u2003", "\u3000"], ids=ascii)
def test_a_space_before_a_string_ends_hides_no_password(space):
    assert mask(f'"password": "Blue42!x{space}"') == '"password": "[SECRET:GENERIC]"'
    for value in ("changeme", "Enter", "abc1"):
        assert mask(f'"password": "{value}{space}"') == f'"password": "{value}{space}"'


def test_a_key_s_whole_value_is_masked_where_it_begins_as_one():
    value = "9fQ2xV7bLm4Z" + "t8Rk1Wc6Hs3D"
    assert mask_payload({"api_key": f"{value};{value}"}) == {"api_key": "[SECRET:GENERIC]"}
    assert mask_payload({"api_token": f"{value}<x>"}) == {"api_token": "[SECRET:GENERIC]"}
    assert mask_payload({"note": f"password: {value};rest"}) == {"note": "password: [SECRET:GENERIC];rest"}


def test_beside_a_secret_s_name_other_columns_are_masked_as_ever():
    rows = [("bob", "S3cret" + "(9x", "jane@example.com"), ("eve", None, "+1 415 555 2671"), ("x", "", "y")]
    assert redacting().rows(rows, ["user", "password", "contact"]) == [
        ("bob", "[SECRET:GENERIC]", "[EMAIL]"),
        ("eve", None, "[PHONE]"),
        ("x", "", "y"),
    ]


def test_bytes_that_are_no_text_are_not_in_the_error():
    with pytest.raises(PayloadError) as caught:
        mask_payload([b"\xff\xfejane@example.com"])
    assert caught.value.__context__ is None


def test_a_number_with_a_large_exponent_is_not_written_out():
    payload = {"phone": Decimal("1E+999999999"), "x": [Decimal("-1E+999999999")], "lat": 1e308}
    assert mask_payload(payload) is payload


def test_an_option_of_a_command_line_names_what_follows_it():
    masking = redacting()
    command = ["deploy", "--user", "app", "--password", "S3cretPw9", "--phone", 2125550187, "--verbose", "x"]
    for payload in ({"args": command}, {"cmd": tuple(command)}, [command]):
        masked = masking.payload(payload)
        made = next(iter(masked.values())) if isinstance(masked, dict) else masked[0]
        assert list(made) == [
            *("deploy", "--user", "app", "--password", "[SECRET:GENERIC]", "--phone", "[PHONE]", "--verbose", "x")
        ]
    assert masking.payload(["--password", "--verbose", "S3cretPw9"]) == ["--password", "--verbose", "S3cretPw9"]


PASSWORD = "Blue42!" + "x"
KEY = "9fQ2xV7bLm4Z" + "t8Rk1Wc6Hs3D"


def test_what_stands_beside_a_value_does_not_hide_what_the_list_is_of():
    contacts = {"phones": [{"type": "home", "value": "2125550187"}, {"type": "work", "value": 2125550188}]}
    assert mask_payload(contacts) == {
        "phones": [{"type": "home", "value": "[PHONE]"}, {"type": "work", "value": "[PHONE]"}]
    }
    counts = {"calls": [{"name": "out", "value": 482913}], "sizes": [{"type": "home", "value": "2125550187"}]}
    assert mask_payload(counts) is counts


@pytest.mark.parametrize("row", [list, tuple])
def test_in_a_list_of_pairs_the_first_names_the_second(row):
    pairs = [
        row(("user", "joe")),
        row(("password", PASSWORD)),
        row((b"X-Api-Key", KEY.encode())),
        row(("tel", 2125550187)),
    ]
    assert mask_payload({"headers": pairs}) == {
        "headers": [
            row(("user", "joe")),
            row(("password", "[SECRET:GENERIC]")),
            row((b"X-Api-Key", b"[SECRET:AUTHORIZATION]")),
            row(("tel", "[PHONE]")),
        ]
    }


@pytest.mark.parametrize(
    "payload",
    [["password", "reset"], {"tags": ["password", "reset"]}, {"x": ("tel", 2125550187)}, [["x", "password", "reset"]]],
)
def test_two_values_that_stand_alone_are_no_pair(payload):
    assert mask_payload(payload) is payload


def test_a_name_in_bytes_is_a_name():
    assert mask_payload({b"password": PASSWORD.encode(), b"x": b"x"}) == {b"password": b"[SECRET:GENERIC]", b"x": b"x"}


@pytest.mark.parametrize("names", ["columns", "fields"])
@pytest.mark.parametrize("rows", ["rows", "data", "values"])
def test_the_columns_of_a_result_name_its_cells(names, rows):
    for columns in (["id", "password", "tel"], [{"name": "id"}, {"name": "password", "type": "text"}, {"name": "tel"}]):
        table = [[482913, PASSWORD, 2125550187], (482914, None, None)]
        assert mask_payload({names: columns, rows: table, "count": 2}) == {
            names: columns,
            rows: [[482913, "[SECRET:GENERIC]", "[PHONE]"], (482914, None, None)],
            "count": 2,
        }


def test_the_first_row_of_a_table_names_the_cells_below_it():
    table = [["id", "password", "tel"], [482913, PASSWORD, 2125550187], [482914, "", 2125550188]]
    masked = [["id", "password", "tel"], [482913, "[SECRET:GENERIC]", "[PHONE]"], [482914, "", "[PHONE]"]]
    assert mask_payload({"values": table}) == {"values": masked}
    assert mask_payload(table) == masked


@pytest.mark.parametrize(
    "table",
    [
        [["id", "tel", "tel"], [1, 2125550187, 2]],  # no names of columns
        [["id", "1tel", "n"], [1, 2125550187, 2]],
        [["id", "tel", "n"], [1, 2125550187]],  # no table
        [["id", "tel", "n"]],
        {"columns": ["id", 5], "rows": [[1, 2125550187]]},
        {"columns": [], "rows": [[1, 2125550187]]},
        {"columns": ["id"], "rows": [[1, 2125550187]]},  # a cell of no column
    ],
)
def test_what_is_no_table_has_no_columns(table):
    assert mask_payload(table) is table


class Field(str, enum.Enum):
    FIRST = "password"
    SECOND = "ssn"


def test_a_name_is_what_an_enumeration_s_member_is_worth():
    scanner_of_its_own = build("python")
    assert scanner_of_its_own.announces(Field.FIRST) and scanner_of_its_own.secret(Field.FIRST)
    assert scanner_of_its_own.announces("password") and scanner_of_its_own.secret("password")
    assert mask_payload({Field.FIRST: PASSWORD, Field.SECOND: "078051120"}) == {
        Field.FIRST: "[SECRET:GENERIC]",
        Field.SECOND: "[US_SSN]",
    }
    assert redacting().rows([(PASSWORD, "078051120")], [Field.FIRST, Field.SECOND]) == [
        ("[SECRET:GENERIC]", "[US_SSN]")
    ]
    assert [one.label for one in scan("078051120", hint=Field.SECOND)] == ["pii.us_ssn"]


def test_addresses_and_paths_of_the_standard_library_are_read_as_text():
    payload = {
        "host": ipaddress.ip_address("192.0.2.17"),
        "net": ipaddress.ip_interface("2001:db8::7/64"),
        "file": pathlib.PurePosixPath("/mail/jane@example.com"),
        "local": ipaddress.ip_address("127.0.0.1"),
    }
    masked = mask_payload(payload)
    assert masked == {"host": "[IP]", "net": "[IP]/64", "file": "/mail/[EMAIL]", "local": payload["local"]}
    assert masked["local"] is payload["local"]
    assert redacting().rows([(1, payload["host"])], ["id", "peer"]) == [(1, "[IP]")]


def test_a_deque_is_a_list():
    masked = mask_payload({"last": deque(["jane@example.com", 5])})
    assert masked == {"last": deque(["[EMAIL]", 5])}


def test_of_many_keys_that_are_masked_each_keeps_a_name_of_its_own():
    many = {f"user{n}@example.com": n for n in range(3000)}
    masked = mask_payload(many)
    assert list(masked.values()) == list(range(3000))
    assert list(masked)[:3] == ["[EMAIL]", "[EMAIL] 2", "[EMAIL] 3"] and "[EMAIL] 3000" in masked


@pytest.mark.parametrize("number", ["sNaN", "NaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_no_number_passes(number):
    payload = {"phone": Decimal(number)}
    assert redacting().payload(payload) is payload


@pytest.mark.parametrize(
    "document",
    [
        '{"e": "a@b.co", "amount": 12345678901234567.89}',
        '{"e": "a@b.co", "amount": 0.1000000000000000055511151231257827}',
        '{"e": "a@b.co", "amount": 1e999}',
        '{"e": "a@b.co", "amount": 1e-999}',
        '{"amount": 1, "e": "a@b.co", "amount": 2}',
    ],
)
def test_a_document_that_could_not_be_written_anew_is_masked_where_it_stands(document):
    assert redacting().payload({"body": document}) == {"body": document.replace("a@b.co", "[EMAIL]")}
    lost = document[:-1] + ', "card": 4111111111111111, "tel": {"home": "2125550187"}, "t": "<EMAIL_1>"}'
    made = redacting().payload(lost)
    assert made.startswith(document[:-1].replace("a@b.co", "[EMAIL]"))
    assert json.loads(made)["card"] == "[CARD]" and json.loads(made)["tel"] == {"home": "[PHONE]"}
    tokens = Tokens()
    tokens.token("pii.email", 'x"@y.co')
    back = Masking(lambda _: None, tokens=tokens, resolve=lambda _: True)
    assert json.loads(back.payload(lost))["t"] == 'x"@y.co'


@pytest.mark.parametrize("number", ["1.10", "1e5", "-0.0", "1E+2", "100.0", "0.1"])
def test_a_number_may_be_written_in_another_way(number):
    made = redacting().payload(f'{{"e": "a@b.co", "amount": {number}}}')
    assert json.loads(made) == {"e": "[EMAIL]", "amount": float(number)}


def test_half_a_surrogate_pair_within_a_document_stays_escaped():
    made = redacting().payload('{"e": "a@b.co", "x": "\\ud800 é"}')
    made.encode()
    assert made == '{"e": "[EMAIL]", "x": "\\ud800 é"}'


def test_rows_that_are_dictionaries_are_masked_as_those_that_are_tuples():
    masking = redacting()
    rows = [{"email": "jane@example.com", "phone": "2125550187", "n": 4111111111111111}]
    assert masking.rows(rows, ["email", "phone", "n"]) == [
        {"email": "[EMAIL]", "phone": "[PHONE]", "n": 4111111111111111}
    ]
    assert masking.rows([("a@b.co", "x"), {"a": "a@b.co"}], ["a", "b"]) == [("[EMAIL]", "x"), {"a": "[EMAIL]"}]
    clean = [{"a": "x"}]
    assert masking.rows(clean, ["a"]) is clean
    for foreign in (None, lambda: True):
        with pytest.raises(PayloadError):
            Masking(lambda _: "redact", foreign=foreign).rows([MappingProxyType({"a": "a@b.co"})], ["a"])
