"""The token vault: what the tokens of a home's sessions stand for, encrypted, in one SQLite file that expires.

Under `<home>/vault/`, folder 0700: `tokens.db`, and in `keys/` the keys of the hours (`epochs.py`). What stands in the
database, and under which keys, says `drawers.py`; how it is shared, `vaultfile.py`. That numbers are unique is the
database's doing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

from guardai.ledger.drawers import SCHEMA, Drawers
from guardai.ledger.epochs import Epochs
from guardai.ledger.vaultfile import Form, VaultError, VaultFile
from guardai.model import Kept

__all__ = ["TokenVault"]

_FORM: Final = Form(
    "token vault",
    SCHEMA,
    0x47414956,  # "GAIV"
    1,
    "the tokens that were given out before then stand for nothing",
)
#: Seconds between two looks for what has expired.
_SWEEP: Final = 600.0

T = TypeVar("T")


class TokenVault:
    """The vault of a home; implements `guardai.model.Vault`. No file is made or opened before the first token.

    Safe for threads, processes and forks, as `VaultFile` is.

    Args:
        home: the folder that holds everything of this home.
        secret: 32 bytes, constant for the home.
        life: seconds after a session's last use until it is forgotten.
    """

    def __init__(self, home: Path, secret: bytes, *, life: float) -> None:
        self.life = life
        #: The database.
        self.path = home / "vault" / "tokens.db"
        self._secret = secret
        self._epochs = Epochs(self.path.parent / "keys", secret)
        self._drawers = Drawers(self._epochs, life)
        self._file = VaultFile(self.path, _FORM, self._drawers.rolled_back)
        self._next_sweep = 0.0

    def __repr__(self) -> str:
        return f"<TokenVault: {self.path}>"

    def drawer(self, session: str, owner: str, *, lasting: bool = False) -> _Drawer:
        """A session's part of it; see `guardai.model.Vault`."""
        named = f"{session}\x00{owner}".encode("utf-8", "surrogatepass")
        scope = blake2b(named, key=self._secret, digest_size=16, person=b"guardai-scope").digest()
        return _Drawer(self, scope, lasting=lasting)

    def expire(self) -> int:
        """Forgets the sessions that have not been used for too long, and erases the keys of the hours that are over.

        Raises:
            VaultError: it cannot be written.
        """
        forgotten = 0
        now = time.time()
        self._next_sweep = now + _SWEEP
        if self.path.exists():
            while count := self.write(lambda db, drawers: drawers.sweep(db, now)):
                forgotten += count
            if forgotten:
                self._file.truncate()
        self._epochs.erase(now)
        return forgotten

    def close(self) -> None:
        """Expires what is due and closes the file; whoever uses the vault after that opens it again."""
        with contextlib.suppress(VaultError):
            self.expire()
        self._file.close()

    def write(self, work: Callable[[sqlite3.Connection, Drawers], T]) -> T:
        """Does `work` in one transaction, or none of it.

        Raises:
            VaultError: none of it.
        """
        if time.time() >= self._next_sweep:
            self.expire()
        return self._file.write(lambda db: work(db, self._drawers))

    def read(self, work: Callable[[sqlite3.Connection, Drawers], T]) -> T:
        """Does `work`, which changes nothing.

        Raises:
            VaultError: it cannot be read.
        """
        return self._file.read(lambda db: work(db, self._drawers))


class _Drawer:
    """Implements `guardai.model.Drawer`."""

    __slots__ = ("_lasting", "_scope", "_vault")

    def __init__(self, vault: TokenVault, scope: bytes, *, lasting: bool) -> None:
        self._vault = vault
        self._scope = scope
        self._lasting = lasting

    @property
    def life(self) -> float:
        return self._vault.life

    def allocate(self, wanted: Sequence[Kept], floor: Mapping[str, int]) -> list[int]:
        return self._vault.write(
            lambda db, drawers: drawers.allocate(db, self._scope, wanted, floor, lasting=self._lasting)
        )

    def get(self, tokens: Collection[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, str]]:
        if not self._vault.path.exists():
            return {}
        return self._vault.read(lambda db, drawers: drawers.get(db, self._scope, tokens))

    def reserve(self, name: str, number: int) -> int:
        return self._vault.write(
            lambda db, drawers: drawers.reserve(db, self._scope, name, number, lasting=self._lasting)
        )

    def renew(self) -> None:
        self._vault.write(lambda db, drawers: drawers.begun(db, self._scope, lasting=self._lasting))
