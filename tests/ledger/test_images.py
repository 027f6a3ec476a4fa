"""Rows that are kept: encrypted, bound to their event, forgotten in time."""

import os
import time

import pytest

from guardai.ledger import Images, VaultError

SECRET = bytes(range(32))


@pytest.fixture
def images(home):
    return Images(home, SECRET, life=3600)


def test_what_is_kept_comes_back_in_another_process_of_the_home(images, home):
    images.put("a-1", b"rows")
    assert Images(home, SECRET, life=60).get("a-1") == b"rows"
    assert images.get("a-2") is None


def test_later_content_stands_in_for_the_former(images):
    images.put("a-1", b"before")
    images.put("a-1", b"before and after")
    assert images.get("a-1") == b"before and after"
    assert len(list(images.folder.iterdir())) == 1


def test_nothing_stands_there_in_clear_and_nobody_else_may_read_it(images):
    images.put("a-1", b"the rows")
    (path,) = images.folder.iterdir()
    assert b"the rows" not in path.read_bytes()
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
        assert images.folder.stat().st_mode & 0o077 == 0


def test_file_of_another_event_or_home_or_damaged_is_refused(images, home):
    images.put("a-1", b"rows")
    (path,) = images.folder.iterdir()
    (path.parent / path.name.replace("a-1", "a-2")).write_bytes(path.read_bytes())
    with pytest.raises(VaultError):
        images.get("a-2")
    with pytest.raises(VaultError):
        Images(home, bytes(32), life=60).get("a-1")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VaultError):
        images.get("a-1")


def test_what_has_expired_is_gone_and_cannot_be_read_from_a_copy(images, home, monkeypatch):
    images.put("a-1", b"rows")
    (path,) = images.folder.iterdir()
    copy = path.read_bytes()
    later = time.time() + 3 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert images.expire() == 1
    assert images.get("a-1") is None
    path.write_bytes(copy)
    assert images.get("a-1") is None


def test_what_lives_on_is_not_expired(images):
    images.put("a-1", b"rows")
    assert images.expire() == 0
    assert images.get("a-1") == b"rows"


def test_folder_that_cannot_be_written_says_so(images):
    images.folder.parent.mkdir(parents=True)
    images.folder.write_text("in the way")
    with pytest.raises(VaultError, match="cannot be kept"):
        images.put("a-1", b"rows")


@pytest.mark.parametrize("name", ["", "../a", "*", "a/b"])
def test_name_that_is_no_events_finds_nothing(images, name):
    images.put("a-1", b"rows")
    assert images.get(name) is None
