"""The publisher's side: what is signed by whom, and what is refused before anything is written."""

import json
from datetime import timedelta

import pytest

from guardai.errors import BundleError
from guardai.policy.trust.repository import Lifetimes, Repository


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


def test_repository_is_made_once(publisher):
    assert "there is a repository already" in refused(publisher, publisher.create)


def test_bundle_is_not_published_by_fewer_keys_than_the_threshold(publisher, now):
    signers = [publisher.targets[0], *publisher.online]
    said = refused(publisher, lambda: publisher.repository.publish(b"x", signers, now=now))
    assert "targets needs the signatures of 2 of its 3 keys" in said


def test_one_key_twice_is_one_key(publisher, now):
    signers = [publisher.targets[0], publisher.targets[0], *publisher.online]
    assert "targets needs" in refused(publisher, lambda: publisher.repository.publish(b"x", signers, now=now))


def test_threshold_beyond_the_keys_makes_no_repository(tmp_path, publisher, now):
    other = Repository(tmp_path / "other")
    signers = dict.fromkeys(("root", "targets", "snapshot", "timestamp"), publisher.online)
    with pytest.raises(BundleError, match="root needs"):
        other.create(b"x", signers, {"root": 2}, now=now)
    assert not other.folder.exists()


def test_online_key_alone_keeps_the_repository_fresh_and_publishes_nothing(publisher, now):
    assert publisher.renew(now) == ("snapshot", "timestamp")
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
    assert rotate(["root"], [publisher.roots[1], publisher.roots[2]], **add) == ("root",)


def test_role_whose_keys_were_replaced_signs_again_with_the_new_ones(publisher, now, key, signer):
    new = signer(key("new"))
    change = {"add": [new.public_key], "remove": [publisher.online[0].public_key], "now": now}
    roles = ["snapshot", "timestamp"]
    said = refused(
        publisher, lambda: publisher.repository.rotate(roles, [*publisher.roots, *publisher.online], **change)
    )
    assert "snapshot needs" in said
    signed = publisher.repository.rotate(roles, [*publisher.roots, new], **change)
    assert signed == ("root", "snapshot", "timestamp")


def test_key_is_not_removed_below_the_threshold_nor_where_it_does_not_count(publisher, now):
    rotate = publisher.repository.rotate
    gone = [signer.public_key for signer in publisher.targets[:2]]
    assert "would have fewer" in refused(publisher, lambda: rotate(["targets"], publisher.roots, remove=gone, now=now))
    assert "does not count for root" in refused(
        publisher, lambda: rotate(["root"], publisher.roots, remove=gone, now=now)
    )


def test_folder_that_is_no_repository_is_told(tmp_path, publisher, now):
    with pytest.raises(BundleError, match="no repository"):
        Repository(tmp_path / "nowhere").publish(None, publisher.online, now=now)
    (publisher.folder / "metadata" / "timestamp.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        publisher.renew(now)
