"""Many processes at once, killed, forked, recycled, served by real servers: every event whose effect happened is there, once."""

import collections
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from guardai.ledger import events, verify
from guardai.lineage import EdgeTable

posix = pytest.mark.skipif(os.name == "nt", reason="signals and forks of POSIX")

#: Seconds. An append takes microseconds; this is for machines that are busy with something else.
PATIENCE = 5.0

MEASURE = """
import mmap, struct
_slowest = mmap.mmap(-1, 8)  # shared with the children

def append(ledger, *arguments, **options):
    began = time.perf_counter()
    try:
        return ledger.append(*arguments, **options)
    finally:
        took = time.perf_counter() - began
        if took > slowest():
            _slowest[:] = struct.pack("d", took)

def slowest():
    return struct.unpack("d", _slowest[:])[0]

"""


def measured(program):
    """A program that can `append(ledger, event)`, and say how long the slowest took, its children's included."""
    return MEASURE + textwrap.dedent(program)


def calls_of(home):
    """How often each call was recorded."""
    found = (json.loads(data) for data in events(home))
    return collections.Counter(e["call"] for e in found if e["kind"] == "call.intent")


def check_whole(home, **options):
    report = verify(home, **options)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)
    assert report.events == report.signed + report.recovered == len(list(events(home)))
    return report


def tell_slowest(done):
    """The longest append of all processes, printed for who looks, and bounded generously."""
    took = float(done.stdout.split()[-1])
    print(f"longest append: {took * 1000:.1f} ms")
    assert took < PATIENCE


# --- kills


@posix
def test_kill_at_200_random_points_of_eight_writing_processes_beside_a_sealer_loses_nothing(home, tmp_path, run_python):
    effects = tmp_path / "effects"
    done = run_python(
        measured(
            """
            import random
            from guardai.ledger.keys import open_keys
            from guardai.ledger.sealer import seal

            chance = random.Random(200)
            Ledger.open(home)
            keys = open_keys(home)

            def write():
                ledger = Ledger.open(home)
                out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                me = os.urandom(8).hex()
                for n in range(10**9):
                    # The effect comes after the intent: whatever stands in the file must stand in the ledger.
                    append(ledger, event(call=f"{me}-{n}"))
                    os.write(out, f"{me}-{n}\\n".encode())
                    if n % 10 == 0:
                        time.sleep(0.001)

            running = {}
            def start():
                pid = os.fork()
                if not pid:
                    try: write()
                    finally: os._exit(1)
                running[pid] = time.monotonic() + 0.02 + chance.random() * 0.2

            for _ in range(8):
                start()
            killed = 0
            while running:
                for pid in [pid for pid, due in running.items() if time.monotonic() >= due]:
                    os.kill(pid, signal.SIGKILL)
                    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
                    del running[pid]
                    killed += 1
                    if killed + len(running) < 200:
                        start()
                seal(home, keys, deadline=time.monotonic() + 0.02)
                time.sleep(0.002)
            assert killed == 200
            print(slowest())
            """
        ),
        str(effects),
        timeout=200,
    )
    tell_slowest(done)
    report = check_whole(home)
    assert report.logs >= 40  # some died before they had written anything
    recorded = calls_of(home)
    assert set(recorded.values()) == {1}
    # The last line of who is killed may be torn, and the next process's stands behind it: no name of any call.
    happened = set(re.findall(r"^[0-9a-f]{16}-[0-9]+$", effects.read_text(), re.MULTILINE))
    assert len(happened) > 500
    assert happened <= set(recorded)
    # Each process recorded its calls without a gap, and at most one whose effect it did not live to see.
    for me, count in collections.Counter(call.partition("-")[0] for call in recorded).items():
        assert all(f"{me}-{n}" in recorded for n in range(count))
        assert sum(f"{me}-{n}" in happened for n in range(count)) >= count - 1


# --- forks


@posix
def test_forks_in_threads_that_append_lose_nothing(home, run_python):
    """Several threads fork while others, and they themselves, append; each child appends from threads of its own."""
    done = run_python(
        measured(
            """
            ledger = Ledger.open(home)
            stop, counts, failed = False, {}, []

            def write(name):
                n = 0
                while not stop:
                    append(ledger, event(call=f"{name}-{n}"))
                    n += 1
                    time.sleep(0.0002)
                counts[name] = n

            def spawn(name):
                for n in range(10):
                    append(ledger, event(call=f"{name}-{n}"))
                    child = os.fork()
                    if not child:
                        code = 1
                        try:
                            def work(part):
                                for i in range(10): append(ledger, event(call=f"{name}-{n}-{part}-{i}"))
                            threads = [threading.Thread(target=work, args=(part,)) for part in range(2)]
                            for thread in threads: thread.start()
                            for thread in threads: thread.join()
                            if n % 2: ledger.close()
                            code = 0
                        finally:
                            os._exit(code)
                    if os.waitpid(child, 0)[1]: failed.append((name, n))

            writers = [threading.Thread(target=write, args=(f"writer{n}",)) for n in range(3)]
            forkers = [threading.Thread(target=spawn, args=(f"forker{n}",)) for n in range(4)]
            for thread in writers + forkers: thread.start()
            for thread in forkers: thread.join()
            stop = True
            for thread in writers: thread.join()
            ledger.close()
            assert not failed, failed
            print(json.dumps(counts))
            print(slowest())
            """
        ),
        timeout=120,
    )
    tell_slowest(done)
    counts = json.loads(done.stdout.splitlines()[0])
    expected = {f"{name}-{n}" for name, count in counts.items() for n in range(count)}
    expected |= {f"forker{f}-{n}" for f in range(4) for n in range(10)}
    expected |= {
        f"forker{f}-{n}-{part}-{i}" for f in range(4) for n in range(10) for part in range(2) for i in range(10)
    }
    assert calls_of(home) == dict.fromkeys(expected, 1)
    assert check_whole(home).logs == 41


@posix
def test_workers_that_are_recycled_after_some_tasks_lose_nothing(home, run_python):
    """As task queues do: a parent that has recorded something itself forks workers, which end after so many tasks."""
    done = run_python(
        measured(
            """
            ledger = Ledger.open(home)
            append(ledger, event(call="parent-0"))

            def work(number):
                for n in range(25):
                    append(ledger, event(call=f"worker{number}-{n}"))
                    assert append(ledger, event("call.outcome", call=f"worker{number}-{n}"), outcome=True)
                    time.sleep(0.0005)

            def start(number):
                pid = os.fork()
                if not pid:
                    code = 1
                    try:
                        work(number)
                        if number % 3 == 0: ledger.close()  # some end in good order, some do not
                        code = 0
                    finally:
                        os._exit(code)
                return pid

            running = {start(number) for number in range(4)}
            number = 4
            while running:
                pid, status = os.wait()
                assert status == 0
                running.discard(pid)
                append(ledger, event(call=f"parent-{number - 3}"))
                if number < 24:
                    running.add(start(number))
                number += 1
            print(slowest())
            """
        ),
        timeout=120,
    )
    tell_slowest(done)
    expected = {f"worker{number}-{n}" for number in range(24) for n in range(25)} | {f"parent-{n}" for n in range(25)}
    assert calls_of(home) == dict.fromkeys(expected, 1)
    assert check_whole(home).logs == 25
    found = [json.loads(data) for data in events(home)]
    parents = {e["body"]["parent"]["log"] for e in found if e["kind"] == "log.open" and "parent" in e["body"]}
    assert parents == {e["log"] for e in found if e.get("call") == "parent-0"}


POOL = """
import multiprocessing, sys, time
from pathlib import Path
from guardai.ledger import Ledger
from guardai.model import Event

ledger = None

def begin(home):
    global ledger
    ledger = Ledger.open(Path(home))

def work(n):
    event = Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=1,
                  action="db.read", call=f"task-{n}", principal={"agent": "a"})
    began = time.perf_counter()
    ledger.append(event)
    return time.perf_counter() - began

if __name__ == "__main__":
    method, home, recycled = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["guardai.ledger"])
    if method == "fork":
        begin(home)
        work("parent")
    # Leaving the block terminates the workers by a signal: none of them closes its log.
    with context.Pool(3, begin, (home,), maxtasksperchild=int(recycled) or None) as pool:
        took = max(pool.imap_unordered(work, range(60)))
    print(took)
"""


@pytest.mark.parametrize(
    ("method", "recycled"),
    [("spawn", 0), pytest.param("forkserver", 10, marks=posix), pytest.param("fork", 10, marks=posix)],
)
def test_pool_of_processes_loses_nothing(home, tmp_path, method, recycled):
    (tmp_path / "pool.py").write_text(POOL)
    done = subprocess.run(
        [sys.executable, tmp_path / "pool.py", method, home, str(recycled)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tell_slowest(done)
    expected = {f"task-{n}" for n in range(60)} | ({"task-parent"} if method == "fork" else set())
    assert calls_of(home) == dict.fromkeys(expected, 1)
    check_whole(home)


# --- a real pre-forking server

APP = """
import guardai

guardai.init(app_calls="ignore", environment="test")
guardai.record("served.preload")

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path != "/up":
        guardai.record("served.request", path=path)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(path)))])
    return [path.encode()]
"""


class Served:
    """gunicorn with a preloaded application; a process group of its own, so that all of it can be killed."""

    def __init__(self, folder, *options):
        (folder / "app.py").write_text(APP)
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "app:app",
            "--preload",
            "--bind",
            "127.0.0.1:0",
            "--worker-tmp-dir",
            "/tmp",
        ]
        self.log = (folder / "served.log").open("w+")
        self.process = subprocess.Popen(
            [*command, "--no-control-socket", *options],
            cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        self.port = 0
        end = time.monotonic() + 60
        while not self.port:
            listening = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.said())
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            self.port = int(listening[1]) if listening else 0
            time.sleep(0.02)

    def said(self):
        self.log.flush()
        with open(self.log.name) as file:
            return file.read()

    def get(self, path):
        """Whether it was answered."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status == 200 and answer.read().decode() == path
            except (OSError, http.client.HTTPException):
                return False

    def load(self, count, stop=lambda: False):
        """Asks from four threads; which paths were answered."""
        answered = []

        def ask(part):
            for n in range(part, count, 4):
                if stop():
                    return
                if self.get(f"/r-{n}"):
                    answered.append(f"/r-{n}")

        threads = [threading.Thread(target=ask, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        return threads, answered

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(*options):
        (tmp_path / "site").mkdir()
        started.append(Served(tmp_path / "site", *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def requests_of(home):
    found = (json.loads(data) for data in events(home))
    return collections.Counter(e["body"]["path"] for e in found if e["kind"] == "served.request")


@posix
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn_that_recycles_its_workers_records_every_request(home, serve, kind):
    threads = ["--threads", "4"] if kind == "gthread" else []
    server = serve(
        "--workers", "3", "--worker-class", kind, *threads, "--max-requests", "10", "--max-requests-jitter", "5"
    )
    running, answered = server.load(160)
    for thread in running:
        thread.join()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0, server.said()
    recorded = requests_of(home)
    assert len(answered) > 120
    assert set(answered) <= set(recorded)
    assert set(recorded.values()) == {1}
    report = check_whole(home, projection=EdgeTable())
    assert report.logs >= 160 // 15  # a log for the master and for each worker that served something


@posix
@pytest.mark.parametrize("how", ["QUIT", "KILL", "workers"])
def test_gunicorn_that_is_stopped_hard_under_load_has_recorded_every_request_that_was_answered(home, serve, how):
    # A worker whose signal handler comes just when it hands on a request waits for itself until it is killed.
    server = serve("--workers", "3", "--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "2")
    over = threading.Event()
    running, answered = server.load(100_000, over.is_set)
    end = time.monotonic() + 60
    while len(answered) < 100 and time.monotonic() < end:
        time.sleep(0.01)
    if how == "workers":
        for pid in children_of(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        seen = len(answered)
        while len(answered) < seen + 50 and time.monotonic() < end:  # from the workers that take their place
            time.sleep(0.01)
        server.kill()
    elif how == "QUIT":
        server.process.send_signal(signal.SIGQUIT)
        server.process.wait(60)
    else:
        server.kill()
    over.set()
    for thread in running:
        thread.join()
    assert len(answered) >= 100
    recorded = requests_of(home)
    assert set(answered) <= set(recorded)
    assert set(recorded.values()) == {1}
    check_whole(home, projection=EdgeTable())


def children_of(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]
