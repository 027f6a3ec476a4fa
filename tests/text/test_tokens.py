"""Reversible tokens."""

import json
import re
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import GuardError
from guardai.text import Masking, Tokens
from guardai.text.masks import spelling
from guardai.text.masks import tokens as table


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


def test_what_comes_back_is_resolved_with_any_spaces_inside_of_its_bracket():
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    wide = [
        chr(code) for code in range(0x80, 0x3001) if chr(code).isspace() and len(f"a{chr(code)}b".splitlines()) == 1
    ]
    for space in (" ", "\t", *wide):
        text = f"x <{space}EMAIL_1{space}> <{space * 4}email_1> y"
        assert tokens.resolve(text, everything) == "x a@b.co a@b.co y"
        resolver = tokens.resolver(everything)
        assert "".join(map(resolver.feed, text)) + resolver.finish() == "x a@b.co a@b.co y"
        assert tokens.unescape(tokens.escape(text)) == text
        assert tokens.resolve(tokens.escape(text), everything) == tokens.escape(text)
        later = Tokens()
        masking = Masking(lambda _: "token", tokens=later)
        assert masking.text(f"<{space}EMAIL_1{space}> a@b.co") == f"<{space}EMAIL_1{space}> <EMAIL_2>"


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


SPELLINGS = ["<", "!", ">", "EMAIL_1", "\\u003c", "\\\\u003C", "\\u003e", "\\", " ", "_", "email_2", "a", '"', "{"]


@given(st.text(alphabet="<!>EMAIL_1 a", max_size=40) | st.lists(st.sampled_from(SPELLINGS)).map("".join))
def test_unescape_undoes_escape(text):
    tokens = Tokens()
    assert tokens.unescape(tokens.escape(text)) == text


@given(st.text(alphabet="<!>EMAIL_12 ", max_size=40) | st.lists(st.sampled_from(SPELLINGS)).map("".join), st.booleans())
def test_an_escaped_text_resolves_to_itself(text, quoted):
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    tokens.token("pii.email", "c@d.co")
    assert tokens.resolve(tokens.escape(text), everything, quoted=quoted) == tokens.escape(text)


def streamed(stream, text, size=1):
    return "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.finish()


PIECES = [
    "<EMAIL_1>",
    "< phone_1 >",
    "<EMAIL_9>",
    "<",
    ">",
    "<<",
    "a",
    " ",
    "x < y",
    "<b>",
    "<" + "e" * 70,
    '"',
    "{",
    ":",
]
PIECES += [
    "\\",
    "\\\\",
    "\\u003cEMAIL_1\\u003e",
    "\\\\u003CEMAIL_1>",
    "\\u003c",
    "\\u003",
    "\\u00e9",
    "\\x3cEMAIL_2\\x3e",
]
PIECES += ["<EMAIL\\_1>", "<email\\\\_1 \\u003e", "EMAIL_1", "_1", "\\" * 9, "SECRET_1", "\\u003e", "u003e", "\n"]


@given(parts=st.lists(st.sampled_from(PIECES)), quoted=st.booleans(), data=st.data())
def test_a_stream_resolves_as_the_whole_does(parts, quoted, data):
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    tokens.token("pii.phone", "+14155552671")
    tokens.token("secret.generic", 'a"b\\c')
    text = "".join(parts)
    resolver, out, at = tokens.resolver(everything, quoted=quoted), "", 0
    while at < len(text):
        step = data.draw(st.integers(1, 9))
        out += resolver.feed(text[at : at + step])
        at += step
    assert out + resolver.finish() == tokens.resolve(text, everything, quoted=quoted)


def test_a_token_of_many_words_is_the_same_in_a_stream_however_it_is_spelt():
    tokens = Tokens()
    token = tokens.token("pii." + "_".join("abcdefghijklmnopqrst"), "V")
    text = token.replace("_1>", "_000000001>").replace("<", "<    ").replace(">", "    >")
    for written in (text, text.replace("_", "\\_")):
        assert tokens.resolve(written, everything) == "V"
        assert streamed(tokens.resolver(everything), written) == "V"
    for written in (text.replace("_", "\\" * 8 + "_"), text.replace("<", "\\" * 8 + "u003c").replace(">", "\\u003e")):
        document = '{"a":{"b":"' + '[\\"' * 3 + written + '"}}'
        made = tokens.resolve(document, everything, quoted=True)
        assert streamed(tokens.resolver(everything, quoted=True), document) == made


@pytest.mark.parametrize("pattern", [spelling.TOKEN, spelling.QUOTED])
def test_of_no_spelling_of_a_token_the_beginning_leaves(pattern):
    assert re._parser.parse(pattern.pattern).getwidth()[1] <= spelling._LONGEST

    @given(st.from_regex(pattern, fullmatch=True))
    def check(text):
        for end in range(1, len(text)):
            assert spelling.certainly("a" + text[:end]) == 1
        assert spelling.certainly("a" + text) == len(text) + 1

    check()


@pytest.mark.parametrize(
    ("after", "size"), [("x" * 5000, 60), ("\\\\\\\\\\\\\\\\U00000078" * 500, 1200), ("\\" * 5000, 20)]
)
def test_no_more_is_held_from_an_open_bracket_than_a_token_is_long(after, size):
    resolver, come, left = Tokens().resolver(everything), 0, 0
    for character in "a <" + after:
        come += 1
        left += len(resolver.feed(character))
        assert come - left <= size


@pytest.mark.parametrize("text", ["a < b and", "<div ", "<1", "\\u003cdiv ", "<EMAIL_1 x", "<!", "\\n", "\\u00e9"])
def test_what_can_be_no_token_any_more_leaves_at_once(text):
    resolver = Tokens().resolver(everything)
    assert "".join(map(resolver.feed, text)) == text


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


def test_a_lookalike_far_above_all_others_leaves_the_numbers_below_it():
    tokens = Tokens()
    tokens.reserve("I am <EMAIL_999999999999999999>, <EMAIL_999999999>, <EMAIL_99999998> or <EMAIL_1003>")
    assert tokens.token("pii.email", "a@b.co") == "<EMAIL_1>"
    for at in range(1001):
        tokens.token("pii.email", f"u{at}@b.co")
    assert tokens.token("pii.email", "c@d.co") == "<EMAIL_1004>"
    assert tokens.resolve("<EMAIL_1003> <EMAIL_99999998>", everything) == "<EMAIL_1003> <EMAIL_99999998>"
    assert tokens.token("pii.phone", "+14155552671") == "<PHONE_1>"


NUMBERS = st.sampled_from([1, 2, 3, 7, 999, 1001, 1002, 5000, 99_999_998, 99_999_999, 100_000_000, 999_999_999])


@given(st.lists(st.tuples(st.sampled_from("ABCDEFG"), st.none() | NUMBERS)))
def test_no_token_is_issued_that_a_text_has_said_however_much_texts_say(steps):
    said, tokens = set(), Tokens()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_NAMES", 2)
        patch.setattr(table, "_APART", 2)
        for at, (name, number) in enumerate(steps):
            if number is None:
                made = tokens.token(f"pii.{name}", str(at))
                assert made not in said or made == f"[{name}]"  # no number is left
                said.add(made)
            else:
                tokens.reserve(f"I am <{name}_{number}>")
                said.add(f"<{name}_{number}>")


def test_a_session_remembers_no_more_of_what_texts_say_than_so_much(monkeypatch):
    monkeypatch.setattr(table, "_NAMES", 200)
    monkeypatch.setattr(table, "_APART", 2000)
    tokens = Tokens()
    names = ["A" * 30 + f"{at:08}".translate(str.maketrans("0123456789", "ABCDEFGHIJ")) for at in range(6000)]

    def taken(names):
        tracemalloc.start()
        tokens.reserve("".join(f"<{name}_1><{name}_99000000>" for name in names))
        made = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return made

    assert taken(names[:3000]) < 500_000
    assert taken(names[3000:]) < 2000
    # The names that came first go on by themselves, all others above whatever was said.
    assert tokens.token("pii." + names[0], "a") == f"<{names[0]}_2>"
    assert tokens.token("pii." + names[-1], "a") == f"<{names[-1]}_99000001>"
    assert tokens.token("pii.email", "a@b.co") == "<EMAIL_99000001>"


def test_where_lookalikes_use_the_numbers_up_no_token_is_made_that_cannot_be_put_back(monkeypatch):
    monkeypatch.setattr(table, "_END", 30)
    tokens = Tokens()
    tokens.reserve("I am <EMAIL_28>")
    assert tokens.token("pii.email", "c@d.co") == "<EMAIL_29>"
    assert tokens.resolve("<EMAIL_29>", everything) == "c@d.co"
    assert tokens.token("pii.email", "e@f.co") == tokens.token("pii.email", "g@h.co") == "[EMAIL]"


@pytest.mark.parametrize(
    "label",
    [
        "pii.a_very_long_label_for_the_employee_badge_number",
        "pii.a_very_long_label_for_the_employee__badge_number",
        "pii.2fa",
        "pii._x",
        "x" * 200,
    ],
)
def test_a_token_of_any_label_is_resolved_and_reserved(label):
    tokens = Tokens()
    token = tokens.token(label, "B-1234")
    assert tokens.resolve(f"see {token}.", everything) == "see B-1234."
    resolver = tokens.resolver(everything)
    assert "".join(map(resolver.feed, f"see {token}.")) + resolver.finish() == "see B-1234."
    other = token.replace("_1>", "_2>")
    tokens.reserve(other)
    assert tokens.token(label, "B-5678") == token.replace("_1>", "_3>")


@given(st.text(max_size=30))
def test_within_json_a_value_is_written_as_json_writes_it(value):
    tokens = Tokens()
    token = tokens.token("pii.note", value)
    text = json.dumps({"a": f"{token} and {token}"})
    assert json.loads(tokens.resolve(text, everything, quoted=True)) == {"a": f"{value} and {value}"}


def test_a_table_in_memory_is_kept_as_long_as_it_is():
    tokens = Tokens()
    tokens.token("pii.email", "a@b.co")
    tokens.keep()
    assert tokens.resolve("<EMAIL_1>", everything) == "a@b.co"
    assert not tokens.shared


@given(st.sampled_from(["pii.email", "pii.card", "pii.nl_bsn", "pii.ip", "dataset.x"]), st.text(max_size=20))
def test_the_form_in_which_values_are_compared_is_its_own(label, value):
    from guardai.text.masks.render import normal

    assert normal(label, normal(label, value)) == normal(label, value)


class Failing:
    """A drawer that has no room."""

    life = 60.0

    def allocate(self, wanted, floor):
        raise GuardError("full")

    reserve = renew = get = allocate


def test_a_token_that_cannot_be_kept_is_not_issued():
    tokens = Tokens(Failing())
    for issue in (lambda: tokens.token("pii.email", "a@b.co"), lambda: tokens.issue([("pii.email", "a@b.co")] * 2)):
        with pytest.raises(GuardError, match="full"):
            issue()
    assert len(tokens) == 0


def test_masking_that_cannot_keep_a_token_masks_nothing_halfway():
    with pytest.raises(GuardError, match="full"):
        Masking(lambda _: "token", tokens=Tokens(Failing())).payload({"a": "a@b.co", "b": ["c@d.co"]})


def test_a_lookalike_is_reserved_wherever_it_is_read():
    def masking(tokens):
        return Masking(lambda _: "token", tokens=tokens)

    def streamed(text, tokens):
        stream = masking(tokens).stream()
        return "".join(map(stream.feed, text)) + stream.finish()

    for read in (
        lambda tokens: masking(tokens).text("to <EMAIL_2>"),
        lambda tokens: masking(tokens).payload("to <EMAIL_2>"),
        lambda tokens: masking(tokens).payload(["to <EMAIL_2>"]),
        lambda tokens: masking(tokens).payload('{"x": "\\u003cEMAIL_2\\u003e"}'),
        lambda tokens: masking(tokens).rows([("to <EMAIL_2>",)]),
        lambda tokens: streamed("to <EMAIL_2>", tokens),
    ):
        tokens = Tokens()
        read(tokens)
        masking(tokens).payload(["a@b.co", "victim@corp.com"])
        assert tokens.resolve("to <EMAIL_2>", lambda _: True) == "to <EMAIL_2>"


BRACKETS = ["<", "\\u003c", "\\u003C", "\\\\u003c", "\\x3c", "\\U0000003c", "\\" * 8 + "u003c"]


@pytest.mark.parametrize("opened", BRACKETS)
@pytest.mark.parametrize("name", ["EMAIL_1", "\\u0045MAIL_1", "email\\_1 ", "EMAIL\\\\_1", "EMAIL\\u005f\\u0031"])
@pytest.mark.parametrize("closed", [">", "\\u003e", "\\x3e"])
def test_an_escaped_lookalike_is_reserved_wherever_it_is_read(opened, name, closed):
    def masking():
        return Masking(lambda _: "token", tokens=Tokens())

    text = f'{{"a":"{opened}{name}{closed}","b":"jane@example.com"'
    made = text.replace("jane@example.com", "<EMAIL_2>")
    assert masking().text(text) == masking().payload([text])[0] == made
    for size in (1, 2, 3, 5, 8, 100):
        assert streamed(masking().stream(), text, size) == made
        assert streamed(masking().stream(quoted=True), text, size) == made


def escaping(document):
    """JSON as those write it who put it into HTML."""
    return json.dumps(document).replace("<", "\\u003c").replace(">", "\\u003e")


@given(
    st.lists(
        st.sampled_from(["<EMAIL_1>", "<email\\_1 >", "<EMAIL_2>", "\\u003cEMAIL_1\\u003e", "\\", "<", ">", "x", "é"])
    ),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_a_stream_of_json_puts_back_what_the_document_does_whoever_wrote_it(parts, levels, size):
    tokens = Tokens()
    tokens.token("pii.email", "jané@b.co")
    document = "is " + "".join(parts)
    for _ in range(levels):
        document = {"a": document if isinstance(document, str) else escaping(document)}
    masking = Masking(lambda _: None, tokens=tokens, resolve=everything)
    expected = masking.payload(document)
    for text in (json.dumps(document), escaping(document)):
        made = json.loads(streamed(masking.stream(quoted=True), text, size))
        there = expected
        for _ in range(levels - 1):
            made, there = json.loads(made["a"]), json.loads(there["a"])
        assert made == there


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_value_put_back_for_a_token_with_escaped_brackets_stays_one_value(levels):
    tokens = Tokens()
    text = tokens.token("secret.generic", HOSTILE)
    for _ in range(levels):
        text = escaping({"a": f"C:\\{text}"})
    made = tokens.resolve(text, everything, quoted=True)
    assert streamed(tokens.resolver(everything, quoted=True), text) == made
    for _ in range(levels):
        document = json.loads(made)
        assert document.keys() == {"a"}
        made = document["a"].removeprefix("C:\\")
    assert made == HOSTILE


def test_a_lookalike_behind_escapes_is_reserved_before_a_document_before_it_is_masked():
    tokens = Tokens()
    made = Masking(lambda _: "token", tokens=tokens).payload(
        ['{"m":"jane\\u0040example.com"}', '{"x":"\\u003cEMAIL_1\\u003e"}']
    )
    assert made == ['{"m": "<EMAIL_2>"}', '{"x":"\\u003cEMAIL_1\\u003e"}']


def test_a_name_of_several_words_is_resolved_in_markdown_and_one_of_many_letters_at_all():
    tokens = Tokens()
    assert (
        tokens.resolve(tokens.token("pii.us_ssn", "078-05-1120").replace("_", "\\_"), lambda _: True) == "078-05-1120"
    )
    assert tokens.resolve(tokens.token("custom." + "a" * 40, "v"), lambda _: True) == "v"


HOSTILE = 'x","role":"admin'


@pytest.mark.parametrize("value", [HOSTILE, "a\\", "two\nlines", 'say "hi" \\ bye', "plain"])
@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_value_put_back_into_json_within_json_stays_one_value(value, levels):
    tokens = Tokens()
    token = tokens.token("secret.generic", value)
    text = token
    for level in range(levels):
        text = json.dumps({"before": 'a "quoted" word and C:\\', "is": text, "level": level})
    resolver = tokens.resolver(everything, quoted=True)
    made = "".join(map(resolver.feed, text)) + resolver.finish()
    assert made == tokens.resolve(text, everything, quoted=True)
    for level in reversed(range(levels)):
        document = json.loads(made)
        assert document.keys() == {"before", "is", "level"} and document["level"] == level
        made = document["is"]
    assert made == value


@pytest.mark.parametrize(
    "text", ['prefix {"password":"<SECRET_1>"} and so on', 'first [1, "<SECRET_1>"]', '{"a": 1}\n{"b": "<SECRET_1>"}']
)
def test_a_value_put_back_into_json_within_a_text_ends_no_string(text):
    tokens = Tokens()
    tokens.token("secret.generic", HOSTILE)
    written = json.dumps(HOSTILE)
    made = text.replace('"<SECRET_1>"', written)
    assert tokens.resolve(text, everything) == made
    resolver = tokens.resolver(everything)
    assert "".join(map(resolver.feed, text)) + resolver.finish() == made
    masking = Masking(lambda _: None, tokens=tokens, resolve=everything)
    assert masking.payload({"x": text}) == {"x": made}
    assert masking.text(text) == made


@pytest.mark.parametrize("backslashes", [1, 2, 61, 63, 64, 65, 71, 127, 128, 255, 1000, 1023, 4095])
def test_a_value_put_back_behind_any_number_of_backslashes_ends_no_string(backslashes):
    tokens = Tokens()
    tokens.token("secret.generic", HOSTILE)
    inner = '{"a":"' + "\\" * backslashes + '"' * (backslashes % 2) + ' <SECRET_1>"}'
    assert json.loads(inner).keys() == {"a"}
    masking = Masking(lambda _: None, tokens=tokens, resolve=everything)

    def streamed(text, stream):
        return "".join(map(stream.feed, text)) + stream.finish()

    for made in (tokens.resolve(inner, everything), streamed(inner, tokens.resolver(everything))):
        assert json.loads(made).keys() == {"a"}
    outer = json.dumps({"body": inner})
    for made in (tokens.resolve(outer, everything, quoted=True), streamed(outer, masking.stream(quoted=True))):
        assert json.loads(json.loads(made)["body"]).keys() == {"a"}
    assert json.loads(tokens.resolve(inner, everything, quoted=True)).keys() == {"a"}


@given(
    before=st.lists(
        st.sampled_from(['"', '["', ': "', "\\", 'said "go"', '{"a', ",", " ", '\\"', "\n", "x"]), max_size=6
    ),
    key=st.sampled_from(["a", "a:", "a,", "{", '"', ':"', "\\", "a\n"]),
    shape=st.sampled_from(["dict", "list", "second", "deeper"]),
    levels=st.integers(0, 2),
    indent=st.sampled_from([None, 2, "\t"]),
    size=st.integers(1, 9),
)
def test_a_value_put_back_ends_no_string_of_a_document_whatever_text_stands_before_it(
    before, key, shape, levels, indent, size
):
    tokens = Tokens()
    tokens.token("secret.generic", HOSTILE)
    before = "".join(before) + " "
    value = {
        "dict": "<SECRET_1>",
        "list": ["<SECRET_1>"],
        "second": ["x:", "<SECRET_1>"],
        "deeper": {key: "<SECRET_1>"},
    }
    document = {key: value[shape], "b": "c"}
    text = before + json.dumps(document, indent=indent)
    for _ in range(levels):
        text = json.dumps({"body": text}, indent=indent)
    made = tokens.resolve(text, everything, quoted=levels > 0)
    assert streamed(tokens.resolver(everything, quoted=levels > 0), text, size) == made
    for _ in range(levels):
        outer = json.loads(made)
        assert outer.keys() == {"body"}
        made = outer["body"]
    assert made.startswith(before)
    there = json.loads(made[len(before) :])
    assert there.keys() == document.keys() and there["b"] == "c"
    assert type(there[key]) is type(document[key])
    if shape != "dict":
        assert len(there[key]) == len(document[key])


def test_a_value_put_back_takes_no_more_room_the_deeper_a_text_says_it_stands():
    tokens = Tokens()
    tokens.token("secret.generic", HOSTILE)
    text = '{"a":"' + "\\" * (2**16 - 1) + '" ' + "<SECRET_1>" * 1000 + '"}'
    assert tokens.resolve(text, everything, quoted=True) == text
    tokens.token("secret.jwt", "plain")
    assert tokens.resolve(text.replace("_1", "_2"), everything, quoted=True) == text.replace("<SECRET_1>", "plain")


def test_a_value_put_back_into_a_sentence_is_as_it_was():
    tokens = Tokens()
    tokens.token("secret.generic", 'ab"c\\d')
    assert tokens.resolve('He said "go", then <SECRET_1>', everything) == 'He said "go", then ab"c\\d'


@pytest.mark.parametrize("secret", ["ab12&cdefgh1X", 'ab"cdefgh1X'])
def test_a_token_stands_for_what_a_document_means_not_for_how_it_is_written(secret):
    tokens = Tokens()
    there = Masking(lambda _: "token", tokens=tokens)
    back = Masking(lambda _: None, tokens=tokens, resolve=everything)
    text = json.dumps({"password": secret}).replace("&", "\\u0026")
    made = there.payload(text)
    assert json.loads(made) == {"password": "<SECRET_1>"}
    assert tokens.resolve("<SECRET_1>", everything) == secret
    assert json.loads(back.payload(made)) == {"password": secret}
