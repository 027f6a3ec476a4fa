import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from guardai import ConfigError, SinkError
from guardai.sinks import open_sink
from guardai.sinks.jsonl import JsonlSink


def test_events_arrive_as_they_were_signed_one_a_line(tmp_path):
    sink = open_sink(f"jsonl://{tmp_path}/out/events.jsonl")
    sink.deliver([b'{"a":1}', b'{"b":"\\n"}'])
    sink.deliver([b'{"c":3}'])
    assert (tmp_path / "out/events.jsonl").read_bytes() == b'{"a":1}\n{"b":"\\n"}\n{"c":3}\n'


def test_torn_last_line_of_a_death_is_cut_before_the_next_delivery(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a":1}\n{"tor')
    open_sink(f"jsonl://{path}").deliver([b'{"b":2}'])
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_file_without_one_whole_line_begins_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 200_000)
    open_sink(f"jsonl://{path}").deliver([b'{"b":2}'])
    assert path.read_bytes() == b'{"b":2}\n'


def test_unwritable_place_raises_so_that_the_events_come_again(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        open_sink(f"jsonl://{tmp_path}/file/events.jsonl").deliver([b"{}"])


@pytest.mark.parametrize(
    "url",
    [
        "jsonl://host/path", "jsonl:", "jsonl:///a?b", "jsonl:///a?max_bytes=5", "jsonl:///a?keep=5", "jsonl:///a#b",
        "jsonl:///a?max_bytes=0&keep=1", "jsonl:///a?max_bytes=x&keep=1", "jsonl:///a?max_bytes=1&keep=1&hush=1",
    ],
)  # fmt: skip
def test_url_that_names_no_file_is_refused(url):
    with pytest.raises(ConfigError, match="write jsonl:///path") as told:
        open_sink(url)
    assert "hush" not in str(told.value)


def test_unknown_scheme_names_what_is_installed():
    with pytest.raises(
        ConfigError,
        match=r"no sink for 'pigeon': installed are clickhouse\+http, .*jsonl, .*nats, nats\+tls, .*otlp\+http",
    ):
        open_sink("pigeon://loft/topic")


def lines(*numbers):
    return [b'{"id":"%04d"}' % n for n in numbers]


def content(*paths):
    return [[int(json.loads(line)["id"]) for line in path.read_bytes().splitlines()] for path in paths]


def test_file_that_is_full_makes_room_and_so_many_older_ones_stay(tmp_path):
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(f"jsonl://{path}?max_bytes=30&keep=2")  # two lines a file
    sink.deliver(lines(1))
    sink.deliver(lines(2, 3, 4))
    sink.deliver(lines(5, 6, 7))
    assert content(path, tmp_path / "events.jsonl.1", tmp_path / "events.jsonl.2") == [[7], [5, 6], [3, 4]]
    assert sorted(file.name for file in tmp_path.glob("events*")) == [
        "events.jsonl",
        "events.jsonl.1",
        "events.jsonl.2",
    ]
    assert all(file.stat().st_size <= 30 for file in tmp_path.glob("events*"))


def test_event_longer_than_a_file_may_be_has_one_of_its_own(tmp_path):
    path = tmp_path / "events.jsonl"
    long = b'{"id":"0002","x":"%s"}' % (b"x" * 100)
    JsonlSink(f"jsonl://{path}?max_bytes=30&keep=9").deliver([*lines(1), long, *lines(3)])
    assert content(path, tmp_path / "events.jsonl.1", tmp_path / "events.jsonl.2") == [[3], [2], [1]]


def test_file_is_made_room_for_without_its_torn_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines(1, 2)) + b'{"id":"to')
    JsonlSink(f"jsonl://{path}?max_bytes=30&keep=9").deliver(lines(3))
    assert content(path, tmp_path / "events.jsonl.1") == [[3], [1, 2]]


def test_death_in_the_middle_of_making_room_loses_no_file(tmp_path):
    """It leaves a number free: what is above it is not moved, and nothing is written over."""
    path = tmp_path / "events.jsonl"
    for name, number in (("events.jsonl", 4), ("events.jsonl.2", 2), ("events.jsonl.3", 1)):
        (tmp_path / name).write_bytes(lines(number)[0] + b"\n")
    JsonlSink(f"jsonl://{path}?max_bytes=16&keep=3").deliver(lines(5))
    assert content(*(tmp_path / f"events.jsonl{n}" for n in ("", ".1", ".2", ".3"))) == [[5], [4], [2], [1]]


def test_file_that_somebody_moved_away_is_begun_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(f"jsonl://{path}")
    sink.deliver(lines(1))
    path.rename(tmp_path / "moved")
    sink.deliver(lines(2))
    assert content(tmp_path / "moved", path) == [[1], [2]]


def test_file_that_is_moved_while_it_is_waited_for_is_not_written_to(tmp_path, monkeypatch):
    """As when two processes make room at once: the second one waited for a file that has another name now."""
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(f"jsonl://{path}")
    sink.deliver(lines(1))
    from guardai.sinks import claim

    take = claim.take

    def moved(fd):
        monkeypatch.setattr(claim, "take", take)
        path.rename(tmp_path / "moved")
        return take(fd)

    monkeypatch.setattr(claim, "take", moved)
    sink.deliver(lines(2))
    assert content(tmp_path / "moved", path) == [[1], [2]]


def test_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(f"jsonl://{path}")
    sink.deliver(lines(1))

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sink.deliver(lines(2, 3))
    monkeypatch.undo()
    assert content(path) == [[1]]
    sink.deliver(lines(2, 3))
    assert content(path) == [[1, 2, 3]]


LIMITED = """
import resource, sys
from guardai.sinks.jsonl import JsonlSink
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = JsonlSink("jsonl://" + sys.argv[1])
sink.deliver([b'{"id":"0001"}'])
try:
    sink.deliver([b'{"id":"0002"}', b'{"id":"0003"}'])
except OSError:
    print("refused")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of a file")
def test_write_that_is_cut_short_is_taken_back(tmp_path):
    path = tmp_path / "events.jsonl"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "refused\n", done.stderr
    assert content(path) == [[1]]


MANY = """
import sys
from guardai.sinks.jsonl import JsonlSink
sink, first = JsonlSink(sys.argv[1]), int(sys.argv[2])
for n in range(first, first + 200, 5):
    sink.deliver([b'{"id":"%04d"}' % m for m in range(n, n + 5)])
"""


def test_two_processes_write_whole_lines_and_make_room_together(tmp_path):
    path = tmp_path / "events.jsonl"
    url = f"jsonl://{path}?max_bytes=150&keep=99"
    both = [subprocess.Popen([sys.executable, "-c", MANY, url, str(first)]) for first in (0, 200)]
    assert [one.wait(120) for one in both] == [0, 0]
    found = [n for numbers in content(*tmp_path.glob("events*")) for n in numbers]
    assert sorted(found) == list(range(400))
    assert all(file.stat().st_size <= 150 for file in tmp_path.glob("events*"))


ENDLESS = """
import sys
from guardai.sinks.jsonl import JsonlSink
sink, n = JsonlSink(sys.argv[1]), 0
print("ready", flush=True)
while True:
    sink.deliver([b'{"id":"%d","x":"%s"}' % (m, b"x" * 5000) for m in range(n, n + 20)])
    n += 20
    print(n, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_nothing_that_was_delivered_is_lost_when_the_process_is_killed(tmp_path):
    path = tmp_path / "events.jsonl"
    url = f"jsonl://{path}?max_bytes=300000&keep=999"
    for round_ in range(5):
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, url], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(0.02 * round_)
        process.send_signal(signal.SIGKILL)
        told = process.communicate()[0].split()
        done = int(told[-1]) if told else 0
        JsonlSink(url).deliver([b'{"id":"-1"}'])
        found = [n for numbers in content(*tmp_path.glob("events*")) for n in numbers]
        assert set(range(done)) <= set(found)
        for file in tmp_path.glob("events*"):
            file.unlink()


def test_file_that_another_process_keeps_is_waited_for_and_no_longer_than_allowed(tmp_path):
    from guardai.sinks import claim

    path = tmp_path / "events.jsonl"
    with claim.opened(os.open(path, os.O_RDWR | os.O_CREAT)) as file:
        assert claim.take(file.fileno())
        with pytest.raises(SinkError, match="another process has been writing"):
            JsonlSink(f"jsonl://{path}").deliver(lines(1), seconds=0.1)
    JsonlSink(f"jsonl://{path}").deliver(lines(1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_keeps_no_claim_of_its_parent(tmp_path):
    from guardai.sinks import claim

    path = tmp_path / "events.jsonl"
    read, write = os.pipe()
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    with claim.opened(fd) as file:
        assert claim.take(file.fileno())
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    # Closed and not given back, as by a death: the child is still there.
    JsonlSink(f"jsonl://{path}").deliver(lines(1), seconds=5)
    os.close(write)
    os.waitpid(child, 0)
    os.close(read)
