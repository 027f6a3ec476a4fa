"""Counters of several processes, added up in a real Redis server, which is away, killed and cut off at times."""

import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
import redis

from guardai.errors import ConfigError
from guardai.model import Principal, Resource
from guardai.policy import Counters, Tally
from guardai.policy import shared as shared_module
from guardai.policy.shared import Shared
from guardai.settings import load

T1 = (Resource("Table", "shop.t1", ("Database", "shop")),)
PERMIT = '@id("p") permit (principal, action, resource); '
SLOW = 3_600.0  # exchanges are made by hand


class Server:
    """A redis-server of this test's own, at a free port."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.process = folder, None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        command = [shutil.which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.client = redis.Redis.from_url(self.url)
        for _ in range(300):
            try:
                return self.client.ping()
            except redis.RedisError:
                time.sleep(0.05)
        raise AssertionError("redis-server does not start")

    def kill(self):
        self.client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    if not shutil.which("redis-server"):
        if os.environ.get("GUARDAI_REQUIRE_SERVICES"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    one = Server(tmp_path)
    yield one
    one.kill()


@pytest.fixture
def process(engine):
    """`process(url)` is what one process has: counters, and what shares them. Its calls are let through up to the limit."""
    made = []

    def start(url, name="count.calls.day", most=100, every=SLOW, who=None):
        counters = Counters()
        one = engine(f'{PERMIT} @id("l") forbid (principal, action, resource) when {{ context.{name} > {most} }};')
        shared = Shared(counters, url, every)
        made.append(shared)

        def calls(times):
            allowed = 0
            for _ in range(times):
                tally = Tally(counters, one.bundle.counted, who or Principal("Agent", "bot", "u-1"), "s")
                tally.act(("db.read",), T1)
                good = one.act(tally_who(tally), "db.read", T1, {}, tally).effect == "allow"
                (tally.keep if good else tally.give_back)()
                allowed += good
            return allowed

        def tally_who(tally):
            return Principal(*tally._who)

        calls.shared, calls.counters = shared, counters
        return calls

    yield start
    for shared in made:
        shared.close()


def total(server):
    return sum(int(server.client.hget(key, "n")) for key in server.client.keys("guardai:count:*"))


def test_what_one_process_lets_through_the_other_counts_from_the_next_exchange_on(server, process):
    one, other = process(server.url, most=10), process(server.url, most=10)
    assert one(6) == 6
    assert one.shared.exchange()
    other(1)
    assert other.shared.exchange()
    assert other(9) == 3
    assert one(9) == 4  # it has not heard of the other yet: this is how far a limit can be overshot
    assert other.shared.exchange() and one.shared.exchange() and other.shared.exchange()
    assert (one(9), other(9)) == (0, 0)
    assert total(server) == 14


def test_the_thread_exchanges_by_itself(server, process):
    one, other = process(server.url, most=10, every=0.05), process(server.url, most=10, every=0.05)
    assert one(10) == 10
    other(0)
    until = time.monotonic() + 10
    passed = 0
    while time.monotonic() < until and other(1):
        passed += 1
        time.sleep(0.05)
    assert passed < 10
    assert one(3) == 0


def test_thread_imports_nothing_that_a_fork_could_cut_short(server):
    program = f"""
import sys
from guardai.policy import Counters
from guardai.policy.shared import Shared
counters = Counters()
shared = Shared(counters, {server.url.replace("127.0.0.1", "localhost")!r}, 3600)
counters.keep(entry for _, entry, _ in counters.take([("count.calls.day", "Agent", "bot", "u")]))
before = set(sys.modules)
assert shared.exchange()
print(*(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_many_processes_lose_no_count(server, tmp_path):
    program = f"""
import os
from guardai.policy import Counters
from guardai.policy.shared import Shared
counters = Counters()
shared = Shared(counters, {server.url!r}, 0.01)
key = ("count.calls.day", "Agent", "bot", "u")
for number in range(300):
    counters.keep(entry for _, entry, _ in counters.take([key]))
    if number == 100 and not os.fork():
        for _ in range(50):
            counters.keep(entry for _, entry, _ in counters.take([key]))
        shared.close()
        os._exit(0)
os.wait()
shared.close()
"""
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    assert total(server) == 4 * 350


class Cut:
    """Between a process and the server: hands over what is asked, and cuts the line before the answer."""

    def __init__(self, port):
        self.to, self.cutting, self.listening = port, False, socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listening.getsockname()[1]}/0"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        with near, socket.create_connection(("127.0.0.1", self.to)) as far:
            while data := near.recv(65536):
                far.sendall(data)
                answer = far.recv(65536)
                if self.cutting and b"EVAL" in data:
                    return
                near.sendall(answer)


def test_a_batch_whose_answer_was_lost_is_counted_once(server, process):
    line = Cut(server.port)
    one = process(line.url)
    one(5)
    assert one.shared.exchange()
    one(7)
    line.cutting = True
    for _ in range(3):
        assert not one.shared.exchange()
    one(2)
    assert total(server) == 12  # it had arrived
    line.cutting = False
    assert one.shared.exchange()
    assert total(server) == 12  # what came since is told next
    assert one.shared.exchange()
    assert total(server) == 14
    line.listening.close()


def test_connections_that_are_killed_lose_nothing(server, process):
    one = process(server.url, every=0.01)
    killing = threading.Event()

    def kill():
        while not killing.is_set():
            for client in server.client.client_list():
                if client["addr"] != server.client.client_info()["addr"]:
                    try:
                        server.client.client_kill(client["addr"])
                    except redis.ResponseError:
                        pass
            time.sleep(0.003)

    thread = threading.Thread(target=kill)
    thread.start()
    passed = 0
    for _ in range(60):
        passed += one(1)
        time.sleep(0.01)
    killing.set()
    thread.join()
    one.shared._stop.set()
    one.shared._thread.join()
    for _ in range(5):
        one.shared.exchange()
    assert passed == 60
    assert total(server) == 60


def test_while_the_server_is_away_a_process_counts_by_itself_and_says_so_once(server, process, caplog):
    one = process(server.url, most=10)
    assert one(4) == 4
    assert one.shared.exchange()
    server.kill()
    with caplog.at_level(logging.WARNING, logger="guardai"):
        for _ in range(3):
            assert not one.shared.exchange()
        assert one(9) == 6
        server.start()
        assert one.shared.exchange()
        assert one.shared.exchange()
    said = [record.getMessage() for record in caplog.records]
    assert [("cannot be reached" in text, "is back" in text) for text in said] == [(True, False), (False, True)]
    # A server that forgot everything takes nothing from what is known here.
    assert one(9) == 0


def test_no_call_waits_for_a_server_that_does_not_answer(process):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = process(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", every=0.01, most=10_000)
        one(1)
        time.sleep(0.1)  # the thread is waiting for an answer now
        slowest, until = 0.0, time.monotonic() + 1
        while time.monotonic() < until:
            began = time.thread_time()
            wall = time.monotonic()
            one(1)
            slowest = max(slowest, time.thread_time() - began)
            assert time.monotonic() - wall < 1
        assert slowest < 0.05
        assert one.shared.trouble in (None, "TimeoutError")


def test_a_window_ends_when_the_organisations_does(server, process, monkeypatch):
    one, other = process(server.url, "count.calls.minute", 5), process(server.url, "count.calls.minute", 5)
    one(5)
    one.shared.exchange()
    [key] = server.client.keys("guardai:count:*")
    assert 59_000 < server.client.pttl(key) <= 60_000
    server.client.pexpire(key, 700)
    other(1)
    other.shared.exchange()
    assert total(server) == 6
    assert other(1) == 0
    assert other.counters.left(("count.calls.minute", "Agent", "bot", "u-1")) <= 0.7
    time.sleep(0.8)
    assert other(1) == 1


def test_keys_of_the_server_end_by_themselves_and_tell_no_names(server, process):
    who = Principal("Agent", "secret-bot", "alice@example.com")
    one = process(server.url, who=who)
    one(3)
    one.shared.exchange()
    for key in server.client.keys("*"):
        assert server.client.pttl(key) > 0
        assert b"secret" not in key + b"".join(server.client.hkeys(key))
        assert b"alice" not in key + b"".join(server.client.hkeys(key))


def test_a_password_stands_in_no_message(caplog):
    word = secrets.token_hex(8)
    with pytest.raises(ConfigError) as told:
        Shared(Counters(), f"redis://:{word}@host:notaport/0")
    assert word not in str(told.value) and told.value.__cause__ is None
    with pytest.raises(ConfigError) as told:
        load({"counters": f"http://:{word}@host/0"})
    assert word not in str(told.value)
    assert word not in repr(load({"counters": f"redis://:{word}@host/0"}))
    shared = Shared(Counters(), f"redis://:{word}@127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING, logger="guardai"):
        assert not shared.exchange()
    assert "127.0.0.1:1" in caplog.text and word not in caplog.text
    shared.close()


def test_without_the_client_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match="guardai-sdk.redis."):
        Shared(Counters(), "redis://127.0.0.1/0")


def test_nothing_is_connected_and_no_thread_runs_before_the_first_count():
    with socket.create_server(("127.0.0.1", 0)) as watched:
        watched.settimeout(0.2)
        shared = Shared(Counters(), f"redis://127.0.0.1:{watched.getsockname()[1]}/0")
        with pytest.raises(TimeoutError):
            watched.accept()
        assert shared._thread is None
        shared.close()
    assert shared_module.EVERY == 1.0


def test_calls_of_a_program_are_added_up_where_init_says(server, home, policy, capsys):
    import json

    import guardai
    from guardai.cli import app
    from guardai.hooks import Call, Target, opened
    from typer.testing import CliRunner

    text = '@id("l") forbid (principal, action, resource) when { context.count.calls.day > 2 };'
    guardai.init(home=home, integrations=[], policy=policy(PERMIT + text), counters=server.url)
    with guardai.session(user="u-1", agent="bot"):
        for _ in range(2):
            opened(Call("tool.call", Target("tool", "", "t"), payload={})).close("x")
        with pytest.raises(guardai.PolicyDenied):
            opened(Call("tool.call", Target("tool", "", "t"), payload={}))
    guardai.shutdown()
    assert total(server) == 2
    environment = {"GUARDAI_HOME": str(home), "GUARDAI_POLICY": str(policy(PERMIT + text))}
    for url, reachable in ((server.url, True), ("redis://:hidden@127.0.0.1:1/0", False), ("", True)):
        done = CliRunner().invoke(app, ["doctor", "--json"], env={**environment, "GUARDAI_COUNTERS": url})
        found = json.loads(done.stdout)["counters"]
        assert (found["reachable"], found["read"]) == (reachable, ["count.calls.day"])
        assert found["store"] == url.rpartition("@")[2].removeprefix("redis://").removesuffix("/0")
        told = CliRunner().invoke(app, ["doctor"], env={**environment, "GUARDAI_COUNTERS": url}).stdout
        assert "hidden" not in done.stdout + told
        assert {True: "added up at", False: "cannot be reached"}[reachable] in told or not url
