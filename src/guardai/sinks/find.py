"""From a URL to a sink."""

from __future__ import annotations

from guardai.model import Sink
from guardai.schemes import opened

__all__ = ["open_sink"]


def open_sink(url: str) -> Sink:
    """The sink that a URL names: its scheme is the name of an entry point in the group `guardai.sinks`.

    Raises:
        ConfigError: no installed sink has this scheme, or the URL says something that the sink does not understand.
    """
    sink: Sink = opened("guardai.sinks", "sink", url)
    return sink
