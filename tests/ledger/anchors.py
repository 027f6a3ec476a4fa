"""Who vouches for tree heads, as servers on loopback: each checks what the real one checks."""

import base64
import contextlib
import hashlib
import subprocess
import time

import services
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PLAIN, CONFLICT = "text/plain; charset=utf-8", "text/x.tlog.size"


def served(answer):
    """A server on loopback. `answer(path, type, body)` gives status, type and body."""

    def typed(path, headers, body):
        status, kind, content = answer(path, headers.get("content-type"), body)
        return status, {"content-type": kind}, content

    return services.served(typed)


class Witness:
    """A witness as C2SP's tlog-witness has it: knows logs by their keys, remembers one tree head of each, and cosigns what goes on from it."""

    def __init__(self, name="witness.example/w1"):
        self.name, self.key = name, Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.hash = hashlib.sha256(name.encode() + b"\n\x04" + self.public).digest()[:4]
        self.vkey = f"{name}+{self.hash.hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}"
        self.logs = {}  # origin → the public keys that may sign
        self.heads = {}  # origin → (size, root)
        self.asked = []

    def knows(self, origin, *keys):
        self.logs[origin] = keys

    def answer(self, path, kind, body):
        self.asked.append(body)
        if path != "/w/add-checkpoint":
            return 404, PLAIN, b"no such place"
        lines, _, note = body.decode().partition("\n\n")
        first, *proof = lines.split("\n")
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        origin, size, root = text.split("\n")[:3]
        if origin not in self.logs:
            return 404, PLAIN, b""
        if not any(_signed(text, signatures, origin, key) for key in self.logs[origin]):
            return 403, PLAIN, b""
        word, _, number = first.partition(" ")
        old, size, root = int(number), int(size), base64.b64decode(root)
        if word != "old" or str(old) != number or old > size or len(proof) > 63:
            return 400, PLAIN, b""
        known, hashed = self.heads.get(origin, (0, b""))
        if old != known:
            return 409, CONFLICT, b"%d\n" % known
        if old == size:
            if hashed != root:
                return 409, CONFLICT, b"%d\n" % known
            if proof:
                return 422, PLAIN, b""
        elif not goes_on(old, hashed, size, root, [base64.b64decode(one, validate=True) for one in proof]):
            return 422, PLAIN, b""
        self.heads[origin] = (size, root)
        return 200, PLAIN, self.cosign(text).encode()

    def cosign(self, text, when=None):
        when = int(time.time()) if when is None else when
        signature = self.key.sign(f"cosignature/v1\ntime {when}\n{text}".encode())
        return f"— {self.name} {base64.b64encode(self.hash + when.to_bytes(8) + signature).decode()}\n"

    @contextlib.contextmanager
    def serving(self):
        with served(lambda *asked: self.answer(*asked)) as place:
            yield f"witness+{place}/w#{self.vkey}"


def _signed(text, signatures, name, key):
    wanted = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
    for line in signatures.splitlines():
        _, whose, encoded = line.split(" ")
        blob = base64.b64decode(encoded)
        if whose == name and blob[:4] == wanted:
            Ed25519PublicKey.from_public_bytes(key).verify(blob[4:], text.encode())
            return True
    return False


def goes_on(first, first_hash, second, second_hash, proof):
    """Whether a consistency proof holds, step by step as RFC 9162, 2.1.4.2 says."""
    if not first:
        return not proof
    if not proof:
        return False
    node = lambda left, right: hashlib.sha256(b"\1" + left + right).digest()  # noqa: E731 - as short as in the text
    if first & (first - 1) == 0:
        proof = [first_hash, *proof]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == first_hash and sr == second_hash and sn == 0


_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


class Authority:
    """A time-stamping authority made with openssl, which reads the requests and writes the answers."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self.made("root", "/CN=A root", ["-addext", "basicConstraints=critical,CA:TRUE"])
        self.made("tsa", "/CN=An authority", ["-addext", "extendedKeyUsage=critical,timeStamping", "-CA", folder / "root.pem", "-CAkey", folder / "root.key"])  # fmt: skip
        self.kind = "application/timestamp-reply"

    def made(self, name, subject, more):
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject,
            "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.pem", *more,
        )  # fmt: skip

    def answer(self, path, kind, body):
        if kind != "application/timestamp-query":
            return 415, PLAIN, b""
        query, reply = self.folder / "query.tsq", self.folder / "reply.tsr"
        query.write_bytes(body)
        _openssl("ts", "-reply", "-config", self.folder / "tsa.cnf", "-queryfile", query, "-out", reply)
        return 200, self.kind, reply.read_bytes()

    @contextlib.contextmanager
    def serving(self):
        with served(lambda *asked: self.answer(*asked)) as place:
            yield f"rfc3161+{place}/tsr?roots={self.folder}/root.pem"


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
