"""Live schemas are kept until they may have changed."""

import os
import threading
import time

import pytest

from guardai.model import LiveSchema
from guardai.sql.live import LiveSchemas, kept, read, reader

ONE, TWO = LiveSchema(path=("one",)), LiveSchema(path=("two",))


def test_kept_schema_is_the_same_object():
    schemas = LiveSchemas()
    assert schemas.get("a") is None
    schemas.put("a", ONE)
    assert schemas.get("a") is ONE
    assert schemas.get(("a", "user")) is None


def test_change_ends_it_at_once_and_for_its_target_alone():
    schemas = LiveSchemas()
    schemas.put("a", ONE)
    schemas.put("b", TWO)
    schemas.changed("a")
    assert schemas.get("a") is None
    assert schemas.get("b") is TWO


def test_age_ends_it(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(kept, "monotonic", lambda: now)
    schemas = LiveSchemas(age=60)
    schemas.put("a", ONE)
    now += 59.9
    assert schemas.get("a") is ONE
    now += 0.1
    assert schemas.get("a") is None


def test_what_was_read_before_a_change_is_not_kept_after_it():
    schemas = LiveSchemas()
    before = schemas.epoch("a")
    schemas.changed("a")
    schemas.put("a", ONE, before)
    assert schemas.get("a") is None
    schemas.put("a", TWO, schemas.epoch("a"))
    assert schemas.get("a") is TWO


def test_what_was_read_before_a_forgotten_change_is_not_kept_either():
    schemas = LiveSchemas(most=3)
    before = schemas.epoch("a")
    schemas.changed("a")
    for other in range(10):
        schemas.changed(other)
    schemas.put("a", ONE, before)
    assert schemas.get("a") is None
    schemas.put("a", ONE, schemas.epoch("a"))
    assert schemas.get("a") is ONE


def test_number_of_targets_is_bounded_and_the_oldest_goes():
    schemas = LiveSchemas(most=3)
    for key in range(3):
        schemas.put(key, ONE)
    schemas.put(0, TWO)
    schemas.put(3, ONE)
    assert [schemas.get(key) for key in range(4)] == [TWO, None, ONE, ONE]
    for key in range(100):
        schemas.changed(key)
    assert len(schemas._epochs) == 3


def test_clear_forgets_also_what_is_being_read():
    schemas = LiveSchemas()
    schemas.put("a", ONE)
    before = schemas.epoch("b")
    schemas.clear()
    schemas.put("b", ONE, before)
    assert schemas.get("a") is None and schemas.get("b") is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_child_forked_while_a_thread_held_the_lock_goes_on():
    schemas = LiveSchemas()
    schemas.put("a", ONE)
    held, done = threading.Event(), threading.Event()

    def hold():
        with schemas._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        kept_one = schemas.get("a") is ONE
        schemas.changed("a")
        schemas.put("a", TWO)
        os._exit(0 if kept_one and schemas.get("a") is TWO else 1)
    done.set()
    thread.join()
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)


def test_no_thread_sees_a_schema_after_its_change():
    schemas, stop, wrong = LiveSchemas(), threading.Event(), []

    def read_and_put():
        while not stop.is_set():
            epoch = schemas.epoch("a")
            schemas.put("a", LiveSchema(path=(str(version[0]),)), epoch)

    version = [0]
    threads = [threading.Thread(target=read_and_put) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2_000):
        version[0] += 1
        schemas.changed("a")
        found = schemas.get("a")
        if found is not None and int(found.path[0]) < version[0]:
            wrong.append(found)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_dialect_that_cannot_be_read_says_which_can():
    with pytest.raises(ValueError, match="'oracle'.*postgres"):
        reader("oracle")


def test_error_of_a_query_comes_through_as_it_is():
    def refuse(sql):
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        read("postgres", refuse)
