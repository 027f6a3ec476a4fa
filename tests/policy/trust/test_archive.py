"""One file, one way to write it: what is not written as we write it is refused."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import BundleError
from guardai.policy import Bundle
from guardai.policy.trust import archive
from guardai.policy.trust.archive import MAX_BYTES, pack, unpack
from guardai.policy.trust.build import build

PERMIT = '@id("p") permit (principal, action, resource);'


@pytest.fixture
def built(folder):
    return build(folder(PERMIT, "", manifest_json='{"name": "shop", "version": "7"}'))


def tar(*members, format=tarfile.USTAR_FORMAT):
    """A tar as somebody else writes it: (name, content) or TarInfo."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as out:
        for member in members:
            info, content = (
                member if isinstance(member[0], tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return file.getvalue()


def refused(data):
    with pytest.raises(BundleError) as caught:
        unpack(data)
    return str(caught.value)


def test_same_folder_gives_the_same_bytes(folder):
    import os

    one, other = folder(PERMIT, "# x"), folder(PERMIT, "# x")
    for root in (one, other):
        for file in root.rglob("*"):
            os.utime(file, (1_700_000_000, 1_700_000_000))
    assert build(one, name="n") == build(other, name="n") == build(one, name="n")


def test_file_has_the_digest_of_its_folder(folder, tmp_path):
    root = folder({"b.cedar": PERMIT, "a.cedar": PERMIT.replace('"p"', '"q"')}, "# catalog", detectors_toml="")
    (root / "tests").mkdir()
    (root / "tests" / "one.toml").write_text("")
    file = tmp_path / "x.bundle"
    file.write_bytes(build(root))
    loaded = Bundle.load(file)
    assert loaded.digest == Bundle.load(root).digest
    assert (loaded.policies["q"].file, loaded.policies["q"].line) == ("policies/a.cedar", 1)
    assert loaded.detectors == b""


def test_file_holds_what_the_folder_holds_and_a_manifest(folder):
    adds = "entity Ticket;\n"
    root = folder(PERMIT, "", manifest_json='{"name": "shop", "version": "7"}')
    (root / "schema.cedarschema").write_text(adds)
    members = unpack(build(root))
    assert list(members) == [
        "manifest.json",
        "catalog.toml",
        "index.msgpack",
        "policies/test.cedar",
        "schema.cedarschema",
    ]
    assert members["schema.cedarschema"].decode() == adds
    assert b'"name": "shop"' in members["manifest.json"]


def test_what_a_folder_adds_to_the_schema_is_in_the_file_and_in_the_digest(folder, tmp_path):
    root = folder(PERMIT, "")
    before = Bundle.load(root).digest
    (root / "schema.cedarschema").write_text("entity Ticket;\n")
    file = tmp_path / "x.bundle"
    file.write_bytes(build(root))
    assert "entity Ticket;" in Bundle.load(file).schema
    assert Bundle.load(file).digest == Bundle.load(root).digest != before


def test_any_tar_can_list_it(built):
    with tarfile.open(fileobj=io.BytesIO(built)) as file:
        assert {member.name for member in file} == set(unpack(built))


@given(
    st.dictionaries(
        st.sampled_from(["policies/a.cedar", "policies/b.cedar", "tests/a.toml", "catalog.toml", "manifest.json"]),
        st.binary(max_size=1200),
    )
)
def test_what_is_packed_is_what_is_unpacked(members):
    assert unpack(pack(members)) == members


@pytest.mark.parametrize(
    "name",
    [
        "../policies/a.cedar", "/etc/passwd", "policies/../../a.cedar", "policies/sub/a.cedar", "policies/..cedar",
        "C:\\a.cedar", "policies\\a.cedar", "policies/a.py", "notes.txt", "", ".", "policies/a\n.cedar", "policies/é.cedar",
    ],
)  # fmt: skip
def test_name_that_is_no_members_is_refused(name):
    assert "is no name of a member" in refused(tar((name, b"x")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_link_or_device_is_refused(kind):
    info = tarfile.TarInfo("catalog.toml")
    info.type, info.linkname = kind, "/etc/passwd"
    assert "is a link, a folder or a device" in refused(tar((info, b"")))


def test_member_that_stands_there_twice_is_refused():
    assert "stands in it twice" in refused(tar(("catalog.toml", b"a"), ("catalog.toml", b"b")))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extended_headers_are_refused(format):
    info = tarfile.TarInfo("policies/" + "a" * 120 + ".cedar")
    assert refused(tar((info, b"x"), format=format))


def test_file_with_times_owners_or_another_order_is_refused(built):
    info = tarfile.TarInfo("catalog.toml")
    info.mtime = 5
    assert "not written as" in refused(tar((info, b"")))
    members = unpack(built)
    assert "not written as" in refused(tar(*reversed(members.items())))
    assert "not written as" in refused(built + b"\0" * 512)
    assert "not written as" in refused(built[:-512] + b"trailing".ljust(512, b"\0"))


def test_every_shorter_file_is_refused(built):
    for length in range(0, len(built), 97):
        refused(built[:length])


def test_every_flipped_bit_outside_the_manifest_is_refused(built, tmp_path):
    """Within it a bit may make another name: that is what signatures are for."""
    behind = 512 + -(-len(unpack(built)["manifest.json"]) // 512) * 512
    for at in (*range(0, 512, 7), *range(behind, len(built), 13)):
        data = bytearray(built)
        data[at] ^= 1 << at % 8
        with pytest.raises(BundleError):
            Bundle.load(tmp_path / "f", data=bytes(data))


def test_header_that_promises_terabytes_is_refused():
    info = tarfile.TarInfo("catalog.toml")
    info.size = 8**11 - 1
    assert "cut off within catalog.toml" in refused(info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 4096)


def test_file_beyond_the_limit_is_refused_before_it_is_looked_into(monkeypatch, tmp_path, built):
    assert "larger than" in refused(bytes(MAX_BYTES + 1))
    monkeypatch.setattr("guardai.policy.bundle.MAX_BYTES", 1000)
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    (tmp_path / "f").write_bytes(built)
    with pytest.raises(BundleError, match="larger than"):
        Bundle.load(tmp_path / "f")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"x" * 600])
def test_what_is_no_bundle_file_is_told_so(data):
    assert "no bundle file" in refused(data)


def repacked(built, change):
    members = unpack(built)
    change(members)
    return pack(members)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update({"catalog.toml": b"# changed"}), "catalog.toml is not what manifest.json lists"),
        (lambda m: m.update({"policies/more.cedar": b""}), "does not list policies/more.cedar"),
        (lambda m: m.update({"tests/more.toml": b""}), "does not list tests/more.toml"),
        (lambda m: m.pop("catalog.toml"), "lists catalog.toml, which is not there"),
        (lambda m: m.pop("manifest.json"), "there is no manifest.json"),
        (lambda m: m.update({"manifest.json": b"{}"}), "manifest.json: Object missing required field"),
        (lambda m: m.update({"manifest.json": b"[" * 100_000}), "manifest.json"),
        (lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"name"', b'"nmae"')}), "unknown field"),
        (lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"0.1.0"', b'"999"')}), "needs guardai 999"),
        (
            lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"expires": ""', b'"expires": "x"')}),
            "Invalid",
        ),
        (
            lambda m: m.update(
                {
                    "manifest.json": m["manifest.json"].replace(
                        b'"expires": ""', b'"expires": "9999-12-31T23:59:59-05:00"'
                    )
                }
            ),
            "manifest.json: 9999-12-31T23:59:59-05:00: no time between the years",
        ),
    ],
)
def test_manifest_that_is_not_true_is_refused(built, tmp_path, change, says):
    with pytest.raises(BundleError, match=says):
        Bundle.load(tmp_path / "f", data=repacked(built, change))


def test_file_that_expired_is_refused_and_one_that_has_not_is_not(folder, tmp_path):
    from datetime import UTC, datetime, timedelta

    end = datetime(2027, 1, 1, tzinfo=UTC)
    data = build(folder(PERMIT), expires=end)
    assert Bundle.load(tmp_path / "f", data=data, now=end - timedelta(seconds=1)).expires == end
    with pytest.raises(BundleError, match="expired at 2027-01-01 00:00:00 UTC"):
        Bundle.load(tmp_path / "f", data=data, now=end)


def test_policy_file_with_a_name_that_no_bundle_can_hold_is_told_at_build(folder):
    with pytest.raises(BundleError, match="rename it"):
        build(folder({"käse.cedar": PERMIT}))


def test_index_of_the_builder_is_taken_where_the_file_is_signed_and_nowhere_else(built, tmp_path, monkeypatch):
    from guardai.policy import bundle

    seen = []
    monkeypatch.setattr(bundle, "taken", lambda *given: seen.append(given[0]))
    Bundle.load(tmp_path / "f", data=built)
    assert seen == []
    Bundle.load(tmp_path / "f", data=built, signed=True)
    assert seen == [unpack(built)["index.msgpack"]]


def test_file_whose_index_tells_of_other_policies_is_not_signed(folder):
    """The text forbids; the index, which a process would begin with, says that it is about something else."""
    import hashlib

    from guardai.policy.trust.build import honest

    data = build(folder(PERMIT + '@id("f") forbid (principal, action in Action::"db", resource);'))
    honest(data)
    other = build(folder(PERMIT + '@id("f") forbid (principal, action in Action::"llm", resource);'))
    members = unpack(data)
    lie = unpack(other)["index.msgpack"]
    members["manifest.json"] = members["manifest.json"].replace(
        hashlib.sha256(members["index.msgpack"]).hexdigest().encode(), hashlib.sha256(lie).hexdigest().encode()
    )
    members["index.msgpack"] = lie
    assert Bundle.load(folder(PERMIT), data=pack(members))
    with pytest.raises(BundleError, match="build it again"):
        honest(pack(members))
