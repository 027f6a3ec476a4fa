"""Notes, checkpoints and cosignatures against what the C2SP specifications, Go's own tests and its checksum database say."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardai.ledger import PolicyError, TrustPolicy
from guardai.ledger.note import (
    Checkpoint,
    NoteError,
    open_checkpoint,
    open_note,
    read_note,
    sign_checkpoint,
    verifier_key,
)
from guardai.ledger.quorum import Key


def text_of(note, name, keys):
    return open_note(note, name, keys)[0]


# C2SP signed-note, "Verifier keys", the example.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# C2SP signed-note, the first example: its text holds an empty line, its key is not published.
POEM = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""
# C2SP tlog-cosignature, the example: that of tlog-checkpoint, and a witness below the log. Neither key is published.
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
# The vectors of golang.org/x/mod/sumdb/note.
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
# Two tree heads of Go's checksum database, as it signed them.
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB = [
    (
        65209736,
        "5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=",
        "Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8=",
    ),
    (
        31700353,
        "qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=",
        "Az3grnmrIUEDFqHzAElIQCPNoRFRAAdFo47fooyWKMHb89k11GJh5zHIfNCOBmwn/C3YI8oW9/C8DJ87F61QqspBYwM=",
    ),
]


def public(vkey):
    return base64.b64decode(vkey.split("+", 2)[2])[1:]


def named(vkey):
    return vkey.partition("+")[0]


# --- notes


def test_example_of_the_specification_is_opened_by_its_key():
    assert text_of(EXAMPLE, named(EXAMPLE_KEY), [public(EXAMPLE_KEY)]) == "This is an example message.\n"


@pytest.mark.parametrize("vkey", [EXAMPLE_KEY, PETER_KEY, ENOCH_KEY, SUMDB_KEY])
def test_verifier_keys_made_elsewhere_are_written_and_read_as_they_stand(vkey):
    assert verifier_key(named(vkey), public(vkey)) == vkey
    assert Key.read(vkey, 0x01) == (named(vkey), public(vkey), 0x01)


@pytest.mark.parametrize("at", range(0, len(PETER_KEY), 3))
def test_verifier_key_with_another_sign_is_refused(at):
    other = "A" if PETER_KEY[at] != "A" else "B"
    with pytest.raises(PolicyError):
        Key.read(PETER_KEY[:at] + other + PETER_KEY[at + 1 :], 0x01)


def test_text_of_a_note_may_hold_empty_lines():
    text, (signature,) = read_note(POEM)
    assert text == POEM.rpartition("\n\n")[0] + "\n"
    assert text.count("\n\n") == 1
    assert (signature.name, len(signature.blob)) == ("quasimodo.example/salvatore", 64)
    with pytest.raises(NoteError):
        text_of(POEM, "quasimodo.example/salvatore", [public(PETER_KEY)])


def test_key_signs_as_the_specification_says_byte_for_byte():
    """The seed of the Go package's signing key, PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK…: Ed25519 has one signature a text."""
    seed = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert key.public_key().public_bytes_raw() == public(PETER_KEY)
    blob = base64.b64decode(PETER.split(" ")[2])
    assert blob[4:] == key.sign(TEXT.encode())


@pytest.mark.parametrize("signatures", [PETER + ENOCH, ENOCH + PETER, PETER + PETER, ENOCH + ENOCH + PETER])
def test_signature_of_somebody_else_is_ignored(signatures):
    assert text_of(f"{TEXT}\n{signatures}", "PeterNeumann", [public(PETER_KEY)]) == TEXT


def test_note_of_two_signers_is_opened_by_either():
    note = f"{TEXT}\n{PETER}{ENOCH}"
    assert text_of(note, "EnochRoot", [public(ENOCH_KEY)]) == TEXT
    with pytest.raises(NoteError, match="not signed by a key"):
        text_of(note, "PeterNeumann", [])
    with pytest.raises(NoteError, match="not signed by a key"):
        text_of(note, "PeterNeumann", [public(ENOCH_KEY)])


def test_sixteen_signatures_are_read():
    assert text_of(f"{TEXT}\n{ENOCH * 15}{PETER}", "PeterNeumann", [public(PETER_KEY)]) == TEXT


def test_bad_signature_of_a_known_key_refuses_the_note_even_beside_a_good_one():
    blob = bytearray(base64.b64decode(PETER.split(" ")[2]))
    blob[40] ^= 1
    bad = f"— PeterNeumann {base64.b64encode(bytes(blob)).decode()}\n"
    for signatures in (bad, PETER + bad, bad + PETER):
        with pytest.raises(NoteError, match="does not hold"):
            text_of(f"{TEXT}\n{signatures}", "PeterNeumann", [public(PETER_KEY)])


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        TEXT + "\n",
        f"{TEXT}\n{PETER[:-1]}",
        f"{TEXT}\n{PETER.replace('PeterNeumann', 'Peter Neumann')}",
        f"{TEXT}\n{PETER.replace('PeterNeumann', 'Peter+Neumann')}",
        f"{TEXT}\n{PETER.replace('PeterNeumann', 'Peter' + chr(0xA0) + 'Neumann')}",
        f"{TEXT}\n{PETER.replace('PeterNeumann ', ' ')}",
        f"{TEXT}\n{PETER}Unexpected line.\n",
        f"{TEXT}\n{PETER}\n{ENOCH}Unexpected line.\n",
        f"{TEXT}\n{PETER.replace('—', '-')}",
        f"{TEXT}\n{PETER.replace('— ', '—')}",
        f"{TEXT}\n{PETER.replace('=', '')}",
        f"{TEXT}\n{PETER[:60]}\n{PETER[60:]}",
        f"{TEXT}\n{PETER.replace('JnAM=', 'JnAN=')}",
        f"{TEXT}\n— PeterNeumann x08gow==\n",
        f"{TEXT}\n— PeterNeumann \n",
        "",
        "\n\n",
    ],
)
def test_note_that_breaks_a_rule_of_the_format_is_refused(note):
    with pytest.raises(NoteError):
        text_of(note, "PeterNeumann", [public(PETER_KEY)])


@pytest.mark.parametrize("sign", ["\x00", "\x01", "\t", "\r", "\x1b", "\x1f"])
def test_note_with_a_control_character_is_refused_though_it_is_signed(sign):
    public_key = KEY.public_key().public_bytes_raw()
    assert text_of(signed("one line\n"), "example.com/log", [public_key]) == "one line\n"
    with pytest.raises(NoteError, match="control character"):
        text_of(signed(f"one{sign}line\n"), "example.com/log", [public_key])


# --- checkpoints


@pytest.mark.parametrize(("size", "root", "signature"), SUMDB)
def test_tree_heads_of_the_go_checksum_database_hold(size, root, signature):
    note = f"go.sum database tree\n{size}\n{root}\n\n— sum.golang.org {signature}\n"
    text = text_of(note, "sum.golang.org", [public(SUMDB_KEY)])
    assert text == Checkpoint("go.sum database tree", size, base64.b64decode(root)).text()
    with pytest.raises(NoteError, match="does not hold"):
        text_of(note.replace(str(size), str(size + 1)), "sum.golang.org", [public(SUMDB_KEY)])


def test_example_of_a_checkpoint_and_a_cosignature_is_read():
    text, (log, witness) = read_note(COSIGNED)
    assert text == Checkpoint("example.com/behind-the-sofa", 20852163, base64.b64decode(text.split("\n")[2])).text()
    assert (log.name, log.key.hex(), len(log.blob)) == ("example.com/behind-the-sofa", "033de0ae", 64)
    # tlog-cosignature: eight bytes of time, then Ed25519's 64. The specification says which time it is.
    assert (witness.name, len(witness.blob)) == ("witness.example.com/w1", 72)
    assert int.from_bytes(witness.blob[:8]) == 1679315147


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def signed(text):
    """A note of any text, rightly signed."""
    from guardai.ledger.note import key_hash

    public_key = KEY.public_key().public_bytes_raw()
    blob = key_hash("example.com/log", public_key) + KEY.sign(text.encode())
    return f"{text}\n— example.com/log {base64.b64encode(blob).decode()}\n"


def opened(text):
    return open_checkpoint(signed(text), "example.com/log", [KEY.public_key().public_bytes_raw()])


@pytest.mark.parametrize("size", [0, 1, 20852163, 2**63])
def test_checkpoint_of_any_size_comes_back(size):
    checkpoint = Checkpoint("example.com/log", size, base64.b64decode(ROOT))
    assert sign_checkpoint(checkpoint, KEY) == signed(checkpoint.text())
    assert opened(checkpoint.text()) == checkpoint


def test_extension_lines_are_signed_and_otherwise_ignored():
    assert opened(f"example.com/log\n5\n{ROOT}\nan extension\nanother\n").size == 5


@pytest.mark.parametrize(
    "text",
    [
        f"example.com/other\n5\n{ROOT}\n",
        f"example.com/log \n5\n{ROOT}\n",
        f"example.com/log\n05\n{ROOT}\n",
        f"example.com/log\n+5\n{ROOT}\n",
        f"example.com/log\n-5\n{ROOT}\n",
        f"example.com/log\n 5\n{ROOT}\n",
        f"example.com/log\n5_0\n{ROOT}\n",
        f"example.com/log\n٥\n{ROOT}\n",
        f"example.com/log\n5.0\n{ROOT}\n",
        f"example.com/log\n\n{ROOT}\n",
        f"example.com/log\n5\n{ROOT[:-1]}\n",
        f"example.com/log\n5\n{ROOT} \n",
        f"example.com/log\n5\n{ROOT.replace('q2I=', 'q2J=')}\n",
        "example.com/log\n5\nAAAA\n",
        "example.com/log\n5\n\n",
        "example.com/log\n5\n",
        f"example.com/log\n5\n{ROOT}\n\nbehind an empty line\n",
        f"\nexample.com/log\n5\n{ROOT}\n",
    ],
)
def test_checkpoint_that_breaks_a_rule_of_the_format_is_refused_though_it_is_signed(text):
    with pytest.raises(NoteError):
        opened(text)


# --- cosignatures


def cosigned(text, when, *, name="witness.example.com/w1", message=None):
    """A witness's line, made word by word as the specification has it."""
    public_key = KEY.public_key().public_bytes_raw()
    key = Key(name, public_key, 0x04)
    message = message or f"cosignature/v1\ntime {when}\n{text}"
    blob = key.hash + when.to_bytes(8) + KEY.sign(message.encode())
    return f"— {name} {base64.b64encode(blob).decode()}\n"


def witnessed(line):
    """Whether a policy that asks for the witness takes this line of its."""
    log = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    note = sign_checkpoint(Checkpoint("example.com/log", 5, base64.b64decode(ROOT)), log)
    text = note.partition("\n\n")[0] + "\n"
    witness = Key("witness.example.com/w1", KEY.public_key().public_bytes_raw(), 0x04)
    material = base64.b64encode(b"\x04" + witness.public).decode()
    policy = TrustPolicy.read(
        f"log {verifier_key('example.com/log', log.public_key().public_bytes_raw())}\n"
        f"witness w {witness.name}+{witness.hash.hex()}+{material}\nquorum w\n"
    )
    return policy.check(note + line(text))


def test_cosignature_of_the_specified_message_counts():
    assert witnessed(lambda text: cosigned(text, 1679315147)).witnesses == {"w": 1679315147}


@pytest.mark.parametrize(
    "line",
    [
        lambda text: "",
        lambda text: cosigned(text, 1679315147, message=text),
        lambda text: cosigned(text, 1679315147, message=f"cosignature/v1\ntime 1679315148\n{text}"),
        lambda text: cosigned(text, 1679315147, message=f"cosignature/v1\ntime 01679315147\n{text}"),
        lambda text: cosigned(text, 1679315147, message=f"cosignature/v2\ntime 1679315147\n{text}"),
        lambda text: cosigned(text, 1679315147, message=f"cosignature/v1\ntime 1679315147\n\n{text}"),
        lambda text: cosigned(text, 1679315147, message=f"cosignature/v1\ntime 1679315147\n{text[:-1]}"),
        lambda text: cosigned(text, 1679315147, name="witness.example.com/w2"),
        lambda text: cosigned(text, 2**63),
    ],
)
def test_cosignature_of_anything_else_does_not_count(line):
    with pytest.raises(NoteError, match="too few witnesses"):
        witnessed(line)
