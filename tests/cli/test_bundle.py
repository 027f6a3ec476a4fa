"""`guardai bundle`, as a person types it."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]
PERMIT = '@id("all") permit (principal, action, resource);'


@pytest.fixture
def bundle(home, monkeypatch, capsys):
    """Runs `guardai bundle …` in this process: what it ends with, and what it said."""

    def run(*arguments, **env):
        from guardai.cli import main

        with monkeypatch.context() as given:
            given.setattr(sys, "argv", ["guardai", "bundle", *map(str, arguments)])
            for name, value in {"GUARDAI_HOME": str(home), "NO_COLOR": "1", **env}.items():
                given.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code or 0, stdout=said.out, stderr=said.err)

    return run


def test_build_writes_the_same_file_twice_and_tells_its_digest(bundle, policy, tmp_path):
    folder = policy(PERMIT)
    one, other = bundle("build", folder, "-o", "one"), bundle("build", folder, "-o", "two")
    assert (one.returncode, other.returncode) == (0, 0), one.stderr
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    from guardai.policy import Bundle

    assert Bundle.load(folder).digest in one.stdout


def test_build_of_a_folder_with_errors_is_refused_and_writes_nothing(bundle, policy, tmp_path):
    done = bundle("build", policy('@id("x") permit (principal is User, action, resource);'), "-o", "one")
    assert done.returncode == 1
    assert "unable to find an applicable action" in done.stdout
    assert "no bundle was built" in done.stderr
    assert not (tmp_path / "one").exists()


def test_build_lists_warnings_and_builds(bundle, policy):
    done = bundle("build", policy("permit (principal, action, resource);"), "-o", "one", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (0, True)
    assert "it has no @id" in told["warnings"][0]


def test_build_takes_its_times_from_the_command(bundle, policy, tmp_path):
    from guardai.policy.trust.archive import unpack
    from guardai.policy.trust.manifest import opened

    folder = policy(PERMIT)
    assert bundle("build", folder, "-o", "one", "--created", "2026-11-30", "--expires", "90d").returncode == 0
    manifest = opened(unpack((tmp_path / "one").read_bytes()))
    assert (manifest.created, manifest.expires) == ("2026-11-30T00:00:00Z", "2027-02-28T00:00:00Z")
    assert bundle("build", folder, "-o", "two", SOURCE_DATE_EPOCH="0").returncode == 0
    assert opened(unpack((tmp_path / "two").read_bytes())).created == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "wrong",
    [
        ("--expires", "soon"),
        ("--expires", "9999-12-31T23:59:59-05:00"),
        ("--expires", "999999d", "--created", "9999-01-01"),
        ("--created", "[now]"),
        ("--created", "0001-01-01T00:00:00+05:00"),
    ],
)
def test_build_with_a_time_that_is_none_is_wrong_usage(bundle, policy, wrong):
    done = bundle("build", policy(PERMIT), "-o", "one", *wrong)
    assert done.returncode == 2
    assert wrong[1] in done.stderr


def test_build_of_no_folder_is_wrong_usage(bundle):
    assert bundle("build", "nowhere", "-o", "one").returncode == 2


def test_bundle_is_signed_and_verified_and_refused_when_it_was_changed(bundle, policy, tmp_path):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    for name in ("one", "two"):
        assert bundle("key", f"{name}.pem").returncode == 0
    assert bundle("sign", "b", "--key", "one.pem").returncode == 0
    good = bundle("verify", "b", "--key", "one.pem.pub", "--json")
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    assert bundle("verify", "b", "--key", "two.pem.pub").returncode == 1
    both = ("--key", "one.pem.pub", "--key", "two.pem.pub")
    assert bundle("verify", "b", *both).returncode == 1
    assert bundle("verify", "b", *both, "--threshold", "1").returncode == 0
    assert bundle("verify", "b", *both, "--threshold", "3").returncode == 2
    data = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(data.replace(b"permit (", b"forbid ("))
    refused = bundle("verify", "b", "--key", "one.pem.pub")
    assert refused.returncode == 1
    assert "policies/test.cedar is not what manifest.json lists" in refused.stderr


@contextlib.contextmanager
def full_disk(left):
    """No file can be larger than so many bytes, as if the disk had no more."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_no_half_of_a_key(bundle, tmp_path):
    with full_disk(0):
        done = bundle("key", "k")
    assert (done.returncode, "k: cannot be written: File too large" in done.stderr) == (2, True)
    assert bundle("key", "k").returncode == 0


def test_full_disk_leaves_the_signatures_that_are_there(bundle, policy, tmp_path):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    for name in ("one", "two"):
        assert bundle("key", name).returncode == 0
    assert bundle("sign", "b", "--key", "one").returncode == 0
    before = (tmp_path / "b.dsse").read_bytes()
    with full_disk(512):
        done = bundle("sign", "b", "--key", "two")
    assert (done.returncode, "b.dsse: File too large" in done.stderr) == (2, True)
    assert (tmp_path / "b.dsse").read_bytes() == before
    assert bundle("sign", "b", "--key", "two").returncode == 0
    assert bundle("verify", "b", "--key", "one.pub", "--key", "two.pub").returncode == 0


def test_signatures_that_are_damaged_are_not_dropped(bundle, policy, tmp_path):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    assert bundle("key", "k").returncode == 0
    (tmp_path / "b.dsse").write_text('{"payload": "')
    done = bundle("sign", "b", "--key", "k")
    assert (done.returncode, "b.dsse is no envelope; remove it to sign anew" in done.stderr) == (1, True)
    assert (tmp_path / "b.dsse").read_text() == '{"payload": "'


def test_two_who_sign_at_once_lose_no_signature(bundle, policy, tmp_path, monkeypatch):
    from guardai.policy.trust import signed

    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    for name in ("slow", "quick"):
        assert bundle("key", name).returncode == 0
    data, sign = (tmp_path / "b").read_bytes(), signed.sign

    def slowly(*given):
        made = sign(*given)
        (tmp_path / "b.dsse").write_bytes(sign(data, signers(tmp_path, "quick")))
        return made

    monkeypatch.setattr(signed, "sign", slowly)
    assert bundle("sign", "b", "--key", "slow").returncode == 0
    assert bundle("verify", "b", "--key", "slow.pub", "--key", "quick.pub").returncode == 0


def test_full_disk_leaves_the_bundle_that_is_there(bundle, site, tmp_path, monkeypatch):
    from guardai.policy.trust import writing

    before = (tmp_path / "b").read_bytes()
    with full_disk(len(before) - 1):
        done = bundle("build", "policy", "-o", "b", "--version", "2")
    assert (done.returncode, "b: File too large" in done.stderr) == (2, True)
    assert (tmp_path / "b").read_bytes() == before

    write = writing._draft

    def full(file, *given, **how):
        if file.name == "b":  # the cache has room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, *given, **how)

    monkeypatch.setattr(writing, "_draft", full)
    done = bundle("pull", "site", *ROOT, "-o", "b")
    assert (done.returncode, "b: No space left on device" in done.stderr) == (2, True)
    assert (tmp_path / "b").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".new")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such links and pipes")
def test_bundle_is_written_through_a_link_and_into_a_pipe(bundle, policy, tmp_path):
    (tmp_path / "link").symlink_to("file")
    assert bundle("build", policy(PERMIT), "-o", "link").returncode == 0
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        assert bundle("build", "policy", "-o", "pipe").returncode == 0
        assert reader.stdout.read() == (tmp_path / "file").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such modes")
def test_bundle_that_is_written_anew_stays_readable_to_whom_it_was(bundle, policy, tmp_path):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    for mode in (0o640, 0o604):
        (tmp_path / "b").chmod(mode)
        assert bundle("build", "policy", "-o", "b", "--version", str(mode)).returncode == 0
        assert (tmp_path / "b").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such names")
def test_bundle_is_written_into_the_file_that_the_shell_has_opened(policy, tmp_path, home):
    """Not into another in its place: what comes after it goes there, too."""
    policy(PERMIT)
    script = '{ "$@" bundle build policy -o /dev/stdout --json >&2; echo end; } > out 2> said'
    subprocess.run(
        ["sh", "-c", script, "sh", *GUARDAI], cwd=tmp_path, check=True, env={**os.environ, "GUARDAI_HOME": str(home)}
    )
    assert (tmp_path / "out").read_bytes().endswith(b"end\n")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such links")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_what_the_shell_has_opened_is_written_to_by_whatever_name(tmp_path, name):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "out").write_bytes(b"before ")
    script = "import sys; from pathlib import Path; from guardai.policy.trust.writing import put; put(Path(sys.argv[1]), b'bundle')"
    with (tmp_path / "out").open("r+b") as out:
        subprocess.run([sys.executable, "-c", script, name], cwd=tmp_path, check=True, stdout=out)
        assert os.fstat(out.fileno()).st_nlink == 1  # it is still the file of that name
    assert (tmp_path / "out").read_bytes() == b"bundle"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a folder that is no disk")
def test_file_below_the_devices_is_a_file(tmp_path):
    import tempfile

    from guardai.policy.trust.writing import put

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "b"
        file.write_bytes(b"good" * 1000)
        with full_disk(100), pytest.raises(OSError, match="File too large"):
            put(file, b"other" * 1000)
        assert file.read_bytes() == b"good" * 1000


@pytest.mark.parametrize("error", [errno.EPERM, errno.EACCES, errno.EBUSY])
def test_file_that_none_can_be_put_in_the_place_of_is_written_to(tmp_path, monkeypatch, error):
    """In a folder of somebody else, or one that is mounted alone into a container."""
    from guardai.policy.trust.writing import put

    def held(*_):
        raise OSError(error, os.strerror(error))

    (tmp_path / "b").write_bytes(b"before")
    monkeypatch.setattr(Path, "replace", held)
    put(tmp_path / "b", b"after")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"after"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_bundle_that_is_written_anew_stays_whose_it_was(tmp_path):
    from guardai.policy.trust.writing import put

    (tmp_path / "b").write_bytes(b"before")
    os.chown(tmp_path / "b", 1000, 33)
    put(tmp_path / "b", b"after")
    found = (tmp_path / "b").stat()
    assert (found.st_uid, found.st_gid, (tmp_path / "b").read_bytes()) == (1000, 33, b"after")


def test_two_who_write_one_file_at_once_leave_it_whole(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from guardai.policy.trust.writing import put

    contents = [bytes([n]) * 10_000 for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: put(tmp_path / "b", content), contents * 5))
    assert [file.read_bytes() in contents for file in tmp_path.iterdir()] == [True]


def test_bundle_that_nobody_signed_is_refused(bundle, policy):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    assert bundle("key", "k").returncode == 0
    done = bundle("verify", "b", "--key", "k.pub")
    assert (done.returncode, "nobody signed it" in done.stderr) == (1, True)


def test_bundle_that_has_expired_is_neither_signed_nor_good(bundle, policy, tmp_path):
    from guardai.policy.trust.keys import signer
    from guardai.policy.trust.signed import beside, sign

    assert bundle("build", policy(PERMIT), "-o", "b", "--expires", "2026-01-01").returncode == 0
    assert bundle("key", "k").returncode == 0
    refused = bundle("sign", "b", "--key", "k")
    assert (refused.returncode, "expired at 2026-01-01" in refused.stderr) == (1, True)
    file = tmp_path / "b"
    beside(file).write_bytes(sign(file.read_bytes(), [signer(str(tmp_path / "k"), lambda _: "")]))
    done = bundle("verify", "b", "--key", "k.pub")
    assert (done.returncode, "expired at 2026-01-01" in done.stderr) == (1, True)


def test_key_that_cannot_be_used_is_wrong_usage(bundle, policy):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    assert bundle("sign", "b", "--key", "nowhere").returncode == 2
    assert bundle("verify", "b", "--key", "nowhere").returncode == 2
    assert bundle("key", "k", "--encrypt", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 0
    asked = bundle("sign", "b", "--key", "k")
    assert (asked.returncode, "nobody can be asked. Set GUARDAI_KEY_PASSPHRASE" in asked.stderr) == (2, True)
    assert bundle("sign", "b", "--key", "k", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 0
    assert bundle("sign", "policy", "--key", "k", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 2


@pytest.fixture
def site(bundle, policy):
    """A repository whose roles have keys of their own."""
    policy(PERMIT)
    for name in ("root", "targets", "online"):
        assert bundle("key", name).returncode == 0
    assert bundle("build", "policy", "-o", "b", "--version", "1").returncode == 0
    keys = ("--key", "targets", "--root-key", "root", "--online-key", "online")
    made = bundle("publish", "b", *SITE, *keys)
    assert made.returncode == 0, made.stderr
    assert "made site and trusted.json. Give that root to every client" in made.stdout


ROOT = ("--root", "trusted.json")
SITE = ("--repository", "site", *ROOT)


def test_bundle_is_published_pulled_and_told_of(bundle, site, tmp_path):
    assert bundle("status", "site", *ROOT).returncode == 1
    pulled = bundle("pull", "site", *ROOT, "-o", "copy", "--json")
    assert (pulled.returncode, json.loads(pulled.stdout)["version"]) == (0, "1")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "b").read_bytes()
    status = json.loads(bundle("status", "site", *ROOT, "--json").stdout)
    assert (status["ok"], status["bundle"]["version"], status["error"]) == (True, "1", "")


def test_bundle_that_says_when_it_expires_is_good_till_then(bundle, site, tmp_path, monkeypatch):
    from guardai.policy.trust import clock

    own = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    times = ("--created", f"{own - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}", "--expires", "2d")
    assert bundle("build", "policy", "-o", "b", "--version", "2", *times).returncode == 0
    assert bundle("publish", "b", *SITE, "--key", "targets", "--key", "online").returncode == 0
    pulled = json.loads(bundle("pull", "site", *ROOT, "--json").stdout)
    assert pulled["expires"] == f"{own:%Y-%m-%dT%H:%M:%SZ}"
    assert f"till {own:%Y-%m-%d %H:%M} UTC" in bundle("pull", "site", *ROOT).stdout
    assert json.loads(bundle("status", "site", *ROOT, "--json").stdout)["expires"] == pulled["expires"]
    monkeypatch.setattr(clock, "wall", lambda: own + timedelta(hours=1))
    told = json.loads(bundle("status", "site", *ROOT, "--json").stdout)
    assert (told["ok"], told["expires"]) == (False, pulled["expires"])


def test_bundle_that_cannot_be_kept_is_refused_with_the_reason_and_no_place(bundle, site, home, monkeypatch):
    from guardai.policy.trust import client

    real = client.replace

    def full(file, data):
        if file.parent.name == "good":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        real(file, data)

    monkeypatch.setattr(client, "replace", full)
    done = bundle("pull", "site", *ROOT, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"ok": False, "error": "the cache cannot be used: No space left on device"}
    assert str(home) not in done.stderr


def test_publishing_without_enough_keys_is_refused(bundle, site):
    done = bundle("publish", "b", *SITE, "--key", "online")
    assert (done.returncode, "targets needs the signatures of 1" in done.stderr) == (1, True)


def digest(tmp_path):
    from guardai.policy import Bundle

    return Bundle.load(tmp_path / "policy").digest


def test_signing_anew_tells_which_bundle_is_vouched_for(bundle, site, tmp_path):
    fresh = bundle("publish", *SITE, "--key", "online")
    assert fresh.returncode == 0
    assert f"signed anew snapshot 2, timestamp 2; the bundle is policy 1, digest {digest(tmp_path)}" in fresh.stdout
    told = json.loads(bundle("publish", *SITE, "--key", "online", "--json").stdout)
    assert (told["ok"], told["name"], told["version"], told["digest"]) == (True, "policy", "1", digest(tmp_path))
    assert (told["signed"], told["expired"]) == ({"snapshot": 3, "timestamp": 3}, [])
    rotated = bundle("rotate", *SITE, "--key", "root")
    assert f"signed anew root 2; the bundle is policy 1, digest {digest(tmp_path)}" in rotated.stdout
    told = json.loads(bundle("rotate", *SITE, "--key", "root", "--json").stdout)
    assert (told["digest"], told["signed"]) == (digest(tmp_path), {"root": 3})


def test_bundle_that_cannot_be_read_here_is_signed_anew_and_told_of_by_its_sha256(bundle, site, tmp_path):
    from datetime import UTC, datetime

    from guardai.policy.trust.keys import signer
    from guardai.policy.trust.manifest import sha256
    from guardai.policy.trust.repository import Repository

    signers = [signer(str(tmp_path / name), lambda _: "") for name in ("targets", "online")]
    Repository(tmp_path / "site", tmp_path / "trusted.json").publish(b"later", signers, now=datetime.now(UTC))
    fresh = bundle("publish", *SITE, "--key", "online")
    assert fresh.returncode == 0
    assert "a bundle that cannot be read here (it is no bundle file" in fresh.stdout
    assert sha256(b"later") in fresh.stdout


def test_what_had_expired_is_told(bundle, site):
    short = ("--timestamp-life", "1s")
    assert bundle("publish", *SITE, "--key", "online", *short).returncode == 0
    time.sleep(1)
    done = bundle("publish", *SITE, "--key", "online")
    assert (done.returncode, "had expired timestamp: clients were refusing" in done.stdout) == (0, True)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
@pytest.mark.parametrize("life", ["0", "0d", "soon"])
def test_life_with_which_clients_would_refuse_everything_is_wrong_usage(bundle, site, role, life):
    for command, key in (("publish", "online"), ("rotate", "root")):
        done = bundle(command, *SITE, "--key", key, f"--{role}-life", life)
        assert (done.returncode, f"--{role}-life {life}: " in done.stderr) == (2, True)
    assert bundle("publish", *SITE, "--key", "online", f"--{role}-life", "1s").returncode == 0


def signers(tmp_path, *names):
    from guardai.policy.trust.keys import signer

    return [signer(str(tmp_path / name), lambda _: "") for name in names]


def repository(tmp_path):
    from guardai.policy.trust.repository import Repository

    return Repository(tmp_path / "site", tmp_path / "trusted.json")


def test_job_that_cannot_sign_all_that_has_expired_does_not_look_well(bundle, site, tmp_path):
    data, keys = (tmp_path / "b").read_bytes(), signers(tmp_path, "targets", "online")
    repository(tmp_path).publish(data, keys, now=datetime.now(UTC) - timedelta(days=100))
    told = bundle("publish", *SITE, "--key", "online", "--json")
    said = json.loads(told.stdout)
    assert (told.returncode, said["ok"], said["signed"]) == (1, False, {"snapshot": 3, "timestamp": 3})
    assert (said["expired"], said["still_expired"]) == (["targets", "snapshot", "timestamp"], ["targets"])
    done = bundle("publish", *SITE, "--key", "online")
    assert (done.returncode, "signed anew snapshot 4" in done.stdout) == (1, True)
    assert "clients were refusing" not in done.stdout
    assert "clients still refuse what lies there; expired: targets\n" in done.stderr
    assert "`guardai bundle publish --repository site` with --key of targets, snapshot, timestamp." in done.stderr
    assert bundle("pull", "site", *ROOT).returncode == 1
    done = bundle("publish", *SITE, "--key", "online", "--key", "targets")
    assert (done.returncode, "had expired targets: clients were refusing" in done.stdout) == (0, True)
    assert bundle("pull", "site", *ROOT).returncode == 0


def test_new_root_over_a_timestamp_that_has_expired_does_not_look_well(bundle, site, tmp_path):
    data, keys = (tmp_path / "b").read_bytes(), signers(tmp_path, "targets", "online")
    repository(tmp_path).publish(data, keys, now=datetime.now(UTC) - timedelta(days=8))
    done = bundle("rotate", *SITE, "--key", "root")
    assert (done.returncode, "signed anew root 2" in done.stdout) == (1, True)
    assert "clients still refuse what lies there; expired: snapshot, timestamp\n" in done.stderr
    assert bundle("pull", "site", *ROOT).returncode == 1
    assert bundle("publish", *SITE, "--key", "online").returncode == 0
    assert bundle("pull", "site", *ROOT).returncode == 0


def test_signing_anew_for_a_bundle_that_has_expired_does_not_look_well(bundle, site, tmp_path):
    assert bundle("build", "policy", "-o", "old", "--expires", "2026-01-01").returncode == 0
    data, keys = (tmp_path / "old").read_bytes(), signers(tmp_path, "targets", "online")
    repository(tmp_path).publish(data, keys, now=datetime.now(UTC))
    done = bundle("publish", *SITE, "--key", "online")
    assert (done.returncode, "signed anew snapshot 3, timestamp 3" in done.stdout) == (1, True)
    assert "clients still refuse what lies there; expired: the bundle itself (at 2026-01-01T00:00:00Z)" in done.stderr
    assert "Publish a newer bundle" in done.stderr
    told = json.loads(bundle("rotate", *SITE, "--key", "root", "--json").stdout)
    assert (told["ok"], told["expires"], told["still_expired"]) == (False, "2026-01-01T00:00:00Z", [])
    assert "the bundle itself" in told["error"]
    assert bundle("publish", "b", *SITE, "--key", "targets", "--key", "online").returncode == 0


def test_nothing_is_published_without_a_trusted_root(bundle, site, tmp_path):
    for command in ("publish", "rotate"):
        done = bundle(command, "--repository", "site", "--key", "root")
        assert (done.returncode, "whose keys are trusted?" in done.stderr) == (2, True)
        inside = bundle(command, "--repository", "site", "--root", "site/metadata/1.root.json", "--key", "root")
        assert (inside.returncode, "lies in the folder that it has to vouch for" in inside.stderr) == (2, True)
    elsewhere = bundle("publish", "b", "--repository", "site", "--root", "nowhere.json", "--key", "targets")
    assert (elsewhere.returncode, "nowhere.json is not there" in elsewhere.stderr) == (2, True)
    assert bundle("publish", "--repository", "other", "--root", "nowhere.json", "--key", "targets").returncode == 2
    other = bundle("publish", "b", "--repository", "other", *ROOT, "--key", "targets")
    assert (other.returncode, "no repository, although there is a root" in other.stderr) == (1, True)
    (tmp_path / "guardai.toml").write_text('policy_root = "trusted.json"\n')
    assert bundle("publish", "--repository", "site", "--key", "online").returncode == 0


def test_metadata_that_others_put_into_the_folder_is_refused(bundle, site, tmp_path):
    timestamp = tmp_path / "site" / "metadata" / "timestamp.json"
    timestamp.write_text(timestamp.read_text().replace('"version":1', '"version":2'))
    done = bundle("publish", *SITE, "--key", "online", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (1, False)
    assert "timestamp.json is not what the trusted keys signed" in told["error"]
    assert bundle("rotate", *SITE, "--key", "root").returncode == 1


def test_targets_keys_are_replaced_together_with_a_bundle_that_they_vouch_for(bundle, site):
    assert bundle("key", "targets2").returncode == 0
    change = ("--role", "targets", "--add", "targets2.pub", "--remove", "targets.pub")
    keys = ("--key", "root", "--key", "targets2", "--key", "online")
    refused = bundle("rotate", *SITE, *change, *keys)
    assert (refused.returncode, "which bundle do the new keys vouch for?" in refused.stderr) == (1, True)
    assert bundle("rotate", "policy/catalog.toml", *SITE, *change, *keys).returncode == 1
    done = bundle("rotate", "b", *SITE, *change, *keys)
    assert done.returncode == 0, done.stderr
    assert "published policy 1" in done.stdout
    assert "signed anew: root 3, targets 2, snapshot 2, timestamp 2" in done.stdout
    assert bundle("pull", "site", *ROOT).returncode == 0


def test_key_of_the_root_is_rotated_and_the_client_follows(bundle, site):
    assert bundle("pull", "site", *ROOT).returncode == 0
    assert bundle("key", "root2").returncode == 0
    change = ("--role", "root", "--add", "root2.pub", "--remove", "root.pub")
    assert bundle("rotate", *SITE, *change, "--key", "root2").returncode == 1
    assert bundle("rotate", *SITE, *change, "--key", "root", "--key", "root2").returncode == 0
    assert bundle("pull", "site", *ROOT).returncode == 0
    assert bundle("rotate", *SITE, "--add", "root.pub", "--key", "root2").returncode == 2
    assert bundle("rotate", *SITE, "--role", "boss", "--key", "root2").returncode == 2


def test_what_was_changed_on_the_server_is_refused_and_the_status_says_why(bundle, site, tmp_path, home):
    assert bundle("pull", "site", *ROOT).returncode == 0
    [target] = (tmp_path / "site" / "targets").iterdir()
    timestamp = tmp_path / "site" / "metadata" / "timestamp.json"
    timestamp.write_text(timestamp.read_text().replace('"version":1', '"version":2'))
    refused = bundle("pull", "site", *ROOT)
    assert (refused.returncode, "too few of the trusted keys signed" in refused.stderr) == (1, True)
    told = json.loads(bundle("status", "site", *ROOT, "--json").stdout)
    assert "too few of the trusted keys signed" in told["error"]
    assert told["asked"] >= told["answered"]
    said = bundle("status", "site", *ROOT)
    assert said.returncode == 0
    assert f"no newer bundle could be had; asked for it last: {told['asked']}; why: {told['error']}" in said.stdout
    assert told["cache"] in said.stdout
    assert (home / "cache") in Path(told["cache"]).parents


def test_bundle_that_cannot_be_used_here_is_told_of_by_the_status(bundle, site, tmp_path, policy):
    from guardai.policy.trust.archive import pack, unpack
    from guardai.policy.trust.keys import signer
    from guardai.policy.trust.repository import Repository

    assert bundle("pull", "site", *ROOT).returncode == 0
    members = unpack((tmp_path / "b").read_bytes())
    members["manifest.json"] = members["manifest.json"].replace(b'"0.1.0"', b'"999"')
    signers = [signer(str(tmp_path / name), lambda _: "") for name in ("targets", "online")]
    Repository(tmp_path / "site", tmp_path / "trusted.json").publish(pack(members), signers, now=datetime.now(UTC))
    assert bundle("pull", "site", *ROOT).returncode == 1
    told = bundle("status", "site", *ROOT)
    assert told.returncode == 0
    assert "no newer bundle could be had" in told.stdout
    assert "it needs guardai 999" in told.stdout


def test_status_tells_of_the_bundle_that_a_process_would_begin_with(bundle, site, tmp_path):
    """The newest is another environment's, and cannot be used in this one: there is what this one had."""
    from guardai.policy.trust.archive import pack, unpack
    from guardai.policy.trust.client import Client
    from guardai.policy.trust.keys import signer
    from guardai.policy.trust.repository import Repository

    assert bundle("pull", "site", *ROOT).returncode == 0
    members = unpack((tmp_path / "b").read_bytes())
    members["manifest.json"] = members["manifest.json"].replace(b'"0.1.0"', b'"999"')
    signers = [signer(str(tmp_path / name), lambda _: "") for name in ("targets", "online")]
    Repository(tmp_path / "site", tmp_path / "trusted.json").publish(pack(members), signers, now=datetime.now(UTC))
    cache = Path(json.loads(bundle("status", "site", *ROOT, "--json").stdout)["cache"])
    other = Client((tmp_path / "site").as_uri(), (tmp_path / "trusted.json").read_bytes(), cache, environment="999")
    other.keep(other.refresh())
    told = json.loads(bundle("status", "site", *ROOT, "--json").stdout)
    assert (told["ok"], told["bundle"]["version"], told["problem"]) == (True, "1", "")
    assert "it needs guardai 999" in told["error"]


def test_status_names_a_bundle_that_has_expired_and_why_it_decides_nothing(bundle, site, monkeypatch):
    from guardai.policy.trust import clock

    assert bundle("pull", "site", *ROOT).returncode == 0
    later = datetime.now(UTC) + timedelta(days=400)
    monkeypatch.setattr(clock, "wall", lambda: later)
    told = bundle("status", "site", *ROOT)
    assert told.returncode == 1
    assert "digest" in told.stdout and "the metadata that vouches for it expired at" in told.stdout


def test_status_says_that_a_root_is_lost(bundle, site, tmp_path):
    for _ in range(2):
        assert bundle("rotate", *SITE, "--key", "root").returncode == 0
    assert bundle("pull", "site", *ROOT).returncode == 0
    cache = Path(json.loads(bundle("status", "site", *ROOT, "--json").stdout)["cache"])
    (cache / "metadata" / "root_history" / "2.root.json").unlink()
    told = bundle("status", "site", *ROOT)
    assert (told.returncode, "has lost the way to its newest root" in told.stdout) == (1, True)
    assert bundle("pull", "site", *ROOT).returncode == 0
    assert bundle("status", "site", *ROOT).returncode == 0


def test_bundle_with_which_nothing_could_start_here_does_not_take_the_place_of_the_last_good_one(
    bundle, site, tmp_path
):
    from guardai.policy.trust.build import build
    from guardai.policy.trust.keys import signer
    from guardai.policy.trust.repository import Repository

    assert bundle("pull", "site", *ROOT).returncode == 0
    (tmp_path / "policy" / "detectors.toml").write_text('packs = ["nowhere"]\n')
    signers = [signer(str(tmp_path / name), lambda _: "") for name in ("targets", "online")]
    data = build(tmp_path / "policy", version="2")
    Repository(tmp_path / "site", tmp_path / "trusted.json").publish(data, signers, now=datetime.now(UTC))
    pulled = bundle("pull", "site", *ROOT)
    assert (pulled.returncode, "no pack 'nowhere'" in pulled.stderr) == (1, True)
    told = json.loads(bundle("status", "site", *ROOT, "--json").stdout)
    assert (told["bundle"]["version"], "no pack 'nowhere'" in told["error"]) == ("1", True)


@pytest.mark.parametrize("asked", ["1e300", "-1e300", '"x"', "NaN"])
def test_status_calls_an_absurd_time_of_asking_never(bundle, site, home, asked):
    assert bundle("pull", "site", *ROOT).returncode == 0
    [cache] = (home / "cache" / "bundles").iterdir()
    (cache / "state.json").write_text(f'{{"asked": {asked}, "error": "gone"}}')
    told = bundle("status", "site", *ROOT, "--json")
    assert (told.returncode, json.loads(told.stdout)["asked"]) == (0, None)
    assert "asked     never" in bundle("status", "site", *ROOT).stdout


def test_doctor_says_why_there_is_no_newer_bundle(site, bundle, tmp_path, home):
    env = {"GUARDAI_POLICY": (tmp_path / "site").as_uri(), "GUARDAI_POLICY_ROOT": ROOT[1], "COLUMNS": "1000"}

    def doctor(*arguments):
        return subprocess.run(
            [*GUARDAI, "doctor", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1", **env},
        ).stdout  # fmt: skip

    told = json.loads(doctor("--json"))["bundle"]
    assert (told["error"], told["asked"]) == ("", told["answered"])
    (tmp_path / "site" / "metadata" / "timestamp.json").write_text("{}")
    env["GUARDAI_POLICY_REFRESH"] = "0"
    told = json.loads(doctor("--json"))["bundle"]
    assert "is not what was signed" in told["error"]
    assert told["asked"] >= told["answered"]
    said = doctor()
    assert "no newer bundle could be had; asked for it last: 20" in said
    assert "is not what was signed" in said


def test_pull_without_a_repository_or_root_is_wrong_usage(bundle, site):
    assert bundle("pull").returncode == 2
    assert bundle("pull", "site").returncode == 2
    assert bundle("pull", "http://example.com/", *ROOT).returncode == 2


@pytest.mark.parametrize("command", ["pull", "status"])
@pytest.mark.parametrize("name", ["sitee", "b"])
def test_what_is_neither_a_folder_nor_a_url_is_told_as_that(bundle, site, command, name):
    done = bundle(command, name, *ROOT)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"✗ {name}: no folder, and no URL")


@pytest.mark.parametrize("how", ["folder", "starter", "repository"])
def test_doctor_tells_by_what_right_the_policy_decides(bundle, site, tmp_path, home, how):
    env = {
        "folder": {"GUARDAI_POLICY": "policy"},
        "starter": {},
        "repository": {"GUARDAI_POLICY": (tmp_path / "site").as_uri(), "GUARDAI_POLICY_ROOT": ROOT[1]},
    }[how]
    done = subprocess.run(
        [*GUARDAI, "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "GUARDAI_HOME": str(home), **env},
    )  # fmt: skip
    told = json.loads(done.stdout)["bundle"]
    assert told["signed"] is (how == "repository")
    assert bool(told["expires"]) is (how == "repository")
    assert told["source"] == (env.get("GUARDAI_POLICY", "built in") if how != "folder" else str(tmp_path / "policy"))
