"""Events of the replay vault: who looked into it, and whose contents were destroyed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from guardai.model.kinds.parts import Count, Digest, Part, Recorded

__all__ = ["VaultErase", "VaultErased", "VaultShown"]


class Shown(Part, frozen=True, kw_only=True):
    """What of the replay vault somebody had shown."""

    contents: Annotated[Count, Meta(description="how many contents")]
    session: Annotated[str, Meta(description="of which session")]


class Erasure(Part, frozen=True, kw_only=True):
    """Whose contents are to be destroyed."""

    subject: Annotated[Digest, Meta(description="keyed digest of the session's user")]


class Destroyed(Erasure, frozen=True, kw_only=True):
    """Whose contents were destroyed."""

    contents: Annotated[Count, Meta(description="how many contents")]


class VaultShown(Recorded, frozen=True, kw_only=True):
    """Somebody is about to see what calls of a session carried, where it was kept."""

    kind: Literal["vault.shown"]
    body: Shown


class VaultErase(Recorded, frozen=True, kw_only=True):
    """What was kept on somebody's behalf is about to be destroyed."""

    kind: Literal["vault.erase"]
    body: Erasure


class VaultErased(Recorded, frozen=True, kw_only=True):
    """What was kept on somebody's behalf has been destroyed, with its keys."""

    kind: Literal["vault.erased"]
    body: Destroyed
