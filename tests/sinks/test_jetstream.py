"""JetStream: what a stream holds after a delivery, at a real server."""

import asyncio
import atexit
import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("nats")

import nats

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.ledger import Pump, accounts, delivery
from guardai.ledger import events as stored
from guardai.sinks import open_sink
from guardai.sinks.jetstream import JetStreamSink


class Stream:
    """A stream of its own for a test, and what it holds."""

    def __init__(self, server, **options):
        self.server, self.name, self.options = server, f"guardai_test_{secrets.token_hex(6)}", options
        self.url = f"{server}/{self.name}.events"

    def _do(self, work):
        async def connected():
            client = await nats.connect(self.server)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(connected())

    def make(self):
        self._do(lambda js: js.add_stream(name=self.name, subjects=[f"{self.name}.>"], **self.options))

    def delete(self):
        async def gone(js):
            try:
                await js.delete_stream(self.name)
            except nats.js.errors.NotFoundError:
                pass

        self._do(gone)

    def messages(self):
        async def read(js):
            count = (await js.stream_info(self.name)).state.messages
            found = [await js.get_msg(self.name, seq) for seq in range(1, count + 1)]
            return [(one.data, one.headers["Nats-Msg-Id"]) for one in found]

        return self._do(read)


@pytest.fixture
def stream(nats_server):
    made = Stream(nats_server)
    made.make()
    yield made
    made.delete()


def lines(*numbers, more=""):
    return [b'{"id":"%04d","x":"%s"}' % (n, more.encode()) for n in numbers]


def test_every_event_is_in_the_stream_once_in_order_and_under_its_id(stream):
    sink = open_sink(stream.url)
    sink.deliver(lines(1, 2, 3))
    sink.deliver(lines(2, 3, 4))  # as after a death: some come again
    assert stream.messages() == [(event, "%04d" % n) for n, event in enumerate(lines(1, 2, 3, 4), 1)]


def test_whole_ledger_goes_through_the_pump_to_the_stream(stream, whole_ledger):
    events = whole_ledger(stream.url)
    assert {data for data, _ in stream.messages()} == events


AT_EXIT = """
import sys, guardai
guardai.init(integrations=[], sinks=[sys.argv[1]])
with guardai.session(agent="a"):
    guardai.record("test.note", n=1)
"""


def test_program_that_simply_ends_delivers_its_last_events(stream, home):
    """At the end of the interpreter, where no thread can be started; by a host's name, which has to be looked up."""
    url = stream.url.replace("127.0.0.1", "localhost")
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, url], env={**os.environ, "GUARDAI_HOME": str(home)}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert {data for data, _ in stream.messages()} == set(stored(home))


def test_subject_that_no_stream_takes_leaves_the_events_waiting(nats_server):
    with pytest.raises(SinkError, match="no stream takes the subject") as told:
        JetStreamSink(f"{nats_server}/guardai_test_nobody.{secrets.token_hex(6)}").deliver(lines(1))
    assert type(told.value) is SinkError


def test_event_that_is_too_large_for_the_stream_is_refused_and_found(nats_server, home, monkeypatch):
    monkeypatch.setattr(delivery, "_AGAIN", (0.0, 0.0))
    stream = Stream(nats_server, max_msg_size=4000)
    stream.make()
    try:
        guardai.init(home=home, integrations=[])
        with guardai.session(agent="a"):
            for n in range(5):
                guardai.record("test.note", n=n, x="x" * 5000 if n == 3 else "")
        guardai.shutdown()
        Pump(home, {stream.url: JetStreamSink(stream.url)}).once()
        [one] = accounts(home, [stream.url])
        assert (one.quarantined, one.waiting) == (1, 0)
        assert one.account.error == "it is larger than the stream or its server takes"
        wanted = {event for event in stored(home) if b'"n":3' not in event}
        assert {data for data, _ in stream.messages()} == wanted
        assert len(stream.messages()) == len(wanted)  # what came again in halves is there once
    finally:
        stream.delete()


def test_event_that_is_too_large_for_the_server_is_refused(stream):
    with pytest.raises(SinkRefused, match="larger than the stream or its server takes"):
        JetStreamSink(stream.url).deliver(lines(1, 2, more="x" * 2_000_000))


def test_stream_that_is_full_leaves_the_events_waiting(nats_server):
    stream = Stream(nats_server, max_msgs=2, discard="new")
    stream.make()
    try:
        with pytest.raises(SinkError, match="not stored: ") as told:
            JetStreamSink(stream.url).deliver(lines(1, 2, 3))
        assert type(told.value) is SinkError
    finally:
        stream.delete()


def test_nobody_at_home_is_told_without_the_password(caplog):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with caplog.at_level(logging.DEBUG), pytest.raises(SinkError, match="no connection: Connection refused$") as told:
        JetStreamSink(f"nats://u:hush@127.0.0.1:{port}/a.b").deliver(lines(1))
    assert "hush" not in str(told.value) + caplog.text


def test_server_that_says_nothing_is_given_its_time_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(SinkError):
            JetStreamSink(f"nats://127.0.0.1:{server.getsockname()[1]}/a.b").deliver(lines(1), seconds=0.5)


def test_server_that_takes_and_never_acknowledges_is_given_its_time_and_no_more():
    stop = threading.Event()
    info = {"server_id": "x", "version": "2.9.10", "proto": 1, "headers": True, "max_payload": 1048576, "port": 0}
    with socket.create_server(("127.0.0.1", 0)) as server:

        def mute():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
                connection.settimeout(0.05)
                while not stop.is_set():
                    try:
                        got = connection.recv(65536)
                    except TimeoutError:
                        continue
                    except OSError:
                        return
                    if b"PING" in got:
                        connection.sendall(b"PONG\r\n")

        thread = threading.Thread(target=mute)
        thread.start()
        try:
            with pytest.raises(SinkError, match="not acknowledged in time"):
                JetStreamSink(f"nats://127.0.0.1:{server.getsockname()[1]}/a.b").deliver(lines(1), seconds=0.7)
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(
    "url",
    ["nats://h", "nats://h/", "nats:///a", "nats://u:hush@h/a b", "nats://h/a.*", "nats://h/a.>", "nats://h/.a", "nats://h/a..b",
     "nats://h/a?token=hush", "nats://h/a#hush", "nats://h:x/a", "nats://u:hush@[h/a"],
)  # fmt: skip
def test_url_that_is_no_subject_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError, match="is no subject: write nats://") as told:
        JetStreamSink(url)
    assert "hush" not in str(told.value)


@pytest.fixture(scope="module")
def own_nats(certificate):
    """A server of our own that asks who is there, over TLS; and the certificate to know it by."""
    services = sys.modules["services"]
    daemon = shutil.which("nats-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if daemon is None:
        services._have(_missing)
    # The server does not run as whoever runs the tests, and pytest's folders are for nobody else.
    folder = Path(tempfile.mkdtemp(prefix="guardai-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    certificate(folder)
    folder.chmod(0o755)
    (folder / "key.pem").chmod(0o644)
    return services.own_nats(
        daemon, "--user", "ann", "--pass", "p@ss/word", "--tls", "--tlscert", folder / "cert.pem", "--tlskey", folder / "key.pem"
    ), folder / "cert.pem"  # fmt: skip


def _missing():
    raise sys.modules["services"].Missing("nats-server is not installed")


def _made(url, cert, name):
    import ssl

    async def make():
        context = ssl.create_default_context(cafile=cert)
        client = await nats.connect(url.replace("nats://", "tls://"), user="ann", password="p@ss/word", tls=context)
        try:
            await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
        finally:
            await client.close()

    asyncio.run(make())


def test_server_with_tls_and_password_takes_what_comes_from_who_knows_it(own_nats, monkeypatch):
    url, cert = own_nats
    _made(url, cert, "tls")
    sink = JetStreamSink(f"{url.replace('nats://', 'nats+tls://ann:p%40ss%2Fword@')}/tls.events")
    with pytest.raises(SinkError, match="no connection: "):  # nobody vouches for its certificate
        sink.deliver(lines(1))
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    sink.deliver(lines(1))
    wrong = JetStreamSink(f"{url.replace('nats://', 'nats+tls://ann:wrong@')}/tls.events")
    with pytest.raises(SinkError, match="no connection: not authorized"):
        wrong.deliver(lines(2))


def test_server_that_offers_no_tls_where_it_was_asked_for_is_told_nothing():
    """Whoever is in between can leave it out of the greeting."""
    got = []
    info = {
        "server_id": "x",
        "version": "2.9.10",
        "proto": 1,
        "headers": True,
        "max_payload": 1048576,
        "auth_required": True,
    }
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
                    got.append(connection.recv(65536))
                    if not got[-1]:
                        return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        with pytest.raises(SinkError, match="no connection: the server offers no TLS"):
            JetStreamSink(f"nats+tls://u:hush@127.0.0.1:{server.getsockname()[1]}/a.b").deliver(lines(1))
        thread.join(30)
    assert got == [b""]
