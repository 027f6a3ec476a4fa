"""Parquet: what files hold after a delivery, on a disk and in a store that speaks S3; read by another program's reader."""

import json
import logging
import os
import secrets

import boto3
import duckdb
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from guardai import ConfigError, SinkError
from guardai.sinks.parquet import ParquetSink


def event(n, day=0, **more):
    given = {
        "id": f"a-{n:04x}",
        "kind": "test.note",
        "log": "a",
        "seq": n,
        "ts": 1_700_000_000_000_001 + n + day * 86_400_000_000,
    }
    return json.dumps({**given, **more}, separators=(",", ":")).encode()


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read(folder):
    """All rows, by DuckDB: what stands there is for other programs."""
    found = duckdb.sql(
        f"SELECT * REPLACE (epoch_us(ts) AS ts) FROM read_parquet('{folder}/*/*.parquet', hive_partitioning = true) ORDER BY id"
    )
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def test_every_event_is_a_row_with_its_exact_bytes_and_columns_to_search_by(tmp_path):
    full = event(
        1, action="db.read", call="c", session="s", status="ok", principal={"agent": "bot", "user": "ann"}, decision={"effect": "allow"}
    )  # fmt: skip
    ParquetSink(f"parquet://{tmp_path}/out").deliver([full, event(2), event(3, day=1)])
    first, second, third = read(tmp_path / "out")
    assert (first["event"].encode(), first["seq"], first["ts"]) == (full, 1, 1_700_000_000_000_002)
    assert (first["action"], first["person"], first["agent"], first["effect"], first["status"]) == (
        "db.read", "ann", "bot", "allow", "ok",
    )  # fmt: skip
    assert (second["action"], second["person"]) == ("", "")
    assert [str(one["date"]) for one in (first, second, third)] == ["2023-11-14", "2023-11-14", "2023-11-15"]


def test_batch_that_comes_again_is_there_once(tmp_path):
    sink = ParquetSink(f"parquet://{tmp_path}")
    for _ in range(3):
        sink.deliver([event(1), event(2)])
    assert len(read(tmp_path)) == 2
    sink.deliver([event(1)])  # another batch, after a refusal say
    assert len(read(tmp_path)) == 3


def test_small_files_are_put_together_and_nothing_is_lost(tmp_path):
    sink = ParquetSink(f"parquet://{tmp_path}?rows=100")
    for n in range(260):
        sink.deliver([event(n)])
    assert [row["event"].encode() for row in read(tmp_path)] == [event(n) for n in range(260)]
    counts = sorted(pq.read_metadata(path).num_rows for path in files(tmp_path))
    assert counts[-2:] == [100, 100]
    assert len(counts) < 64
    assert not [path for path in files(tmp_path) if path.name.startswith(".")]


def test_death_between_putting_together_and_removing_leaves_events_twice_and_none_out(tmp_path, monkeypatch):
    sink = ParquetSink(f"parquet://{tmp_path}?rows=100")
    for n in range(63):
        sink.deliver([event(n)])

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sink, "_remove", die)
    with pytest.raises(KeyboardInterrupt):
        sink.deliver([event(63)])
    monkeypatch.undo()
    assert {row["id"] for row in read(tmp_path)} == {f"a-{n:04x}" for n in range(64)}
    sink.deliver([event(64)])
    assert {row["id"] for row in read(tmp_path)} == {f"a-{n:04x}" for n in range(65)}


def test_whole_ledger_goes_through_the_pump_to_the_files(tmp_path, whole_ledger):
    events = whole_ledger(f"parquet://{tmp_path}/out")
    assert {row["event"].encode() for row in read(tmp_path / "out")} == events


def test_folder_that_cannot_be_written_leaves_the_events_waiting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError) as told:
        ParquetSink(f"parquet://{tmp_path}/file/out").deliver([event(1)])
    assert type(told.value) is SinkError


def test_child_that_was_forked_writes_by_itself(tmp_path):
    sink = ParquetSink(f"parquet://{tmp_path}")
    sink.deliver([event(1)])
    pid = os.fork()
    if not pid:
        try:
            sink.deliver([event(2)])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    sink.deliver([event(3)])
    assert [row["id"] for row in read(tmp_path)] == ["a-0001", "a-0002", "a-0003"]


@pytest.fixture
def bucket(monkeypatch):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    place = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in (("ENDPOINT_URL", place), ("ENDPOINT_URL_S3", place), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "eu-west-1")):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    name = f"out-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.named = name
    yield client
    client.close()
    server.stop()


def test_store_that_speaks_s3_has_the_same_files(bucket, tmp_path):
    sink = ParquetSink(f"parquet+s3://{bucket.named}/ledgers?rows=100")
    for n in range(70):
        sink.deliver([event(n)])
    # S3 has no folders; who removes an object in one leaves an empty object in its name.
    found = [one for one in bucket.list_objects_v2(Bucket=bucket.named)["Contents"] if not one["Key"].endswith("/")]
    assert len(found) < 64
    (tmp_path / "date=x").mkdir()
    for n, one in enumerate(found):
        assert one["Key"].startswith("ledgers/date=2023-11-14/")
        bucket.download_file(bucket.named, one["Key"], str(tmp_path / "date=x" / f"{n}.parquet"))
    assert [row["event"].encode() for row in read(tmp_path)] == [event(n) for n in range(70)]


def test_bucket_that_is_not_there_leaves_the_events_waiting(bucket):
    with pytest.raises(SinkError) as told:
        ParquetSink(f"parquet+s3://none-{bucket.named}/x").deliver([event(1)])
    assert type(told.value) is SinkError


@pytest.mark.parametrize(
    "url",
    ["parquet://", "parquet:///", "parquet://host/x", "parquet:///x?rows=0", "parquet:///x?rows=many", "parquet:///x?secret=1",
     "parquet+s3://key:secret@bucket/x", "parquet+s3:///x"],
)  # fmt: skip
def test_url_that_names_no_folder_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError) as told:
        ParquetSink(url)
    assert "secret" not in str(told.value)
