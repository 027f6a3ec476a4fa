"""Keys that sign bundles: a file, or whatever securesystemslib reaches by a URI (KMS, HSM, Vault).

A private key is a PEM file (PKCS#8), its public part another one beside it (`.pub`). A key that is not a file is named by its
URI and, behind a `#`, the file of its public part: `awskms:alias/policy#policy.pub`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardai.errors import ConfigError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer, SSlibKey

__all__ = ["Ask", "make", "public", "public_all", "signer"]

#: Asked for a passphrase, told for what.
Ask = Callable[[str], str]
_MAX: Final = 64 * 1024
#: Fewer bits nobody should trust (NIST SP 800-131A).
_RSA_BITS: Final = 2048


def make(path: Path, passphrase: str = "") -> SSlibKey:
    """Makes an Ed25519 key pair: `path`, which only its owner can read, and `path.pub`.

    Args:
        path: where the private key goes.
        passphrase: encrypts it; "" leaves it as it is.

    Raises:
        ConfigError: one of the files is there already, or cannot be written: then neither is left; or the passphrase is too long.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    beside = path.with_name(path.name + ".pub")
    for file in (path, beside):
        if file.exists():
            raise ConfigError(f"{file} is there already; a key is never overwritten")
    private = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    try:
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    except ValueError:
        raise ConfigError(f"{path}: this passphrase encrypts no key; 1023 bytes of UTF-8 at most do") from None
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made: list[Path] = []
    for file, mode, content in ((path, 0o600, pem), (beside, 0o666, shown)):
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
            made.append(file)
            with os.fdopen(fd, "wb") as opened:
                opened.write(content)
        except OSError as error:
            for one in made:  # half a pair is no key, and would be in the way of the next
                one.unlink(missing_ok=True)
            raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
    return public(beside)


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


def public_all(paths: Iterable[Path]) -> dict[str, SSlibKey]:
    """Public keys by id. The same key in two files is one key: a threshold counts keys, not files."""
    keys = [public(path) for path in paths]
    return {key.keyid: key for key in keys}


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
