"""A bundle that is loaded beside calls lets them go first."""

import threading

from guardai.policy import Bundle, Engine, pace, stored_index

TEXT = "\n".join(
    f'@id("t{n}") permit (principal, action == Action::"db.read", resource == Table::"shop.t{n}");' for n in range(400)
)


def rests(monkeypatch, work):
    """How often a thread rested, and the longest that it worked without, in its own time."""
    found, began = [], [pace.time.thread_time()]

    def sleep(seconds):
        now = pace.time.thread_time()
        found.append(now - began[0])
        began[0] = now
        real(seconds)

    real = pace.time.sleep
    monkeypatch.setattr(pace.time, "sleep", sleep)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    monkeypatch.undo()
    return found


def test_a_thread_that_loads_rests_after_each_half_millisecond(folder, monkeypatch):
    root, loaded = folder(TEXT), []
    found = rests(monkeypatch, lambda: loaded.append(Engine(Bundle.load(root))))
    assert loaded[0].bundle.policies.keys() == Bundle.load(root).policies.keys()
    assert len(found) > 20
    # Nine in ten; the first has the imports in it.
    assert sorted(found)[len(found) * 9 // 10] < 0.005


def test_the_main_thread_never_rests(folder, monkeypatch):
    root = folder(TEXT)
    monkeypatch.setattr(pace.time, "sleep", lambda _: 1 / 0)
    Engine(Bundle.load(root, index=stored_index(root)))
