"""Keys that never leave their hardware, in SoftHSM: a PKCS#11 token like any other, but for the hardware."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from guardai.errors import ConfigError
from guardai.policy.trust import keys
from guardai.policy.trust.repository import ROLES, Repository
from guardai.policy.trust.signed import sign, verify


def test_bundle_signed_in_the_hardware_is_good(softhsm, built):
    data = built()
    made = keys.signer(f"hsm:2?label=policy#{softhsm.public}", lambda _: softhsm.pin)
    assert verify(data, sign(data, [made]), keys.public_all([softhsm.public]), 1)


def test_repository_is_published_with_one_question_for_the_pin(softhsm, built, tmp_path):
    asked = []
    made = keys.signer(f"hsm:2?label=policy#{softhsm.public}", lambda what: asked.append(what) or softhsm.pin)
    repository = Repository(tmp_path / "served", tmp_path / "root.json")
    signed = repository.create(built(), dict.fromkeys(ROLES, [made]), {}, now=datetime.now(UTC))
    assert {role: 1 for role in ROLES} == dict(signed.versions)
    assert asked == ["hsm:2?label=policy"]


@pytest.mark.parametrize(
    ("uri", "pin", "says"),
    [
        ("hsm:2?label=policy", "1", "PinIncorrect"),
        ("hsm:3?label=policy", "", "could not find ECDSA private key"),
        ("hsm:2?label=other", "", "No PKCS#11 token found for label other"),
    ],
)
def test_key_that_cannot_be_used_signs_nothing_and_says_why(softhsm, built, tmp_path, uri, pin, says):
    made = keys.signer(f"{uri}#{softhsm.public}", lambda _: pin or softhsm.pin)
    repository = Repository(tmp_path / "served", tmp_path / "root.json")
    for attempt in (
        lambda: sign(built(), [made]),
        lambda: repository.create(built(), dict.fromkeys(ROLES, [made]), {}, now=datetime.now(UTC)),
    ):
        with pytest.raises(ConfigError, match="the key cannot be used") as caught:
            attempt()
        assert says in str(caught.value) and softhsm.pin not in str(caught.value)
    assert not (tmp_path / "served").exists() and not (tmp_path / "root.json").exists()


def test_public_key_of_another_is_told_before_anything_is_signed_with_it(softhsm, built, tmp_path):
    other = Path(tmp_path / "other.pub")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.PEM, form)
    )
    made = keys.signer(f"hsm:2?label=policy#{other}", lambda _: softhsm.pin)
    with pytest.raises(ConfigError, match="the public key behind the # is not this key's"):
        sign(built(), [made])
