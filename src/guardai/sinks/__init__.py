"""Where sealed events go besides the store: one file for each kind of sink, found by its URL's scheme."""

from guardai.sinks.find import open_sink

__all__ = ["open_sink"]
