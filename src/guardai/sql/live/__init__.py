"""What a running database tells of itself: read from its catalog without I/O of our own, and kept until it may have changed."""

from guardai.sql.live.kept import LiveSchemas, redefines
from guardai.sql.live.reading import READERS, aread, read, reader

__all__ = ["READERS", "LiveSchemas", "aread", "read", "reader", "redefines"]
