"""What nobody writes and somebody sends: broken text, one thing a million times, callbacks that raise, threads, forks.

Linear time is shown by counting the lines of ours that run, not by a clock; and a megabyte of anything ends, which work
within `re` that grows with the square of the text would not.
"""

import importlib
import json
import os
import random
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.text import Masking, PayloadError, StreamMasker, mask, scan

scanning = importlib.import_module("guardai.text.scanner")

HOSTILE = {
    "at": "@",
    "digits": "7",
    "grouped digits": "12 ",
    "spaces and digits": " 1  23   ",
    "key block": "-----BEGIN ",
    "private key": "-----BEGIN PRIVATE KEY-----",
    "a": "a",
    "b64": "aB3/",
    "a@": "a@",
    "a.": "a.",
    "a@a.": "a@a.",
    "sk-": "sk-",
    "sk-x": "sk-aB3dE5gH7jK9mN1pQ2 ",
    "eyJ": "eyJ",
    ".eyJ": ".eyJaaaaaaaaaa",
    "=eyJ": "=eyJaaaaaaaaaa.aaaaaaaa",
    "-xoxb": "-xox" + "b-aaaaaaaaaa",
    "#ghp": "#gh" + "p_" + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7jK9",
    "@sk-ant": "@sk-" + "ant-aB3dE5gH7jK9mN1pQ2-",
    "scheme": "://",
    "url": "://a:",
    "colon": "a:",
    "::": "::",
    "a::": "a::",
    "1.": "1.",
    "1.1.1.1.": "1.1.1.1.",
    "plus": "+1",
    "phone": "phone ",
    "password=": "password=",
    "password:": 'password = "',
    "space": " ",
    "backslash": "\\n",
    "iban": "GB29",
    "cards": "4111 1111 1111 1111 ",
    "dates": "2024-01-15 ",
    "secret key": "secret_key = ",
    "surrogate": "\ud83d",
    "nul": "\x00",
    "bracket": "((",
}


# ---- linear time ----


def lines(scanner, text):
    """How many lines of ours run while `text` is looked through."""
    data = text.encode("utf-8", "surrogatepass")
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        if "guardai" not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
        return trace

    sys.settrace(trace)
    try:
        scanner.find(data)
    finally:
        sys.settrace(None)
    return count


def linear(scanner, unit, size=10_000):
    small = lines(scanner, unit * (size // len(unit)))
    large = lines(scanner, unit * (4 * size // len(unit)))
    return large <= small * 5 + 10_000  # one window more is no growth


@pytest.mark.parametrize("name", list(HOSTILE))
def test_four_times_as_much_of_one_thing_is_four_times_the_work(engine, name):
    assert linear(engine, HOSTILE[name])


@settings(max_examples=60)
@given(data=st.data())
def test_four_times_as_much_of_anything_that_is_looked_for_is_four_times_the_work(engine, data):
    literals = sorted({a.literal.decode() for a in engine.program.anchors if a.literal})
    parts = st.one_of(
        st.sampled_from(literals),
        st.sampled_from([" ", "=", ": ", '"', "@", ".", "-", "/", "phone ", "1.2.3.4", "12 34", "::"]),
        st.text(alphabet="aB3dE5_-", min_size=1, max_size=40),
    )
    unit = "".join(data.draw(st.lists(parts, min_size=1, max_size=4)))
    assert linear(engine, unit, 4_000)


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_megabyte_of_anything_ends(engine, name):
    unit = HOSTILE[name]
    assert isinstance(mask(unit * ((1 << 20) // len(unit))), str)


@pytest.mark.parametrize("name", ["at", "digits", "key block", "private key", "a", "sk-x", "eyJ", "password=", "a@a."])
def test_a_stream_of_one_thing_ends_and_is_as_the_whole(engine, name):
    text = HOSTILE[name] * (8_000 // len(HOSTILE[name]))
    masker = StreamMasker()
    out = "".join(masker.feed(text[at : at + 4]) for at in range(0, len(text), 4)) + masker.finish()
    assert out == mask(text)


def test_ten_megabytes_on_one_line_are_looked_through_to_both_ends(engine):
    text = "jane@example.com " + "no line ends here, " * (10_000_000 // 19) + " +1 415 555 2671"
    assert len(text) > 10_000_000
    assert mask(text) == text.replace("jane@example.com", "[EMAIL]").replace("+1 415 555 2671", "[PHONE]")


# ---- broken text ----


@pytest.mark.parametrize(
    "broken", ["\ud83d", "\udcff", "\udfff\ud800", "\x00", "\x00\x00", "\ufeff", "\uffff", "\U0010ffff"]
)
def test_what_is_no_text_hides_nothing_that_stands_beside_it(engine, broken):
    assert mask(f"{broken} jane@example.com {broken}") == f"{broken} [EMAIL] {broken}"
    assert mask(f"call{broken} +1 415 555 2671{broken}") == f"call{broken} [PHONE]{broken}"
    (found,) = scan(f"{broken * 3} jane@example.com")
    assert found.start == len(broken * 3) + 1


def test_random_bytes_as_text_are_scanned(engine):
    pick = random.Random(9)
    for _ in range(50):
        text = pick.randbytes(2000).decode("utf-8", "surrogateescape")
        assert isinstance(mask(text), str)


def test_bytes_that_are_not_utf8_are_looked_through(engine):
    """Nothing in the room hands them over, and an engine must stand them all the same."""
    pick = random.Random(10)
    for _ in range(50):
        data = pick.randbytes(500) + b" jane@example.com " + pick.randbytes(500)
        assert any(start <= 501 and end >= 517 for start, end, _, _ in engine.find(data))


def everything():
    return Masking(lambda _label: "redact")


def test_bytes_that_are_not_utf8_are_refused_in_a_payload(engine):
    with pytest.raises(PayloadError):
        everything().payload({"note": b"\xff\xfe jane@example.com"})


def test_json_nested_ten_thousand_deep_is_masked(engine):
    text = "[" * 10_000 + json.dumps("jane@example.com") + "]" * 10_000
    assert everything().payload(text) == text.replace("jane@example.com", "[EMAIL]")
    assert everything().payload({"arguments": text})["arguments"] == text.replace("jane@example.com", "[EMAIL]")


def test_a_payload_nested_ten_thousand_deep_is_refused(engine):
    payload = "jane@example.com"
    for _ in range(10_000):
        payload = [payload]
    with pytest.raises(PayloadError):
        everything().payload(payload)


# ---- callbacks that raise ----


class Broken(Exception):
    pass


def test_an_error_while_the_engine_reports_is_not_swallowed(monkeypatch):
    """As an interrupt or a lack of memory would be: what was not reported would pass unmasked."""
    pytest.importorskip("hyperscan")
    hyper = importlib.import_module("guardai.text.engines.hyper")
    scanner = scanning.build("hyperscan")
    data = b"mail a@b.co and c@d.co"
    expected = scanner.find(data)

    def raises(*_hit):
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(hyper, "_saw", raises)
        with pytest.raises(Broken):
            scanner.find(data)
    assert scanner.find(data) == expected


def test_a_judge_that_raises_lets_nothing_pass(engine, monkeypatch):
    def raises(*_args):
        raise Broken

    monkeypatch.setattr(engine.program, "judges", [raises] * len(engine.program.judges))
    with pytest.raises(Broken):
        mask("jane@example.com")


def test_a_policy_that_raises_lets_nothing_pass(engine):
    def raises(_label):
        raise Broken

    with pytest.raises(Broken):
        Masking(raises).text("jane@example.com")
    stream = Masking(raises).stream()
    with pytest.raises(Broken):
        stream.feed("jane@example.com and more ")
        stream.finish()
    with pytest.raises(ValueError, match="failed"):
        stream.finish()


# ---- threads and forks ----


def test_32_threads_share_one_engine(engine):
    texts = [f"{'word ' * n}mail john.doe{n}@example.com or call +1 415 555 2671 " * 20 for n in range(32)]
    expected, wrong = [mask(text) for text in texts], []

    def work(n):
        for _ in range(20):
            if mask(texts[n]) != expected[n]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


FORKS = """
import os, sys, threading
from guardai.text import mask
text = "no address here, " * 6_000 + "jane@example.com"
assert mask(text).endswith("[EMAIL]")
stop = threading.Event()
def work():
    while not stop.is_set():
        mask(text)
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
bad = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if mask(text).endswith("[EMAIL]") else 1)
    bad += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
stop.set()
[thread.join() for thread in threads]
print(bad)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_child_forked_while_other_threads_scan_scans_too(engine):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS],
        capture_output=True,
        text=True,
        env={**os.environ, "GUARDAI_TEXT_ENGINE": engine.engine.name},
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_a_line_that_could_be_read_as_many_headers_of_a_key_is_read_once():
    text = "-----BEGIN PRIVATE KEY-----" + "abc: " * 2000 + "!"  # it took a minute for 22
    assert mask(text) == text
    stream = StreamMasker()
    assert "".join(stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)) + stream.finish() == text
