"""Three engines, one answer; how one is chosen, cached and shared."""

import importlib
import os
import random
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.errors import ConfigError
from guardai.text import PackError

scanning = importlib.import_module("guardai.text.scanner")
cache = importlib.import_module("guardai.text.engines.cache")
program = importlib.import_module("guardai.text.judging.program")

GLUE = ["", " ", "\n", "@", ":", "/", "-", ".", "é", "电话", "phone ", "1", "x", "\x00", "A1b2" * 30]


@settings(max_examples=200)
@given(data=st.data())
def test_every_engine_finds_the_same(native, plain, examples, data):
    parts = data.draw(st.lists(st.one_of(st.sampled_from(examples), st.text(max_size=20)), min_size=1, max_size=8))
    text = "".join(
        part if isinstance(part, str) else part[2] + part[1] + data.draw(st.sampled_from(GLUE)) for part in parts
    )
    utf8 = text.encode("utf-8", "surrogatepass")
    assert native.find(utf8) == plain.find(utf8)


@given(st.text(alphabet="0123456789 .-/()+:@abcdefABCDEF\u00a0\u2011xGB-", max_size=200))
def test_every_engine_finds_the_same_in_digits_and_dots(native, plain, text):
    utf8 = text.encode()
    assert native.find(utf8) == plain.find(utf8)


@settings(max_examples=60)
@given(data=st.data())
def test_every_engine_finds_the_same_where_windows_meet(native, plain, examples, data):
    """An engine that looks through windows has their edges around multiples of their size."""
    window = importlib.import_module("guardai.text.engines.re2")._WINDOW
    text = ""
    for edge in (window, 2 * window):
        _, value, before = data.draw(st.sampled_from(examples))
        start = edge - len(before) + data.draw(st.integers(-len(value), 150))
        filler = data.draw(st.sampled_from(["word ", "a", " ", "7 ", "x: "]))
        text += (filler * edge)[: max(0, start - len(text))] + data.draw(st.sampled_from(GLUE)) + before + value
    utf8 = text.encode()
    assert native.find(utf8) == plain.find(utf8)


def test_every_engine_finds_the_same_in_source_code(native, plain):
    import argparse
    import inspect

    source = inspect.getsource(argparse).encode()
    assert native.find(source) == plain.find(source)
    assert {label for _, _, label, _ in native.find(source)} <= {"pii.email"}  # its author's


def test_the_order_of_hits_does_not_matter(engine, examples):
    judge = importlib.import_module("guardai.text.judging.judge").judge
    pick = random.Random(3)
    for _ in range(100):
        data = " ".join(before + value for _, value, before in pick.sample(examples, 5)).encode()
        hits = engine.engine.scan(data)
        pick.shuffle(hits)
        assert judge(engine.program, data, hits)[0] == engine.find(data)


def in_a_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    return done.stdout.strip(), done.stderr


def test_importing_compiles_nothing_and_starts_nothing():
    out, err = in_a_process(
        "import sys, threading, guardai.text, guardai.text.scanner as e\n"
        "m = sys.modules['guardai.text.scanner']\n"
        "print(m._configured.compiled, 'hyperscan' in sys.modules, threading.active_count())"
    )
    assert (out, err) == ("False False 1", "")


@pytest.mark.parametrize("name", scanning.ENGINES)
def test_the_environment_chooses_the_engine(name):
    if name != "python":
        pytest.importorskip(name)
    out, _ = in_a_process("import guardai.text as t; print(t.engine(), t.mask('a@b.co'))", GUARDAI_TEXT_ENGINE=name)
    assert out == f"{name} [EMAIL]"


def test_an_unknown_engine_is_a_config_error():
    with pytest.raises(ConfigError, match="hyperscan, re2, python"):
        scanning.build("re3")


def test_without_hyperscan_the_next_engine_scans(monkeypatch):
    pytest.importorskip("re2")
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert scanning.build().engine.name == "re2"
    with pytest.raises(ConfigError, match="hyperscan cannot be imported"):
        scanning.build("hyperscan")


def test_without_native_code_python_scans(monkeypatch):
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    monkeypatch.setitem(sys.modules, "re2", None)
    assert scanning.build().engine.name == "python"
    with pytest.raises(ConfigError, match="google-re2 cannot be imported"):
        scanning.build("re2")


@pytest.mark.parametrize("megabytes", [1 / 16, 1 / 8])
def test_packs_that_do_not_fit_into_the_memory_of_re2_are_refused(monkeypatch, megabytes):
    re2 = importlib.import_module("guardai.text.engines.re2")
    pytest.importorskip("re2")
    monkeypatch.setattr(re2, "_MEMORY", int(megabytes * 2**20))
    with pytest.raises(PackError, match="google-re2"):
        scanning.build("re2")


def test_a_scan_within_a_scan_sees_the_same():
    hyper = pytest.importorskip("guardai.text.engines.hyper")
    pytest.importorskip("hyperscan")
    scanner = scanning.build("hyperscan")
    data, inner = b"mail a@b.co and c@d.co", []
    saw = hyper._saw

    def within(*hit):
        if not inner:
            inner.append(None)  # as a signal handler, or a finaliser, might
            inner.append(scanner.find(data))
        return saw(*hit)

    hits = []
    scanner.engine._run(data, within, 0, hits.append, scanner.engine._scratch())
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
    scanning.configure()
    scanning.reset()


def test_what_one_process_compiled_the_next_one_loads(tmp_path, compiles):
    scanning.configure(cache_dir=tmp_path / "cache")
    assert scanning.build("hyperscan").find(b"a@b.co") == scanning.build("hyperscan").find(b"a@b.co") != []
    assert len(compiles) == 1
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".hsdb"]


def test_where_nobody_said_the_cache_lies_in_the_home(home, compiles):
    scanning.build("hyperscan")
    scanning.build("hyperscan")
    assert len(compiles) == 1
    assert [p.suffix for p in (home / "cache").iterdir()] == [".hsdb"]


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
    scanning.configure(cache_dir=tmp_path)
    scanning.build("hyperscan")
    (file,) = tmp_path.glob("*.hsdb")
    good = file.read_bytes()
    file.write_bytes(spoil(good))
    assert scanning.build("hyperscan").find(b"a@b.co")
    assert len(compiles) == 2
    assert file.read_bytes()[:18] == good[:18]


def test_a_database_that_others_could_write_is_not_trusted(tmp_path, compiles):
    scanning.configure(cache_dir=tmp_path)
    scanning.build("hyperscan")
    (file,) = tmp_path.glob("*.hsdb")
    file.chmod(file.stat().st_mode | stat.S_IWOTH)
    scanning.build("hyperscan")
    assert len(compiles) == 2


def test_a_cache_keeps_the_newest_databases_and_no_more(tmp_path):
    for number in range(12):
        cache.write(tmp_path, str(number), b"database")
        os.utime(tmp_path / f"{number}.hsdb", (number, number))
    cache.write(tmp_path, "last", b"database")
    assert {file.stem for file in tmp_path.iterdir()} == {"last", *map(str, range(5, 12))}


def test_an_unwritable_cache_is_no_error(tmp_path, compiles):
    (tmp_path / "file").write_text("")
    scanning.configure(cache_dir=tmp_path / "file" / "cache")
    assert scanning.build("hyperscan").find(b"a@b.co")


def test_a_database_is_named_by_version_and_anchors():
    assert cache.fingerprint("1", ["a"]) == cache.fingerprint("1", ["a"])
    assert len({cache.fingerprint(v, s) for v in ("1", "2") for s in (["a"], ["b"], ["a", "b"])}) == 6


@pytest.mark.parametrize(
    "text",
    [
        "phonephone 418594251889825289475api-6984177401 x",
        'ó592153x{"phone": "api-01018012342',
        "Ч456789phoneL No: MH-1420110062821",
    ],
)
def test_no_engine_cuts_a_number_within_its_digits(native, plain, text):
    assert native.find(text.encode()) == plain.find(text.encode())
