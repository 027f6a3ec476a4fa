"""Signatures beside one file, and the keys that make them."""

import base64
import errno
import io
import json
import os
import stat
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from guardai.errors import BundleError, ConfigError
from guardai.policy.trust import keys
from guardai.policy.trust.signed import gathered, sign, verify


def pub(path):
    return path.with_name(path.name + ".pub")


def counted(*paths):
    return keys.public_all([pub(path) for path in paths])


def refused(*given):
    with pytest.raises(BundleError) as caught:
        verify(*given)
    return str(caught.value)


def test_file_signed_by_enough_keys_is_good(built, key, signer):
    a, b, c = key("a"), key("b"), key("c")
    data = built()
    envelope = sign(data, [signer(a), signer(c)])
    assert set(verify(data, envelope, counted(a, b, c), 2)) == set(counted(a, c))
    assert "2 of the 3 keys signed it; 3 must have" in refused(data, envelope, counted(a, b, c), 3)


def test_signatures_of_two_people_are_gathered_one_after_the_other(built, key, signer):
    a, b = key("a"), key("b")
    data = built()
    envelope = gathered(sign(data, [signer(b)]), sign(data, [signer(a)]))
    assert len(verify(data, envelope, counted(a, b), 2)) == 2
    assert len(json.loads(gathered(sign(data, [signer(b)]), envelope))["signatures"]) == 2


def test_signatures_of_another_bundle_are_not_kept(built, key, signer):
    a, b = key("a"), key("b")
    envelope = gathered(sign(built(version="2"), [signer(b)]), sign(built(version="1"), [signer(a)]))
    assert len(json.loads(envelope)["signatures"]) == 1


@pytest.mark.parametrize("cut", [300, 0])
def test_envelope_that_is_cut_off_is_not_taken_for_none(built, key, signer, cut):
    data = built()
    envelope = sign(data, [signer(key("a"))])
    with pytest.raises(BundleError, match="no DSSE envelope"):
        gathered(sign(data, [signer(key("b"))]), envelope[:cut])


def test_stranger_or_nobody_is_refused(built, key, signer):
    a, b = key("a"), key("b")
    data = built()
    assert "0 of the 1 keys" in refused(data, sign(data, [signer(b)]), counted(a), 1)
    assert "0 of the 1 keys" in refused(data, sign(data, []), counted(a), 1)


def test_signature_under_another_keys_name_is_refused(built, key, signer):
    a, b = key("a"), key("b")
    data = built()
    envelope = json.loads(sign(data, [signer(b)]))
    envelope["signatures"][0]["keyid"] = next(iter(counted(a)))
    assert "0 of the 1 keys" in refused(data, json.dumps(envelope).encode(), counted(a), 1)


def test_one_key_counts_once_however_often_it_signed_and_is_named(built, key, signer, tmp_path):
    a, b = key("a"), key("b")
    (tmp_path / "copy.pub").write_bytes(pub(a).read_bytes())
    assert len(keys.public_all([pub(a), tmp_path / "copy.pub"])) == 1
    data = built()
    envelope = json.loads(sign(data, [signer(a)]))
    envelope["signatures"] = [{**envelope["signatures"][0], "keyid": name} for name in ("x", "y", *counted(a, b))]
    assert "1 of the 2 keys" in refused(data, json.dumps(envelope).encode(), counted(a, b), 2)


def test_signatures_of_another_file_or_kind_are_refused(built, key, signer):
    a = key("a")
    data = built()
    envelope = sign(data, [signer(a)])
    assert "of something else" in refused(built(version="2"), envelope, counted(a), 1)
    other = json.loads(envelope)
    other["payloadType"] = "application/vnd.in-toto+json"
    assert "of something else" in refused(data, json.dumps(other).encode(), counted(a), 1)


def test_every_flipped_bit_of_a_signed_file_is_refused(built, key, signer):
    a = key("a")
    data = built()
    envelope = sign(data, [signer(a)])
    for at in range(0, len(data), 31):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        refused(bytes(changed), envelope, counted(a), 1)


@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"[" * 100_000, b'{"payload":"!","payloadType":"x","signatures":[]}', b"\xff"]
)
def test_envelope_that_is_none_is_refused(built, key, garbage):
    assert "no DSSE envelope" in refused(built(), garbage, counted(key("a")), 1) or b"payload" in garbage


@pytest.mark.parametrize("threshold", [0, 2])
def test_threshold_that_nobody_or_everybody_meets_is_refused(built, key, signer, threshold):
    a = key("a")
    data = built()
    assert "cannot be met" in refused(data, sign(data, [signer(a)]), counted(a), threshold)


def test_envelope_is_the_standard_one(built, key, signer):
    """Verified by securesystemslib's own reader, which knows nothing of bundles."""
    from securesystemslib.dsse import Envelope

    a = key("a")
    envelope = Envelope.from_dict(json.loads(sign(built(), [signer(a)])))
    assert len(envelope.verify(list(counted(a).values()), 1)) == 1
    assert json.loads(envelope.payload)["name"] == "shop"


@pytest.mark.parametrize("private", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_keys_of_other_kinds_sign_too(private, built, tmp_path, signer):
    path = tmp_path / "k.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pub(path).write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    data = built()
    assert verify(data, sign(data, [signer(path)]), counted(path), 1)


# ---- keys ----


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_private_key_can_be_read_by_its_owner_alone(key):
    before = os.umask(0)
    try:
        assert stat.S_IMODE(key("a").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_encrypted_key_needs_its_passphrase(key, built):
    path = key("a", "open sesame")
    assert b"ENCRYPTED" in path.read_bytes()
    data = built()
    assert verify(data, sign(data, [keys.signer(str(path), lambda _: "open sesame")]), counted(path), 1)
    for wrong in ("", "other"):
        with pytest.raises(ConfigError, match="no private key in PEM that this passphrase opens"):
            keys.signer(str(path), lambda _, said=wrong: said)


def test_key_is_never_overwritten(key):
    first = key("a").read_bytes()
    with pytest.raises(ConfigError, match="never overwritten"):
        key("a")
    assert key("b").read_bytes() != first


def test_key_of_a_uri_is_reached_through_securesystemslib(key, built):
    path = key("a")
    data = built()
    made = keys.signer(f"file2:{path}#{pub(path)}", lambda _: "")
    assert verify(data, sign(data, [made]), counted(path), 1)
    with pytest.raises(ConfigError, match="behind a #"):
        keys.signer(f"file2:{path}", lambda _: "")
    with pytest.raises(ConfigError, match="the key cannot be used"):
        keys.signer(f"file2:{path}#{pub(key('b'))}", lambda _: "")
    with pytest.raises(ConfigError, match=r"awskms:nothing: the key cannot be used"):
        keys.signer(f"awskms:nothing#{pub(path)}", lambda _: "")


def test_signer_of_somebodys_own_scheme_is_used(key, built, signer, monkeypatch):
    """A module for hardware that we do not know registers itself."""
    from securesystemslib.signer import SIGNER_FOR_URI_SCHEME

    inner = signer(key("a"))

    class Card:
        @classmethod
        def from_priv_key_uri(cls, uri, public, secrets):
            assert (uri, secrets("PIN")) == ("card:7", "1234")
            return inner

    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "card", Card)
    path = key("b").with_name("a.pem")
    data = built()
    assert verify(data, sign(data, [keys.signer(f"card:7#{pub(path)}", lambda _: "1234")]), counted(path), 1)


def test_what_is_no_key_is_told_by_file(tmp_path, key):
    (tmp_path / "x").write_text("no key")
    for call in (lambda: keys.signer(str(tmp_path / "x"), lambda _: ""), lambda: keys.public(tmp_path / "x")):
        with pytest.raises(ConfigError, match=r"/x: no (private|public) key"):
            call()
    with pytest.raises(ConfigError, match="this is a private key"):
        keys.public(key("a"))
    with pytest.raises(ConfigError, match="cannot be read"):
        keys.public(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="too large"):
        (tmp_path / "x").write_bytes(bytes(100_000))
        keys.public(tmp_path / "x")


@pytest.mark.parametrize("bits", [512, 1024])
def test_rsa_key_that_can_be_broken_is_refused(tmp_path, bits):
    path = tmp_path / "k.pem"
    path.write_bytes(rsa_pem(bits))
    private = serialization.load_pem_private_key(path.read_bytes(), None)
    pub(path).write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for call in (lambda: keys.signer(str(path), lambda _: ""), lambda: keys.public(pub(path))):
        with pytest.raises(ConfigError, match=f"an RSA key of {bits} bits can be broken; 2048 are the least"):
            call()


def rsa_pem(bits):
    """A key of a length that `cryptography` makes no more."""
    p, q = (prime((3 << (bits // 2 - 2)) + start) for start in (1, (1 << 20) + 1))
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(65537, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def prime(above):
    while any(pow(base, above - 1, above) != 1 for base in (2, 3, 5)):
        above += 2
    return above


@pytest.mark.parametrize("passphrase", ["x" * 1024, "\udcff"])
def test_passphrase_that_encrypts_no_key_is_told(tmp_path, passphrase):
    with pytest.raises(ConfigError, match="this passphrase encrypts no key; 1023 bytes") as caught:
        keys.make(tmp_path / "k", passphrase)
    assert passphrase not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["k", "k.pub"])
def test_key_pair_that_cannot_be_written_leaves_no_half(tmp_path, monkeypatch, broken):
    fdopen, opened = os.fdopen, iter(["k", "k.pub"])

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def of(fd, mode):
        if next(opened) != broken:
            return fdopen(fd, mode)
        os.close(fd)
        return Full()

    with monkeypatch.context() as given:
        given.setattr(os, "fdopen", of)
        with pytest.raises(ConfigError, match=rf"/{broken}: cannot be written: No space left"):
            keys.make(tmp_path / "k")
    assert list(tmp_path.iterdir()) == []
    keys.make(tmp_path / "k")


def test_key_pair_that_cannot_be_written_leaves_what_others_made(tmp_path, monkeypatch):
    (tmp_path / "k.pub").symlink_to("nowhere")  # not there, and in the way
    with pytest.raises(ConfigError, match="k.pub: cannot be written"):
        keys.make(tmp_path / "k")
    assert [file.name for file in tmp_path.iterdir()] == ["k.pub"]


def test_no_message_holds_a_private_key(tmp_path, key):
    path = key("a")
    path.write_bytes(path.read_bytes().replace(b"END PRIVATE", b"END BROKEN"))
    body = base64.b64encode(b"x") + path.read_bytes().splitlines()[1][:20]
    with pytest.raises(ConfigError) as caught:
        keys.signer(str(path), lambda _: "")
    assert body.decode()[4:] not in str(caught.value)
