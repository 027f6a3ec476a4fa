"""From a URL to what it names: its scheme is the name of an entry point.

INVARIANT: whoever makes a sink or an anchor has imported all that its thread needs (`encodings.idna` looks up the names of hosts): a child
that is forked in the middle of an import has half a module for ever, and a lock that nobody releases.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - see above
from importlib.metadata import entry_points
from typing import Any

from guardai.errors import ConfigError

__all__ = ["opened"]


def opened(group: str, kind: str, url: str) -> Any:
    """What the entry point of a group makes of a URL.

    Args:
        group: of entry points.
        kind: what they make, as a message says it.
        url: of which the scheme alone is ever in a message.

    Raises:
        ConfigError: none that is installed has this scheme, or the URL says something that it does not understand.
    """
    scheme = url.partition(":")[0]
    found = {point.name: point for point in entry_points(group=group)}
    if scheme not in found:
        raise ConfigError(f"no {kind} for {scheme!r}: installed are {', '.join(sorted(found)) or 'none'}")
    return found[scheme].load()(url)
