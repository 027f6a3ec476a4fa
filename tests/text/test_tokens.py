"""Reversible tokens."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import Masking, Tokens


def everything(_label):
    return True


def test_the_same_value_is_the_same_token():
    tokens = Tokens()
    assert tokens.token("pii.email", "Jane@X.com") == tokens.token("pii.email", "jane@x.com") == "<EMAIL_1>"
    assert tokens.token("pii.card", "4111 1111 1111 1111") == tokens.token("pii.card", "4111111111111111") == "<CARD_1>"
    assert tokens.token("pii.email", "other@x.com") == "<EMAIL_2>"
    assert tokens.token("secret.jwt", "x") == "<SECRET_1>"


def test_what_comes_back_is_resolved_in_any_spelling():
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    text = "<EMAIL_1> <email_1> < Email_1 > <EMAIL\\_1> <EMAIL_01>"
    assert tokens.resolve(text, everything) == " ".join(["a@b.co"] * 5)


def test_what_is_unknown_or_not_permitted_stays():
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    assert tokens.resolve("<EMAIL_2> <PHONE_1> <b> <1>", everything) == "<EMAIL_2> <PHONE_1> <b> <1>"
    assert tokens.resolve("<EMAIL_1>", lambda label: label != "pii.email") == "<EMAIL_1>"


def test_a_token_that_stands_in_the_input_is_never_issued():
    tokens = Tokens()
    masking = Masking(lambda _: "token", tokens=tokens)
    assert masking.text("<EMAIL_1> is not me, a@b.co is") == "<EMAIL_1> is not me, <EMAIL_2> is"
    assert tokens.resolve("<EMAIL_1> <EMAIL_2>", everything) == "<EMAIL_1> a@b.co"
    masked = masking.payload(["c@d.co", "I call myself <EMAIL_3>", {"x": ["<phone_7>", "+14155552671"]}])
    assert masked == ["<EMAIL_4>", "I call myself <EMAIL_3>", {"x": ["<phone_7>", "<PHONE_8>"]}]


@given(st.text(alphabet="<!>EMAIL_1 a", max_size=40))
def test_unescape_undoes_escape(text):
    tokens = Tokens()
    assert tokens.unescape(tokens.escape(text)) == text


@given(st.text(alphabet="<!>EMAIL_12 ", max_size=40))
def test_an_escaped_text_resolves_to_itself(text):
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    tokens.token("pii.email", "c@d.co")
    assert tokens.resolve(tokens.escape(text), everything) == tokens.escape(text)


@given(st.data())
def test_a_stream_resolves_as_the_whole_does(data):
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    tokens.token("pii.phone", "+14155552671")
    parts = data.draw(
        st.lists(
            st.sampled_from(
                ["<EMAIL_1>", "< phone_1 >", "<EMAIL_9>", "<", ">", "<<", "a", " ", "x < y", "<b>", "<" + "e" * 70]
            )
        )
    )
    text = "".join(parts)
    resolver, out, at = tokens.resolver(everything), "", 0
    while at < len(text):
        step = data.draw(st.integers(1, 9))
        out += resolver.feed(text[at : at + step])
        at += step
    assert out + resolver.finish() == tokens.resolve(text, everything)


def test_no_more_than_64_characters_are_held_from_an_open_bracket():
    resolver = Tokens().resolver(everything)
    out = "".join(resolver.feed(c) for c in "a <" + "x" * 200)
    assert len(out) >= 203 - 64


def test_threads_agree_on_tokens():
    tokens, seen = Tokens(), [set() for _ in range(16)]

    def work(mine):
        for at in range(200):
            mine.add((at, tokens.token("pii.email", f"u{at}@x.com")))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in seen]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(mine == seen[0] for mine in seen)
    assert len({token for _, token in seen[0]}) == len(tokens) == 200


def test_the_table_shows_no_value():
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    assert "a@b" not in repr(tokens)


@pytest.mark.parametrize("label", ["pii.email", "pii.phone", "secret.jwt"])
def test_a_token_is_not_found_sensitive(label):
    from guardai.text import scan

    tokens = Tokens()
    text = " ".join(f"call phone card {tokens.token(label, f'v{at}')} mobile" for at in range(1200))
    assert scan(text) == []
