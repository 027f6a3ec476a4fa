import pytest

from guardai import ConfigError
from guardai.sinks import open_sink


def test_events_arrive_as_they_were_signed_one_a_line(tmp_path):
    sink = open_sink(f"jsonl://{tmp_path}/out/events.jsonl")
    sink.deliver([b'{"a":1}', b'{"b":"\\n"}'])
    sink.deliver([b'{"c":3}'])
    assert (tmp_path / "out/events.jsonl").read_bytes() == b'{"a":1}\n{"b":"\\n"}\n{"c":3}\n'


def test_torn_last_line_of_a_death_is_cut_before_the_next_delivery(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a":1}\n{"tor')
    open_sink(f"jsonl://{path}").deliver([b'{"b":2}'])
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_file_without_one_whole_line_begins_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 200_000)
    open_sink(f"jsonl://{path}").deliver([b'{"b":2}'])
    assert path.read_bytes() == b'{"b":2}\n'


def test_unwritable_place_raises_so_that_the_events_come_again(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        open_sink(f"jsonl://{tmp_path}/file/events.jsonl").deliver([b"{}"])


@pytest.mark.parametrize("url", ["jsonl://host/path", "jsonl:", "jsonl:///a?b"])
def test_url_that_names_no_file_is_refused(url):
    with pytest.raises(ConfigError, match="write jsonl:///path"):
        open_sink(url)


def test_unknown_scheme_names_what_is_installed():
    with pytest.raises(ConfigError, match="no sink for 'kafka': installed are jsonl"):
        open_sink("kafka://broker/topic")
