"""What tests of several sinks use: a ledger that goes through one, a certificate for servers on loopback that nobody vouches for."""

import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import guardai
from guardai.ledger import Pump, accounts, events
from guardai.sinks import open_sink


@pytest.fixture
def whole_ledger(home):
    """Records some hundred events, delivers all of them to a sink, from the program first and then beside it, and gives them."""

    def through(url):
        guardai.init(home=home, integrations=[], sinks=[url])
        with guardai.session(agent="a"):
            for n in range(1200):
                guardai.record("test.note", n=n)
        guardai.shutdown()
        pump = Pump(home, {url: open_sink(url)})
        until = time.monotonic() + 60
        pump.once(patient=False)
        # What the program had begun at its end may still be under way, and until that is over nobody else delivers.
        while accounts(home, [url])[0].waiting and time.monotonic() < until:
            time.sleep(0.1)
            pump.once(patient=False)
        [one] = accounts(home, [url])
        assert (one.quarantined, one.waiting, one.delivered) == (0, 0, one.sealed)
        return set(events(home))

    return through


@pytest.fixture(scope="session")
def certificate():
    """Writes `cert.pem` and `key.pem` into a folder."""
    return _certificate


def _certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1)).not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
