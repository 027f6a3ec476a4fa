"""`parquet:///FOLDER?rows=100000` and `parquet+s3://BUCKET/PREFIX`: events in Parquet files, for what reads columns.

::

    FOLDER/date=2027-03-01/<first id>-<number>.parquet

A batch is a file. Small ones of a day are put together, until a file has so many rows; what is put together is written before what it is made
of is removed, so a death between the two leaves events twice, and none out. A batch that comes again is the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from guardai.errors import ConfigError, SinkError
from guardai.model import shown
from guardai.sinks.columns import row

if TYPE_CHECKING:
    from pyarrow import Schema, Table
    from pyarrow.fs import FileSystem

__all__ = ["ParquetSink"]

_ROWS: Final = 100_000
#: Small files of a day before they are put together.
_SMALL: Final = 64
_DAY: Final = 86_400_000_000
#: Seconds for each request to a store.
_TIMEOUT: Final = 10


class ParquetSink:
    """Writes files, on the disk or acknowledged by the store before a delivery counts."""

    def __init__(self, url: str) -> None:
        try:
            for name in ("pyarrow.fs", "pyarrow.parquet"):
                importlib.import_module(name)
        except ImportError:
            raise ConfigError("parquet sinks need pyarrow: pip install 'guardai-sdk[parquet]'") from None
        # With its first array pyarrow imports pandas, if that is there. A child that is forked while the pump does so has half of it for ever.
        importlib.import_module("pyarrow").array([None])
        usage = f"{shown(url)} is no folder: write parquet:///FOLDER?rows=100000 or parquet+s3://BUCKET/PREFIX"
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
            self._rows = int(options.pop("rows", _ROWS))
        except ValueError:
            raise ConfigError(usage) from None
        local = parts.scheme == "parquet" and not parts.netloc and len(parts.path) > 1
        remote = parts.scheme == "parquet+s3" and parts.netloc and "@" not in parts.netloc
        if options or parts.fragment or not 1 <= self._rows <= 10_000_000 or not (local or remote):
            raise ConfigError(usage)
        self._s3 = bool(remote)
        self._folder = f"{parts.netloc}{unquote(parts.path)}".rstrip("/") if remote else unquote(parts.path)

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Writes the events.

        Raises:
            SinkError: they are not all written.
        """
        from pyarrow import ArrowException

        until = time.monotonic() + seconds
        try:
            files = self._files()
            rows = [row(event) for event in events]
            for day, group in groupby(rows, key=lambda one: one["ts"] // _DAY):
                self._write(files, self._place(files, day), list(group))
                if time.monotonic() > until:
                    raise SinkError("no room in time for all of them")
                self._put_together(files, self._place(files, day))
        except OSError as error:
            raise SinkError(error.strerror or type(error).__name__) from None
        except ArrowException as error:
            raise SinkError(type(error).__name__) from None

    def _files(self) -> FileSystem:
        from pyarrow import fs

        if not self._s3:
            return fs.LocalFileSystem()
        # Made each time: what of a store's client is in a process that forks is in no child.
        return fs.S3FileSystem(
            endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
            connect_timeout=_TIMEOUT,
            request_timeout=_TIMEOUT,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),
        )

    def _place(self, files: FileSystem, day: int) -> str:
        place = f"{self._folder}/date={datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"
        if not self._s3:
            files.create_dir(place, recursive=True)
        return place

    def _write(self, files: FileSystem, place: str, rows: list[dict[str, Any]]) -> str:
        import pyarrow as pa

        # By its first and all ids: another batch that begins alike, after some of it was refused, is another file.
        ids = hashlib.sha256("\n".join(one["id"] for one in rows).encode()).hexdigest()[:16]
        return self._store(files, f"{place}/{rows[0]['id']}-{ids}.parquet", pa.Table.from_pylist(rows, _schema()))

    def _store(self, files: FileSystem, name: str, table: Table) -> str:
        import pyarrow.parquet as pq

        if self._s3:
            pq.write_table(table, name, filesystem=files, compression="zstd")  # there when it is whole
            return name
        path = Path(name)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return name

    def _put_together(self, files: FileSystem, place: str) -> None:
        """Makes one of the small files of a day, once there are many."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        small = list(self._small(files, place))
        if len(small) < _SMALL and sum(count for _, count in small) < self._rows:
            return
        taken: list[str] = []
        rows = 0
        for name, count in small:
            if taken and rows + count > self._rows:
                break
            taken.append(name)
            rows += count
        if len(taken) < 2:
            return
        tables = [pq.read_table(name, filesystem=files, partitioning=None) for name in taken]
        table = pa.concat_tables(tables)
        ids = hashlib.sha256("\n".join(table.column("id").to_pylist()).encode()).hexdigest()[:16]
        made = self._store(files, f"{place}/{table.column('id')[0].as_py()}-{ids}.parquet", table)
        self._remove(files, [name for name in taken if name != made])

    def _remove(self, files: FileSystem, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                files.delete_file(name)

    def _small(self, files: FileSystem, place: str) -> Iterator[tuple[str, int]]:
        """Files of a day that have room for more, in their order, and their rows."""
        import pyarrow.parquet as pq
        from pyarrow.fs import FileSelector

        for info in sorted(files.get_file_info(FileSelector(place)), key=lambda one: one.path):
            name = info.path.rpartition("/")[2]
            if info.is_file and name.endswith(".parquet") and not name.startswith("."):
                count = pq.read_metadata(info.path, filesystem=files).num_rows
                if count < self._rows:
                    yield info.path, count


def _schema() -> Schema:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("id", text), ("log", text), ("seq", pa.int64()), ("ts", pa.timestamp("us", tz="UTC")), ("kind", text), ("action", text),
            ("session", text), ("call", text), ("person", text), ("agent", text), ("effect", text), ("status", text), ("event", text),
        ]
    )  # fmt: skip
