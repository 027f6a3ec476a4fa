"""What people do with the replay vault: look into it, and have destroyed what was kept on somebody's behalf. Both are recorded.

No policy has to be at hand for either, and no gate is started.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from guardai.ledger import Ledger, ReplayVault
from guardai.lineage import EdgeTable
from guardai.model import VERSION, Event

__all__ = ["Erased", "erase", "record_look"]


class Erased(NamedTuple):
    """What was destroyed.

    Attributes:
        subject: the person as the record calls them: a keyed digest, 32 hex digits.
        contents: how many contents.
        event: the id of the event that tells of it.
    """

    subject: str
    contents: int
    event: str


def record_look(home: Path, session: str, contents: int, *, by: str) -> str:
    """Records that somebody is about to see what calls of a session carried; the event's id.

    Raises:
        LedgerError: it cannot be recorded, so nobody may look.
    """
    ledger = Ledger.open(home, projection=EdgeTable())
    try:
        return ledger.append(_event("vault.shown", by, {"contents": contents, "session": session}))
    finally:
        ledger.close()


def erase(home: Path, user: str, *, by: str) -> Erased:
    """Destroys what was kept on somebody's behalf. May be called again: what a kill has left half done is done then.

    Two events tell of it, `vault.erase` before and `vault.erased` after, by a keyed digest of the person's name.

    Raises:
        LedgerError: it cannot be recorded; if that was the first event, nothing was destroyed.
        VaultError: it could not be done, or not wholly.
    """
    ledger = Ledger.open(home, projection=EdgeTable())
    vault = ReplayVault(home, ledger.vault_key, life=0)
    try:
        subject = vault.subject(user)
        ledger.append(_event("vault.erase", by, {"subject": subject}))
        contents = vault.erase(user)
        event = ledger.append(_event("vault.erased", by, {"contents": contents, "subject": subject}))
    finally:
        vault.release()
        ledger.close()
    return Erased(subject, contents, event)


def _event(kind: str, by: str, body: dict[str, object]) -> Event:
    who: dict[str, object] = {"agent": "guardai", "assurance": "asserted", "chain": (), "kind": "App", "user": by}
    return Event(body=body, id="", key="", kind=kind, log="", prev="", principal=who, seq=0, ts=0, v=VERSION)
