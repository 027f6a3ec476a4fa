"""From a URL to a sink."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from guardai.errors import ConfigError
from guardai.model import Sink

__all__ = ["open_sink"]

_GROUP: Final = "guardai.sinks"


def open_sink(url: str) -> Sink:
    """The sink that a URL names: its scheme is the name of an entry point in the group `guardai.sinks`.

    Raises:
        ConfigError: no installed sink has this scheme, or the URL says something that the sink does not understand.
    """
    scheme = url.partition(":")[0]
    found = {point.name: point for point in entry_points(group=_GROUP)}
    if scheme not in found:
        raise ConfigError(f"no sink for {scheme!r}: installed are {', '.join(sorted(found)) or 'none'}")
    sink: Sink = found[scheme].load()(url)
    return sink
