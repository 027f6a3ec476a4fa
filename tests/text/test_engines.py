"""Two engines, one answer; what an engine needs, and what it survives."""

import importlib
import os
import random
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.errors import ConfigError
from guardai.text import mask

engines = importlib.import_module("guardai.text.engines")
cache = importlib.import_module("guardai.text.cache")
program = importlib.import_module("guardai.text.program")

GLUE = ["", " ", "\n", "@", ":", "/", "-", ".", "é", "电话", "phone ", "1", "x", "\x00", "A1b2" * 30]


@settings(max_examples=200)
@given(data=st.data())
def test_both_engines_find_the_same(both, examples, data):
    parts = data.draw(st.lists(st.one_of(st.sampled_from(examples), st.text(max_size=20)), min_size=1, max_size=8))
    text = "".join(
        part if isinstance(part, str) else part[2] + part[1] + data.draw(st.sampled_from(GLUE)) for part in parts
    )
    native, plain = both
    utf8 = text.encode("utf-8", "surrogatepass")
    assert native.find(utf8) == plain.find(utf8)


@given(st.text(alphabet="0123456789 .-/()+:@abcdefABCDEF\u00a0\u2011xGB-", max_size=200))
def test_both_engines_find_the_same_in_digits_and_dots(both, text):
    native, plain = both
    utf8 = text.encode()
    assert native.find(utf8) == plain.find(utf8)


def test_both_engines_find_the_same_in_source_code(both):
    import argparse
    import inspect

    source = inspect.getsource(argparse).encode()
    native, plain = both
    assert native.find(source) == plain.find(source)
    assert {label for _, _, label, _ in native.find(source)} <= {"pii.email"}  # its author's


def test_the_order_of_hits_does_not_matter(both, examples):
    judge = importlib.import_module("guardai.text.judge").judge
    pick = random.Random(3)
    for _ in range(100):
        data = " ".join(before + value for _, value, before in pick.sample(examples, 5)).encode()
        for scanner in both:
            hits = scanner.engine.scan(data)
            pick.shuffle(hits)
            assert judge(scanner.program, data, hits)[0] == scanner.find(data)


def in_a_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    return done.stdout.strip(), done.stderr


def test_importing_compiles_nothing_and_starts_nothing():
    out, err = in_a_process(
        "import sys, threading, guardai.text, guardai.text.engines as e\n"
        "m = sys.modules['guardai.text.engines']\n"
        "print(m._current, 'hyperscan' in sys.modules, threading.active_count())"
    )
    assert (out, err) == ("None False 1", "")


@pytest.mark.parametrize("name", ["hyperscan", "python"])
def test_the_environment_chooses_the_engine(name):
    if name == "hyperscan":
        pytest.importorskip("hyperscan")
    out, _ = in_a_process("import guardai.text as t; print(t.engine(), t.mask('a@b.co'))", GUARDAI_TEXT_ENGINE=name)
    assert out == f"{name} [EMAIL]"


def test_an_unknown_engine_is_a_config_error():
    with pytest.raises(ConfigError, match="hyperscan, python"):
        engines.build("re3")


def test_without_hyperscan_python_scans(monkeypatch):
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert engines.build().engine.name == "python"
    with pytest.raises(ConfigError):
        engines.build("hyperscan")


def test_32_threads_share_one_engine(engine):
    text = "mail john.doe@example.com or call +1 415 555 2671 " * 20
    expected, wrong = mask(text), []

    def work():
        for _ in range(30):
            if mask(text) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(32)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


def test_a_scan_within_a_scan_sees_the_same():
    hyper = pytest.importorskip("guardai.text.hyper")
    pytest.importorskip("hyperscan")
    scanner = engines.build("hyperscan")
    data, inner = b"mail a@b.co and c@d.co", []
    saw = hyper._saw

    def within(*hit):
        if not inner:
            inner.append(None)  # as a signal handler, or a finaliser, might
            inner.append(scanner.find(data))
        return saw(*hit)

    hits = []
    scanner.engine._run(data, within, 0, hits, scanner.engine._scratch())
    assert inner[1] == scanner.find(data)


# ---- the cache ----


@pytest.fixture
def compiles(monkeypatch):
    """How often a database was compiled."""
    hyperscan = pytest.importorskip("hyperscan")
    counted = []

    class Database(hyperscan.Database):
        def compile(self, *args, **kwargs):
            counted.append(1)
            return super().compile(*args, **kwargs)

    monkeypatch.setattr(hyperscan, "Database", Database)
    yield counted
    engines.configure()
    engines.reset()


def test_what_one_process_compiled_the_next_one_loads(tmp_path, compiles):
    engines.configure(cache_dir=tmp_path / "cache")
    assert engines.build("hyperscan").find(b"a@b.co") == engines.build("hyperscan").find(b"a@b.co") != []
    assert len(compiles) == 1
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".hsdb"]


def test_no_cache_is_kept_unless_it_is_asked_for(tmp_path, compiles):
    engines.build("hyperscan")
    engines.build("hyperscan")
    assert len(compiles) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: b"",
        lambda blob: blob[:100],
        lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
        lambda blob: b"\x00" * len(blob),
        lambda blob: blob[:18] + bytes(32) + blob[50:],
    ],
)
def test_a_spoilt_cache_is_compiled_anew(tmp_path, compiles, spoil):
    engines.configure(cache_dir=tmp_path)
    engines.build("hyperscan")
    (file,) = tmp_path.glob("*.hsdb")
    good = file.read_bytes()
    file.write_bytes(spoil(good))
    assert engines.build("hyperscan").find(b"a@b.co")
    assert len(compiles) == 2
    assert file.read_bytes()[:18] == good[:18]


def test_a_database_that_others_could_write_is_not_trusted(tmp_path, compiles):
    engines.configure(cache_dir=tmp_path)
    engines.build("hyperscan")
    (file,) = tmp_path.glob("*.hsdb")
    file.chmod(file.stat().st_mode | stat.S_IWOTH)
    engines.build("hyperscan")
    assert len(compiles) == 2


def test_an_unwritable_cache_is_no_error(tmp_path, compiles):
    (tmp_path / "file").write_text("")
    engines.configure(cache_dir=tmp_path / "file" / "cache")
    assert engines.build("hyperscan").find(b"a@b.co")


def test_a_database_is_named_by_version_and_anchors():
    assert cache.fingerprint("1", ["a"]) == cache.fingerprint("1", ["a"])
    assert len({cache.fingerprint(v, s) for v in ("1", "2") for s in (["a"], ["b"], ["a", "b"])}) == 6


# ---- linear time, counted in work and not in seconds ----

HOSTILE = {
    "at": "@",
    "digits": "7",
    "grouped digits": "12 ",
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
    "url": "://a:",
    "colon": "a:",
    "::": "::",
    "1.": "1.",
    "plus": "+1",
    "phone": "phone ",
    "password": "password=",
    "password:": 'password = "',
    "space": " ",
    "backslash": "\\n",
    "iban": "GB29",
    "cards": "4111 1111 1111 1111 ",
    "secret key": "secret_key = ",
    "surrogate": "\ud83d",
    "nul": "\x00",
    "bracket": "((",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_four_times_as_much_of_one_thing_is_four_times_the_work(engine, name):
    """Lines of ours that ran are counted, not time."""
    unit = HOSTILE[name]
    small = lines(engine, unit * (10_000 // len(unit)))
    large = lines(engine, unit * (40_000 // len(unit)))
    assert large <= small * 5 + 2_000


def lines(scanner, text):
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


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_megabyte_of_anything_ends(engine, name):
    # Quadratic work within `re` would take hours here.
    unit = HOSTILE[name]
    text = unit * ((1 << 20 if engine.engine.name == "hyperscan" else 1 << 17) // len(unit))
    masked = mask(text)
    assert isinstance(masked, str)


@pytest.mark.parametrize("name", ["at", "digits", "key block", "private key", "a", "sk-", "eyJ", "password=", "a@a."])
def test_a_stream_of_one_thing_ends(engine, name):
    from guardai.text import StreamMasker

    unit = HOSTILE.get(name, name)
    text = unit * (8_000 // len(unit))
    masker = StreamMasker()
    out = "".join(masker.feed(text[at : at + 4]) for at in range(0, len(text), 4)) + masker.finish()
    assert out == mask(text)


def test_random_bytes_as_text_are_scanned(engine):
    pick = random.Random(9)
    for _ in range(50):
        text = pick.randbytes(2000).decode("utf-8", "surrogateescape")
        assert isinstance(mask(text), str)
