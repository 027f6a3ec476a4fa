"""Who may vouch for tree heads: witnesses, time-stamping authorities, object stores that cannot be emptied."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from guardai.errors import ConfigError
from guardai.model import Anchor

__all__ = ["open_anchor"]

_GROUP: Final = "guardai.anchors"


def open_anchor(url: str) -> Anchor:
    """The anchor that a URL names: its scheme is the name of an entry point in the group `guardai.anchors`.

    Raises:
        ConfigError: no installed anchor has this scheme, or the URL says something that the anchor does not understand.
    """
    scheme = url.partition(":")[0]
    found = {point.name: point for point in entry_points(group=_GROUP)}
    if scheme not in found:
        raise ConfigError(f"no anchor for {scheme!r}: installed are {', '.join(sorted(found)) or 'none'}")
    anchor: Anchor = found[scheme].load()(url)
    return anchor
