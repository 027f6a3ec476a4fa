"""Keys that never leave their hardware, in SoftHSM: a PKCS#11 token like any other, but for the hardware."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from guardai.errors import ConfigError
from guardai.policy.trust import keys
from guardai.policy.trust.repository import ROLES, Repository
from guardai.policy.trust.signed import sign, verify

PIN = "4711"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def missing(what):
    if os.environ.get("GUARDAI_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A token with one key of P-256, its number 2; the file of its public part."""
    tool, library = shutil.which("softhsm2-util"), next(filter(os.path.exists, LIBRARIES), "")
    if not tool or not library:
        missing("SoftHSM is not installed: softhsm2")
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.ec import encode_named_curve_parameters
    from securesystemslib.signer import HSMSigner

    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        patch.setenv("PYKCS11LIB", library)
        make = [tool, "--init-token", "--free", "--label", "policy", "--pin", PIN, "--so-pin", "0815"]
        subprocess.run(make, check=True, capture_output=True)
        with pkcs11.lib(library).get_token(token_label="policy").open(user_pin=PIN, rw=True) as session:
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            parameters.generate_keypair(store=True, label="policy", id=b"\2")
        _, public = HSMSigner.import_(2, "policy", lambda _: PIN)
        beside = folder / "policy.pub"
        beside.write_text(public.keyval["public"])
        yield beside


def test_bundle_signed_in_the_hardware_is_good(token, built):
    data = built()
    made = keys.signer(f"hsm:2?label=policy#{token}", lambda _: PIN)
    assert verify(data, sign(data, [made]), keys.public_all([token]), 1)


def test_repository_is_published_with_one_question_for_the_pin(token, built, tmp_path):
    asked = []
    made = keys.signer(f"hsm:2?label=policy#{token}", lambda what: asked.append(what) or PIN)
    repository = Repository(tmp_path / "served", tmp_path / "root.json")
    signed = repository.create(built(), dict.fromkeys(ROLES, [made]), {}, now=datetime.now(UTC))
    assert {role: 1 for role in ROLES} == dict(signed.versions)
    assert asked == ["hsm:2?label=policy"]


@pytest.mark.parametrize(
    ("uri", "pin", "says"),
    [
        ("hsm:2?label=policy", "1", "PinIncorrect"),
        ("hsm:3?label=policy", PIN, "could not find ECDSA private key"),
        ("hsm:2?label=other", PIN, "No PKCS#11 token found for label other"),
    ],
)
def test_key_that_cannot_be_used_signs_nothing_and_says_why(token, built, tmp_path, uri, pin, says):
    made = keys.signer(f"{uri}#{token}", lambda _: pin)
    repository = Repository(tmp_path / "served", tmp_path / "root.json")
    for attempt in (
        lambda: sign(built(), [made]),
        lambda: repository.create(built(), dict.fromkeys(ROLES, [made]), {}, now=datetime.now(UTC)),
    ):
        with pytest.raises(ConfigError, match="the key cannot be used") as caught:
            attempt()
        assert says in str(caught.value) and PIN not in str(caught.value)
    assert not (tmp_path / "served").exists() and not (tmp_path / "root.json").exists()


def test_public_key_of_another_is_told_before_anything_is_signed_with_it(token, built, tmp_path):
    other = Path(tmp_path / "other.pub")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.PEM, form)
    )
    made = keys.signer(f"hsm:2?label=policy#{other}", lambda _: PIN)
    with pytest.raises(ConfigError, match="the public key behind the # is not this key's"):
        sign(built(), [made])
