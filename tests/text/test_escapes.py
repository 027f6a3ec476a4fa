"""A text in which characters are escaped is judged as its reader will see it."""

import json

import pytest

from guardai.text import StreamMasker, mask, scan

pytestmark = pytest.mark.usefixtures("engine")

GITHUB = "ghp" + "_0123456789abcdefghijklmnopqrstuvwxyz"


def found(text):
    return [finding.label for finding in scan(text)]


def through(text, size):
    masker = StreamMasker()
    return "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.finish()


def test_what_stands_behind_an_escape_is_found_as_behind_what_is_escaped(example):
    _, value, before = example
    for blank in ("\n", "\t", "\f", "\b", "\r\n"):
        plain = f"x{blank}{before}{value}{blank}y"
        written = json.dumps(plain, ensure_ascii=False)
        if '"' not in plain:  # quotes are escaped, too
            expected = set(found(plain))
            assert expected <= set(found(written))
            assert expected <= set(found(json.dumps(written, ensure_ascii=False)))
    assert through(written, 3) == mask(written)


@pytest.mark.parametrize(
    "written", [r"\n", r"\\n", r"\\\\t", r"\x00", r"\xa0", r"\u00a0", r"\U0001f600", r"\x1b", r"\r\n"]
)
@pytest.mark.parametrize(
    "value",
    [GITHUB, "078-05-1120", "192.0.2.17", " tel: 2125550187", "GB29 NWBK 6016 1331 9268 19", "4111111111111111"],
)
def test_the_letters_of_an_escape_belong_to_no_word(written, value):
    text = f"'x{written}{value}{written}y'"
    whole = mask(text)
    assert whole.startswith(f"'x{written}") and whole.endswith(f"{written}y'")
    assert value[-6:] not in whole
    for size in (1, 2, 5):
        assert through(text, size) == whole


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_folder_of_windows_is_no_escape_where_one_before_it_can_be_none(depth):
    step = "\\" * depth
    for folder in ("Users", "Done", "_x"):
        path = step.join(["C:", folder, "nancy@example.com", "table"])
        assert mask(path) == step.join(["C:", folder, "[EMAIL]", "table"])
        assert through(path, 1) == mask(path)


def test_what_may_be_an_escape_is_one():
    assert mask(r"Plan B:\n" + GITHUB) == r"Plan B:\n[SECRET:GITHUB_TOKEN]"
    assert mask(r"C:\new\njane@example.com") == r"C:\new\n[EMAIL]"
    # In the JSON that holds a path its separators are two, and a line feed is written with one.
    assert mask(r"C:\\Users\n" + GITHUB) == r"C:\\Users\n[SECRET:GITHUB_TOKEN]"


@pytest.mark.parametrize("escape", ["\x1b", r"\u001b", r"\x1b", r"\033", r"\e", r"\\u001B"])
@pytest.mark.parametrize(
    "value",
    [GITHUB, "jane@example.com", "078-05-1120", "192.0.2.17", "GB29 NWBK 6016 1331 9268 19", "4111111111111111"],
)
def test_a_terminal_s_colours_are_no_part_of_a_value_and_stay(escape, value):
    for before, behind in (("[33m", "[0m"), ("[1;38;5;208m", "[m"), ("[2K", "[K")):
        text = f"x {escape}{before}{value}{escape}{behind} y"
        whole = mask(text)
        assert whole.startswith(f"x {escape}{before}[") and whole.endswith(f"]{escape}{behind} y")
        for size in (1, 2, 7):
            assert through(text, size) == whole


def test_colours_do_not_part_a_name_from_its_value():
    value = "Tr0ub4" + "dor&3"
    for text in ("\x1b[36mpassword\x1b[0m=%s", "password=\x1b[1;31m%s\x1b[0m ok", r"\u001b[36mpassword\u001b[39m=%s"):
        assert mask(text % value) == text % "[SECRET:GENERIC]"


@pytest.mark.parametrize(
    "text", ["\x1b[", "\x1b[12;", r"a\e[0", "\x1b" * 50, "\x1b[" + "1;" * 40 + "m", "\x1b]8;;x\x1b\\"]
)
def test_half_a_colour_is_a_text(text):
    assert mask(text) == text
    for size in (1, 3):
        assert through(text, size) == text


def test_half_an_escape_is_held_back():
    masker = StreamMasker()
    out = [masker.feed(piece) for piece in ("so x", "\\", "x4", "1 \\U000", "1f600jane@example.com ")]
    assert out[:3] == ["so ", "", ""]
    assert "".join(out) + masker.finish() == mask("so x\\x41 \\U0001f600jane@example.com ")


def test_a_key_behind_what_a_url_encodes_is_found(example):
    label, value, before = example
    if label.startswith("secret.") and not before and label in found(f'"{value}"'):
        for sign in ("%22", "%3D", "%0a", "%7B%22a%22%3A%22"):
            text = f"/s?q={sign}{value}%22%7D"
            assert label in found(text), sign
            assert through(text, 3) == mask(text)


def test_a_percent_sign_alone_encodes_nothing():
    text = f"x%3{GITHUB} zD{GITHUB} 3D{GITHUB}"
    assert mask(text) == text
