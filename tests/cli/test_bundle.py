"""`guardai bundle`, as a person types it."""

import json
import os
import subprocess
import sys

import pytest

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]
PERMIT = '@id("all") permit (principal, action, resource);'


@pytest.fixture
def bundle(tmp_path, home):
    def run(*arguments, **env):
        return subprocess.run(
            [*GUARDAI, "bundle", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1", **env},
        )  # fmt: skip

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


@pytest.mark.parametrize("wrong", [("--expires", "soon"), ("--created", "[now]")])
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
    (tmp_path / "b").write_bytes(data.replace(b"permit", b"forbid"))
    refused = bundle("verify", "b", "--key", "one.pem.pub")
    assert refused.returncode == 1
    assert "policies/test.cedar is not what manifest.json lists" in refused.stderr


def test_bundle_that_nobody_signed_is_refused(bundle, policy):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    assert bundle("key", "k").returncode == 0
    done = bundle("verify", "b", "--key", "k.pub")
    assert (done.returncode, "nobody signed it" in done.stderr) == (1, True)


def test_signed_bundle_that_has_expired_is_refused(bundle, policy):
    assert bundle("build", policy(PERMIT), "-o", "b", "--expires", "2026-01-01").returncode == 0
    assert bundle("key", "k").returncode == 0
    assert bundle("sign", "b", "--key", "k").returncode == 0
    done = bundle("verify", "b", "--key", "k.pub")
    assert (done.returncode, "expired at 2026-01-01" in done.stderr) == (1, True)


def test_key_that_cannot_be_used_is_wrong_usage(bundle, policy):
    assert bundle("build", policy(PERMIT), "-o", "b").returncode == 0
    assert bundle("sign", "b", "--key", "nowhere").returncode == 2
    assert bundle("verify", "b", "--key", "nowhere").returncode == 2
    assert bundle("key", "k", "--encrypt", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 0
    asked = bundle("sign", "b", "--key", "k")
    assert (asked.returncode, "Set GUARDAI_KEY_PASSPHRASE" in asked.stderr) == (2, True)
    assert bundle("sign", "b", "--key", "k", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 0
    assert bundle("sign", "policy", "--key", "k", GUARDAI_KEY_PASSPHRASE="open sesame").returncode == 2
