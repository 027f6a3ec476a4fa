"""Over TLS, as it is in the world: whose certificate counts, a proxy, and a server that is slow behind both."""

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tuf.api.exceptions import DownloadError

from guardai.errors import BundleError
from guardai.policy.trust.client import Client
from guardai.policy.trust.clock import Clock
from guardai.policy.trust.transport import opened

NAME = "policies.example.test"


@pytest.fixture
def authority(tmp_path):
    """A certificate of an authority of our own, and a context of a server that it vouches for."""

    def certificate(name, key, issuer, issuer_key, ca):
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("test authority", root_key, None, root_key, ca=True)
    leaf = certificate(NAME, leaf_key, root, root_key, ca=False)
    (tmp_path / "authority.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "leaf.pem").write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    return tmp_path / "authority.pem", context


@pytest.fixture
def secure(server, authority):
    """The server of the repository, over TLS from now on."""
    server.socket = authority[1].wrap_socket(server.socket, server_side=True)
    return server


@pytest.fixture
def trusted(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))


@pytest.fixture
def at(publisher, tmp_path, time_):
    return lambda host, port: Client(f"https://{host}:{port}/", publisher.root, tmp_path / "cache", Clock())


def test_server_with_a_certificate_of_a_trusted_authority_serves(secure, trusted, at):
    assert at("127.0.0.1", secure.server_address[1]).refresh().version == 1


def test_server_whose_certificate_nobody_vouches_for_is_refused(secure, at):
    with pytest.raises(BundleError, match="CERTIFICATE_VERIFY_FAILED"):
        at("127.0.0.1", secure.server_address[1]).refresh()


def test_certificate_of_another_name_is_refused(secure, trusted, at):
    with pytest.raises(BundleError, match="(?i)certificate"):
        at("localhost", secure.server_address[1]).refresh()


def test_server_that_is_slow_behind_tls_is_left_too(secure, trusted, at):
    def drip(to):
        to.send_response(200)
        to.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(300):
                to.wfile.write(b"x")
                time.sleep(0.05)

    secure.answers["timestamp.json"] = drip
    began = time.monotonic()
    with pytest.raises(BundleError, match="too slow"):
        at("127.0.0.1", secure.server_address[1]).refresh(1.0)
    assert time.monotonic() - began < 6


def test_server_that_never_finishes_to_shake_hands_is_left(trusted, at):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        with pytest.raises(BundleError, match="too slow|in time"):
            at("127.0.0.1", listener.getsockname()[1]).refresh(1.0)
        assert time.monotonic() - began < 6


@pytest.fixture
def proxy(server):
    """A proxy that tunnels whatever it is asked for to the server, and remembers what that was."""
    asked, connections, threads = [], [], []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        shut(one, other)

    def shut(*those):
        for one in those:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def go(target, *arguments):
        threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        threads[-1].start()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                connections.append(client)
                head = b""
                while b"\r\n\r\n" not in head and (more := client.recv(4096)):
                    head += more
                asked.append(head.split(b"\r\n")[0].decode())
                upstream = socket.create_connection(server.server_address[:2])
                connections.append(upstream)
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                go(pump, client, upstream)
                go(pump, upstream, client)

    go(serve)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    shut(listener)
    threads[0].join()  # before the others, which it makes
    shut(*connections)
    for one in threads:
        one.join()
    for one in (listener, *connections):
        one.close()


def test_proxy_of_the_environment_is_used_and_sees_nothing_but_the_name(secure, trusted, proxy, at, monkeypatch):
    url, asked = proxy
    monkeypatch.setenv("https_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert at(NAME, 443).refresh().version == 1
    assert {line.split()[1] for line in asked} == {f"{NAME}:443"}


def test_loopback_is_not_asked_for_through_a_proxy(secure, trusted, at, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert at("127.0.0.1", secure.server_address[1]).refresh().version == 1


def test_proxy_is_told_the_user_and_password_of_its_url_and_no_message_is(monkeypatch):
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse():
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        word = "s3" + "cret:"
        monkeypatch.setenv("https_proxy", f"http://alice:{quote(word)}@127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        with opened("https://policies.example.com/x/", 5) as fetcher, pytest.raises(DownloadError) as caught:
            fetcher.download_bytes("https://policies.example.com/x/1.root.json", 100)
        thread.join()
    assert b"Basic " + base64.b64encode(f"alice:{word}".encode()) in asked[0]
    assert word not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    ["proxy.corp:8080", "socks5h://{who}@127.0.0.1:9", "{who}@127.0.0.1:9", "http://{who}@127.0.0.1:99999",
     "http://jdoe:S3c/ret@127.0.0.1:9", "http://jdoe:12/S3cret@127.0.0.1:9", "http://jdoe:S3#ret@127.0.0.1:9", "http://jdoe:9?ret@h",
     "http://jdoe:S3[ret@127.0.0.1:9", "http://:9", "http://{who}@127.0.0.1:9\n"],
)  # fmt: skip
def test_proxy_that_is_none_is_told_and_nothing_of_it(monkeypatch, tmp_path, publisher, form):
    monkeypatch.setenv("https_proxy", form.format(who="jdoe:S3cret"))
    monkeypatch.delenv("no_proxy", raising=False)
    client = Client("https://policies.invalid/", publisher.root, tmp_path / "cache", Clock())
    with pytest.raises(BundleError) as caught:
        client.refresh()
    said = str(caught.value)
    assert said.startswith("https://policies.invalid/ cannot be fetched from: https_proxy is no URL of a proxy")
    assert not any(part in said for part in ("jdoe", "S3", "ret@", "127.0.0.1"))
    assert said == client.state().error
