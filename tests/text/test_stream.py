"""SECURITY INVARIANT: what leaves a stream is what masking the whole text gives, wherever it is split."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import Masking, StreamMasker, Tokens, mask
from guardai.text import stream as streams

pytestmark = pytest.mark.usefixtures("engine")

BETWEEN = [
    "",
    "",
    " ",
    " ",
    "  ",
    "\n",
    ", ",
    ". ",
    ":",
    "-",
    "/",
    "(",
    ")",
    "[",
    "]",
    "<",
    "@",
    ".",
    "+",
    "x",
    "1",
    "12",
    "é",
    "电话",
    "\u00a0",
    "\u202f",
    "\ud83d",
    "\udc4d",
    "\x00",
    " the quick fox ",
    "2024-01-15 10:20:30 ",
    "version 1.2.3.4 ",
    "a" * 70,
    "A1b2" * 80,
    "phone ",
    "order ",
    "[EMAIL]",
    "<EMAIL_1>",
    "sk-",
    "eyJ",
    "-----BEGIN ",
    "AKIA",
    "://",
    "password=",
    "\\n",
    "\\\\t",
    "C:\\Users",
    "\\x0",
    "123e4567-e89b-12d3-a456-426614174000",
]


def through(pieces, masker=None):
    masker = masker or StreamMasker()
    return "".join([masker.feed(piece) for piece in pieces]) + masker.finish()


def split(text, cuts):
    cuts = sorted({cut for cut in cuts if 0 < cut < len(text)})
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_split_wherever_it_is_the_same_as_the_whole(examples, data):
    parts = data.draw(st.lists(st.one_of(st.sampled_from(examples), st.sampled_from(BETWEEN)), min_size=1, max_size=12))
    text = "".join(
        part if isinstance(part, str) else part[2] + part[1] + data.draw(st.sampled_from(BETWEEN)) for part in parts
    )
    cuts = data.draw(st.lists(st.integers(1, max(1, len(text))), max_size=30))
    assert through(split(text, cuts)) == mask(text)


@given(text=st.text(), cuts=st.lists(st.integers(1, 200), max_size=8))
def test_any_text_at_all_is_the_same_as_the_whole(text, cuts):
    assert through(split(text, cuts)) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        # An address is judged up to where the account number behind it begins, which is not known at first.
        "2001:db8::1.GB29 NWBK 6016 1331 9268 19 and so on",
        # What is kept of the text that has left begins within the digits, as if they stood alone.
        "X121234567890"
        + ":AA"
        + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5"
        + "A1b2" * 80
        + " api_key: 9f8e7d6c5b4a39281706f5e4 ",
    ],
)
def test_what_once_went_wrong(text):
    whole = mask(text)
    for size in range(1, 61):
        assert through([text[at : at + size] for at in range(0, len(text), size)]) == whole


def test_what_has_left_is_always_a_beginning_of_the_whole(examples):
    pick = random.Random(11)
    for _ in range(60):
        text = "".join(before + value + pick.choice(BETWEEN) for _, value, before in pick.sample(examples, 5))
        whole, masker, out = mask(text), StreamMasker(), ""
        for character in text:
            out += masker.feed(character)
            assert whole.startswith(out)


@pytest.mark.parametrize("colour", ["\x1b[0m", "\\x1b[33m", "\\u001b[1;31m", "\\033[m"], ids=ascii)
def test_a_stream_may_begin_with_nothing_but_a_colour(colour):
    for cut in range(len(colour) + 1):
        assert through([colour[:cut], colour[cut:], colour, "bob@example.com ok"]) == f"{colour * 2}[EMAIL] ok"
    assert through([colour]) == colour


def test_a_match_at_the_end_of_what_has_come_is_not_final():
    masker = StreamMasker()
    assert masker.feed("mail bob@example.co") == "mail "
    assert masker.feed("m.internal") == ""
    assert masker.feed(" now") + masker.finish() == "[EMAIL] now"
    masker = StreamMasker()
    out = [masker.feed("from 192.168.1.1"), masker.feed("23"), masker.feed("."), masker.finish()]
    assert "".join(out) == "from [IP]."


def test_a_key_block_is_withheld_until_its_end():
    masker = StreamMasker()
    body = "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4t5u6v7w8x9y0\n" * 30
    out = "".join(masker.feed(line + "\n") for line in ["key:", "-----BEGIN RSA PRIVATE KEY-----", *body.split()])
    assert out == "key:\n"
    out += masker.feed("-----END RSA PRIVATE KEY-----\n") + masker.finish()
    assert out == "key:\n[SECRET:PRIVATE_KEY]\n"


def test_a_long_key_is_masked_to_its_end():
    key = "sk-" + "ant-" + "aB3dE5gH7j" * 500
    masker = StreamMasker()
    out = "".join(masker.feed(key[at : at + 7]) for at in range(0, len(key), 7))
    assert out == ""
    assert masker.feed(" then") + masker.finish() == "[SECRET:ANTHROPIC_KEY] then"


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "7", "word ", "x@", "1 2 ", "é", "电", "4111 ", '{"k":1},', "-", "+1 ", "\u00a0", "AB12 "),
        *("born ", "born 1 2 ", "12° ", "1.5°", "lat ", "gps 52.5 ", "BIC ", "0x" + "a1" * 20 + " wallet "),
    ],
)
def test_little_is_held_back_where_nothing_goes_on(unit):
    masker = StreamMasker()
    for _ in range(4000 // len(unit)):
        masker.feed(unit)
        assert masker.held <= streams.WORD + streams.REACH + streams._ADDRESS + 48


def test_plain_prose_leaves_word_by_word():
    masker = StreamMasker()
    assert masker.feed("The quick brown fox ") == "The quick brown fox "
    assert masker.feed("in 2024, the") == "in 2024, "


def test_a_failing_detector_lets_nothing_out(monkeypatch):
    masker = StreamMasker()
    masker.feed("mail bob@exam")

    class Broken:
        program, names = masker._scanner.program, None

        def find_shown(self, *_):
            raise RuntimeError("broken")

    masker._scanner = Broken()
    with pytest.raises(RuntimeError):
        masker.feed("ple.com and more")
    assert masker.held == 0
    with pytest.raises(ValueError, match="failed"):
        masker.feed("x")
    with pytest.raises(ValueError, match="failed"):
        masker.finish()


def test_finish_is_idempotent_and_ends_the_stream():
    masker = StreamMasker()
    masker.feed("bob@example.com")
    assert (masker.finish(), masker.finish()) == ("[EMAIL]", "")
    with pytest.raises(ValueError, match="finished"):
        masker.feed("more")


def test_a_stream_of_a_masking_counts_and_masks_as_it_does():
    masking = Masking({"pii.email": "token", "pii.phone": None}.get, tokens=Tokens())
    text = "mail a@b.co or A@b.co or +14155552671 now"
    assert through(text, masking.stream()) == "mail <EMAIL_1> or <EMAIL_1> or +14155552671 now"
    assert masking.found == {"pii.email": 2, "pii.phone": 1}


def test_a_stream_puts_permitted_tokens_back_before_it_masks():
    tokens = Tokens()
    mail, card = tokens.token("pii.email", "a@b.co"), tokens.token("pii.card", "4111111111111111")
    back = Masking({"pii.card": "redact"}.get, tokens=tokens, resolve=lambda label: label == "pii.email")
    text = f"send {mail} the {card} and c@d.co"
    assert through(text, back.stream()) == back.text(text) == f"send a@b.co the {card} and c@d.co"


@pytest.mark.parametrize("style", ["redact", "partial"])
def test_a_stream_has_the_styles_that_a_text_has(style):
    text = "mail john@example.com or call +1 415 555 2671, born on 12 March 1980, card 4111 1111 1111 1111 "
    for size in (1, 3, 50):
        assert through([text[at : at + size] for at in range(0, len(text), size)], StreamMasker(style)) == mask(
            text, style=style
        )


ESCAPES = [
    "\\u0020",
    "\\n",
    "\\/",
    "\\u00e9",
    "\\\\u0040",
    "\\",
    "\\u00",
    "\\\\\\",
    "\\u003c",
    "\\t",
    "\\\\n",
    "\\x41",
    "\\U0001f600",
    "C:\\Users\\n",
]


def escaped(text, places):
    """The text with some of its characters escaped as JSON may."""
    return "".join(f"\\u{ord(c):04x}" if at in places and ord(c) < 0x10000 else c for at, c in enumerate(text))


@settings(max_examples=200)
@given(data=st.data())
def test_escapes_change_nothing_about_streams(examples, engine, plain, data):
    text = ""
    for _, value, before in data.draw(st.lists(st.sampled_from(examples), min_size=1, max_size=4)):
        text += escaped(before + value, data.draw(st.sets(st.integers(0, 60), max_size=8)))
        text += data.draw(st.sampled_from(["", " ", ", ", *ESCAPES]))
    size = data.draw(st.sampled_from([1, 2, 3, 5, 13, 64, 257]))
    masker = StreamMasker()
    assert "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.finish() == mask(
        text
    )
    utf8 = text.encode("utf-8", "surrogatepass")
    assert engine.find(utf8) == plain.find(utf8)


@pytest.mark.parametrize("unit", ["born ", "dob ", "geboren ", "4111 ", "12 345678 9 ", "2125550187, "])
def test_what_is_held_is_not_judged_anew_at_every_word(unit, monkeypatch):
    masker = StreamMasker()
    masker.feed("so ")
    scans = []
    find = type(masker._scanner).find_shown

    def counted(*given):
        scans.append(1)
        return find(*given)

    monkeypatch.setattr(type(masker._scanner), "find_shown", counted)
    text = unit * (4000 // len(unit))
    out = "".join(masker.feed(text[at : at + 4]) for at in range(0, len(text), 4)) + masker.finish()
    assert out == mask("so " + text)[3:]
    assert len(scans) < len(text) / 4 / 4


def test_an_open_key_block_is_not_read_anew_at_every_line(monkeypatch):
    masker, scanned = StreamMasker(), []
    masker.feed("so ")
    find = type(masker._scanner).find_shown
    monkeypatch.setattr(
        type(masker._scanner),
        "find_shown",
        lambda self, data, *rest: scanned.append(len(data)) or find(self, data, *rest),
    )
    text = "-----BEGIN RSA PRIVATE KEY-----\n" + ("A1b2" * 16 + "\n") * 300
    assert [masker.feed(text[at : at + 4]) for at in range(0, len(text), 4)] == [""] * -(-len(text) // 4)
    assert sum(scanned) < 10 * len(text)
    assert masker.feed("-----END RSA PRIVATE KEY-----\n") + masker.finish() == "[SECRET:PRIVATE_KEY]\n"


def test_a_short_key_block_leaves_soon_after_its_last_line():
    masker = StreamMasker()
    text = "-----BEGIN EC PRIVATE KEY-----\n" + ("A1b2" * 16 + "\n") * 3
    assert [masker.feed(text[at : at + 4]) for at in range(0, len(text), 4)] == [""] * -(-len(text) // 4)
    out = masker.feed("-----END EC PRIVATE KEY-----\n") + masker.feed("and so on " * 7)
    assert out.startswith("[SECRET:PRIVATE_KEY]\nand so on ")


def test_a_number_among_words_is_held_no_longer_than_it_has_to_be():
    masker, text = StreamMasker(), "so 4155552671 " + "and then some words " * 20
    for at in range(0, len(text), 4):
        masker.feed(text[at : at + 4])
        if at > 14 + 2 * streams.REACH + 8:
            assert masker.held < 16
