"""Trees and notes against vectors made elsewhere: Certificate Transparency's, and those of the note format's authors."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.ledger.merkle import Tree, leaf_hash
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint, open_note, sign_checkpoint, verifier_key

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Tiles(dict):
    def get_tile(self, level, index):
        return self.get((level, index), b"")

    def put_tile(self, level, index, hashes):
        self[level, index] = hashes


def plain_root(leaves):
    """RFC 6962, section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size):
    tree = Tree(Tiles())
    tree.extend([leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES[:size]])
    assert tree.root().hex() == ROOTS[size]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=4))
def test_tree_grown_in_pieces_and_read_back_has_the_plain_root(pieces):
    tiles, leaves = Tiles(), []
    for piece in pieces:
        tree = Tree(tiles, len(leaves))  # each time anew from the tiles
        more = [leaf_hash(b"%d" % n) for n in range(len(leaves), len(leaves) + piece)]
        tree.extend(more)
        leaves += more
        assert tree.size == len(leaves)
        assert tree.root() == plain_root(leaves)


def test_tree_of_three_levels_of_tiles_has_the_plain_root():
    leaves = [leaf_hash(b"%d" % n) for n in range(66_000)]
    tiles = Tiles()
    Tree(tiles).extend(leaves)
    assert max(level for level, _ in tiles) == 2
    assert Tree(tiles, 66_000).root() == plain_root(leaves)


def test_tiles_that_do_not_add_up_are_refused():
    tiles = Tiles()
    Tree(tiles).extend([leaf_hash(b"x")] * 5)
    with pytest.raises(ValueError, match="tile 0/0"):
        Tree(tiles, 6)


# The example of golang.org/x/mod/sumdb/note.
NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLIC = base64.b64decode(VERIFIER.split("+", 2)[2])[1:]


def test_note_signed_elsewhere_is_opened():
    assert open_note(NOTE, "PeterNeumann", [PUBLIC]) == (NOTE.partition("\n\n")[0] + "\n", (PUBLIC,))
    assert verifier_key("PeterNeumann", PUBLIC) == VERIFIER


@pytest.mark.parametrize(
    "altered",
    [
        NOTE.replace("answer", "anwser"),
        NOTE.replace("x08go", "x08gp"),
        NOTE.replace("PeterNeumann", "PeterNeuman"),
        NOTE.replace("—", "-"),
        NOTE.rstrip("\n"),
        NOTE.replace("JnAM=", "JnAN="),
        NOTE + "\n",
        "",
        "\n\n",
    ],
)
def test_altered_note_is_refused(altered):
    with pytest.raises(NoteError):
        open_note(altered, "PeterNeumann", [PUBLIC])


def test_checkpoint_comes_back_as_it_was_signed():
    key = Ed25519PrivateKey.generate()
    checkpoint = Checkpoint("guardai/0123456789abcdef", 42, b"\7" * 32)
    note = sign_checkpoint(checkpoint, key)
    public = key.public_key().public_bytes_raw()
    assert open_checkpoint(note, checkpoint.origin, [public]) == checkpoint
    assert note.startswith("guardai/0123456789abcdef\n42\nBwcHBwcH")
    with pytest.raises(NoteError):
        open_checkpoint(note, "guardai/other", [public])
    with pytest.raises(NoteError):
        open_checkpoint(note, checkpoint.origin, [])


def test_signature_of_a_witness_beside_ours_is_left_alone():
    key = Ed25519PrivateKey.generate()
    checkpoint = Checkpoint("guardai/0123456789abcdef", 42, b"\7" * 32)
    witness = base64.b64encode(b"wwww" + b"\0" * 72).decode()
    note = sign_checkpoint(checkpoint, key) + f"— witness.example/w1 {witness}\n"
    assert open_checkpoint(note, checkpoint.origin, [key.public_key().public_bytes_raw()]) == checkpoint
