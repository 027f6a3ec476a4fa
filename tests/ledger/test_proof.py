"""Proofs of single events: the paths of RFC 6962, the file format, and what an auditor with a public key must not be told."""

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import alter

from guardai.ledger import Ledger, PolicyError, ProofError, TrustPolicy, check_proof, events, prove, public_key
from guardai.ledger.merkle import Tree, inclusion, leaf_hash, root_of
from guardai.ledger.note import verifier_key
from guardai.ledger.proof import Proof

# The tree of eight leaves that Certificate Transparency's implementations are tested with.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
PATHS = {
    (0, 1): [],
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}  # fmt: skip


class Tiles(dict):
    def get_tile(self, level, index):
        return self.get((level, index), b"")

    def put_tile(self, level, index, hashes):
        self[level, index] = hashes


def grown(leaves):
    tiles = Tiles()
    tree = Tree(tiles)
    tree.extend(leaves)
    return tiles, tree


@pytest.mark.parametrize(("leaf", "size"), PATHS)
def test_paths_are_those_of_certificate_transparency(leaf, size):
    tiles, _ = grown([leaf_hash(bytes.fromhex(one)) for one in LEAVES])
    assert [one.hex() for one in inclusion(tiles, leaf, size)] == PATHS[leaf, size]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1200), st.data())
def test_path_leads_to_the_root_from_its_own_place_and_leaf_alone(size, data):
    leaves = [leaf_hash(b"%d" % n) for n in range(size)]
    tiles, tree = grown(leaves)
    place = data.draw(st.integers(0, size - 1))
    path = inclusion(tiles, place, size)
    assert root_of(leaves[place], place, size, path) == tree.root()
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != place)) if size > 1 else None
    if other is not None:
        assert root_of(leaves[other], place, size, path) != tree.root()
        assert root_of(leaves[place], other, size, path) != tree.root()
        assert root_of(leaves[place], place, size, path[:-1]) != tree.root()
    assert root_of(leaves[place], place, size, [*path, b"\0" * 32]) is None


def test_path_in_a_tree_that_has_grown_since_is_that_of_its_size():
    leaves = [leaf_hash(b"%d" % n) for n in range(70_000)]
    tiles, _ = grown(leaves)
    for size in (1, 255, 256, 257, 65_536, 65_537, 69_999):
        _, then = grown(leaves[:size])
        for place in {0, size // 2, size - 1}:
            assert root_of(leaves[place], place, size, inclusion(tiles, place, size)) == then.root()


@pytest.mark.parametrize(("leaf", "size"), [(-1, 5), (5, 5), (0, 0), (0, 600)])
def test_leaf_that_is_not_there_has_no_path(leaf, size):
    tiles, _ = grown([leaf_hash(b"x")] * 5)
    with pytest.raises(ValueError, match="leaf|tile"):
        inclusion(tiles, leaf, size)


# ---- a ledger's ----


@pytest.fixture
def root(sealed_home):
    return public_key(sealed_home / "keys" / "root.pub")


def ids(home):
    return [json.loads(data)["id"] for data in events(home)]


def refused(data, trusted):
    with pytest.raises(ProofError) as caught:
        check_proof(data, trusted)
    return str(caught.value)


@pytest.mark.usefixtures("either_store")
def test_every_event_is_proven_with_the_public_key_alone(sealed_home, root):
    for data in events(sealed_home):
        name = json.loads(data)["id"]
        proven = check_proof(prove(sealed_home, name), root)
        assert (proven.event, proven.id, proven.checkpoint.size) == (data, name, 30)


def test_proof_is_the_file_that_the_specification_shows(sealed_home):
    lines = prove(sealed_home, ids(sealed_home)[3]).decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ") and lines[2] == "index 3"
    assert [len(base64.b64decode(line)) for line in lines[3:8]] == [32] * 5 and lines[8] == ""
    assert (
        lines[9].startswith("guardai/") and lines[10] == "30" and lines[12] == "" and lines[13].startswith("— guardai/")
    )


@pytest.mark.usefixtures("either_store")
def test_event_that_is_not_there_or_not_sealed_is_not_proven(sealed_home, open_ledger, event):
    with pytest.raises(ProofError, match="no event nowhere-1 in the store"):
        prove(sealed_home, "nowhere-1")
    ledger = open_ledger(sealed_home, seal=False)
    name = ledger.append(event())
    with pytest.raises(ProofError, match="in the store"):
        prove(sealed_home, name)
    assert ledger.flush()
    assert prove(sealed_home, name)


def test_id_of_another_spelling_names_no_event(sealed_home):
    name = ids(sealed_home)[10]
    log, _, seq = name.rpartition("-")
    assert seq == "a"
    for other in (f"{log}-A", f"{log}-0a", f"{log}-0xa", f"{log}-+a", f"{log}-a ", log, f"{log}-", ""):
        with pytest.raises(ProofError, match="there is no event"):
            prove(sealed_home, other)


def extra(**changed):
    def change(data):
        proof = Proof.read(data)
        made = json.dumps({**json.loads(proof.extra), **changed}, sort_keys=True, separators=(",", ":"))
        return proof._replace(extra=made.encode()).text()

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data + b"\n", "no signature|malformed|another way"),
        (lambda data: data + b"x", "no signature"),
        (lambda data: b"\n" + data, "no C2SP"),
        (lambda data: data.replace(b"index 3", b"index 03"), "no C2SP"),
        (lambda data: data.replace(b"index 3", b"index 4"), "not in the tree"),
        (lambda data: data.replace(b"index 3", b"index 99"), "not in the tree"),
        (lambda data: data.replace(b"index 3\n", b"index 3\n" + base64.b64encode(bytes(32)) + b"\n"), "not in the tree"),
        (lambda data: data.replace(b"index 3\n", b"index 3\nAAAA\n"), "no C2SP"),
        (lambda data: data.replace(b"\n30\n", b"\n31\n"), "signature does not hold"),
        (lambda data: data.replace(b"tlog-proof@v1", b"tlog-proof@v2"), "no C2SP"),
        (lambda data: data.replace("— ".encode(), b"- "), "malformed"),
        (lambda data: data.replace(b"extra ", b"extra  "), "no C2SP|another way"),
        (lambda data: b"\n".join(data.split(b"\n")[:1] + data.split(b"\n")[2:]), "no event"),
        (extra(event="{}"), "not in the tree"),
        (extra(more=1), "no event"),
        (extra(v=2), "no event"),
        (extra(host={"payload": "{}", "sig": "00"}), "not signed by key"),
        (lambda data: data[:200], "no C2SP|no signature"),
        (lambda data: b"", "no C2SP"),
        (lambda data: b"\xff" + data, "no C2SP"),
        (lambda data: data + b"\n" * 300_000, "larger than any proof"),
    ],
)  # fmt: skip
def test_altered_proof_proves_nothing(sealed_home, root, change, says):
    good = prove(sealed_home, ids(sealed_home)[3])
    changed = change(good)
    assert changed != good
    assert re.search(says, refused(changed, root))


def test_every_flipped_byte_of_a_proof_is_found(sealed_home, root):
    good = prove(sealed_home, ids(sealed_home)[3])
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 1
        refused(bytes(changed), root)


def test_event_of_one_proof_in_another_is_found(sealed_home, root):
    one, other = (Proof.read(prove(sealed_home, ids(sealed_home)[n])) for n in (3, 4))
    assert "not in the tree" in refused(one._replace(extra=other.extra).text(), root)


def test_proof_of_another_ledger_is_found(sealed_home, root, tmp_path, event):
    other = tmp_path / "other"
    with_other = Ledger.open(other)
    name = with_other.append(event())
    with_other.close()
    proof = prove(other, name)
    assert check_proof(proof, public_key(other / "keys" / "root.pub")).id == name
    assert "not signed by key" in refused(proof, root)


@pytest.mark.usefixtures("either_store")
def test_tampered_store_hands_out_no_proof(sealed_home, copy):
    home = copy(sealed_home)
    name = ids(home)[3]
    alter(home, "UPDATE events SET bytes = CAST(replace(bytes, 'db.read', 'db.rear') AS BLOB) WHERE leaf = 3")
    with pytest.raises(ProofError, match="not in the tree"):
        prove(home, name)


# ---- by whose word ----


def cosigned(proof, witness, name, when=1_700_000_000):
    """The proof with a witness's cosignature, made as the specification says."""
    import hashlib

    found = Proof.read(proof)
    text = found.checkpoint.partition("\n\n")[0] + "\n"
    public = witness.public_key().public_bytes_raw()
    key = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    blob = key + when.to_bytes(8) + witness.sign(f"cosignature/v1\ntime {when}\n{text}".encode())
    return found._replace(checkpoint=f"{found.checkpoint}— {name} {base64.b64encode(blob).decode()}\n").text()


def vkey(name, key):
    import hashlib

    raw = b"\x04" + key.public_key().public_bytes_raw()
    hashed = hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8]
    return f"{name}+{hashed}+{base64.b64encode(raw).decode()}"


@pytest.fixture
def log(sealed_home):
    """The log's verifier key."""
    from guardai.ledger.trust import trust

    trusted = trust(sealed_home)
    return verifier_key(trusted.origin, trusted.hosts[trusted.current].claims.public)


@pytest.fixture
def proof(sealed_home):
    return prove(sealed_home, ids(sealed_home)[3])


def test_trust_policy_without_a_quorum_trusts_the_logs_key(proof, log):
    assert check_proof(proof, TrustPolicy.read(f"log {log}\nquorum none\n")).leaf == 3
    assert "not signed by a key" in refused(proof, TrustPolicy.read("quorum none\n"))


def test_quorum_of_witnesses_has_to_have_cosigned(proof, log):
    one, two, three = (Ed25519PrivateKey.generate() for _ in range(3))
    policy = TrustPolicy.read(
        f"# ours\nlog {log} https://log.example\n\nwitness\tw1 {vkey('w.example/1', one)}\nwitness w2 {vkey('w.example/2', two)}\n"
        f"witness w3 {vkey('w.example/3', three)} https://w.example\ngroup us 2 w1 w2\ngroup all-of-us any us w3\nquorum all-of-us\n"
    )
    assert "too few witnesses cosigned the tree head: none" in refused(proof, policy)
    once = cosigned(proof, one, "w.example/1")
    assert "w1 of those that count" in refused(once, policy)
    assert check_proof(cosigned(once, two, "w.example/2", 5), policy).witnesses == {"w1": 1_700_000_000, "w2": 5}
    assert check_proof(cosigned(proof, three, "w.example/3"), policy).witnesses == {"w3": 1_700_000_000}


def test_cosignature_of_another_key_name_or_time_counts_for_nothing(proof, log):
    one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    policy = TrustPolicy.read(f"log {log}\nwitness w {vkey('w.example', one)}\nquorum w\n")
    assert check_proof(cosigned(proof, one, "w.example"), policy)
    refused(cosigned(proof, other, "w.example"), policy)
    refused(cosigned(proof, one, "w.example/2"), policy)
    refused(cosigned(proof, one, "w.example", 1 << 63), policy)
    found = Proof.read(cosigned(proof, one, "w.example"))
    line = found.checkpoint.rstrip("\n").rpartition(" ")[2]
    blob = bytearray(base64.b64decode(line))
    blob[11] ^= 1  # of the time
    forged = found._replace(checkpoint=found.checkpoint.replace(line, base64.b64encode(bytes(blob)).decode()))
    refused(forged.text(), policy)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line that says the quorum"),
        ("quorum none\nquorum none\n", "line 2"),
        ("quorum w\n", "line 1"),
        ("logs x\nquorum none\n", "line 1"),
        ("log x\nquorum none\n", "line 1: 'x' is no verifier key"),
        ("log {log}\nlog {log}\nquorum none\n", "line 2: this key stands here twice"),
        ("witness none {w}\nquorum none\n", "line 1: none is defined twice"),
        ("witness w {log}\nquorum none\n", "line 1"),
        ("log {w}\nquorum none\n", "line 1"),
        ("witness w {w}\nwitness v {w}\nquorum w\n", "line 2: this key stands here twice"),
        ("witness w {w}\ngroup g 2 w\nquorum g\n", "line 2: 2 is none of any, all, and 1 to 1"),
        ("witness w {w}\ngroup g 0 w\nquorum g\n", "line 2"),
        ("witness w {w}\ngroup g any w\ngroup h any w\nquorum h\n", "line 3: w is not defined before, or is a member"),
        ("witness w {w}\ngroup g any w w\nquorum g\n", "line 2"),
        ("witness w {w}\ngroup g any v\nquorum g\n", "line 2"),
        ("witness w {w}\ngroup g any\nquorum g\n", "line 2"),
        ("witness w {bad}\nquorum w\n", "line 1: .* its hash is another key's"),
    ],
)
def test_policy_that_is_none_is_refused_with_its_line(log, text, says):
    key = vkey("w.example", Ed25519PrivateKey.generate())
    name, hashed, rest = key.split("+", 2)
    bad = f"{name}+{int(hashed, 16) ^ 1:08x}+{rest}"
    with pytest.raises(PolicyError, match=says):
        TrustPolicy.read(text.format(log=log, w=key, bad=bad))
