"""Spaces that are not ASCII's: a text that has them is looked through as the same with ASCII's."""

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import StreamMasker, mask, mask_payload, scan
from guardai.text.escapes import View, view
from guardai.text.spaces import even, narrow, wide

on_every_engine = pytest.mark.usefixtures("engine")

SPACES = [chr(code) for code in range(0x80, 0x110000) if chr(code).isspace()]
#: What is seen as U+200B.
INVISIBLE = ["\u00ad", "\u2060", "\ufeff"]
#: What keyboards, typesetters and editors put there; and one that ends a line.
COMMON = ["\u00a0", "\u202f", "\u3000", "\u2028"]
TEXTS = st.text(
    st.sampled_from([*SPACES, *INVISIBLE, *"a7# \n\u00fc\u5bc6\u3001\u20ac\u2014\u00c2\u1681\U0001f600\\nu"])
)
PASSWORD, KEY = "Qz#7o9iCfkd4", "aB3dE5gH7jK9" + "mN1pQ2sT4vW6yZ8"


def through(text, size):
    masker = StreamMasker()
    return "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.finish()


def shown(space):
    return "\n" if len(f"a{space}b".splitlines()) > 1 else " "


def test_every_space_of_unicode_is_seen_as_one_of_ascii_and_nothing_else_is():
    every = "a".join(chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000)))
    seen = {space: shown(space) for space in SPACES} | dict.fromkeys(INVISIBLE, "\u200b")
    assert narrow(every.encode()).decode() == every.translate(str.maketrans(seen))
    assert not wide(every.translate(dict.fromkeys(map(ord, seen))).encode())
    for space in SPACES:
        raw = space.encode()
        assert wide(raw) and even(raw) == narrow(raw) * len(raw)


#: What may stand beside what is seen otherwise, and become a part of such once an escape is gone.
PIECES = ["&", "nbsp;", "\u0026", "\x26", "\x1b[0m", "\u001b[1m", "\u00a0", "\x85", "\ufeff", "\xe2\x80\x80"]
PIECES += [
    "\\n",
    "\\",
    "C:\\a\\new",
    "\\ud83d\\ude00",
    "\\u00c2",
    "\\xc2",
    "\\xa0",
    "\\u0026",
    "\\u00a0",
    "\\u00ad",
    "\\x26",
]


@given(st.lists(st.sampled_from([*PIECES, *COMMON, *INVISIBLE, " ", "a"]), max_size=12).map("".join))
def test_places_are_those_of_what_is_seen(text):
    """The view is made quickly first, and its places only where something was found."""
    seen = View(text.encode())
    assert seen.data == seen._read()


@given(TEXTS)
def test_what_is_seen_is_told_by_its_place(text):
    raw = text.encode()
    seen = view(raw)
    assert seen is not None or not wide(raw)
    assert "\\" in text or View(raw, [(0, 0, "x\u3000".encode())]).data == b"x " + narrow(raw)
    if seen is None or "\\" in text:
        return
    characters = seen.data.decode()
    assert len(characters) == len(text)
    for count in range(len(text) + 1):
        at, place = len(characters[:count].encode()), len(text[:count].encode())
        assert seen.end(at) == place and seen.place(at) == place and seen.seen(place) == at


@on_every_engine
def test_every_kind_is_found_between_any_spaces_as_between_ascii_s(example):
    _, value, before = example
    for space in ("\u3000", "\u2028"):
        seen = shown(space)
        plain = f"so {before}{value} x".replace(" ", seen)
        text = plain.replace(seen, space)
        assert scan(text) == scan(plain)
        assert through(text, 7) == mask(text)


@settings(max_examples=100)
@given(data=st.data())
def test_a_text_with_any_spaces_is_masked_as_with_ascii_s_and_so_in_a_stream(examples, engine, plain, data):
    parts = data.draw(st.lists(st.sampled_from(examples), min_size=1, max_size=5))
    twin = " ".join(before + value for _, value, before in parts)
    text = "".join(data.draw(st.sampled_from([" ", *COMMON[:3]])) if sign == " " else sign for sign in twin)
    assert scan(text) == scan(twin)
    assert through(text, data.draw(st.sampled_from([1, 2, 5, 13, 64, 257]))) == mask(text)
    utf8 = text.encode("utf-8", "surrogatepass")
    assert engine.find(utf8) == plain.find(utf8)


#: Names that end in a space, or have one.
NAMED = [
    *(
        f"{name} {PASSWORD}"
        for name in ("mdp :", "pass :", "psk =", "pw", "clave :", "mot de passe est", "the token is")
    ),
    *(f"{name} {KEY}" for name in ("API key:", "private key =", "clé API :", "API キー：", "bearer", "secret key")),
    f"curl -u bob:{PASSWORD}",
    f"CREATE USER u IDENTIFIED BY '{PASSWORD}'",
]


@on_every_engine
@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000"], ids=ascii)
@pytest.mark.parametrize("text", NAMED)
def test_a_name_is_known_by_any_space_that_is_part_of_it(text, space):
    masked = mask(text)
    assert PASSWORD not in masked and KEY not in masked
    assert mask(text.replace(" ", space)) == masked.replace(" ", space)


@on_every_engine
@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000"], ids=ascii)
def test_a_key_of_a_payload_is_known_by_any_space(space):
    for name in (f"API{space}key", f"mdp{space}", f"client{space}secret"):
        assert mask_payload({name: KEY}) == {name: "[SECRET:GENERIC]"}


@on_every_engine
def test_of_a_value_behind_many_wide_spaces_nothing_is_let_out():
    value = "Qz#7" + KEY * 3 + "Zend0"
    text = "password" + "\u3000" * 30 + "=" + "\u3000" * 30
    assert mask(f"{text}{value} tail") == f"{text}[SECRET:GENERIC] tail"
    assert mask(f"{text}{PASSWORD}\u3000tail") == f"{text}[SECRET:GENERIC]\u3000tail"


@on_every_engine
def test_an_escape_that_stands_for_a_wide_space_is_one():
    for escape in (r"\u00a0", r"\\u3000", r"\u2009"):
        text = f"mdp{escape}: {PASSWORD}{escape}f(x)"
        assert mask(text) == f"mdp{escape}: [SECRET:GENERIC]{escape}f(x)"
        assert through(text, 3) == mask(text)


def test_a_value_is_not_looked_at_whole_unless_its_name_is_a_secret_s(monkeypatch):
    scanning, looked = importlib.import_module("guardai.text.scanner"), []
    monkeypatch.setattr(scanning, "even", lambda data: looked.append(data.decode()) or even(data))
    masked = mask_payload({"note": "Frau\u00a0Weiß", "password": f"\u00a0{PASSWORD}"})
    assert masked == {"note": "Frau\u00a0Weiß", "password": "\u00a0[SECRET:GENERIC]"}
    assert scan("Frau\u00a0Weiß", hint="note") == []
    assert looked == [f"\u00a0{PASSWORD}"]


def test_a_text_of_ascii_is_itself_with_its_spaces_narrow():
    data = b"Customer asked about the invoice\n of May"
    assert even(data) is data and narrow(data) is data


@on_every_engine
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f", "\u3000"], ids=ascii)
@pytest.mark.parametrize(
    "marks", ["«V»", "“V”", "„V“", "‹V›", "‘V’", "「V」", "『V』", "《V》", "**V**", "<code>V</code>"]
)
def test_a_secret_stands_within_marks_with_a_space_on_each_side(marks, space):
    inside = marks.replace("V", f"{space}V{space}")
    names = [
        "password: ",
        "mot de passe : ",
        "secret = ",
        "api_key = ",
        "API key: ",
        "HEROKU_API_KEY=",
        "the password is ",
    ]
    for name in names[:-1] if "<" in marks else names:
        value = KEY if "key" in name.lower() else PASSWORD
        text = name + inside.replace("V", value)
        assert mask(text) == name + inside.replace("V", "[SECRET:GENERIC]")
        assert mask(mask(text)) == mask(text)
        assert through(text, 1) == through(text, 5) == mask(text)


@on_every_engine
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u3000"], ids=ascii)
@pytest.mark.parametrize("text", ['"api_key": "V~"', "token = 'V~'", '"token": "V~is old"', "HEROKU_API_KEY='V~~'"])
def test_a_key_in_a_string_may_end_at_a_space(text, space):
    text = text.replace("~", space)
    masked = text.replace("V", "[SECRET:GENERIC]")
    assert mask(text.replace("V", KEY)) == masked
    assert through(text.replace("V", KEY), 3) == masked
    assert scan(text.replace("V", "the_token")) == []


def test_the_extension_of_a_phone_is_partly_left_behind_any_space():
    for space in (" ", "\u00a0", "\u3000"):
        for extension in ("x123", "ext.\u00a0123", f"ext.{space}123"):
            assert mask(f"415-555-2671{space}{extension}", style="partial") == mask(
                "415-555-2671 x123", style="partial"
            )


@on_every_engine
@pytest.mark.parametrize("sign", [*INVISIBLE, "\u200b", "\u200e"], ids=ascii)
def test_a_number_goes_on_behind_what_has_no_width(sign):
    for value, label in (
        ("4111~1111~1111~1111", "CARD"),
        ("+1~415~555~2671", "PHONE"),
        ("GB29~NWBK~6016~1331~9268~19", "IBAN"),
    ):
        text = f"so {value.replace('~', sign)} x"
        assert mask(text) == f"so [{label}] x"
        assert through(text, 1) == through(text, 7) == mask(text)
        assert mask_payload({"a": text, "b": "c"}) == {"a": mask(text), "b": "c"}


@on_every_engine
@pytest.mark.parametrize("sign", [*INVISIBLE, "\u200b", "\u200e"], ids=ascii)
def test_something_of_no_width_may_end_a_secret_s_name(sign):
    for name, value in (("password", PASSWORD), ("api_key", KEY), ("DB_PASS", PASSWORD), ("HEROKU_API_KEY", KEY)):
        for text in (f"{name}{sign}: V", f"{name}{sign} = V x", f'{{"{name}{sign}": "V"}}', f"{sign}{name}{sign}=V"):
            assert mask(text.replace("V", value)) == text.replace("V", "[SECRET:GENERIC]")
            assert through(text.replace("V", value), 3) == text.replace("V", "[SECRET:GENERIC]")
        assert mask_payload({f"{name}{sign}": value}) == {f"{name}{sign}": "[SECRET:GENERIC]"}
