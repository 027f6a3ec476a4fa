"""Keys that sign: a file, or whatever securesystemslib reaches by a URI (KMS, HSM, Vault).

Bundles of policy and the ledger's root are signed by such keys.

A private key is a PEM file (PKCS#8), its public part another one beside it (`.pub`). A key that is not a file is named by its
URI and, behind a `#`, the file of its public part: `awskms:alias/policy#policy.pub`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardai.errors import ConfigError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer, SSlibKey

__all__ = ["Ask", "public", "signer"]

#: Asked for a passphrase, told for what.
Ask = Callable[[str], str]
_MAX: Final = 64 * 1024
#: Fewer bits nobody should trust (NIST SP 800-131A).
_RSA_BITS: Final = 2048


def public(path: Path) -> SSlibKey:
    """A public key.

    Raises:
        ConfigError: the file is not there, or holds none, or one that is too short.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{path}: this is a private key; name the public one, {path}.pub say")
    try:
        loaded = load_pem_public_key(content)
        made = SSlibKey.from_crypto(loaded)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: no public key in PEM, of Ed25519, ECDSA or RSA") from None
    _long_enough(path, loaded)
    return made


def signer(given: str, ask: Ask) -> Signer:
    """What signs with a key.

    Args:
        given: a file, or a URI of `securesystemslib.signer.SIGNER_FOR_URI_SCHEME` with `#` and the file of its public key.
        ask: gives the passphrase or PIN where one is needed.

    Returns:
        What signs; where the key cannot be used, `sign` raises a `ConfigError` that says why.

    Raises:
        ConfigError: there is no such file, or it holds no key that the passphrase opens, or one that is too short.
    """
    from securesystemslib.signer import SIGNER_FOR_URI_SCHEME

    scheme, colon, _ = given.partition(":")
    if not colon or scheme not in SIGNER_FOR_URI_SCHEME:
        return _file_signer(Path(given), ask)
    uri, mark, beside = given.rpartition("#")
    if not mark:
        raise ConfigError(f"{given}: name the file of its public key behind a #, such as {given}#policy.pub")
    return _remote_signer(uri, public(Path(beside)), ask)


def _remote_signer(uri: str, key: SSlibKey, ask: Ask) -> Signer:
    """What signs elsewhere. A device that wants a PIN for each signature has it of one question."""
    from securesystemslib.signer import Signature, Signer

    known: list[str] = []

    def pin(_: str) -> str:
        if not known:
            known.append(ask(uri))
        return known[0]

    with _told(uri):
        reached = Signer.from_priv_key_uri(uri, key, pin)

    class Remote(Signer):
        """Says in our words why a key cannot be used, and gives no signature that the public key does not know."""

        @property
        def public_key(self) -> SSlibKey:
            return key

        @classmethod
        def from_priv_key_uri(cls, *_: object) -> Signer:
            raise NotImplementedError  # `reached` is made above

        def sign(self, payload: bytes) -> Signature:
            with _told(uri):
                signature = reached.sign(payload)
                key.verify_signature(signature, payload)
            return signature

    return Remote()


@contextmanager
def _told(uri: str) -> Iterator[None]:
    from securesystemslib.exceptions import UnverifiedSignatureError

    try:
        yield
    except ConfigError:
        raise
    except UnverifiedSignatureError:
        raise ConfigError(f"{uri}: the public key behind the # is not this key's") from None
    except Exception as error:  # each service raises its own
        said = f": {error}" if str(error) else ""
        raise ConfigError(f"{uri}: the key cannot be used: {type(error).__name__}{said}") from error


def _file_signer(path: Path, ask: Ask) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    content = _read(path)
    try:
        try:
            private = load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            private = load_pem_private_key(content, ask(str(path)).encode())
        _long_enough(path, private)
        return CryptoSigner(private)
    except ConfigError:  # a ValueError, too: nobody can be asked, or the key is too short
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{path}: no private key in PEM that this passphrase opens, of Ed25519, ECDSA or RSA; "
            "`guardai bundle key FILE` makes one"
        ) from None


def _long_enough(path: Path, key: object) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    if isinstance(key, RSAPrivateKey | RSAPublicKey) and key.key_size < _RSA_BITS:
        raise ConfigError(
            f"{path}: an RSA key of {key.key_size} bits can be broken; {_RSA_BITS} are the least. "
            "`guardai bundle key FILE` makes another kind"
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > _MAX:
        raise ConfigError(f"{path}: too large for a key")
    return content
