"""A process that decides by a bundle that is pulled: at the start, while it runs, when it expires, in its children."""

import contextlib
import errno
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from datetime import timedelta
from types import SimpleNamespace

import pytest

import guardai
from guardai.errors import BundleError, ConfigError, PolicyDenied
from guardai.gate import current, detectors, supply
from guardai.gate.gate import Gate
from guardai.hooks import Call, Target, opened
from guardai.policy.trust import client
from guardai.policy.trust.archive import pack, unpack
from guardai.policy.trust.build import build
from guardai.policy.trust.client import Client, State
from guardai.policy.trust.repository import Lifetimes

FORBID = '@id("no") @reason("not today") forbid (principal, action, resource);'
PERMIT = '@id("p") permit (principal, action, resource);'
BADGES = '[[detector]]\nlabel = "pii.badge"\nanchors = ["BDG-"]\npattern = "BDG-[0-9]{6}"\nmatches = ["BDG-123456"]\n'


def ask(**payload):
    return opened(Call("tool.call", Target("tool", "", "lookup"), payload=payload))


def denied(**payload):
    with pytest.raises(PolicyDenied) as caught:
        ask(**payload)
    return str(caught.value)


@pytest.fixture
def start(publisher, server, time_, home, tmp_path):
    """`guardai.init` with the repository as its policy; it asks by itself only at the start, unless told otherwise."""

    def init(**given):
        root = tmp_path / "trusted.json"
        root.write_bytes(publisher.root)
        usual = {"policy": server.url, "policy_root": root, "policy_refresh": "0"}
        guardai.init(**{"home": home, "integrations": [], **usual, **given})

    return init


def test_events_name_the_digest_that_decided_and_that_it_is_signed(start, publisher, events):
    start()
    ask(q="x").close("y")
    [intent] = events(kind="call.intent")
    assert intent["decision"]["signed"] is True
    [outcome] = events(kind="call.outcome")
    assert outcome["decision"]["bundle"] == intent["decision"]["bundle"] == current().gate.engine.bundle.digest


@pytest.mark.parametrize("what", ["starter", "folder", "file"])
def test_event_says_that_nobody_signed_a_policy_of_ones_own(home, policy, tmp_path, events, what):
    folder = policy(PERMIT)
    (tmp_path / "b").write_bytes(build(folder))
    guardai.init(home=home, integrations=[], policy={"starter": None, "folder": folder, "file": tmp_path / "b"}[what])
    ask(q="x")
    [intent] = events(kind="call.intent")
    assert intent["decision"]["signed"] is False


def test_recorded_calls_of_the_application_say_it_too(home, tmp_path, policy, key, signer, events):
    """The same digest, first unsigned and then signed: what was encoded for one is not told of the other."""
    from guardai.policy.trust.signed import beside, sign

    file = tmp_path / "b"
    file.write_bytes(build(policy(PERMIT)))
    beside(file).write_bytes(sign(file.read_bytes(), [signer(key("a"))]))
    for keys in (None, [tmp_path / "a.pem.pub"]):
        guardai.init(home=home, integrations=[], policy=file, policy_keys=keys, app_calls="record")
        opened(Call("tool.call", Target("tool", "", "x"), payload={}), current().acting.app()).close("")
    assert [one["decision"]["signed"] for one in events(kind="call.intent")] == [False, True]


def test_new_bundle_decides_from_the_next_call_on_and_a_running_call_ends_by_its_own(start, publisher, events):
    start()
    running = ask(q="x")
    first = current().gate.in_force.digest
    publisher.publish("2", cedar=PERMIT + FORBID)
    current().supply.refresh()
    assert "not today" in denied(q="x")
    running.close("y")
    [outcome] = events(kind="call.outcome", call=running.id)
    assert (outcome["decision"]["bundle"], outcome["status"]) == (first, "ok")
    assert current().gate.in_force.digest != first


def test_no_call_reaches_for_the_network(start, server):
    start()
    server.shutdown()
    server.socket.close()
    asked = len(server.asked)
    for _ in range(50):
        ask(q="x").close("y")
    assert len(server.asked) == asked


def test_thread_fetches_what_is_new_by_itself(start, publisher):
    start(policy_refresh="1s")
    publisher.publish("2", cedar=PERMIT + FORBID)
    until = time.monotonic() + 30
    while current().gate.engine.bundle.version != "2" and time.monotonic() < until:
        time.sleep(0.05)
    assert "not today" in denied(q="x")


def test_process_that_begins_while_the_server_is_away_has_the_last_good_bundle(start, server, caplog):
    start()
    server.shutdown()
    server.socket.close()
    with caplog.at_level(logging.WARNING):
        start()
    ask(q="x")
    assert "the last good bundle decides until it expires" in caplog.text


def test_process_that_begins_with_nothing_while_the_server_is_away_does_not_begin(start, server):
    server.shutdown()
    server.socket.close()
    with pytest.raises(BundleError, match="cannot be fetched from"):
        start()
    assert current() is None


def test_bundle_that_expires_while_the_server_is_away_denies_and_says_so(start, server, time_, events):
    start()
    server.shutdown()
    server.socket.close()
    time_.pass_(days=89)
    ask(q="x")
    time_.pass_(days=2)
    said = denied(q="x")
    assert "expired at 2030-04-01 00:00 UTC" in said
    assert "guardai bundle status" in said
    assert events(kind="call.outcome", status="denied")
    with pytest.raises(BundleError, match=r"cannot be fetched from.*last good bundle.*expired at 2030-04-01"):
        start()


def test_clock_that_is_set_back_does_not_bring_an_expired_bundle_back(start, server, time_, monkeypatch):
    start()
    passed = time.monotonic() + 91 * 86_400
    time_.pass_(days=-300)
    ask(q="x")
    monkeypatch.setattr("guardai.policy.trust.clock.time.monotonic", lambda: passed)
    assert "expired" in denied(q="x")


def test_process_that_began_while_the_clock_was_ahead_goes_on_where_it_is_put_right(start, time_, monkeypatch):
    start()
    time_.pass_(days=89, hours=23)
    start()
    real = time.monotonic
    monkeypatch.setattr("guardai.policy.trust.clock.time.monotonic", lambda: real() + 7200)
    ask(q="x")
    time_.pass_(days=-89)
    ask(q="x")
    time_.pass_(days=90)
    assert "expired" in denied(q="x")


def test_process_that_does_not_begin_because_the_clock_was_set_back_says_so(start, time_, home):
    start()
    [state] = (home / "cache" / "bundles").glob("*/state.json")
    for file in state.parent.rglob("timestamp.json"):
        file.unlink()
    state.write_text(f'{{"good": {time_().timestamp() + 100 * 86_400}}}')
    with pytest.raises(BundleError) as caught:
        start()
    asked, cached = str(caught.value).split("; the last good bundle: ")
    for said in (asked, cached):
        assert "expired" in said
        assert "2030-04-11 00:00 UTC by the last good answer, and 2030-01-01 00:00 by this machine's clock" in said


def test_bundle_that_says_when_it_expires_is_held_to_that(start, publisher, time_, now, folder):
    publisher.publish("2", data=build(folder(PERMIT), expires=now + timedelta(days=2)))
    start()
    ask(q="x")
    time_.pass_(days=3)
    assert "expired at 2030-01-03" in denied(q="x")


def test_metadata_that_is_signed_anew_prolongs_the_bundle_that_decides(start, publisher, time_):
    start()
    gate = current().gate.in_force
    time_.pass_(days=5)
    publisher.publish("1", now=time_(), data=publisher.data)
    current().supply.refresh()
    assert current().gate.in_force is gate
    time_.pass_(days=88)
    ask(q="x")


def broken(built):
    """Properly signed, and of no use to this guardai."""
    members = unpack(built(version="9"))
    members["manifest.json"] = members["manifest.json"].replace(b'"0.1.0"', b'"999"')
    return pack(members)


def test_signed_bundle_that_cannot_be_used_changes_nothing(start, publisher, built):
    start()
    gate = current().gate.in_force
    publisher.publish("9", data=broken(built))
    with pytest.raises(BundleError, match="needs guardai 999"):
        current().supply.refresh()
    assert current().gate.in_force is gate
    start()  # the next process, too
    ask(q="x")
    assert current().gate.engine.bundle.version == "1"


@pytest.mark.parametrize("refresh", ["0", "10m"])
def test_bundle_that_another_environment_has_taken_up_takes_nothing_from_this_one(
    start, publisher, server, built, home, events, refresh
):
    """A home is shared by environments of other versions of guardai and other packs. Asked or not, this one says why."""
    start()
    guardai.shutdown()
    publisher.publish("9", data=broken(built))
    [cache] = (home / "cache" / "bundles").iterdir()
    other = Client(server.url, publisher.root, cache, environment="guardai 999")
    other.keep(other.refresh())
    start(policy_refresh=refresh)
    ask(q="x")
    assert current().gate.engine.bundle.version == "1"
    [refused] = events(kind="bundle.refused")
    assert "needs guardai 999" in refused["body"]["why"]


def test_bundle_with_detectors_that_cannot_be_used_changes_nothing(start, publisher, folder):
    start()
    gate = current().gate.in_force
    root = folder(PERMIT, detectors_toml='[[detector]]\nlabel = "pii.x"\nliterals = ["a"]\npattern = "("\nrun = ""\n')
    publisher.publish("2", data=build(root))
    with pytest.raises(BundleError, match=r"detectors\.toml"):
        current().supply.refresh()
    assert current().gate.in_force is gate
    ask(q="x")


@pytest.mark.parametrize("detectors", ['packs = ["nowhere"]\n', 'recognisers = ["nowhere"]\n'])
def test_process_begins_with_the_last_good_bundle_where_the_detectors_of_the_new_one_cannot_be_used(
    start, publisher, folder, detectors, events
):
    publisher.publish("1", data=build(folder(PERMIT, detectors_toml=BADGES), version="1"))
    start()
    guardai.shutdown()
    publisher.publish("2", data=build(folder(PERMIT, detectors_toml=detectors), version="2"))
    start()
    assert current().gate.engine.bundle.version == "1"
    ask(q="badge BDG-004211")
    assert list(events(kind="call.intent")[-1]["findings"]) == ["pii.badge"]
    [refused] = events(kind="bundle.refused")
    assert "nowhere" in refused["body"]["why"]


def test_detectors_of_a_new_bundle_find_from_the_next_call_on(start, publisher, folder, events):
    start()
    ask(q="badge EMP-004211")
    own = (
        '[[detector]]\nlabel = "pii.employee_id"\nliterals = ["EMP-"]\npattern = \'EMP-[0-9]{6}(?![0-9])\'\nrun = ""\n'
    )
    publisher.publish("2", data=build(folder(PERMIT, detectors_toml=own)))
    current().supply.refresh()
    ask(q="badge EMP-004211")
    assert [list(one["findings"]) for one in events(kind="call.intent")] == [[], ["pii.employee_id"]]


def test_forked_child_asks_by_itself(start, publisher, server):
    start(policy_refresh="1s")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            names = [thread.name for thread in threading.enumerate()]
            until = time.monotonic() + 30
            while current().gate.engine.bundle.version != "2" and time.monotonic() < until:
                time.sleep(0.05)
            os.write(write, json.dumps([names, current().gate.engine.bundle.version]).encode())
            code = 0
        finally:
            os._exit(code)
    publisher.publish("2", cedar=PERMIT + FORBID)
    assert os.waitpid(child, 0)[1] == 0
    names, version = json.loads(os.read(read, 4096))
    assert "guardai-policy" in names
    assert version == "2"


def in_fork(work):
    """What `work` returns in a forked child, as JSON carries it; the child ends as a worker of a server does."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(write, json.dumps(work()).encode())
            guardai.shutdown()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    until = time.monotonic() + 40
    try:
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise AssertionError("the child does not end")
            time.sleep(0.02)
        assert ended[1] == 0
        return json.loads(os.read(read, 4096))
    finally:
        os.close(read)


def test_child_forked_during_a_swap_swaps_and_ends(start, publisher, folder, monkeypatch):
    start()
    reading, go_on = threading.Event(), threading.Event()
    real = detectors.search_of

    def slow(bundle, cache, **how):
        reading.set()
        go_on.wait(60)
        return real(bundle, cache, **how)

    monkeypatch.setattr(detectors, "search_of", slow)
    publisher.publish("2", data=build(folder(PERMIT, detectors_toml=BADGES), version="2"))
    thread = threading.Thread(target=current().supply.refresh)
    thread.start()
    assert reading.wait(30)

    def child():
        go_on.set()
        current().supply.refresh()
        return current().gate.engine.bundle.version

    try:
        assert in_fork(child) == "2"
    finally:
        go_on.set()
        thread.join()


def test_end_does_not_wait_for_ever_for_what_is_being_adopted(start, publisher, monkeypatch):
    start()
    supply, go_on, adopting = current().supply, threading.Event(), threading.Event()
    monkeypatch.setattr("guardai.gate.supply._LAST", 0.2)
    monkeypatch.setattr(supply, "_adopt", lambda _: (adopting.set(), go_on.wait(60)))
    publisher.publish("2")
    thread = threading.Thread(target=supply.refresh)
    thread.start()
    try:
        assert adopting.wait(30)
        ended = threading.Thread(target=supply.stop)
        ended.start()
        ended.join(20)
        assert not ended.is_alive()
    finally:
        go_on.set()
        thread.join()


def test_bundle_that_took_long_to_read_does_not_take_the_place_of_a_newer_one(start, publisher, monkeypatch):
    start()
    reading, go_on, load = threading.Event(), threading.Event(), supply.loaded

    def slow(client, served, labels):
        found = load(client, served, labels)
        if found.bundle.version == "2":
            reading.set()
            go_on.wait(60)
        return found

    monkeypatch.setattr(supply, "loaded", slow)
    monkeypatch.setattr(
        supply, "_other_threads_first", contextlib.nullcontext
    )  # which would have the second wait for the first
    publisher.publish("2")
    thread = threading.Thread(target=current().supply.refresh)
    thread.start()
    try:
        assert reading.wait(30)
        publisher.publish("3")
        current().supply.refresh()
    finally:
        go_on.set()
        thread.join()
    assert (current().gate.engine.bundle.version, current().supply.current.bundle.version) == ("3", "3")
    assert [one.version for one in current().supply.client.cached()] == [3]


def test_child_forked_while_a_bundle_is_built_collects_its_garbage(start, publisher, monkeypatch):
    start()
    building, go_on = threading.Event(), threading.Event()
    real, interval = supply.loaded, sys.getswitchinterval()

    def slow(*given):
        building.set()
        go_on.wait(60)
        return real(*given)

    monkeypatch.setattr(supply, "loaded", slow)
    publisher.publish("2")
    thread = threading.Thread(target=current().supply.refresh)
    thread.start()
    try:
        assert building.wait(30)
        assert not gc.isenabled()
        assert in_fork(lambda: [gc.isenabled(), sys.getswitchinterval()]) == [True, interval]
    finally:
        go_on.set()
        thread.join()
    assert (gc.isenabled(), sys.getswitchinterval()) == (True, interval)


def test_nothing_is_adopted_after_shutdown(start, publisher):
    start(policy_refresh="0")
    runtime = current()
    gate = runtime.gate.in_force
    guardai.shutdown()
    publisher.publish("2", cedar=PERMIT + FORBID)
    with pytest.raises(BundleError, match="its time was over"):
        runtime.supply.refresh()
    assert runtime.gate.in_force is gate


@pytest.fixture
def asking(server):
    """A server that lets whoever asks for the timestamp wait until the test has ended; set when somebody does."""
    asked = threading.Event()

    def wait(to):
        asked.set()
        to.server.over.wait(60)

    server.answers["timestamp.json"] = wait
    return asked


@pytest.mark.parametrize("how", ["after its end", "again"])
def test_process_begins_anew_with_what_is_new_while_the_former_fetches(start, publisher, server, asking, how):
    """The former lets go of the cache: otherwise the start would wait in vain, and go on with the last good bundle."""
    answers, server.answers = server.answers, {}
    start(policy_refresh="1s")
    publisher.publish("2")
    server.answers = answers
    assert asking.wait(30)
    server.answers = {}
    if how == "after its end":
        guardai.shutdown()
    start()
    assert current().gate.engine.bundle.version == "2"
    assert current().supply.problem == ""


def test_nothing_is_adopted_by_the_former_gate_while_another_is_built(start, publisher, folder, monkeypatch):
    from guardai.gate.supply import Supply

    start()
    former, real = current(), Supply._begin

    def begin(supply, client):
        publisher.publish("2", data=build(folder(PERMIT, detectors_toml=BADGES), version="2"))
        with pytest.raises(BundleError):
            former.supply.refresh()
        return real(supply, client)

    monkeypatch.setattr(Supply, "_begin", begin)
    start()
    assert former.gate.engine.bundle.version == "1"
    assert current().gate.engine.bundle.version == "2"


def test_gate_that_no_other_could_replace_goes_on_adopting(start, publisher, tmp_path):
    start(policy_refresh="1s")
    (tmp_path / "x").write_text("{}")
    with pytest.raises(BundleError, match="the trusted root is no root metadata"):
        start(policy_root=tmp_path / "x")
    publisher.publish("2")
    until = time.monotonic() + 30
    while current().gate.engine.bundle.version != "2" and time.monotonic() < until:
        time.sleep(0.05)
    assert current().gate.engine.bundle.version == "2"


def test_keeping_gets_no_more_time_than_fetching_left(start, publisher, monkeypatch):
    from guardai.policy.trust.client import Client

    start()
    given = []
    monkeypatch.setattr(Client, "keep", lambda *given_: given.append(given_[2:]))
    publisher.publish("2")
    current().supply.refresh(9)
    [(seconds,)] = given
    assert seconds < 9


def test_bundle_that_could_not_be_kept_is_kept_the_next_time(start, publisher, home, monkeypatch, caplog):
    start()
    supply = current().supply
    publisher.publish("2")
    real = client.replace

    def full(file, data):
        if file.parent.name == "good":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        real(file, data)

    with monkeypatch.context() as given:
        given.setattr(client, "replace", full)
        supply.refresh()
    assert "cannot be kept for the next start: the cache cannot be used: No space left on device" in caplog.text
    assert str(home) not in caplog.text
    supply.refresh()
    guardai.shutdown()
    start(policy_refresh="10m")
    assert current().gate.engine.bundle.version == "2"


@pytest.mark.parametrize("lost", ["bundles/*.bundle", "bundles/*.targets.json", "good/*"])
@pytest.mark.parametrize("damage", [None, b"{"])
def test_bundle_that_the_cache_lost_is_kept_again_at_the_next_good_answer(start, server, lost, damage):
    start()
    supply = current().supply

    def files():
        """With their inodes: what is written anew is another file."""
        return {file: file.stat().st_ino for file in supply.client.folder.glob("[bg]*/*")}

    whole = files()
    [file] = supply.client.folder.glob(lost)
    file.unlink() if damage is None else file.write_bytes(damage)
    supply.refresh()
    assert [one.version for one in supply.client.cached()] == [1]
    kept, fetched = files(), [path for path in server.asked if path.endswith(".bundle")]
    supply.refresh()
    assert kept.keys() == whole.keys() and files() == kept
    assert [path for path in server.asked if path.endswith(".bundle")] == fetched


def break_timestamp(publisher, cache, built, folder):
    (publisher.folder / "metadata" / "timestamp.json").unlink()


def break_lock(publisher, cache, built, folder):
    (cache / "lock").unlink()
    (cache / "lock").mkdir()


def break_cache(publisher, cache, built, folder):
    (cache / "metadata" / "timestamp.json").unlink()
    (cache / "metadata" / "timestamp.json").mkdir()


def break_disk(publisher, cache, built, folder):
    (cache / "state.json").unlink()
    (cache / "state.json").mkdir()
    publisher.publish("9", data=broken(built))


def break_bundle(publisher, cache, built, folder):
    publisher.publish("9", data=broken(built))


def break_detectors(publisher, cache, built, folder):
    wrong = '[[detector]]\nlabel = "pii.x"\nliterals = ["a"]\npattern = "("\nrun = ""\n'
    publisher.publish("9", data=build(folder(PERMIT, detectors_toml=wrong)))


def break_packs(publisher, cache, built, folder):
    publisher.publish("9", data=build(folder(PERMIT, detectors_toml='packs = ["nowhere"]\n')))


@pytest.mark.parametrize("url", ["a folder", "a server"])
@pytest.mark.parametrize(
    "broken_", [break_timestamp, break_lock, break_cache, break_disk, break_bundle, break_detectors, break_packs]
)
def test_no_refusal_tells_where_files_lie_on_this_machine(
    start, publisher, server, home, built, folder, events, tmp_path, caplog, broken_, url
):
    where = publisher.folder.as_uri() if url == "a folder" else server.url
    start(policy=where)
    guardai.shutdown()
    [cache] = (home / "cache" / "bundles").iterdir()
    broken_(publisher, cache, built, folder)
    with caplog.at_level(logging.INFO, "guardai"):
        start(policy=where)
    [refused] = events(kind="bundle.refused")
    assert str(tmp_path) not in refused["body"]["why"]
    assert str(tmp_path) not in caplog.text


@pytest.fixture
def of(publisher, server, time_, tmp_path):
    """A client of an environment by its name; they share one cache."""
    return lambda name: Client(server.url, publisher.root, tmp_path / "cache", environment=name)


def unusable(bundle):
    if bundle.version == "2":
        raise BundleError("its pack is not installed here")


def test_reason_why_nothing_that_is_kept_can_be_used_is_that_of_the_newest(publisher, of, time_):
    publisher.publish("1", lifetimes=Lifetimes(targets=timedelta(days=3)))
    of("b").keep(of("b").refresh())
    publisher.publish("2")
    of("a").keep(of("a").refresh())
    time_.pass_(days=4)
    found = supply.kept(of("b"), frozenset(), unusable)
    assert (found.served.version, found.supplied, found.why) == (3, None, "its pack is not installed here")


def test_what_one_environment_cannot_use_is_told_there_and_nowhere_else(publisher, of):
    of("b").keep(of("b").refresh())
    publisher.publish("2")
    of("a").keep(of("a").refresh())
    why = "its pack is not installed here"
    found = supply.kept(of("b"), frozenset(), unusable)
    assert (found.served.version, found.why, found.passed) == (1, "", why)
    of("b").refresh()
    with pytest.raises(BundleError), of("b").proving():
        raise BundleError(why)
    assert (of("a").state().error, of("b").state().error) == ("", why)
    found = supply.kept(of("a"), frozenset(), lambda _: None)
    assert (found.served.version, found.why, found.passed) == (2, "", "")


def test_state_says_why_a_bundle_that_is_to_be_trusted_cannot_be_used(start, publisher, built):
    start()
    client = current().supply.client
    publisher.publish("9", data=broken(built))
    with pytest.raises(BundleError, match="needs guardai 999"):
        current().supply.refresh()
    state = client.state()
    assert "policy.bundle: manifest.json: it needs guardai 999" in state.error
    assert state.asked == state.good > 0
    publisher.publish("2")
    current().supply.refresh()
    assert client.state().error == ""


def test_process_of_the_same_home_does_not_ask_again_at_once(start, server):
    start(policy_refresh="10m")
    server.asked.clear()
    start(policy_refresh="10m")
    assert server.asked == []


def test_waiting_grows_with_every_failure_up_to_the_usual_and_never_is_the_same(start):
    start(policy_refresh="10m")
    wait = current().supply._wait
    assert len({wait(0) for _ in range(20)}) > 10
    assert all(4 <= wait(1) <= 6 and 32 <= wait(4) <= 48 and 480 <= wait(60) <= 720 for _ in range(50))


def test_start_that_had_no_answer_is_followed_by_another_attempt_soon(start, publisher, server, monkeypatch):
    from guardai.gate.supply import Supply

    start(policy_refresh="10m")
    guardai.shutdown()
    asked, waits = threading.Event(), []
    real = Supply._wait

    def wait(supply, failures):
        waits.append(real(supply, failures))
        asked.set()
        return waits[-1]

    monkeypatch.setattr(Supply, "_wait", wait)
    monkeypatch.setattr("guardai.policy.trust.client.Client.state", lambda _: State())
    server.answers["timestamp.json"] = lambda to: to.send_error(500)
    start(policy_refresh="10m")
    assert asked.wait(30)
    assert waits[0] <= 6


def test_process_that_begins_after_another_had_no_answer_does_not_wait_long_to_ask(start, server, time_):
    start(policy_refresh="10m")
    guardai.shutdown()
    server.answers["timestamp.json"] = lambda to: to.send_error(500)
    start(policy_refresh="0")
    guardai.shutdown()
    server.asked.clear()
    time_.pass_(seconds=30)
    start(policy_refresh="10m")
    supply = current().supply
    assert server.asked == [] and "cannot be fetched" in supply.problem


def test_shorter_metadata_shortens_nothing_that_was_promised_longer(start, publisher, time_):
    """What vouches last counts: a publisher who wants a bundle to end sooner signs so."""
    start()
    publisher.publish("1", data=publisher.data, lifetimes=Lifetimes(targets=timedelta(days=1)))
    current().supply.refresh()
    time_.pass_(days=2)
    assert "expired" in denied(q="x")


# ---- settings ----


@pytest.mark.parametrize(
    "url",
    ["http://example.com/policy", "http://10.0.0.1/", "ftp://example.com/", "s3://bucket/x", "file://host/x", "https://",
     "https://user:word@example.com/", "https://example.com/?x=1", "https://example.com/#x"],
)  # fmt: skip
def test_url_that_policy_cannot_come_from_is_refused(home, url):
    with pytest.raises(ConfigError, match="'policy' must be") as caught:
        guardai.init(home=home, policy=url)
    assert "word" not in str(caught.value)


def test_url_without_a_trusted_root_is_refused(home, server):
    with pytest.raises(BundleError, match="whose keys are trusted there\\? Set policy_root"):
        guardai.init(home=home, policy=server.url)
    with pytest.raises(BundleError, match="cannot be read"):
        guardai.init(home=home, policy=server.url, policy_root="nowhere")


def test_root_that_is_none_is_refused(start, tmp_path):
    (tmp_path / "x").write_text("{}")
    with pytest.raises(BundleError, match="the trusted root is no root metadata"):
        start(policy_root=tmp_path / "x")


def test_file_that_all_keys_signed_is_used_and_no_other(home, policy, tmp_path, key, signer):
    from guardai.policy.trust.signed import beside, sign

    file, keys = tmp_path / "b", [tmp_path / "a.pem.pub", tmp_path / "b.pem.pub"]
    file.write_bytes(build(policy(PERMIT)))
    a, b = signer(key("a")), signer(key("b"))
    with pytest.raises(BundleError, match=r"b\.dsse: cannot be read"):
        guardai.init(home=home, policy=file, policy_keys=keys)
    beside(file).write_bytes(sign(file.read_bytes(), [a]))
    with pytest.raises(BundleError, match="1 of the 2 keys signed it; 2 must have"):
        guardai.init(home=home, policy=file, policy_keys=keys)
    beside(file).write_bytes(sign(file.read_bytes(), [a, b]))
    guardai.init(home=home, policy=file, policy_keys=keys, integrations=[])
    assert current().gate.in_force.signed
    with pytest.raises(BundleError, match="policy has to be a bundle file"):
        guardai.init(home=home, policy=policy(PERMIT), policy_keys=keys)


def test_repository_in_a_folder_is_a_policy(start, publisher):
    start(policy=publisher.folder.as_uri())
    ask(q="x")
    assert current().gate.in_force.signed


def test_trusted_root_without_a_repository_is_not_passed_over_in_silence(home, policy, tmp_path):
    with pytest.raises(BundleError, match="policy has to be the URL of a repository"):
        guardai.init(home=home, policy=policy(PERMIT), policy_root=tmp_path / "root.json")


@pytest.mark.parametrize("step", [(Client, "refresh"), (supply, "loaded"), (Gate, "swap"), (Client, "keep")])
def test_no_call_waits_for_any_step_of_a_swap(start, publisher, monkeypatch, step):
    """A call of another thread is made and ends before the step returns, and again once it has: a lock that it waits for would never come."""
    start()
    publisher.publish("2")
    real, ended = getattr(*step), []

    def meanwhile():
        thread = threading.Thread(target=lambda: ask(q="x").close("y"), daemon=True)
        thread.start()
        thread.join(20)
        ended.append(not thread.is_alive())

    def stepping(*args, **kwargs):
        meanwhile()
        done = real(*args, **kwargs)
        meanwhile()
        return done

    monkeypatch.setattr(*step, stepping)
    current().supply.refresh()
    assert current().gate.engine.bundle.version == "2"
    assert ended == [True, True]


def test_calls_go_on_while_a_large_bundle_is_built(start, publisher, built):
    start()
    large = "\n".join(
        f'@id("p{n}") permit (principal, action, resource == Tool::"t{n}") when {{ context.environment == "e{n}" }};'
        for n in range(1500)
    )
    publisher.publish("2", data=built(PERMIT + large, version="2"))
    ask(q="x").close("y")  # the first compiles what scans
    done, ended = threading.Event(), []

    def calls():
        while not done.is_set():
            ask(q="x").close("y")
            ended.append(True)

    thread = threading.Thread(target=calls)
    thread.start()
    try:
        while not ended:
            time.sleep(0.01)
        before = len(ended)
        current().supply.refresh()
        during = len(ended) - before
    finally:
        done.set()
        thread.join()
    assert current().gate.engine.bundle.version == "2"
    # Built in one piece there would be next to none meanwhile.
    assert during > 10


def test_change_of_policy_and_what_was_refused_are_in_the_record(start, publisher, events):
    start(policy_refresh="1s")
    first = current().gate.in_force.digest
    publisher.publish("2", cedar=PERMIT + "// changed\n")
    current().supply.refresh()
    [adopted] = events(kind="bundle.adopted")
    assert adopted["body"] == {"from": first, "name": "shop", "to": current().gate.in_force.digest, "version": "2"}
    (publisher.folder / "metadata" / "timestamp.json").write_text("{}")
    until = time.monotonic() + 30
    while not events(kind="bundle.refused") and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    [refused] = events(kind="bundle.refused")
    assert "is not what was signed" in refused["body"]["why"]
    ask(q="x")


def test_start_on_the_last_good_bundle_is_in_the_record(start, server, events):
    start()
    guardai.shutdown()
    server.shutdown()
    server.socket.close()
    start()
    [refused] = events(kind="bundle.refused")
    assert "cannot be fetched from" in refused["body"]["why"]


def test_folder_as_policy_imports_nothing_of_repositories(policy, home):
    import subprocess
    import sys

    program = (
        f"import sys, guardai; guardai.init(home={str(home)!r}, policy={str(policy(PERMIT))!r}, integrations=[]);"
        "print([name for name in sys.modules if name.split('.')[0] in ('tuf', 'securesystemslib', 'urllib3')])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_bundle_whose_keys_a_new_root_removed_decides_no_more(start, publisher, server, now, key, signer):
    """A thief of the targets keys who can keep the rest back gains nothing: the root alone is enough."""
    start()
    gone = [one.public_key for one in publisher.targets]
    new = [signer(key(f"new-{n}")) for n in range(2)]
    signers = [*publisher.roots, *publisher.online, *new]
    publisher.repository.rotate(
        ["targets"], signers, data=publisher.data, add=[one.public_key for one in new], remove=gone, now=now
    )
    server.answers["targets.json"] = lambda to: to.send_error(500)
    with pytest.raises(BundleError, match="the server answers 500"):
        current().supply.refresh()
    assert "expired" in denied(q="x")
    server.answers.clear()
    current().supply.refresh()
    ask(q="x")


@pytest.fixture
def replaced(publisher, now, key, signer):
    """Gives the repository new targets keys, and returns what publishes with them."""

    def rotate():
        gone = [one.public_key for one in publisher.targets]
        new = [signer(key(f"new-{n}")) for n in range(2)]
        signers = [*publisher.roots, *publisher.online, *new]
        publisher.repository.rotate(
            ["targets"], signers, data=publisher.data, add=[one.public_key for one in new], remove=gone, now=now
        )
        publisher.targets = new

    return rotate


def test_bundle_of_removed_keys_decides_no_more_where_the_next_one_cannot_be_used(start, publisher, replaced, built):
    start()
    replaced()
    publisher.publish("9", data=broken(built))
    with pytest.raises(BundleError, match="needs guardai 999"):
        current().supply.refresh()
    assert "expired" in denied(q="x")


def test_bundle_of_removed_keys_decides_no_more_where_the_next_ones_detectors_cannot_be_used(
    start, publisher, replaced, folder
):
    start()
    replaced()
    publisher.publish("2", data=build(folder(PERMIT, detectors_toml='packs = ["nowhere"]\n')))
    with pytest.raises(BundleError, match="nowhere"):
        current().supply.refresh()
    assert "expired" in denied(q="x")


@pytest.mark.parametrize("what", ["unusable", "cut off behind the root"])
def test_process_does_not_begin_with_a_bundle_whose_keys_it_learns_are_removed(
    start, publisher, server, replaced, built, what
):
    start()
    guardai.shutdown()
    replaced()
    if what == "unusable":
        publisher.publish("9", data=broken(built))
    else:
        server.answers["timestamp.json"] = lambda to: to.send_error(500)
    with pytest.raises(BundleError, match="the last good bundle: the keys that signed it count no more"):
        start()
    assert current() is None


def test_repository_that_was_made_anew_is_believed_by_whoever_trusts_its_root(
    start, publisher, server, key, signer, built, tmp_path, now
):
    """At the same address, as after a loss of all keys; the cache of the former one has no say."""
    for _ in range(2):
        publisher.repository.rotate((), publisher.roots, now=now)
    start()
    guardai.shutdown()
    anew = type(publisher)(tmp_path / "anew", lambda name: key(f"anew-{name}"), signer, built)
    anew.create(data=built(version="anew"))
    server.folder = anew.folder
    (tmp_path / "anew.json").write_bytes(anew.root)
    start(policy_root=tmp_path / "anew.json")
    assert current().gate.engine.bundle.version == "anew"


def test_home_that_a_pulled_policy_makes_is_readable_by_its_owner_alone(start, home, tmp_path):
    former = os.umask(0o022)
    try:
        start(home=tmp_path / "new" / "home")
    finally:
        os.umask(former)
    made = tmp_path / "new" / "home"
    folders = [made, made / "cache", made / "cache" / "bundles", *(made / "cache" / "bundles").iterdir()]
    assert {oct(one.stat().st_mode & 0o777) for one in folders} == {"0o700"}


@pytest.mark.parametrize("what", ["no file", "no locks"])
def test_process_whose_cache_cannot_be_locked_begins_with_the_last_good_bundle(start, home, monkeypatch, caplog, what):
    start()
    guardai.shutdown()
    if what == "no file":
        [lock] = (home / "cache" / "bundles").glob("*/lock")
        lock.unlink()
        lock.mkdir()
    else:
        from guardai.policy.trust import lock

        def full(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(lock, "fcntl", SimpleNamespace(flock=full, LOCK_EX=0, LOCK_NB=0))
    with caplog.at_level(logging.WARNING):
        start()
    ask(q="x")
    assert "the last good bundle decides until it expires" in caplog.text
    assert "the cache's lock cannot be" in caplog.text


def test_thread_goes_on_asking_where_what_was_refused_cannot_be_told(start, publisher, monkeypatch):
    start(policy_refresh="1s")
    supply, told = current().supply, threading.Event()

    def full(_):
        told.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(supply, "_refused", full)
    timestamp = publisher.folder / "metadata" / "timestamp.json"
    timestamp.write_text("{}")
    assert told.wait(30)
    supply._thread.join(0.5)
    assert supply._thread.is_alive()


def test_keys_of_a_file_do_not_go_with_a_repository(start, tmp_path):
    with pytest.raises(BundleError, match="policy_keys are for a bundle file"):
        start(policy_keys=[tmp_path / "a.pub"])
