"""Servers and a hardware token for tests: one that runs, otherwise one of their own from what is installed, otherwise a skip.

Fixtures, to be had in every test of the core and of the integrations (the root `conftest.py` imports them):

- `postgres`, `mariadb`: the address of an empty database that is dropped after the test, e.g.
  `postgresql://postgres@127.0.0.1:5432/guardai_test_0a1b2c3d4e5f` and `mysql://root@127.0.0.1:3306/guardai_test_…`;
- `postgres_server`, `mariadb_server`: the `Server` itself, one for the session: `server.address("a database")`,
  `server.host`, `.port`, `.user`, `.password` for drivers that take them one by one, `server.connect("a database")` for
  a connection of psycopg or pymysql in autocommit;
- `softhsm`: a `Token`, a key in a PKCS#11 token of SoftHSM.
- `nats_server`: the address of a NATS server with JetStream, one for the session: at NATS_URL, otherwise at 127.0.0.1:4222,
  otherwise one of our own. Streams and subjects are of the whole server: give them names from `unique()`, delete them.

The user may do everything: `CREATE ROLE`, `CREATE USER`. Roles and users are of the whole server, which other tests use at
the same time: give them names from `unique()` and drop them (`DROP OWNED BY`, `DROP ROLE`; `DROP USER`).

Which server: of PostgreSQL the one at PGHOST, PGPORT, PGUSER, PGPASSWORD, of MariaDB the one at MYSQL_HOST, MYSQL_PORT,
MYSQL_USER, MYSQL_PWD; without these at 127.0.0.1 and the default port as `postgres` and `root` without a password. Where
none lets the test in, each process of the test run starts its own in a temporary folder, at a free port, and stops it at
the end. Where nothing is installed the test is skipped and says why; `GUARDAI_REQUIRE_SERVICES=1` makes that a failure.
"""

import contextlib
import atexit
import http.server
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

#: Seconds that a server of our own may take to let the first connection in, on a busy machine.
START = 90


#: Where the library of SoftHSM lies.
SOFTHSM = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


class Missing(Exception):
    """No server, and why."""


@dataclass(frozen=True)
class Server:
    """Where a server is, and as whom to go there. `scheme` is `postgresql` or `mysql`."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = ""

    def address(self, database: str, user: str = "", password: str = "") -> str:
        """The URL of a database, as the server's own user or another."""
        name, secret = (user, password) if user else (self.user, self.password)
        told = f"{quote(name, safe='')}:{quote(secret, safe='')}" if secret else quote(name, safe="")
        return f"{self.scheme}://{told}@{self.host}:{self.port}/{database}"

    def connect(self, database: str | None = None, user: str = "", password: str = ""):
        """A connection in autocommit, of psycopg or pymysql."""
        name, secret = (user, password) if user else (self.user, self.password)
        if self.scheme == "postgresql":
            import psycopg

            return psycopg.connect(
                host=self.host, port=self.port, user=name, password=secret or None, dbname=database or "postgres",
                connect_timeout=5, autocommit=True,
            )  # fmt: skip
        import pymysql

        return pymysql.connect(
            host=self.host, port=self.port, user=name, password=secret, database=database, connect_timeout=5,
            autocommit=True,
        )  # fmt: skip


def unique(prefix="guardai_test"):
    """A name that nobody else uses on the server."""
    return f"{prefix}_{secrets.token_hex(6)}"


def postgres():
    """A PostgreSQL server.

    Raises:
        Missing: none runs that lets us in, and none can be started.
    """
    asked, environment = _asked("PGHOST", "PGPORT", "PGUSER"), os.environ
    server = Server(
        "postgresql",
        environment.get("PGHOST", "127.0.0.1"),
        int(environment.get("PGPORT", 5432)),
        environment.get("PGUSER", "postgres"),
        environment.get("PGPASSWORD", ""),
    )
    refused = _refuses(server)
    if not refused:
        return server
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin: int(bin.parent.name.split(".")[0]))
    initdb = next((bin / "initdb" for bin in reversed(folders) if (bin / "initdb").exists()), shutil.which("initdb"))
    if asked or not initdb:
        raise Missing(f"PostgreSQL at {server.host}:{server.port}: {refused}; none is started in its place")
    folder, owner = _folder("postgres")
    data = folder / "data"
    make = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    _made(make, folder, owner)
    port = _free_port()
    run = [
        Path(initdb).with_name("postgres"), "-D", data, "-p", str(port), "-k", folder, "-c",
        "listen_addresses=127.0.0.1", "-c", "fsync=off",
    ]  # fmt: skip
    return _started(Server("postgresql", "127.0.0.1", port, "postgres"), run, folder, owner, signal.SIGINT)


def mariadb():
    """A MariaDB server.

    Raises:
        Missing: none runs that lets us in, and none can be started.
    """
    asked, environment = _asked("MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER"), os.environ
    server = Server(
        "mysql",
        environment.get("MYSQL_HOST", "127.0.0.1"),
        int(environment.get("MYSQL_PORT", 3306)),
        environment.get("MYSQL_USER", "root"),
        environment.get("MYSQL_PWD", ""),
    )
    refused = _refuses(server)
    if not refused:
        return server
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    daemon, install = shutil.which("mariadbd", path=places), shutil.which("mariadb-install-db", path=places)
    if asked or not daemon or not install:
        raise Missing(f"MariaDB at {server.host}:{server.port}: {refused}; none is started in its place")
    folder, owner = _folder("mysql")
    data = folder / "data"
    make = [
        install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
    ]  # fmt: skip
    _made(make, folder, owner)
    port = _free_port()
    run = [
        daemon, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
        f"--socket={folder}/socket", f"--pid-file={folder}/pid", "--skip-log-bin",
    ]  # fmt: skip
    return _started(Server("mysql", "127.0.0.1", port, "root"), run, folder, owner, signal.SIGTERM)


def nats():
    """A NATS server with JetStream, as its address.

    Raises:
        Missing: none runs, and none can be started.
    """
    asked = _asked("NATS_URL")
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    refused = _streams_not(url)
    if not refused:
        return url
    daemon = shutil.which("nats-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if asked or not daemon:
        raise Missing(f"NATS at {url.rpartition('@')[2]}: {refused}; none is started in its place")
    return own_nats(daemon)


def own_nats(daemon, *options, scheme="nats", who=""):
    """A NATS server of our own, at a free port, with these options more.

    Raises:
        Missing: it does not start.
    """
    folder, owner = _folder("nats")
    port = _free_port()
    command = [daemon, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder / "store", *options]
    url = f"{scheme}://{who}127.0.0.1:{port}"
    return _started(url, command, folder, owner, signal.SIGTERM, lambda url: _streams_not(url, greets=True))


def _streams_not(url, greets=False):
    """Why no stream can be had there; "" if one can. With `greets` it is enough that a server is there."""
    address = url.rpartition("@")[2].removeprefix("nats://")
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            told = connection.makefile("rb").readline()
    except (OSError, ValueError) as error:
        return str(error)
    return "" if greets or b'"jetstream":true' in told else "it has no JetStream"


def _asked(*names):
    """Whoever names a server wants that one, and no other."""
    return any(name in os.environ for name in names)


def _refuses(server):
    """Why the server is of no use; "" if it is."""
    try:
        server.connect().close()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return ""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _folder(user):
    """A folder that is gone when the process ends, and whose it is: these servers do not run as root."""
    # Not where TMPDIR says: the server's user has to reach it, and a socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="guardai-", dir="/tmp"))
    owner = {}
    if os.geteuid() == 0:
        import pwd

        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            entry = pwd.getpwnam("nobody")
        owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder, owner


def _made(command, folder, owner):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=START * 2, **owner
    )
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} failed: {done.stderr.strip()[-300:]}")


def _started(server, command, folder, owner, stop, refuses=None):
    refuses = refuses or _refuses
    # It goes with this process, even if nobody is left to stop it.
    leash = ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG")] if shutil.which("setpriv") else []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*leash, *command], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **owner
        )
    mine = os.getpid()

    def end():
        if os.getpid() == mine and process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    atexit.register(end)
    until = time.monotonic() + START
    while refused := refuses(server):
        if process.poll() is not None or time.monotonic() > until:
            raise Missing(f"{Path(command[0]).name} does not start: {refused}: {(folder / 'log').read_text()[-300:]}")
        time.sleep(0.1)
    return server


def _have(find):
    try:
        return find()
    except Missing as missing:
        if os.environ.get("GUARDAI_REQUIRE_SERVICES"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_server():
    """The PostgreSQL server of this process of the test run."""
    return _have(postgres)


@pytest.fixture(scope="session")
def mariadb_server():
    """The MariaDB server of this process of the test run."""
    return _have(mariadb)


@pytest.fixture(scope="session")
def nats_server():
    """The address of the NATS server of this process of the test run."""
    return _have(nats)


@contextlib.contextmanager
def empty_database(postgres_server):
    """The address of an empty database on that server, as long as this lasts."""
    name = unique()
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield postgres_server.address(name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(name="postgres")
def postgres_database(postgres_server):
    """The address of an empty PostgreSQL database."""
    with empty_database(postgres_server) as address:
        yield address


@pytest.fixture(name="mariadb")
def mariadb_database(mariadb_server):
    """The address of an empty MariaDB database."""
    name = unique()
    with mariadb_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield mariadb_server.address(name)
        finally:
            cursor.execute(f"DROP DATABASE {name}")


@dataclass(frozen=True)
class Token:
    """A PKCS#11 token that holds an ECDSA key of P-256, its number 2: where its public part is, its URI, its PIN."""

    public: Path
    pin: str
    uri: str = "hsm:2?label=policy"


def _softhsm():
    tool, library = shutil.which("softhsm2-util"), next(filter(os.path.exists, SOFTHSM), "")
    if not tool or not library:
        raise Missing("SoftHSM is not installed: softhsm2")
    return tool, library


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory):
    """SoftHSM: a token like any other, but for the hardware. One for a process: its library is loaded once."""
    tool, library = _have(_softhsm)
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.ec import encode_named_curve_parameters
    from securesystemslib.signer import HSMSigner

    pin, folder = "4711", tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        patch.setenv("PYKCS11LIB", library)
        make = [tool, "--init-token", "--free", "--label", "policy", "--pin", pin, "--so-pin", "0815"]
        subprocess.run(make, check=True, capture_output=True)
        with pkcs11.lib(library).get_token(token_label="policy").open(user_pin=pin, rw=True) as session:
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            parameters.generate_keypair(store=True, label="policy", id=b"\2")
        _, public = HSMSigner.import_(2, "policy", lambda _: pin)
        beside = folder / "public.pem"
        beside.write_text(public.keyval["public"])
        yield Token(beside, pin)


@contextlib.contextmanager
def served(answer):
    """An HTTP server on loopback, its address. `answer(path, headers, body)` gives status, headers and content; names of headers are small."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = answer(self.path, headers, self.rfile.read(int(headers["content-length"])))
            self.send_response(status)
            for name, value in {**more, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
