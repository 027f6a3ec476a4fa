"""The publisher's side: what is signed by whom, what is refused before anything is written, and what a kill leaves behind."""

import errno
import itertools
import json
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from guardai.errors import BundleError
from guardai.policy.trust.client import Client
from guardai.policy.trust.clock import Clock
from guardai.policy.trust.memory import beside
from guardai.policy.trust.repository import Lifetimes, Repository
from guardai.policy.trust.writing import create


def files(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(publisher, call):
    """The refusal, which changed nothing."""
    before = files(publisher.folder)
    with pytest.raises(BundleError) as caught:
        call()
    assert files(publisher.folder) == before
    return str(caught.value)


def test_repository_is_a_folder_of_files_that_are_never_changed_but_for_one(publisher, now):
    before = files(publisher.folder)
    assert {"metadata/1.root.json", "metadata/1.targets.json", "metadata/1.snapshot.json"} < before.keys()
    publisher.publish("2", now)
    after = files(publisher.folder)
    assert [name for name in before if before[name] != after[name]] == ["metadata/timestamp.json"]
    assert "metadata/2.snapshot.json" in after


def test_repository_is_made_once(publisher, tmp_path):
    assert "there is a root already" in refused(publisher, publisher.create)
    publisher.repository = Repository(publisher.folder, tmp_path / "another.json")
    assert "there is a repository already" in refused(publisher, publisher.create)
    assert not publisher.repository.trusted.exists()


def test_bundle_is_not_published_by_fewer_keys_than_the_threshold(publisher, now):
    signers = [publisher.targets[0], *publisher.online]
    said = refused(publisher, lambda: publisher.repository.publish(b"x", signers, now=now))
    assert "targets needs the signatures of 2 of its 3 keys" in said


def test_one_key_twice_is_one_key(publisher, now):
    signers = [publisher.targets[0], publisher.targets[0], *publisher.online]
    assert "targets needs" in refused(publisher, lambda: publisher.repository.publish(b"x", signers, now=now))


def test_threshold_beyond_the_keys_makes_no_repository(tmp_path, publisher, now):
    other = Repository(tmp_path / "other", tmp_path / "other.json")
    signers = dict.fromkeys(("root", "targets", "snapshot", "timestamp"), publisher.online)
    with pytest.raises(BundleError, match="root needs 2 keys and has 1; name more"):
        other.create(b"x", signers, {"root": 2}, now=now)
    other = Repository(other.folder, tmp_path / "nowhere" / "other.json")
    with pytest.raises(BundleError, match="no such folder"):
        other.create(b"x", signers, {}, now=now)
    assert not other.folder.exists()
    assert sorted(path.name for path in tmp_path.glob("other*")) == []


def test_online_key_alone_keeps_the_repository_fresh_and_publishes_nothing(publisher, now):
    assert publisher.renew(now).versions == {"snapshot": 2, "timestamp": 2}
    assert "targets needs" in refused(publisher, lambda: publisher.repository.publish(b"x", publisher.online, now=now))


def test_lifetimes_are_what_was_asked_for(publisher, now):
    publisher.publish("2", now, lifetimes=Lifetimes(targets=timedelta(days=3), timestamp=timedelta(hours=6)))
    metadata = publisher.folder / "metadata"
    assert json.loads((metadata / "2.targets.json").read_text())["signed"]["expires"] == "2030-01-04T00:00:00Z"
    assert json.loads((metadata / "timestamp.json").read_text())["signed"]["expires"] == "2030-01-01T06:00:00Z"


def test_nothing_is_published_under_a_root_that_has_expired(publisher, now):
    late = now + timedelta(days=366)
    assert "sign a new one" in refused(publisher, lambda: publisher.publish("2", late))
    publisher.repository.rotate((), publisher.roots, now=late)
    publisher.publish("2", late)


def test_new_root_needs_the_old_keys_and_the_new_ones(publisher, now, key, signer):
    new = signer(key("new"))
    add = {"add": [new.public_key], "remove": [publisher.roots[0].public_key], "now": now}
    rotate = publisher.repository.rotate
    assert "root needs" in refused(publisher, lambda: rotate(["root"], [new, publisher.roots[1]], **add))
    assert "root needs" in refused(publisher, lambda: rotate(["root"], publisher.roots[:1], **add))
    assert rotate(["root"], [publisher.roots[1], publisher.roots[2]], **add).versions == {"root": 2}


def test_role_whose_keys_were_replaced_signs_again_with_the_new_ones(publisher, now, key, signer):
    new = signer(key("new"))
    change = {"add": [new.public_key], "remove": [publisher.online[0].public_key], "now": now}
    roles = ["snapshot", "timestamp"]
    said = refused(
        publisher, lambda: publisher.repository.rotate(roles, [*publisher.roots, *publisher.online], **change)
    )
    assert "snapshot needs" in said
    signed = publisher.repository.rotate(roles, [*publisher.roots, new], **change)
    assert signed.versions == {"root": 3, "snapshot": 2, "timestamp": 2}


def test_key_is_not_removed_below_the_threshold_nor_where_it_does_not_count(publisher, now):
    rotate = publisher.repository.rotate
    gone = [signer.public_key for signer in publisher.targets[:2]]
    assert "would have fewer" in refused(publisher, lambda: rotate(["targets"], publisher.roots, remove=gone, now=now))
    assert "does not count for root" in refused(
        publisher, lambda: rotate(["root"], publisher.roots, remove=gone, now=now)
    )


def test_folder_that_is_no_repository_is_told(tmp_path, publisher, now):
    with pytest.raises(BundleError, match="no repository"):
        Repository(tmp_path / "nowhere", publisher.repository.trusted).publish(None, publisher.online, now=now)
    (publisher.folder / "metadata" / "timestamp.json").write_text("{")
    assert "timestamp.json is not what the trusted keys signed" in refused(publisher, lambda: publisher.renew(now))
    (publisher.folder / "metadata" / "timestamp.json").unlink()
    assert "timestamp.json is missing" in refused(publisher, lambda: publisher.renew(now))


def test_repository_is_not_made_where_there_is_a_root_already(tmp_path, publisher):
    publisher.repository = Repository(tmp_path / "other", publisher.repository.trusted)
    before = publisher.root
    with pytest.raises(BundleError, match="there is a root already"):
        publisher.create()
    assert publisher.root == before
    assert not publisher.repository.folder.exists()


# ---- what lies in the folder is not believed ----


@pytest.fixture
def reader(publisher, tmp_path, time_):
    """A client that reads the folder as it is; each call begins without a cache, or with that one."""
    fresh = (tmp_path / f"reader-{n}" for n in itertools.count())
    return lambda folder=publisher.folder, cache=None: Client(
        folder.as_uri(), publisher.root, cache or next(fresh), Clock()
    )


def forged(publisher, targets, online):
    """Whoever can write in the folder publishes a bundle of their own there, signed by these keys."""
    from tuf.api.metadata import Metadata, MetaFile, TargetFile

    metadata, evil = publisher.folder / "metadata", b"evil"
    made = {}
    for role, name in (("targets", "1.targets.json"), ("snapshot", "1.snapshot.json"), ("timestamp", "timestamp.json")):
        made[role] = Metadata.from_file(str(metadata / name))
        made[role].signed.version = 2
        made[role].signed.unrecognized_fields["said by"] = "the thief"
        made[role].signatures.clear()
    made["targets"].signed.targets["policy.bundle"] = target = TargetFile.from_data("policy.bundle", evil, ["sha256"])
    for signer in targets:
        made["targets"].sign(signer, append=True)
    made["snapshot"].signed.meta["targets.json"] = MetaFile.from_data(2, made["targets"].to_bytes(), ["sha256"])
    made["snapshot"].sign(online)
    made["timestamp"].signed.snapshot_meta = MetaFile.from_data(2, made["snapshot"].to_bytes(), ["sha256"])
    made["timestamp"].sign(online)
    (publisher.folder / "targets" / f"{target.hashes['sha256']}.policy.bundle").write_bytes(evil)
    for name in ("2.targets", "2.snapshot", "timestamp"):
        (metadata / f"{name}.json").write_bytes(made[name.removeprefix("2.")].to_bytes())


ACTS = {
    "renewed with every key": lambda publisher, now: publisher.repository.publish(
        None, [*publisher.targets, *publisher.online], now=now
    ),
    "renewed with the online key": lambda publisher, now: publisher.renew(now),
    "published": lambda publisher, now: publisher.repository.publish(
        publisher.data, [*publisher.targets, *publisher.online], now=now
    ),
    "rotated": lambda publisher, now: publisher.repository.rotate((), publisher.roots, now=now),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("stolen", ["nothing", "the online key"])
def test_metadata_that_others_put_into_the_folder_is_not_signed(publisher, now, key, signer, act, stolen):
    evil = signer(key("evil"))
    forged(publisher, [evil, publisher.targets[0]], evil if stolen == "nothing" else publisher.online[0])
    said = refused(publisher, lambda: ACTS[act](publisher, now))
    assert f"{'timestamp' if stolen == 'nothing' else '2.targets'}.json is not what the trusted keys signed" in said


@pytest.mark.parametrize("file", ["1.snapshot.json", "1.targets.json"])
def test_metadata_of_two_times_is_not_signed(publisher, now, file):
    metadata = publisher.folder / "metadata"
    publisher.publish("2", now)
    named = file.replace("1", "2")
    (metadata / named).write_bytes((metadata / file).read_bytes())
    assert f"{named} is not what the trusted keys signed" in refused(publisher, lambda: publisher.renew(now))


def test_root_that_the_trusted_one_does_not_lead_to_is_not_followed(publisher, now, key, signer):
    from tuf.api.metadata import Metadata

    evil = Metadata.from_bytes(publisher.root)
    evil.signed.version = 2
    evil.signed.add_key(signer(key("evil")).public_key, "targets")
    evil.sign(publisher.roots[0])
    (publisher.folder / "metadata" / "2.root.json").write_bytes(evil.to_bytes())
    assert "2.root.json is not what the trusted keys signed" in refused(publisher, lambda: publisher.renew(now))


def test_chain_of_roots_with_a_gap_is_refused(publisher, now):
    for _ in range(2):
        publisher.repository.rotate((), publisher.roots, now=now)
    (publisher.folder / "metadata" / "2.root.json").unlink()
    assert "2.root.json is missing" in refused(publisher, lambda: publisher.renew(now))


def test_later_root_is_as_good_a_beginning_as_the_first(publisher, tmp_path, now):
    publisher.repository.rotate((), publisher.roots, now=now)
    later = shutil.copy(publisher.folder / "metadata" / "2.root.json", tmp_path / "later.json")
    publisher.repository = Repository(publisher.folder, Path(later))
    assert publisher.renew(now).versions == {"snapshot": 2, "timestamp": 2}


@pytest.mark.parametrize("first", ["there", "gone"])
def test_root_of_another_repository_vouches_for_nothing_here(publisher, tmp_path, now, key, signer, built, first):
    other = type(publisher)(tmp_path / "other", lambda name: key(f"other-{name}"), signer, built)
    other.create()
    publisher.repository = Repository(publisher.folder, other.repository.trusted)
    if first == "gone":
        (publisher.folder / "metadata" / "1.root.json").unlink()
    said = refused(publisher, lambda: publisher.renew(now))
    expected = "is that the root of this repository?" if first == "there" else "timestamp.json is not what"
    assert expected in said


def test_first_root_that_was_replaced_in_the_folder_is_noticed(publisher, now):
    file = publisher.folder / "metadata" / "1.root.json"
    file.write_bytes(file.read_bytes().replace(b'"threshold":2', b'"threshold":1'))
    assert "1.root.json is not what the trusted keys signed" in refused(publisher, lambda: publisher.renew(now))


@pytest.mark.parametrize("how", ["inside", "by a link"])
def test_root_within_the_folder_is_no_trusted_one(publisher, tmp_path, how):
    root = publisher.folder / "metadata" / "1.root.json"
    if how == "by a link":
        (tmp_path / "link.json").symlink_to(root)
        root = tmp_path / "link.json"
    with pytest.raises(BundleError, match="lies in the folder that it has to vouch for"):
        Repository(publisher.folder, root)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, bytes(2_000_000)])
def test_trusted_root_that_is_none_is_refused(publisher, now, content):
    publisher.repository.trusted.write_bytes(content)
    assert "root.json is no root" in refused(publisher, lambda: publisher.renew(now))


def test_bundle_that_was_swapped_in_the_folder_is_vouched_for_by_nobody_until_it_is_published_again(
    publisher, now, reader
):
    [file] = (publisher.folder / "targets").iterdir()
    file.write_bytes(b"evil")
    for act in set(ACTS) - {"published"}:
        said = refused(publisher, lambda act=act: ACTS[act](publisher, now))
        assert f"{file.name} is not the bundle that was signed; publish a FILE to put it right" in said
    ACTS["published"](publisher, now)
    assert reader().refresh().data == publisher.data


def test_root_whose_name_lies_in_the_folder_is_no_trusted_one_wherever_it_leads(publisher):
    (publisher.folder / "root.json").symlink_to(publisher.repository.trusted)
    with pytest.raises(BundleError, match="lies in the folder that it has to vouch for"):
        Repository(publisher.folder, publisher.folder / "root.json")


def test_one_root_under_two_names_has_one_memory(publisher, tmp_path):
    (tmp_path / "other-name.json").symlink_to(publisher.repository.trusted)
    assert beside(tmp_path / "other-name.json") == beside(publisher.repository.trusted)


def test_publisher_who_could_not_note_it_publishes_nothing(publisher, now, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "Copy the trusted root into a folder that you can write" in refused(publisher, lambda: publisher.renew(now))


def test_what_is_published_and_could_not_be_noted_is_told_as_that(publisher, now, monkeypatch):
    from guardai.policy.trust import memory

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(memory, "replace", full)
    with pytest.raises(BundleError, match="no space. It is published, but not noted"):
        publisher.renew(now)
    monkeypatch.undo()
    assert publisher.renew(now).versions == {"snapshot": 3, "timestamp": 3}


def test_new_beginning_names_what_the_former_one_left(publisher, tmp_path):
    shutil.rmtree(publisher.folder)
    publisher.repository.trusted.unlink()
    with pytest.raises(
        BundleError, match="published tells of what was published under a root that is not there any more"
    ):
        publisher.create(data=publisher.data)
    beside(publisher.repository.trusted).unlink()
    publisher.create(data=publisher.data)


def test_pipe_in_the_folder_does_not_hold_the_publisher(publisher, now):
    file = publisher.folder / "metadata" / "timestamp.json"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BundleError, match=r"timestamp\.json"):
        publisher.renew(now)


def test_publisher_writes_through_no_link_in_the_folder(publisher, tmp_path, now):
    other = tmp_path / "other"
    other.write_text("untouched")
    for name in ("timestamp.json", "2.targets.json", "2.snapshot.json"):
        (publisher.folder / "metadata" / f".{name}.new").symlink_to(other)
    (publisher.folder / "metadata" / "2.snapshot.json").symlink_to(tmp_path / "nowhere")
    publisher.publish("2", now)
    assert other.read_text() == "untouched"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["metadata", "targets"])
def test_folder_within_the_folder_that_leads_elsewhere_is_refused(publisher, tmp_path, name):
    (publisher.folder / name).rename(tmp_path / "elsewhere")
    (publisher.folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=f"{name} is a link to another place"):
        Repository(publisher.folder, publisher.repository.trusted)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this platform cannot refuse links")
def test_lock_is_made_through_no_link(publisher, tmp_path, now):
    (publisher.folder / ".lock").unlink()
    (publisher.folder / ".lock").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="lock cannot be opened"):
        publisher.renew(now)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["x" * 300, "circle", "dangling"])
def test_trusted_root_that_cannot_be_looked_at_is_refused(publisher, tmp_path, name):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(BundleError, match="cannot be looked at"):
        Repository(publisher.folder, tmp_path / name)


def test_what_had_expired_is_signed_anew_and_told(publisher, now, time_, reader):
    long_ago = now - timedelta(days=3650)
    publisher.repository.rotate((), publisher.roots, now=long_ago)
    publisher.publish("1", long_ago, data=publisher.data)
    assert publisher.repository.rotate((), publisher.roots, now=now).expired == (
        "root",
        "targets",
        "snapshot",
        "timestamp",
    )
    publisher.publish("1", now, data=publisher.data)
    time_.pass_(days=8)
    with pytest.raises(BundleError, match="expired"):
        reader().refresh()
    assert publisher.renew(time_()).expired == ("snapshot", "timestamp")
    assert reader().refresh().data == publisher.data
    assert publisher.renew(time_()).expired == ()


def test_publisher_is_told_which_bundle_was_vouched_for(publisher, now):
    assert publisher.renew(now).data == publisher.data
    second = publisher.publish("2", now)
    assert publisher.repository.rotate((), publisher.roots, now=now).data == second


@pytest.fixture
def put_back(publisher, tmp_path, now, reader):
    """Somebody put an older state of the folder back; a client with that cache has seen the newer one."""
    shutil.copytree(publisher.folder, tmp_path / "old")
    publisher.publish("2", now)
    publisher.renew(now)
    seen = tmp_path / "seen"
    reader(cache=seen).refresh()
    shutil.rmtree(publisher.folder)
    shutil.copytree(tmp_path / "old", publisher.folder)
    return seen


def test_older_state_that_was_put_back_is_not_signed_anew(publisher, now, put_back):
    for act in (publisher.renew, lambda now: publisher.repository.rotate((), publisher.roots, now=now)):
        assert "somebody put an older state back" in refused(publisher, lambda act=act: act(now))


def test_after_an_older_state_was_put_back_clients_take_the_next_bundle(publisher, now, put_back, reader):
    data = publisher.publish("3", now)
    assert reader(cache=put_back).refresh().data == data
    publisher.renew(now)


def test_older_state_is_told_by_what_the_publisher_remembers_alone(publisher, now, put_back):
    """No promise, but its limit: the root does not tell how far the publisher had come."""
    beside(publisher.repository.trusted).unlink()
    signed = publisher.renew(now)
    assert (signed.data, signed.versions) == (publisher.data, {"snapshot": 2, "timestamp": 2})


def test_root_in_the_place_of_the_one_that_removed_its_key_is_not_followed(publisher, now, key, signer):
    """Every root key was stolen and is removed: what the thief signs then verifies from the first root on."""
    from tuf.api.metadata import Metadata

    new = [signer(key(f"new-root-{n}")) for n in range(2)]
    publisher.repository.rotate(
        ["root"], [*publisher.roots, *new], now=now, add=[one.public_key for one in new],
        remove=[one.public_key for one in publisher.roots],
    )  # fmt: skip
    fork = Metadata.from_bytes(publisher.root)
    fork.signed.version = 2
    fork.signed.add_key(signer(key("evil")).public_key, "targets")
    for one in publisher.roots:
        fork.sign(one, append=True)
    file = publisher.folder / "metadata" / "2.root.json"
    file.write_bytes(fork.to_bytes())
    assert "2.root.json is another root than the one of its number" in refused(publisher, lambda: publisher.renew(now))
    file.unlink()
    assert "2.root.json is missing, which was published from here" in refused(publisher, lambda: publisher.renew(now))


@pytest.mark.parametrize("content", ["{", '{"root": "1"}', '{"more": 1}'])
def test_what_is_remembered_cannot_be_read(publisher, now, content):
    beside(publisher.repository.trusted).write_text(content)
    assert "put it back" in refused(publisher, lambda: publisher.renew(now))


# ---- after a theft ----


@pytest.fixture
def replacement(publisher, key, signer, now):
    """What `rotate` is given to replace every targets key."""
    new = [signer(key(f"new-{n}")) for n in range(2)]
    gone = [one.public_key for one in publisher.targets]
    publisher.new = new
    return {
        "roles": ["targets"],
        "signers": [*publisher.roots, *publisher.online, *new],
        "add": [one.public_key for one in new],
        "remove": gone,
        "now": now,
    }


def test_new_targets_keys_vouch_only_for_a_bundle_that_is_given(publisher, replacement, reader):
    """The thief's bundle was signed by enough keys: it verifies, until they are removed."""
    forged(publisher, publisher.targets[:2], publisher.online[0])
    before = set(files(publisher.folder))
    rotate = publisher.repository.rotate
    assert "which bundle do the new keys vouch for?" in refused(publisher, lambda: rotate(**replacement))
    assert rotate(**replacement, data=publisher.data).data == publisher.data
    assert reader().refresh().data == publisher.data
    made = {name: content for name, content in files(publisher.folder).items() if name not in before}
    assert "metadata/3.targets.json" in made
    assert [name for name, content in made.items() if b"thief" in content] == []


def test_rotation_publishes_the_bundle_that_it_is_given_also_where_no_role_has_to_sign_again(publisher, now, reader):
    second = publisher._built(version="2")
    signers = [*publisher.roots, *publisher.targets, *publisher.online]
    signed = publisher.repository.rotate((), signers, data=second, now=now)
    assert signed.versions == {"root": 2, "targets": 2, "snapshot": 2, "timestamp": 2}
    assert reader().refresh().data == second


def test_keys_that_are_added_do_not_make_targets_sign_again(publisher, replacement):
    signed = publisher.repository.rotate(**{**replacement, "remove": []})
    assert signed.versions == {"root": 2}


def test_threshold_that_is_raised_makes_targets_sign_a_bundle_that_is_given(publisher, now, reader):
    rotate, signers = publisher.repository.rotate, [*publisher.roots, *publisher.targets, *publisher.online]
    publisher.repository.publish(publisher.data, [*publisher.targets[:2], *publisher.online], now=now)
    change = {"roles": ["targets"], "signers": signers, "threshold": 3, "now": now}
    assert "Give its file" in refused(publisher, lambda: rotate(**change))
    assert rotate(**change, data=publisher.data).versions == {"root": 2, "targets": 3, "snapshot": 3, "timestamp": 3}
    assert reader().refresh().data == publisher.data


def test_root_between_counts_the_old_keys_and_the_new_ones_and_no_fewer_of_them(publisher, replacement):
    publisher.repository.rotate(**replacement, data=publisher.data)
    roots = [
        json.loads((publisher.folder / "metadata" / f"{n}.root.json").read_text())["signed"]["roles"]["targets"]
        for n in (1, 2, 3)
    ]
    ids = [one.public_key.keyid for one in publisher.new]
    assert roots[1] == {"keyids": [*roots[0]["keyids"], *ids], "threshold": 2}
    assert roots[2] == {"keyids": ids, "threshold": 2}


def test_threshold_is_not_lowered_by_the_root_that_replaces_the_keys(publisher, replacement):
    rotate = publisher.repository.rotate
    said = refused(publisher, lambda: rotate(**replacement, threshold=1, data=publisher.data))
    assert "lower the threshold afterwards" in said
    rotate(**replacement, data=publisher.data)
    rotate(["targets"], publisher.roots, threshold=1, now=replacement["now"])


# ---- two at once, and one that is killed ----


def test_two_publishers_at_once_publish_one_after_the_other(publisher, tmp_path, now, reader):
    class Slow:
        """A key whose owner has to be found."""

        def __init__(self, signer):
            self.signer, self.public_key = signer, signer.public_key

        def sign(self, payload):
            (tmp_path / "signing").touch()
            awaited(tmp_path / "go")
            return self.signer.sign(payload)

    second, third = publisher._built(version="2"), publisher._built(version="3")
    slow = [Slow(publisher.targets[0]), *publisher.targets[1:], *publisher.online]
    one = child(lambda: publisher.repository.publish(second, slow, now=now))
    awaited(tmp_path / "signing")

    def publish():
        (tmp_path / "begun").touch()
        publisher.repository.publish(third, [*publisher.targets, *publisher.online], now=now)

    other = child(publish)
    awaited(tmp_path / "begun")
    time.sleep(0.3)  # for what it would do if nothing kept it from it
    (tmp_path / "go").touch()
    assert (ended(one), ended(other)) == (0, 0)
    served = reader().refresh()
    assert (served.version, served.data) == (3, third)


def test_file_that_nothing_names_keeps_its_number_and_is_never_changed(publisher, now, reader):
    left = publisher.folder / "metadata" / "2.targets.json"
    left.write_text("of a publisher that was killed")
    second = publisher.publish("2", now)
    assert left.read_text() == "of a publisher that was killed"
    assert reader().refresh().data == second


@pytest.mark.parametrize("links", [True, False])
def test_file_that_is_there_is_not_made_again(tmp_path, monkeypatch, links):
    def none(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", none)
    create(tmp_path / "a", b"1")
    with pytest.raises(BundleError, match="somebody made it meanwhile"):
        create(tmp_path / "a", b"2")
    assert files(tmp_path) == {"a": b"1"}


WHEN = pytest.mark.parametrize("when", ["before a write", "after a write"])


@WHEN
def test_publisher_that_is_killed_leaves_what_clients_accept_and_the_next_one_goes_on_from(
    publisher, tmp_path, now, reader, when
):
    second, third = publisher._built(version="2"), publisher._built(version="3")
    signers = [*publisher.targets, *publisher.online]
    reader(cache=tmp_path / "cache").refresh()
    for step in itertools.count():
        copy = copied(publisher, tmp_path, step)
        code = killed(lambda copy=copy: copy.publish(second, signers, now=now), step, when)
        cache = shutil.copytree(tmp_path / "cache", tmp_path / f"cache-{step}")
        assert reader(copy.folder, cache).refresh().data in (publisher.data, second)
        copy.publish(third, signers, now=now)
        assert reader(copy.folder, cache).refresh().data == third
        if not code:
            break
        assert code == 9
    assert step == 5  # the bundle, targets, snapshot, timestamp, what is remembered


@WHEN
def test_rotation_that_is_killed_leaves_what_clients_accept_and_the_next_one_goes_on_from(
    publisher, replacement, tmp_path, now, reader, when
):
    second, third = publisher._built(version="2"), publisher._built(version="3")
    reader(cache=tmp_path / "cache").refresh()
    for step in itertools.count():
        copy = copied(publisher, tmp_path, step)
        code = killed(lambda copy=copy: copy.rotate(**replacement, data=second), step, when)
        cache = shutil.copytree(tmp_path / "cache", tmp_path / f"cache-{step}")
        assert reader(copy.folder, cache).refresh().data in (publisher.data, second)
        if not (copy.folder / "metadata" / "3.root.json").exists():
            copy.rotate(**replacement, data=second)
        assert reader(copy.folder, cache).refresh().data == second
        copy.publish(third, [*publisher.new, *publisher.online], now=now)
        assert reader(copy.folder, cache).refresh().data == third
        if not code:
            break
        assert code == 9
    assert step == 7  # the root between, the bundle, targets, snapshot, timestamp, the root, what is remembered


@WHEN
def test_repository_whose_making_was_killed_is_made_by_the_next_one(publisher, tmp_path, reader, when):
    for step in itertools.count():
        publisher.repository = copy = Repository(tmp_path / f"site-{step}", tmp_path / f"root-{step}.json")
        code = killed(lambda: publisher.create(data=publisher.data), step, when)
        if copy.trusted.exists() and not copy.exists:  # the one moment at which a person has to look
            with pytest.raises(BundleError, match="no repository, although there is a root"):
                publisher.renew()
            copy.trusted.unlink()
        if not copy.exists:
            publisher.create(data=publisher.data)
        publisher.renew()
        assert reader(copy.folder).refresh().data == publisher.data
        if not code:
            break
        assert code == 9
    assert step == 8  # the bundle, four files, the trusted root, their folder, what is remembered


def copied(publisher, tmp_path, step):
    """The repository once more, and what its publisher has beside the folder."""
    trusted = Path(shutil.copy(publisher.repository.trusted, tmp_path / f"trusted-{step}.json"))
    shutil.copy(beside(publisher.repository.trusted), beside(trusted))
    return Repository(shutil.copytree(publisher.folder, tmp_path / f"site-{step}"), trusted)


def child(act):
    """Does it in a child; its process id."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(act, step, when):
    """Does it in a child that ends as if killed, with 9, at its write of that number; 0 if it has fewer."""

    def deadly():
        left = itertools.count(step, -1)

        def wrapped(real):
            def call(*args):
                last = next(left) == 0
                if last and when == "before a write":
                    os._exit(9)
                done = real(*args)
                if last:
                    os._exit(9)
                return done

            return call

        for name in ("hardlink_to", "replace", "rename"):
            setattr(Path, name, wrapped(getattr(Path, name)))
        act()

    return ended(child(deadly))


def awaited(file):
    while not file.exists():
        time.sleep(0.01)
