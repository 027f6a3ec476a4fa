"""JSON inside of a string: how deep one is in it."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.documents import DEEPEST, Depth, unwritten, written


def plainly_deep(text, is_json):
    """As `Depth`, of a text that is there as a whole."""
    deep = 0
    for match in re.finditer(r'(\\*)"', text):
        level = 0
        escapes = len(match[1]) + 1
        while escapes % 2 == 0:
            escapes //= 2
            level += 1
        before = text[: match.start()].rstrip()
        while (space := re.search(r"\\+[nrt]\Z", before[-200:])) is not None:
            before = before[: len(before) - len(space[0])].rstrip()
        opens = before.endswith(("{", "[", ":", ","))
        if deep > level and not (opens and (level > 0 or not is_json)):
            deep = level
        elif opens or is_json or deep:
            deep = level + 1
    return deep


PIECES = [
    '"',
    '"',
    "\\",
    "\\" * 3,
    "\\" * 7,
    "\\" * 63,
    "\\" * 65,
    "{",
    "[",
    ":",
    ",",
    " ",
    "\n",
    " " * 70,
    "\x85",
    "a",
]


@given(parts=st.lists(st.sampled_from(PIECES), max_size=30), is_json=st.booleans(), data=st.data())
def test_a_depth_that_is_read_in_pieces_is_that_of_the_whole(parts, is_json, data):
    text, depth, at = "".join(parts), Depth(json=is_json), 0
    while at < len(text):
        step = data.draw(st.sampled_from([0, 1, 2, 5, 64, 1000]))
        depth.read(text[at : at + step])
        if data.draw(st.booleans()):
            depth = depth.copy()
        at += step
    assert depth.deep == plainly_deep(text, is_json)
    assert depth.backslashes == len(text) - len(text.rstrip("\\"))


@pytest.mark.parametrize("unit", ["\\n", " ", "\\", "\\n ", '"', '\\"', "n"])
def test_however_long_a_text_is_each_part_of_it_is_read_once(unit):
    text = unit * 500_000
    started = time.process_time()
    Depth(json=False).read(text)
    assert time.process_time() - started < 10  # of squares it would be an hour


@pytest.mark.parametrize("levels", range(1, DEEPEST + 1))
def test_a_depth_is_that_of_documents_in_documents(levels):
    text = "here"
    for _ in range(levels):
        text = json.dumps({"a": text})
    for is_json in (True, False):
        depth = Depth(json=is_json)
        depth.read(text[: text.index("here")])
        assert depth.deep == levels


@given(st.text(max_size=20), st.integers(0, DEEPEST))
def test_what_is_written_is_read(value, depth):
    assert unwritten(written(value, depth), depth) == value


@given(st.text(max_size=20))
def test_what_is_written_beyond_the_deepest_ends_no_string_and_takes_no_room(value):
    made = written(value, 1_000_000)
    assert len(made) <= len(value) and json.dumps(made, ensure_ascii=False)[1:-1] == made
