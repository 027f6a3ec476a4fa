"""Who may vouch for tree heads: witnesses, time-stamping authorities, object stores that cannot be emptied."""

from __future__ import annotations

from guardai.model import Anchor
from guardai.schemes import opened

__all__ = ["open_anchor"]


def open_anchor(url: str) -> Anchor:
    """The anchor that a URL names: its scheme is the name of an entry point in the group `guardai.anchors`.

    Raises:
        ConfigError: no installed anchor has this scheme, or the URL says something that the anchor does not understand.
    """
    anchor: Anchor = opened("guardai.anchors", "anchor", url)
    return anchor
