"""What is found, and what is not."""

import base64
import hashlib
import random
import re

import pytest
from guardai.model import Finding
from guardai.text import StreamMasker, mask, mask_payload, packs, scan

pytestmark = pytest.mark.usefixtures("engine")


def test_every_kind_is_found_where_it_stands(example):
    label, value, before = example
    after = "@db.example.com/x" if label == "secret.url_password" else '"' if before.endswith('"') else " and so on"
    text = f"It says: {before}{value}{after}"
    start = text.index(value)
    assert [(f.start, f.end, f.label) for f in scan(text) if f.end > start] == [(start, start + len(value), label)]


def test_every_kind_of_personal_data_has_an_example(examples):
    labels = {label for label, _, _ in examples}
    assert {kind.label for kind in packs.core().kinds()} <= labels


def test_offsets_count_characters_in_any_script():
    text = "電話 😀 é\u0301 \ud800 \x00 → john.doe@example.com, карта 4111 1111 1111 1111 ✓"
    found = [text[f.start : f.end] for f in scan(text)]
    assert found == ["john.doe@example.com", "4111 1111 1111 1111"]


def test_lone_surrogates_and_nul_pass_through_masking():
    assert mask("\ud83d a@b.co \udc4d\x00") == "\ud83d [EMAIL] \udc4d\x00"


def test_a_text_without_findings_is_returned_itself():
    text = "nothing to see here, 42 times"
    assert mask(text) is text


def test_findings_are_sorted_and_do_not_overlap(examples):
    pick = random.Random(5)
    for _ in range(200):
        text = "".join(
            before + value + pick.choice(("", " ", "@", ":", "/", ", "))
            for _, value, before in pick.sample(examples, 4)
        )
        found = scan(text)
        assert found == sorted(found)
        assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
        assert all(0 <= f.start < f.end <= len(text) and 0 < f.score <= 1 for f in found)


def test_a_finding_holds_no_text():
    assert set(Finding.__struct_fields__) == {"start", "end", "label", "score"}


@pytest.mark.parametrize(
    "text",
    [
        "order 5551234567",
        "Bestellung 4915112345678",
        "5551234567",
        "id=1234567890123456789",
        "1700000000",
        "1700000000000",
        "ts 1700000000123456789",
        "2024-01-15T10:20:30.123456Z",
        "15.01.2024 10:20:30",
        "20240115102030",
        "version 1.2.3.4",
        "v1.2.3.4",
        "requires foo==1.2.3.4",
        "release 10.15.7.1 is out",
        "127.0.0.1 and 0.0.0.0 and ::1",
        "mask 255.255.255.0",
        "1.2.3.4.5.6",
        "123e4567-e89b-12d3-a456-426614174000",
        "sha256:" + hashlib.sha256(b"x").hexdigest(),
        hashlib.md5(b"y").hexdigest(),
        "commit 4111111111111111222233334444555566667777",
        base64.b64encode(bytes(range(256))).decode(),
        "00000000: 4111 1111 aaaa 1111 dead beef 0000 0001  A...",
        "ff:ff:ff:ff:ff:ff and 00:00:00:00:00:00",
        "12:34:56:78",
        "std::vector<int> a::b::c",
        "@media (max-width: 600px) { color: #123456 }",
        "icon@2x.png",
        "lodash@4.17.21",
        "git@github.com:org/repo.git",
        "@decorator.method",
        "x = 3.141592653589793",
        "0.4111111111111111",
        "$1,234,567.89 and 1 234 567 km",
        "pages 1234-5678 (2019) 123-145",
        "ISBN 978-3-16-148410-0",
        "4111 1111 1111 1112",
        "GB29 NWBK 6016 1331 9268 18",
        "GB29NWBK601613319268190",
        "000-12-3456 and 666-12-3456 and 900-12-3456",
        "078-05-1120-99",
        "password = get_password()",
        "password: str = None",
        "token = config.api_token",
        'password = "password"',
        'api_key = os.environ["API_KEY"]',
        "secret: ${DB_SECRET}",
        "postgres://user:${PASSWORD}@host/db",
        "postgres://user:password@localhost/db",
        "https://example.com:8080/a@b",
        "sk-learn-estimator-container-fitted",
        "task-force-of-the-united-kingdom-2024",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "The quick brown fox jumps over the lazy dog.",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert scan(text) == []


def test_a_number_needs_its_word_near_and_the_nearest_word_decides():
    number = "5551234567"
    assert [f.label for f in scan(f"call me on {number}")] == ["pii.phone"]
    assert scan(f"phone support, order number {number}") == []
    assert scan(f"call me. {'blah ' * 20}{number}") == []


def test_words_after_a_number_count():
    assert [f.label for f in scan("92 34 70-Office")] == ["pii.phone"]
    assert [f.label for f in scan("555 1234567 fax")] == ["pii.phone"]


def test_a_password_in_a_url_is_found_and_its_host_is_no_address():
    assert mask("amqp://svc:pass-w0rd@mq.example.com/x") == "amqp://svc:[SECRET:URL_PASSWORD]@mq.example.com/x"
    assert mask("https://jane@mq.example.com/x") == "https://jane@mq.example.com/x"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "postgresql://app@myserver:S3cretPw9@myserver.postgres.example.com:5432/db",
            "postgresql://app@myserver:[SECRET:URL_PASSWORD]@myserver.postgres.example.com:5432/db",
        ),
        (
            "smtp://jane@example.com:pw12345@smtp.example.com:587",
            "smtp://[EMAIL]:[SECRET:URL_PASSWORD]@smtp.example.com:587",
        ),
        ("https://jane.doe+ci@example.co.uk:x9y8@rt/x", "https://[EMAIL]:[SECRET:URL_PASSWORD]@rt/x"),
        ("https://jane@example.com@git.example.com/x.git", "https://[EMAIL]@git.example.com/x.git"),
        ("imap://jane@example.com:${PASSWORD}@imap.example.com", "imap://[EMAIL]:${PASSWORD}@imap.example.com"),
        ("https://git@example.com:8443/x.git", "https://git@example.com:8443/x.git"),
    ],
)
def test_the_user_of_a_url_may_be_an_address_or_stand_with_a_server(text, masked):
    assert mask(text) == masked
    assert mask(masked) == masked


def test_the_line_that_begins_a_key_is_no_key():
    for text in (
        'if "-----BEGIN PRIVATE KEY-----" in text:',
        "-----BEGIN RSA PRIVATE KEY-----\\nXXXX\\n-----END RSA PRIVATE KEY-----",
    ):
        assert mask(text) == text
        stream = StreamMasker()
        assert "".join(map(stream.feed, text)) + stream.finish() == text


def test_a_key_block_without_its_end_is_masked_as_far_as_it_goes():
    body = "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4t5u6v7w8x9y0"
    assert mask(f"-----BEGIN PRIVATE KEY-----\n{body}\n{body[:20]}") == "[SECRET:PRIVATE_KEY]"


def test_json_keys_and_columns_are_context():
    assert mask('{"phone": "5551234567", "order": "5551234567"}') == '{"phone": "[PHONE]", "order": "5551234567"}'
    assert mask("customer_phone=5551234567") == "customer_phone=[PHONE]"


NAMES = [
    "phone",
    "home_phone",
    "customerPhoneNumber",
    "user.mobile",
    "CONTACT_TEL",
    "contact-phone",
    "PhoneNo",
    "faxNumber",
    "телефон",
    "téléphone",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_key_or_column_counts_as_a_word_before(name):
    number = "5551234567"
    assert [(f.start, f.end, f.label) for f in scan(number, hint=name)] == [(0, 10, "pii.phone")]
    assert [f.label for f in scan(f'{{"{name}": "{number}", "{name}": {number}}}')] == ["pii.phone", "pii.phone"]
    assert [f.label for f in scan(f"{name}={number}")] == ["pii.phone"]


def test_other_names_say_nothing_or_speak_against_it():
    for name in ("orderId", "customer", "phoneOrderNo", "id", ""):
        assert scan("5551234567", hint=name) == []


def test_a_hint_is_context_and_never_found_itself():
    found = scan("é 4111 1111 1111 1111", hint="john@example.com")
    assert [(f.start, f.end, f.label) for f in found] == [(2, 21, "pii.card")]
    assert scan("and so on", hint="john@example.com") == []
    assert [(f.start, f.end) for f in scan("12 March 1980", hint="birthDate")] == [(0, 13)]
    assert [f.label for f in scan("078051120", hint="user.ssn")] == ["pii.us_ssn"]
    assert [f.label for f in scan("hunter2X99!", hint="db_password")] == ["secret.generic"]


def test_a_masked_text_announces_nothing():
    once = mask("dob: 12 March 1980, BIC: DEUTDEFF")
    assert once == "dob: [DOB], BIC: [BIC]"
    assert mask(f"{once} 3 April 1990, NEDSZAJJ") == f"{once} 3 April 1990, NEDSZAJJ"


def test_names_in_a_payload_and_in_its_json_are_taken_apart_alike():
    payload = {
        "customerPhoneNumber": "5551234567",
        "orderId": "5551234567",
        "home": {"phoneNo": 5551234567},
        "people": [{"birthDate": "1980-03-12", "lat": "52.5200"}],
        "body": '{"user.ssn": "078051120"}',
    }
    assert mask_payload(payload) == {
        "customerPhoneNumber": "[PHONE]",
        "orderId": "5551234567",
        "home": {"phoneNo": "[PHONE]"},
        "people": [{"birthDate": "[DOB]", "lat": "[GEO]"}],
        "body": '{"user.ssn": "[US_SSN]"}',
    }


ROWS = [
    "phones: 2125550187, 3105550144, 6465550111, 6465550112, 6465550113, 6465550114 and 6465550115",
    '"phones":["2125550187","3105550144"]',
    "Tel: 030901820, 040123456",
    "mobile 2125550187 or 3105550144",
    "phones:\n  - 2125550187\n  - 3105550144\n",
    "SSNs: 536221234, 441228765",
]


@pytest.mark.parametrize("text", ROWS)
def test_what_a_word_announces_in_a_row_is_found_to_its_end(text):
    masked = mask(text)
    assert not re.search("[0-9]", masked)
    for size in (1, 3, 17):
        stream = StreamMasker()
        assert (
            "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.finish() == masked
        )


#: What stands between two numbers, in any form; and the two.
PAIRS = [
    ("Tel. 030 12345678 / 0171 2345678", "Tel. [PHONE] / [PHONE]"),
    ("Tel. 030 12345678 - 0171 2345678", "Tel. [PHONE] - [PHONE]"),
    ("Tel. 030 12345678 – 0171 2345678", "Tel. [PHONE] – [PHONE]"),
    ("Tél. 01 23 45 67 89\u00a0/\u00a006 12 34 56 78", "Tél. [PHONE]\u00a0/\u00a0[PHONE]"),
    ("Phone: 415-555-2671/212-555-0187", "Phone: [PHONE]/[PHONE]"),
    ("Phone: 415 555 2671 / 212 555 0187 / 646 555 0111", "Phone: [PHONE] / [PHONE] / [PHONE]"),
    ("tel 91 123 45 67 / 612 345 678", "tel [PHONE] / [PHONE]"),
    ("phone 2125550187/3105550144", "phone [PHONE]/[PHONE]"),
    ("phone 2125550187-3105550144", "phone [PHONE]-[PHONE]"),
    ("phone 415 555 2671 212 555 0187", "phone [PHONE] [PHONE]"),
    ("phone 415 555 2671 (212) 555 0187", "phone [PHONE] [PHONE]"),
    ("电话 13812345678/13912345678", "电话 [PHONE]/[PHONE]"),
    ("Tel: 030 12345678 (9-17 Uhr)", "Tel: [PHONE] (9-17 Uhr)"),
    ("Phone: +1 415 555 2671 or 2125550187", "Phone: [PHONE] or [PHONE]"),
    ("Tel: 415-555-2671 or 4155552672", "Tel: [PHONE] or [PHONE]"),
    ("appelez le 06.12.34.56.78 ou 0612345678", "appelez le [PHONE] ou [PHONE]"),
    ("Telefon: +49 30 1234567, 0171 2345678; 0301234568", "Telefon: [PHONE], [PHONE]; [PHONE]"),
    # One number.
    ("Tel. 06131 / 2345-67", "Tel. [PHONE]"),
    ("Tel. +49 (0)30 / 123 456-78", "Tel. [PHONE]"),
    ("tel 020 7946 - 0958", "tel [PHONE]"),
    ("Tel 089 / 123 45 67 / 68", "Tel [PHONE]"),
]


@pytest.mark.parametrize(("text", "masked"), PAIRS)
def test_two_numbers_beside_one_another_are_both_found_whatever_is_between(text, masked):
    text, masked = f"So {text} and that is all of it.", f"So {masked} and that is all of it."
    assert mask(text) == masked
    assert mask(masked) == masked
    for size in (1, 5, 13):
        stream = StreamMasker()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join(map(stream.feed, pieces)) + stream.finish() == masked


@pytest.mark.parametrize(
    "rest",
    [
        " or 2000000 others",
        " and 2024-01-15",
        " - 20.01.2024",
        " (2024-01-15)",
        " / 1234567 views",
        ", 20240115",
        " | 1234567 | 1234568",
        " 20240115 1234567",
        " (9-17)",
    ],
)
def test_what_is_no_phone_number_stays_behind_one(rest):
    assert mask(f"reach us: +1 415 555 2671{rest}") == f"reach us: [PHONE]{rest}"


def test_a_row_ends_where_something_else_is_written():
    assert mask("phones: 2125550187, 3105550144901234") == "phones: [PHONE], 3105550144901234"
    assert mask("phone 2125550187, 3105550144 items") == "phone [PHONE], 3105550144 items"


def test_a_value_that_is_too_long_ends_with_a_character():
    for count in range(70, 132):
        for letter in ("é", "话", "🎉"):
            text = "machine h.example.com login app password Qz#7" + "o" * count + letter * 20
            assert mask(text).startswith("machine h.example.com login app password [SECRET:NETRC_PASSWORD]")
            stream = StreamMasker()
            assert "".join(map(stream.feed, text)) + stream.finish() == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "Tél: 0677889900",
        "N° tél : 0677889900",
        "Telef. 912345678",
        "caller 2125550187",
        "📞 2125550187",
        "微信：13812345678",
    ],
)
def test_more_words_announce_a_phone(text):
    assert [f.label for f in scan(text)] == ["pii.phone"]


@pytest.mark.parametrize("rest", ["_20240101.csv", "_backup", "__x", "_"])
def test_an_underscore_ends_an_address(rest):
    assert mask(f"jane.doe@gmail.com{rest}").startswith("[EMAIL]_")
    assert mask(f"пётр@пример.com{rest}").startswith("[EMAIL]_")
    assert mask(f"/x/jane.doe%40gmail.com{rest}").startswith("/x/[EMAIL]_")


@pytest.mark.parametrize("text", ["x@property.setter_x", "W@self.in_proj", "foo@bar.method_name(x)", "icon@2x.png_1"])
def test_what_a_program_multiplies_is_no_address(text):
    assert scan(text) == []


@pytest.mark.parametrize("text", ["A@B.shape", "(x@y.dtype)", "A@B.values, u", "y = W@x.reshape[0]", "a@b.T", "Q@K.mT"])
def test_an_attribute_of_what_a_program_multiplies_is_no_domain(text):
    assert scan(text) == []


@pytest.mark.parametrize("address", ["shape@example.com", "jane@values.example", "jane@shape.io", "a@b.mt"])
def test_such_a_name_elsewhere_in_an_address_is_part_of_it(address):
    assert mask(f"to {address} now") == "to [EMAIL] now"


@pytest.mark.parametrize("prefix", ["N", "b", "u", "f", "E", "rb", "Rb", ""])
@pytest.mark.parametrize("before", ["WHERE email = ", "(", "[1, ", "x:"])
def test_the_quote_of_a_string_and_what_stands_before_it_are_no_part_of_an_address(prefix, before):
    assert mask(f"{before}{prefix}'jane@example.com')") == f"{before}{prefix}'[EMAIL]')"
    assert mask(f'{before}{prefix}"jane@example.com")') == f'{before}{prefix}"[EMAIL]")'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to o'brien@example.com now", "to [EMAIL] now"),
        ("to n'diaye@example.com now", "to [EMAIL] now"),
        ("to 'o'brien@example.com' now", "to '[EMAIL]' now"),
        ("to 'n'diaye@example.com' now", "to '[EMAIL]' now"),
        ("E'o''brien@example.com'", "E'[EMAIL]'"),
    ],
)
def test_an_apostrophe_of_a_name_is_part_of_its_address(text, masked):
    assert mask(text) == masked


def test_an_address_is_found_as_mail_servers_write_it():
    text = "Received: from mx ([IPv6:2001:db8::9]) by x"
    assert [(text[f.start : f.end], f.label) for f in scan(text)] == [("2001:db8::9", "pii.ip")]


@pytest.mark.parametrize(
    "text",
    [
        "<Version>1.2.3.4</Version>",
        '[assembly: AssemblyVersion("1.2.3.4")]',
        "Kernel 5.4.0.1 was booted",
        "the firmware was upgraded from 1.2.3.4 -> 1.2.3.5",
        "Kapitel 1.2.3.4 beschreibt",
        "siehe Tabelle 3.1.2.4",
        "§ 4.1.2.3 gilt",
    ],
)
def test_four_numbers_that_are_a_version_or_a_place_in_a_document_are_no_address(text):
    assert scan(text) == []


@pytest.mark.parametrize(
    "text", ["client 10.1.2.3 connected", "host: 8.8.8.8", "<ip>10.1.2.3</ip>", "10.1.2.3 -> 10.1.2.4"]
)
def test_four_numbers_elsewhere_are_an_address(text):
    assert {finding.label for finding in scan(text)} == {"pii.ip"}


@pytest.mark.parametrize(
    "text",
    [
        "9.11.1.8 Scope of work",
        "see\n  3.2.1.4 Terms\n",
        "## 4.1.2.3 Scope",
        "| libfoo | 37.10.25.49 |",
        "libfoo\t28.20.13.3",
        "nginx 1.25.3.1",
        "OpenSSL (3.0.13.1)",
    ],
)
def test_four_numbers_of_a_heading_or_of_a_product_are_no_address(text):
    assert scan(text) == []
    assert through(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        '"Vivaldi/6.5.3.206"',
        "libcurl/7.1.2.3",
        "    activesupport (= 6.1.7.3)",
        "    nokogiri (>= 1.2.3.4)",
        "gem 'rails', '~> 6.1.7.3'",
        "pod ~> 6.1.7.3",
        'gem "x", ">= 1.2.3.4", "< 2.0.0.1"',
        "foo >= 1.2.3.4, < 2.0.0.1",
        "foo>=1.2.3.4,<2.0.0.1",
        "requires foo!=1.2.3.4",
        "'hsqldb:hsqldb:1.8.0.10'",
        "api 'commons-x:commons-x-core:1.8.4.10'",
        "org.example:core:1.2.3.4",
        '"com.example.db:driver:jar:1.2.3.4:test"',
        'oldVersion="0.0.0.0-4.1.1.0" newVersion="4.1.1.0"',
        'oldVersion="1.0.0.0-4.1.1.0"',
    ],
)
def test_four_numbers_that_something_is_or_needs_are_a_version(text):
    assert scan(text) == []
    assert through(text) == text


def test_what_masking_put_before_a_sign_is_no_name_of_a_host():
    text = "8.8.4.4 >= 1.2.3.4"
    assert mask(mask(text)) == mask(text) == "[IP] >= 1.2.3.4"


@pytest.mark.parametrize(
    "text",
    [
        "http://1.2.3.4/Foo",
        "https://example.com/Foo/1.2.3.4",
        "https://ipinfo.io/8.8.8.8",
        "Broker/8.8.4.4:9092",
        "Route/8.8.4.0/24",
        "Client/8.8.8.8",
        "db1/8.8.8.8",
        "Chrome/10.0.0.7",
        "ip = 1.2.3.4",
        "if (host == 8.8.8.8)",
        "SET addr = 8.8.8.8",
        '"host"= 8.8.8.8',
        "ip.addr==8.8.8.8",
        "src_ip >= 8.8.8.8",
        "clientIp<=8.8.8.8",
        'row["src"] >= 8.8.8.8',
        "from Jane <8.8.8.8>",
        "x -> 8.8.8.8",
        "> 8.8.8.8 is down",
        "ERROR:root:8.8.8.8 refused",
        '"limit:login:8.8.8.8"',
        '"org.example:host:8.8.8.8"',
        "org.example:core:8.8.8.8:80",
        "root@8.8.8.8",
        "0.0.0.0-8.8.8.8",
    ],
)
def test_four_numbers_beside_such_signs_are_an_address_elsewhere(text):
    assert [one.label for one in scan(text)] == ["pii.ip"]
    assert through(text) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "9.11.1.8 is the host",
        "9.11.1.8 Mozilla/5.0",
        "9.11.1.8 GET /",
        "10.20.30.40 Scope",
        "8.8.8.8 Google",
        "nginx 37.10.25.49",
        "libfoo 192.168.1.4",
        "at 9.11.1.8 Scope of work",
        "9.11.1.8\nScope",
    ],
)
def test_four_numbers_that_only_begin_like_a_heading_are_an_address(text):
    assert [one.label for one in scan(text)] == ["pii.ip"]
    assert through(text) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "+1716200000,foo\n+1716200001,bar",
        "diff +1234567 -7654321",
        "+20000000 rows",
        "salary +50000000",
        "balance +1 234 567.89",
        "profit (+12 500 000)",
        "+1700000000000 x",
        "growth of +1 000 000 users",
        "delta: +3 500 000",
        "price 10.1234, 20.5678",
        "total: 52.5200, 13.4050",
        "timestamp 20:24:05:12:10:22",
    ],
)
def test_a_sum_and_a_time_are_nobody_s(text):
    assert scan(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "+14155552671,foo",
        "+4930123456",
        "+33612345678 x",
        "+39 06 1234 5678",
        "+351 912 345 678",
        "+372 512 3456",
        "+298 212345",
        "+49 (0)171 2345678",
        "+44 020 7946 0958",
        "tel +1716200000",
        "call +1234567890",
        "+1716200000 (mobile)",
        "+1 123 456 7890",
    ],
)
def test_a_number_behind_a_plus_is_found_if_a_country_has_such_or_a_word_says_so(text):
    assert [one.label for one in scan(text)] == ["pii.phone"]
    assert not re.search(r"\+?[0-9]{3}", mask(text))


def through(text):
    stream = StreamMasker()
    return "".join(map(stream.feed, text)) + stream.finish()


def test_a_card_that_touches_a_key_block_is_found_once():
    body = "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4t5u6v7w8x9y0"
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----4111111111111111 and 078-05-1120"
    assert mask(text) == "[SECRET:PRIVATE_KEY][CARD] and [US_SSN]"
    assert through(text) == mask(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Cookie: sid=abcdefghij1234567890", "Cookie: sid=[SECRET:SESSION_COOKIE]"),
        ("Set-Cookie: auth=abcdefghij1234567890ABC; Path=/", "Set-Cookie: auth=[SECRET:SESSION_COOKIE]; Path=/"),
        (
            "cookie: theme=dark; _ga=GA1.2.3; my_session_id=abcdefghij1234567890; x=1",
            "cookie: theme=dark; _ga=GA1.2.3; my_session_id=[SECRET:SESSION_COOKIE]; x=1",
        ),
        ("Cookie: theme=abcdefghij1234567890", "Cookie: theme=abcdefghij1234567890"),
        ("Cookie: sid=the-name-of-your-session", "Cookie: sid=the-name-of-your-session"),
        ("pay?card=4111+1111+1111+1111&x=1", "pay?card=[CARD]&x=1"),
        ("iban=GB29+NWBK+6016+1331+9268+19", "iban=[IBAN]"),
        ("ssn=078%2D05%2D1120&a", "ssn=[US_SSN]&a"),
    ],
)
def test_what_a_form_and_a_cookie_hold_is_found(text, masked):
    assert mask(text) == masked
    assert mask(masked) == masked
    assert through(text) == masked
