"""What a server, a network and a disk can do to a client. Each is refused or survived, as TUF promises."""

import contextlib
import errno
import itertools
import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from guardai.errors import BundleError
from guardai.policy.trust import transport
from guardai.policy.trust.client import Client
from guardai.policy.trust.clock import Clock
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.repository import Lifetimes, Repository
from guardai.policy.trust.transport import opened


def refused(client, **given):
    with pytest.raises(BundleError) as caught:
        client.refresh(**given)
    return str(caught.value)


def taken(client):
    """A refresh that is kept, as the process does it."""
    served = client.refresh()
    client.keep(served)
    return served.data


def copied(publisher, tmp_path, name):
    return shutil.copytree(publisher.folder, tmp_path / name)


PERMIT = '@id("p") permit (principal, action, resource);'

# ---- what goes well ----


def test_client_gets_what_was_published_and_keeps_it(publisher, client):
    first = taken(client())
    assert client().cached()[0].data == first
    second = publisher.publish("2")
    assert taken(client()) == second != first
    assert client().cached()[0].data == second


def test_client_that_has_the_bundle_asks_only_for_what_may_have_changed(publisher, client, server):
    taken(client())
    server.asked.clear()
    taken(client())
    assert server.asked == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_repository_in_a_folder_is_read_without_a_server(publisher, tmp_path, time_):
    client = Client(publisher.folder.as_uri(), publisher.root, tmp_path / "cache", Clock())
    assert taken(client) == client.cached()[0].data


def test_bundle_that_was_not_kept_is_not_the_last_good_one(publisher, client):
    first = taken(client())
    publisher.publish("2")
    client().refresh()  # which then could not be loaded, say
    assert client().cached()[0].data == first


def test_process_that_comes_late_does_not_put_an_older_bundle_back(publisher, client):
    slow = client()
    old = slow.refresh()
    second = publisher.publish("2")
    taken(client())
    slow.keep(old)
    assert client().cached()[0].data == second


# ---- the server lies ----


def test_old_metadata_replayed_is_refused(publisher, client, server, tmp_path):
    old = copied(publisher, tmp_path, "old")
    publisher.publish("2")
    new = taken(client())
    server.folder = old
    assert "offers older metadata than before" in refused(client())
    assert client().cached()[0].data == new


def test_timestamp_put_back_alone_is_refused(publisher, client, server):
    before = (publisher.folder / "metadata" / "timestamp.json").read_bytes()
    publisher.publish("2")
    taken(client())
    server.answers["timestamp.json"] = lambda to: to.give(before)
    assert "offers older metadata" in refused(client())


def test_snapshot_that_is_frozen_is_noticed_when_the_timestamp_expires(publisher, client, server, tmp_path, time_):
    good = taken(client())
    server.folder = copied(publisher, tmp_path, "frozen")
    publisher.publish("2")
    time_.pass_(days=6)
    assert taken(client()) == good
    time_.pass_(days=1)
    said = refused(client())
    assert "timestamp.json is expired" in said
    assert "somebody keeps newer metadata from you" in said
    assert client().cached()[0].data == good


def test_target_that_was_swapped_is_refused(publisher, client, server):
    good = taken(client())
    publisher.publish("2")
    server.answers[".policy.bundle"] = lambda to: to.give(good)
    assert "is not what was signed" in refused(client())
    other = publisher.publish("3")
    server.answers[".policy.bundle"] = lambda to: to.give(bytes(len(other)))
    assert "is not what was signed" in refused(client())
    assert client().cached()[0].data == good


def test_metadata_of_two_times_is_not_mixed(publisher, client, server):
    taken(client())
    metadata = publisher.folder / "metadata"
    old = {role: (metadata / f"1.{role}.json").read_bytes() for role in ("snapshot", "targets")}
    publisher.publish("2")
    for role in ("snapshot", "targets"):
        server.answers = {f"2.{role}.json": lambda to, role=role: to.give(old[role])}
        assert "is not what was signed" in refused(client())


def test_metadata_of_another_repository_is_refused(publisher, client, server, tmp_path, key, signer, built):
    other = type(publisher)(tmp_path / "other", lambda name: key(f"other-{name}"), signer, built)
    other.create()
    good = taken(client())
    server.folder = other.folder
    assert "too few of the trusted keys signed" in refused(client())
    assert client().cached()[0].data == good


def test_one_stolen_key_below_the_threshold_signs_nothing(publisher, client, server, now):
    """The thief has one of three targets keys and the online key, and knows how to sign."""
    from tuf.api.metadata import Metadata, MetaFile, TargetFile

    good = taken(client())
    publisher.publish("2")
    metadata = publisher.folder / "metadata"
    evil = Metadata.from_file(str(metadata / "2.targets.json"))
    evil.signed.targets["policy.bundle"] = TargetFile.from_data("policy.bundle", b"evil", ["sha256"])
    evil.sign(publisher.targets[0])
    (metadata / "2.targets.json").write_bytes(evil.to_bytes())
    snapshot, timestamp = (Metadata.from_file(str(metadata / name)) for name in ("2.snapshot.json", "timestamp.json"))
    snapshot.signed.meta["targets.json"] = MetaFile.from_data(2, evil.to_bytes(), ["sha256"])
    snapshot.sign(publisher.online[0])
    (metadata / "2.snapshot.json").write_bytes(snapshot.to_bytes())
    timestamp.signed.snapshot_meta = MetaFile.from_data(2, snapshot.to_bytes(), ["sha256"])
    timestamp.sign(publisher.online[0])
    (metadata / "timestamp.json").write_bytes(timestamp.to_bytes())
    assert "too few of the trusted keys signed" in refused(client())
    assert client().cached()[0].data == good


def test_root_that_one_of_two_keys_signed_is_refused(publisher, client, key, signer, now):
    from tuf.api.metadata import Metadata

    good = taken(client())
    evil = Metadata.from_bytes(publisher.root)
    evil.signed.version = 2
    evil.signed.add_key(signer(key("evil")).public_key, "targets")
    evil.sign(publisher.roots[0])
    (publisher.folder / "metadata" / "2.root.json").write_bytes(evil.to_bytes())
    assert "too few of the trusted keys signed" in refused(client())
    assert client().cached()[0].data == good


def test_root_rotated_twice_while_the_client_slept_is_followed(publisher, client, key, signer, now, time_):
    trusted = publisher.root
    taken(client())
    rotate = publisher.repository.rotate
    new = [signer(key(f"new-{n}")) for n in range(4)]
    rotate(["root"], [*publisher.roots, *new[:2]], add=[one.public_key for one in new[:2]], now=now)
    gone = [one.public_key for one in publisher.roots]
    rotate(["root"], [*publisher.roots, *new], add=[one.public_key for one in new[2:]], remove=gone, now=now)
    rotate(["targets"], [*new, *publisher.targets, *publisher.online], add=[new[0].public_key], now=now)
    publisher.roots = new
    second = publisher.publish("2", now)
    time_.pass_(days=5)
    assert taken(client(root=trusted)) == second
    assert client(root=trusted).cached()[0].data == second


def test_root_that_leaves_one_version_out_is_not_followed(publisher, client, now):
    good = taken(client())
    for _ in range(2):
        publisher.repository.rotate((), publisher.roots, now=now)
    (publisher.folder / "metadata" / "2.root.json").unlink()
    assert taken(client()) == good
    assert client()._roots.follow()[0].version == 1


@pytest.fixture(params=["online and targets", "root, too"])
def stolen(request, publisher, client, server, tmp_path, now, key, signer):
    """Keys are stolen, and rotated away. The thief goes on from the folder as it was, when he is let, with roots of his own if he can."""
    was = tmp_path / "was"
    shutil.copytree(publisher.folder, was)
    (tmp_path / "was-root.json").write_bytes(publisher.root)
    thief = Repository(was, tmp_path / "was-root.json")
    new = [signer(key(f"new-{n}")) for n in range(2)]
    roots = [*publisher.roots, *new]
    lost = {("targets",): publisher.targets, ("snapshot", "timestamp"): publisher.online}
    if request.param == "root, too":
        lost = {("root",): publisher.roots, **lost}
        for _ in range(8):
            thief.rotate((), publisher.roots, now=now)
    for roles, gone in lost.items():
        publisher.repository.rotate(
            roles, [*roots, *publisher.targets, *publisher.online],
            data=publisher.data if "targets" in roles else None, add=[one.public_key for one in new],
            remove=[one.public_key for one in gone], now=now,
        )  # fmt: skip
    for version in range(2, 9):
        evil = publisher._built(cedar=PERMIT.replace('"p"', '"evil"'), version=str(version))
        thief.publish(evil, [*publisher.targets, *publisher.online], now=now)

    def serves():
        server.folder = was

    serves.evil, serves.folder = evil, was
    return serves


def kept(client):
    """The last good bundles, none where the way to them is lost."""
    try:
        return [one.data for one in client.cached()]
    except BundleError as error:
        assert "has lost the way to its newest root" in str(error)
        return []


def test_thief_with_removed_keys_convinces_whoever_knows_no_better(client, stolen):
    """So that the tests below can fail."""
    stolen()
    assert taken(client()) == stolen.evil


@pytest.mark.parametrize(
    ("damage", "alive"),
    [
        *((damage, alive) for alive in (True, False) for damage in (
            "none", "emptied", "removed", "replaced", "the newest", "all but the newest", "its note", "its note and another", "metadata",
        )),
        ("all", True),  # who begins with nothing begins from the trusted root, as documented
    ],
)  # fmt: skip
def test_removed_key_counts_no_more_where_the_way_to_the_root_that_removed_it_is_lost(
    client, server, publisher, stolen, tmp_path, damage, alive
):
    one = client()
    good = taken(one)
    history = tmp_path / "cache" / "metadata" / "root_history"
    followed = sorted(history.iterdir(), key=lambda file: int(file.name.partition(".")[0]))
    assert len(followed) > 2
    match damage:
        case "emptied":
            followed[0].write_bytes(b"")
        case "removed":
            followed[0].unlink()
        case "replaced":
            theirs = stolen.folder / "metadata" / followed[0].name
            followed[0].write_bytes(theirs.read_bytes() if theirs.exists() else b"{}")
        case "the newest":
            followed[-1].unlink()
        case "all but the newest":
            for file in followed[:-1]:
                file.unlink()
        case "its note":
            (tmp_path / "cache" / "newest.root.json").write_bytes(b"")
        case "its note and another":
            (tmp_path / "cache" / "newest.root.json").unlink()
            followed[0].unlink()
        case "metadata":
            shutil.rmtree(history.parent)
        case "all":
            shutil.rmtree(tmp_path / "cache")
    honest = server.folder
    stolen()
    assert kept(client()) == ([good] if damage in ("none", "its note") else [])
    refused(one if alive else client())
    server.folder = honest
    # What was refused is no hindrance to what is good.
    assert taken(one if alive else client()) == good
    assert kept(client()) == [good]
    assert [file.read_bytes() for file in followed] == [
        (honest / "metadata" / file.name).read_bytes() for file in followed
    ]


def test_removed_root_key_counts_no_more_whatever_two_of_the_roots_are_lost_or_older(
    publisher, tmp_path, time_, now, key, signer
):
    """Every damage of one and of two files. A note that could not be written, say, is the one of a root before the newest."""
    was = copied(publisher, tmp_path, "was")
    (tmp_path / "was-root.json").write_bytes(publisher.root)
    thief = Repository(was, tmp_path / "was-root.json")
    for _ in range(8):
        thief.rotate((), publisher.roots, now=now)
    new = [signer(key(f"new-{n}")) for n in range(2)]
    publisher.repository.rotate(
        ["root"], [*publisher.roots, *new], add=[one.public_key for one in new],
        remove=[one.public_key for one in publisher.roots], now=now,
    )  # fmt: skip
    publisher.repository.rotate((), new, now=now)
    served, cache = tmp_path / "served", tmp_path / "cache"

    def client(folder):
        served.unlink(missing_ok=True)
        served.symlink_to(folder)
        return Client(served.as_uri(), publisher.root, cache, Clock())

    good = taken(client(publisher.folder))
    history = cache / "metadata" / "root_history"
    whole = {file: file.read_bytes() for file in (cache / "newest.root.json", *sorted(history.iterdir()))}
    assert [file.name for file in whole] == ["newest.root.json", "2.root.json", "3.root.json"]
    one = [{file: how} for file in whole for how in (None, b"{", publisher.root)]
    for damage in [*one, *(a | b for a, b in itertools.combinations(one, 2))]:
        for file, content in (whole | damage).items():
            file.unlink(missing_ok=True) if content is None else file.write_bytes(content)
        refused(client(was))
        assert taken(client(publisher.folder)) == good
        assert {file: file.read_bytes() for file in whole} == whole


def test_what_was_refused_leaves_nothing_in_the_cache(client, server, stolen, tmp_path):
    taken(client())
    (tmp_path / "cache" / "metadata" / "root_history" / "2.root.json").unlink()

    def files():
        cache = tmp_path / "cache"
        return {file: file.read_bytes() for file in cache.rglob("*") if file.is_file() and file.name != "state.json"}

    before = files()
    stolen()
    refused(client())
    assert files() == before


@pytest.mark.parametrize("stolen", ["root, too"], indirect=True)
def test_other_way_than_the_one_that_was_known_is_told_with_the_way_out(client, server, stolen, tmp_path):
    """Who begins with the thief's finds the honest repository to be another, and has to be told what to do."""
    honest = server.folder
    one = client()
    taken(one)
    shutil.rmtree(tmp_path / "cache")
    stolen()
    taken(client())
    server.folder = honest
    said = refused(one)
    assert "offers no way to the root that was known here, or another in its place" in said
    assert "remove the cache: `guardai bundle status` tells where it is" in said
    shutil.rmtree(tmp_path / "cache")
    assert taken(one)


def test_root_that_nobody_led_to_is_no_hindrance(publisher, client, tmp_path, now):
    publisher.repository.rotate((), publisher.roots, now=now)
    good = taken(client())
    (tmp_path / "cache" / "metadata" / "root_history" / "99.root.json").write_bytes(b"{}")
    assert kept(client()) == [good]
    assert taken(client()) == good


def test_root_that_another_process_follows_meanwhile_is_no_reason_to_drop_a_bundle(publisher, client, now, monkeypatch):
    one = client()
    served = one.refresh()
    publisher.repository.rotate((), publisher.roots, now=now)
    noted = one._roots._newest

    def meanwhile():
        found = noted()
        taken(client())
        return found

    monkeypatch.setattr(one._roots, "_newest", meanwhile)
    assert one.vouches(served)


def test_no_bit_of_the_newest_root_that_is_kept_keeps_a_client_from_an_honest_server(publisher, client, tmp_path, now):
    """What is damaged does not sign itself, and the roots that are left say how far the client had come."""
    publisher.repository.rotate((), publisher.roots, now=now)
    one = client()
    good = taken(one)
    note = tmp_path / "cache" / "newest.root.json"
    whole = note.read_bytes()
    for at in random.Random(7).sample(range(len(whole) * 8), 60):
        data = bytearray(whole)
        data[at // 8] ^= 1 << at % 8
        note.write_bytes(data)
        assert one.vouches(one.cached()[0])
    assert taken(client()) == good
    assert note.read_bytes() == whole


def test_root_that_somebody_signs_once_more_is_the_same(publisher, client, now, key, signer):
    from tuf.api.metadata import Metadata

    publisher.repository.rotate((), publisher.roots[:2], now=now)
    good = taken(client())
    file = publisher.folder / "metadata" / "2.root.json"
    again = Metadata.from_file(str(file))
    again.sign(publisher.roots[2], append=True)
    file.write_bytes(again.to_bytes())
    assert taken(client()) == good


def test_older_bundle_is_refused_also_where_what_tuf_goes_by_is_lost(publisher, client, server, tmp_path):
    was = copied(publisher, tmp_path, "was")
    new = (publisher.publish("2"), taken(client()))[1]
    for role in ("timestamp", "snapshot", "targets"):
        (tmp_path / "cache" / "metadata" / f"{role}.json").unlink()
    server.folder = was
    assert "offers older metadata than before: targets 1 after 2" in refused(client())
    assert kept(client()) == [new]


def test_slow_environment_does_not_put_older_metadata_beside_a_bundle_that_another_keeps(
    publisher, server, tmp_path, time_, now, key, signer
):
    def client(environment):
        return Client(server.url, publisher.root, tmp_path / "cache", Clock(), environment=environment)

    slow, quick = client("slow"), client("quick")
    old = slow.refresh()
    new = [signer(key(f"new-{n}")) for n in range(2)]
    publisher.repository.rotate(
        ["targets"], [*publisher.roots, *publisher.online, *publisher.targets, *new], data=publisher.data,
        add=[one.public_key for one in new], remove=[one.public_key for one in publisher.targets], now=now,
    )  # fmt: skip
    good = quick.refresh()
    quick.keep(good)
    slow.keep(old)
    assert [one.version for one in client("quick").cached()] == [good.version]


def test_more_roots_than_are_followed_at_once_are_followed_at_several_questions(publisher, client, now, monkeypatch):
    from guardai.policy.trust import fetch

    monkeypatch.setattr(fetch, "ROOTS", 3)
    one = client()
    taken(one)
    for _ in range(8):
        publisher.repository.rotate((), publisher.roots, now=now)
    for version in (4, 7, 9):
        taken(one)
        assert one._roots.follow()[0].version == version


def test_thread_that_is_slow_takes_no_root_back(publisher, client, tmp_path, now, monkeypatch):
    one = client()
    served = one.refresh()
    publisher.repository.rotate((), publisher.roots, now=now)
    on, first = one._roots._on, []

    def slow(folder):
        way = on(folder)
        if not first:
            first.append(True)
            other = threading.Thread(target=one.refresh)
            other.start()
            other.join()
        return way

    monkeypatch.setattr(one._roots, "_on", slow)
    one.vouches(served)
    shutil.rmtree(tmp_path / "cache")
    assert one._roots.follow()[0].version == 2


def test_draft_of_a_process_that_was_killed_is_removed(publisher, client, tmp_path):
    taken(client())
    (tmp_path / "cache" / "draft-left").mkdir()
    (tmp_path / "cache" / "draft-left" / "timestamp.json").write_bytes(b"{}")
    taken(client())
    assert list((tmp_path / "cache").glob("draft-*")) == []


def test_living_client_whose_cache_is_gone_takes_no_older_bundle(publisher, client, server, tmp_path):
    was = tmp_path / "was"
    shutil.copytree(publisher.folder, was)
    publisher.publish("2")
    one = client()
    taken(one)
    shutil.rmtree(tmp_path / "cache")
    server.folder = was
    assert "offers older metadata than before: targets 1 after 2" in refused(one)


def test_key_that_a_new_root_no_longer_counts_vouches_for_nothing(publisher, client, server, now, key, signer):
    """Also not for what it signed earlier: the cached bundle is good no more once the new root is known."""
    taken(client())
    gone = [one.public_key for one in publisher.targets]
    new = [signer(key(f"new-{n}")) for n in range(2)]
    publisher.repository.rotate(
        ["targets"],
        [*publisher.roots, *publisher.online, *new],
        data=publisher.data,
        add=[one.public_key for one in new],
        remove=gone,
        now=now,
    )
    server.answers["targets.json"] = lambda to: to.send_error(500)
    refused(client())
    assert client().cached() == []
    server.answers.clear()
    assert taken(client())


# ---- the network ----


def test_download_that_is_cut_off_is_refused(publisher, client, server):
    good = taken(client())
    new = publisher.publish("2")

    def cut(to):
        to.give(new[:1000], length=len(new))
        to.close_connection = True

    server.answers[".policy.bundle"] = cut
    assert "cannot be fetched from" in refused(client())

    def without_length(to):
        to.send_response(200)
        to.end_headers()
        to.wfile.write(new[:1000])
        to.close_connection = True

    server.answers[".policy.bundle"] = without_length
    assert "is not what was signed" in refused(client())
    assert client().cached()[0].data == good


@pytest.mark.parametrize("where", ["headers", "body", "body without length", "before anything"])
def test_server_that_is_slow_on_purpose_is_left(publisher, client, server, where):
    taken(client())

    def drip(to):
        if where == "before anything":
            to.server.over.wait(60)
        if where.startswith("body"):
            to.send_response(200)
            if where == "body":
                to.send_header("Content-Length", "1000")
            to.end_headers()
        else:
            to.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(400):
            to.wfile.write(b"x")
            to.wfile.flush()
            time.sleep(0.05)

    server.answers["timestamp.json"] = drip
    began = time.monotonic()
    said = refused(client(), seconds=1.0)
    assert time.monotonic() - began < 5
    assert "too slow" in said or "in time" in said
    assert client().cached()


@pytest.mark.parametrize("of", ["timestamp.json", "2.root.json", ".policy.bundle"])
def test_data_without_end_is_cut_at_what_was_promised(publisher, client, server, of):
    sent = 0

    def endless(to):
        nonlocal sent
        to.send_response(200)
        to.end_headers()
        while True:
            sent += to.wfile.write(bytes(65536))

    server.answers[of] = endless
    assert "sends more than there should be" in refused(client())
    time.sleep(0.2)
    assert sent < 20_000_000  # what stood in the buffers


@pytest.mark.parametrize("status", [500, 503, 302])
def test_server_that_fails_or_sends_elsewhere_is_not_followed(publisher, client, server, status):
    good = taken(client())

    def answer(to):
        to.send_response(status)
        to.send_header("Location", "http://example.com/")
        to.send_header("Content-Length", "0")
        to.end_headers()

    server.answers["timestamp.json"] = answer
    said = refused(client())
    assert f"the server answers {status}" in said
    assert ("redirects are not followed" in said) == (status == 302)
    assert client().cached()[0].data == good


def test_server_that_is_away_leaves_the_last_good_bundle(publisher, client, server):
    good = taken(client())
    server.shutdown()
    server.socket.close()
    assert "cannot be fetched from" in refused(client())
    assert client().cached()[0].data == good
    assert "cannot be fetched from" in client().state().error


@pytest.mark.parametrize("garbage", [b"", b"{", b"null", b"[" * 5000, b"\xff\xfe", b'{"signed": {}, "signatures": []}'])
def test_garbage_from_the_server_is_refused(publisher, client, server, garbage):
    for of in ("2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", ".policy.bundle"):
        server.answers = {of: lambda to: to.give(garbage)}
        refused(client())
    server.answers = {}
    assert taken(client())


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_length_that_is_promised_is_no_leave_to_fill_the_memory(publisher, server, monkeypatch, scheme):
    from tuf.api.exceptions import DownloadLengthMismatchError

    url = f"{publisher.folder.as_uri() if scheme == 'file' else server.url}/metadata/timestamp.json"
    monkeypatch.setattr(transport, "MAX_BYTES", 100)
    with opened(url, 5) as fetcher, pytest.raises(DownloadLengthMismatchError, match="more than 100 bytes"):
        fetcher.download_bytes(url, 1 << 40)


def test_pipe_in_a_repository_that_is_a_folder_does_not_hold_the_client(tmp_path):
    os.mkfifo(tmp_path / "timestamp.json")
    url = (tmp_path / "timestamp.json").as_uri()
    from tuf.api.exceptions import DownloadError

    with opened(url, 5) as fetcher, pytest.raises(DownloadError, match="no plain file"):
        fetcher.download_bytes(url, 100)


def test_fetching_does_not_get_again_what_waiting_for_the_lock_took(publisher, client, server, monkeypatch):
    given, real = [], transport.opened

    @contextlib.contextmanager
    def slow(*_):
        time.sleep(0.3)
        yield

    def opened(url, seconds, *others):
        given.append(seconds)
        return real(url, seconds, *others)

    monkeypatch.setattr("guardai.policy.trust.client.held", slow)
    monkeypatch.setattr(transport, "opened", opened)
    client().refresh(30)
    [seconds] = given
    assert seconds <= 29.7


@pytest.fixture
def resolved(monkeypatch):
    """Every name stands for these addresses from here on."""

    def to(*addresses):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return to


@pytest.fixture
def silent():
    """An address that does not answer: whoever connects stands in a queue that is full."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            one = opened.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_address_that_does_not_answer_leaves_time_for_the_next_one_of_the_name(
    publisher, server, tmp_path, time_, resolved, silent
):
    resolved(silent, server.server_address)
    client = Client(f"http://localhost:{server.server_address[1]}/", publisher.root, tmp_path / "cache", Clock())
    assert client.refresh(4.0).version == 1


def test_name_that_nobody_resolves_is_left_when_the_time_is_over(publisher, tmp_path, time_, monkeypatch):
    go_on, answered = threading.Event(), []

    def late(*_, **__):
        go_on.wait(60)
        answered.append(True)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", late)
    client = Client("http://localhost:1/", publisher.root, tmp_path / "cache", Clock())
    try:
        assert "its time was over" in refused(client, seconds=0.2)
        assert not answered
    finally:
        go_on.set()


@pytest.mark.parametrize("where", ["reading", "connecting"])
def test_fetch_that_is_stopped_ends_and_nothing_is_noted(publisher, client, server, resolved, silent, where):
    taken(client())
    before = client().state()
    begun, stopped = threading.Event(), threading.Event()

    def hang(to):
        begun.set()
        to.server.over.wait(60)

    server.answers["timestamp.json"] = hang
    if where == "connecting":
        resolved(silent)
        begun.set()
    thread = threading.Thread(target=refused, args=(client(),), kwargs={"seconds": 60, "stopped": stopped})
    thread.start()
    assert begun.wait(30)
    stopped.set()
    thread.join(7)  # a socket by itself gives up after ten
    late = thread.is_alive()
    server.over.set()
    thread.join()
    assert not late
    assert client().state() == before


# ---- the clock ----


def test_clock_set_back_brings_nothing_back(publisher, client, server, tmp_path, time_):
    old = copied(publisher, tmp_path, "old")
    time_.pass_(days=6)
    publisher.renew(time_())
    good = taken(client())
    time_.pass_(days=-30)
    again = client()
    assert again.clock.now() >= time_() + timedelta(days=30)
    time_.pass_(days=24 + 8)  # two days after the last good answer; the first timestamp has expired since
    server.folder = old
    shutil.rmtree(tmp_path / "cache" / "metadata")  # so that its version gives nothing away
    time_.pass_(days=-10)
    assert client().clock.now() < time_() + timedelta(days=10)
    assert client().cached() == [] or client().cached()[0].data == good


def test_timestamp_that_has_expired_is_not_good_again_when_the_clock_is_set_back(
    publisher, client, server, tmp_path, time_
):
    taken(client())
    old = copied(publisher, tmp_path, "old")
    time_.pass_(days=8)
    publisher.renew(time_())
    taken(client())
    server.folder = old
    time_.pass_(days=-8)
    shutil.rmtree(tmp_path / "cache" / "metadata")
    said = refused(client())
    assert "timestamp.json is expired" in said
    assert "it is 2030-01-09 00:00 UTC by the last good answer, and 2030-01-01 00:00 by this machine's clock" in said
    assert "If the clock is right, remove the cache and begin again" in said
    shutil.rmtree(tmp_path / "cache")
    assert taken(client())


@pytest.mark.parametrize("ahead", [0, 8])
def test_clock_does_not_go_back_behind_the_last_good_answer(time_, ahead):
    answered = time_()
    time_.pass_(days=ahead)
    clock = Clock()
    clock.notice(answered)
    time_.pass_(days=-300 - ahead)
    assert answered <= clock.now() < answered + timedelta(hours=1)
    clock.notice(answered - timedelta(days=1))
    assert clock.now() >= answered
    time_.pass_(days=301)
    assert clock.now() > answered + timedelta(hours=23)


def test_good_answer_is_no_later_than_the_time_of_the_process_that_had_it(client, tmp_path, time_):
    one, answered = client(), time_()
    taken(one)
    (tmp_path / "cache" / "state.json").unlink()
    time_.pass_(days=-300)
    assert one.clock.now() >= answered


def test_clock_that_was_ahead_when_a_process_began_does_it_no_lasting_harm(publisher, client, server, time_):
    good = taken(client())
    time_.pass_(days=8)
    one = client()
    assert "is expired" in refused(one)
    time_.pass_(days=-8)
    assert taken(one) == good


@pytest.mark.parametrize("lost", ["", "timestamp.json"])
@pytest.mark.parametrize("good", [9893456000.0, 253402300799.0])
def test_good_answer_that_the_cache_says_is_of_a_time_when_none_can_have_been_is_none(client, tmp_path, good, lost):
    """Whatever signed metadata there was had expired then. One digit that is wrong in the state makes such a time."""
    found = taken(client())
    (tmp_path / "cache" / "state.json").write_text(f'{{"asked": 1893456000.0, "good": {good}}}')
    if lost:
        (tmp_path / "cache" / "metadata" / lost).unlink()
    one = client()
    assert (one.state().asked, one.state().good) == (1893456000.0, 0)
    assert taken(one) == found
    assert one.cached()[0].expires > one.clock.now()


def test_good_answer_is_believed_until_what_it_said_has_expired(client, tmp_path, time_):
    taken(client())
    for days, believed in ((6.99, True), (7, False)):
        good = (time_() + timedelta(days=days)).timestamp()
        (tmp_path / "cache" / "state.json").write_text(f'{{"good": {good}}}')
        assert client().state().good == (good if believed else 0)


def test_clock_that_ran_ahead_for_a_while_does_no_lasting_harm(publisher, client, server, time_):
    good = taken(client())
    time_.pass_(days=3650)
    refused(client())
    time_.pass_(days=-3650)
    assert taken(client()) == good


# ---- the cache ----


@pytest.mark.parametrize("seed", range(12))
def test_garbage_in_the_cache_is_survived_and_never_believed(publisher, client, server, tmp_path, seed):
    chance = random.Random(seed)
    good = taken(client())
    victims = [file for file in sorted((tmp_path / "cache").rglob("*")) if file.is_file() and not file.is_symlink()]
    for file in chance.sample(victims, chance.randint(1, len(victims))):
        content = bytearray(file.read_bytes())
        match chance.randrange(4):
            case 0:
                content = content[: len(content) // 2]
            case 1:
                content = bytearray(chance.randbytes(500))
            case 2:
                content = bytearray(b"[" * 3000)
            case _:
                content[len(content) // 2 : len(content) // 2 + 1] = b"\x00"
        file.write_bytes(bytes(content))
    found = client().cached()
    assert [one.data for one in found] in ([], [good])
    assert taken(client()) == good


def test_bundle_of_another_time_in_the_cache_is_not_believed(publisher, client, tmp_path):
    first = taken(client())
    publisher.publish("2")
    taken(client())
    [bundle] = (tmp_path / "cache" / "bundles").glob("*.bundle")
    bundle.write_bytes(first)
    assert client().cached() == []


def test_what_is_logged_of_a_bundle_that_is_lost_tells_no_folder(publisher, client, tmp_path, caplog):
    taken(client())
    [bundle] = (tmp_path / "cache" / "bundles").glob("*.bundle")
    bundle.unlink()
    with caplog.at_level(logging.DEBUG, "guardai"):
        assert client().cached() == []
    assert "is not used: No such file or directory" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_last_good_bundle_is_kept_for_each_environment(publisher, server, tmp_path, time_):
    """What another one can use may be of no use in this: there is what this one had."""

    def client(environment):
        return Client(server.url, publisher.root, tmp_path / "cache", Clock(), environment=environment)

    first = taken(client("a"))
    second = publisher.publish("2")
    taken(client("b"))
    third = publisher.publish("3")
    taken(client("b"))
    assert [one.data for one in client("a").cached()] == [third, first]
    assert [one.data for one in client("b").cached()] == [third]
    assert [one.data for one in client("new").cached()] == [third]
    kept = {file.name.partition(".")[0] for file in (tmp_path / "cache" / "bundles").iterdir()}
    assert kept == {sha256(first), sha256(third)} and sha256(second) not in kept


def test_environments_that_are_long_gone_keep_nothing(publisher, server, tmp_path, time_):
    bundles, marks = tmp_path / "cache" / "bundles", tmp_path / "cache" / "good"
    for version in range(2, 14):
        client = Client(server.url, publisher.root, tmp_path / "cache", Clock(), environment=str(version))
        publisher.publish(str(version))
        taken(client)
        os.utime(client._mark, (version, version))
    assert len(list(marks.iterdir())) == 8 and len(list(bundles.iterdir())) == 16


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_nothing_is_written_outside_of_the_cache(publisher, server, tmp_path, time_, monkeypatch, scheme):
    """The rest of the machine may be read-only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    url = publisher.folder.as_uri() if scheme == "file" else server.url
    assert taken(Client(url, publisher.root, tmp_path / "cache", Clock())) == publisher.data


def test_cache_lies_on_a_file_system_without_links(publisher, client, now, monkeypatch):
    def none(*_, **__):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for kind in ("symlink", "link"):
        monkeypatch.setattr(os, kind, none)
    assert taken(client()) == publisher.data
    publisher.repository.rotate((), publisher.roots, now=now)
    assert taken(client()) == publisher.data


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that can be opened and not be read")
def test_folder_whose_disk_fails_is_not_taken_for_the_cache(publisher, tmp_path):
    stamp = publisher.folder / "metadata" / "timestamp.json"
    stamp.unlink()
    stamp.symlink_to("/proc/self/mem")
    client = Client(publisher.folder.as_uri(), publisher.root, tmp_path / "cache", Clock())
    assert "the repository's folder cannot be fetched from: timestamp.json: Input/output error" in refused(client)


def test_trusted_root_that_is_none_is_not_blamed_on_the_server(client):
    with pytest.raises(BundleError, match=r"^the trusted root is no root metadata of TUF"):
        client(root=b"{}")


def test_cache_that_is_no_folder_is_told(publisher, client, tmp_path):
    (tmp_path / "cache").write_text("")
    assert "the cache cannot be used" in refused(client())
    (tmp_path / "cache").unlink()
    (tmp_path / "cache" / "metadata" / "timestamp.json").mkdir(parents=True)
    assert "if there is room on its disk, remove it" in refused(client())


@pytest.fixture
def pipe():
    """Puts a pipe where a file may be. Whoever is held by it when the test ends is let go."""
    made = []

    def put(place):
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        made.append(place)

    yield put
    for place in made:
        with contextlib.suppress(OSError):
            os.close(os.open(place, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.parametrize(
    "place",
    ["metadata/timestamp.json", "metadata/snapshot.json", "metadata/targets.json", "metadata/root_history/2.root.json",
     "newest.root.json", "bundles/{sha}.bundle", "draft-x", "good/.{mark}.new", ".state.json.new"],
)  # fmt: skip
def test_pipe_in_the_cache_holds_nobody(publisher, client, server, tmp_path, pipe, place, now):
    publisher.repository.rotate((), publisher.roots, now=now)
    current = taken(client())
    pipe(tmp_path / "cache" / place.format(sha=sha256(current), mark=sha256(b"")[:16]))
    if place == "draft-x":
        current = publisher.publish("2")
    got = []
    thread = threading.Thread(target=lambda: got.append(taken(client())), daemon=True)
    thread.start()
    thread.join(20)
    assert got == [current]


def test_pipe_in_place_of_the_lock_is_told(publisher, client, server, tmp_path, pipe):
    taken(client())
    pipe(tmp_path / "cache" / "lock")
    assert "the cache's lock cannot be opened: no plain file" in refused(client())


@pytest.mark.parametrize("what", ["a device", "a folder"])
def test_what_is_no_plain_file_is_not_opened(tmp_path, what):
    from guardai.policy.trust import reading

    with pytest.raises(OSError, match="no plain file"):
        reading.opened(Path("/dev/zero") if what == "a device" else tmp_path)


def test_metadata_in_the_cache_that_is_larger_than_any_is_not_read(publisher, client, server, tmp_path):
    good = taken(client())
    timestamp = tmp_path / "cache" / "metadata" / "timestamp.json"
    with timestamp.open("r+b") as file:
        file.truncate(1 << 40)
    assert taken(client()) == good


@pytest.mark.parametrize(
    "state",
    ['{"asked": 1e300}', '{"asked": -5, "good": -5}', '{"asked": "x"}', '{"asked": NaN}', '{"asked": 1e999}',
     '{"asked": 99999999999999}', '{"asked": null}', "[]", "1", '{"asked": 1' + "0" * 5000 + "}"],
)  # fmt: skip
def test_absurd_time_of_asking_is_never(publisher, client, server, tmp_path, state):
    taken(client())
    (tmp_path / "cache" / "state.json").write_text(state)
    assert (client().state().asked, client().state().good) == (0, 0)
    assert taken(client())


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of that kind")
@pytest.mark.parametrize("most", [0, 300, 2000, 3000])
def test_disk_that_is_full_leaves_the_last_good_bundle(publisher, client, most):
    """A file cannot grow beyond `most` bytes, which fails where a full disk does: in the middle of a write."""
    good = taken(client())
    publisher.publish("2", lifetimes=Lifetimes(timestamp=timedelta(days=6)))
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        with pytest.raises(BundleError, match="File too large"):
            full = client()
            full.keep(full.refresh())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert client().cached()[0].data == good
    assert taken(client()) != good


def _refresh(url, root, cache, now, times, results):
    from guardai.policy.trust import clock

    clock.wall = lambda: now
    for _ in range(times):
        client = Client(url, root, cache, Clock())
        served = client.refresh(120)
        client.keep(served)
        results.put((served.version, served.sha256, client.cached() != []))


def test_two_processes_refresh_one_cache(publisher, client, server, tmp_path, now):
    fork = multiprocessing.get_context("spawn")
    results = fork.Queue()
    args = (server.url, publisher.root, tmp_path / "cache", now, 8, results)
    workers = [fork.Process(target=_refresh, args=args) for _ in range(2)]
    for worker in workers:
        worker.start()
    versions = []
    for count in range(16):
        versions.append(results.get(timeout=200))
        if count % 4 == 3:
            publisher.publish(str(count))
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert all(whole for _, _, whole in versions)
    assert taken(client()) == client().cached()[0].data
    assert client().cached()[0].version == 5


def test_process_that_was_killed_while_it_held_the_lock_holds_nobody(publisher, client, server, tmp_path):
    from guardai.policy.trust.lock import held

    taken(client())
    child = os.fork()
    if not child:
        try:
            with held(tmp_path / "cache" / "lock", 1):
                (tmp_path / "ready").touch()
                time.sleep(60)
        finally:
            os._exit(1)
    try:
        until = time.monotonic() + 30
        while not (tmp_path / "ready").exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert "another process has been at work on the cache" in refused(client(), seconds=0.1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert taken(client())


def test_forked_child_does_not_keep_the_lock_of_its_parent(publisher, client, server, tmp_path):
    from guardai.policy.trust.lock import held

    taken(client())
    with held(tmp_path / "cache" / "lock", 1):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        assert taken(client())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
