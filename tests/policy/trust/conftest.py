"""Keys, bundle files, a repository, and a server on loopback that serves it."""

import contextlib
import socket
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from guardai.policy.trust import clock, keys
from guardai.policy.trust.build import build
from guardai.policy.trust.client import Client
from guardai.policy.trust.clock import Clock
from guardai.policy.trust.repository import Repository

PERMIT = '@id("p") permit (principal, action, resource);'


@pytest.fixture(autouse=True)
def _no_thread_of_a_test_is_left():
    """Those of guardai's own have names, and end with the process's gate."""
    before = set(threading.enumerate())
    yield
    left = [one for one in threading.enumerate() if one not in before and not one.name.startswith("guardai")]
    for one in left:
        one.join(5)  # it may be just about to end
    assert [one.name for one in left if one.is_alive()] == []


@pytest.fixture
def key(tmp_path):
    """Makes a key pair by name; the path of the private one."""

    def make(name, passphrase=""):
        path = tmp_path / f"{name}.pem"
        keys.make(path, passphrase)
        return path

    return make


@pytest.fixture
def signer():
    return lambda path: keys.signer(str(path), lambda _: "")


@pytest.fixture
def built(folder):
    return lambda cedar=PERMIT, **given: build(folder(cedar, ""), **{"name": "shop", **given})


NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def now():
    return NOW


class Time:
    """A clock that a test moves."""

    def __init__(self, now=NOW):
        self.machine = now

    def __call__(self):
        return self.machine

    def pass_(self, **much):
        self.machine += timedelta(**much)


@pytest.fixture
def time_(monkeypatch):
    """What the machine's clock says, for every client that is made from here on."""
    made = Time()
    monkeypatch.setattr(clock, "wall", made)
    monkeypatch.setattr(clock, "seconds", lambda: made().timestamp())
    return made


class Server(ThreadingHTTPServer):
    """Serves a folder over HTTP on loopback. `answers` says otherwise: what a path ends with → what is done instead.

    Whoever has it wait there waits for `over`, which is set when the test has ended.
    """

    daemon_threads = False  # so that closing it waits for them

    def __init__(self, folder):
        self.folder, self.answers, self.asked = folder, {}, []
        self.over, self._connections = threading.Event(), []
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request, address):
        self._connections.append(request)
        super().process_request(request, address)

    def end(self):
        """Ends every thread, whatever it is at."""
        self.over.set()
        self.shutdown()
        for one in self._connections:
            with contextlib.suppress(OSError):  # closed already
                one.shutdown(socket.SHUT_RDWR)
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *_):
        pass  # a client that hangs up is what some tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        for end, answer in server.answers.items():
            if self.path.endswith(end):
                answer(self)
                return
        file = server.folder / self.path.lstrip("/")
        if file.is_file():
            self.give(file.read_bytes())
        else:
            self.send_error(404)

    def give(self, data, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


class Publisher:
    """A repository and the keys of its roles."""

    def __init__(self, folder, key, signer, built):
        self.repository = Repository(folder, folder.with_name(f"{folder.name}-root.json"))
        self.folder, self._built = folder, built
        self.roots = [signer(key(f"root-{n}")) for n in range(3)]
        self.targets = [signer(key(f"targets-{n}")) for n in range(3)]
        self.online = [signer(key("online"))]

    @property
    def root(self):
        return self.repository.trusted.read_bytes()

    def create(self, now=NOW, data=None, **given):
        data = self.data = data or self._built(version="1")
        self.repository.create(
            data,
            {"root": self.roots, "targets": self.targets, "snapshot": self.online, "timestamp": self.online},
            {"root": 2, "targets": 2},
            now=now, **given,
        )  # fmt: skip
        return data

    def publish(self, version, now=NOW, cedar=PERMIT, data=None, **given):
        data = data or self._built(cedar, version=version)
        self.repository.publish(data, [*self.targets, *self.online], now=now, **given)
        return data

    def renew(self, now=NOW):
        return self.repository.publish(None, self.online, now=now)


@pytest.fixture
def publisher(tmp_path, key, signer, built):
    made = Publisher(tmp_path / "repository", key, signer, built)
    made.create()
    return made


@pytest.fixture
def server(publisher):
    made = Server(publisher.folder)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.end()
    thread.join()


@pytest.fixture
def client(publisher, server, tmp_path, time_):
    """A client of the server; each call is a process that begins, with the same cache."""
    return lambda **given: Client(server.url, given.get("root", publisher.root), tmp_path / "cache", Clock())
