"""`guardai keys`, and `--revoked` of the commands that verify: what they do, say, and end with."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from guardai.ledger import Ledger, events
from guardai.model import VERSION, Event

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


@pytest.fixture
def keys(tmp_path, home):
    def run(*arguments, **env):
        return subprocess.run(
            [*GUARDAI, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1", **env},
        )  # fmt: skip

    return run


@pytest.fixture
def recorded(home):
    """A home with events in the store; the id of one."""
    ledger = Ledger.open(home)
    given = {"action": "db.read", "principal": {"agent": "a", "user": "u"}}
    name = ledger.append(Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=VERSION, **given))
    ledger.close()
    return name


def listed(keys):
    return json.loads(keys("keys", "list", "--json").stdout)


def test_keys_are_made_listed_and_not_made_twice(keys, home):
    made = keys("keys", "init")
    assert (made.returncode, made.stderr) == (0, "")
    assert "its private key is here" in made.stdout and str(home / "keys" / "root.pub") in made.stdout
    again = keys("keys", "init")
    assert (again.returncode, "has keys already" in again.stderr) == (1, True)
    told = listed(keys)
    assert told["root"]["kind"] == "Ed25519" and told["root"]["private"] is True and told["notes"] == []
    (host,) = told["hosts"]
    assert (host["state"], host["private"]) == ("current", True) and host["since"] < host["until"]
    assert f"host {host['id']}  current" in keys("keys", "list").stdout


def test_home_without_keys_is_told(keys):
    done = keys("keys", "list")
    assert (done.returncode, "guardai keys init makes keys" in done.stderr) == (2, True)


def test_root_on_a_stick_makes_keys_and_is_asked_for_at_each_rotation(keys, home, tmp_path):
    assert keys("bundle", "key", "stick").returncode == 0
    assert keys("keys", "init", "--root-key", "stick").returncode == 0
    assert not (home / "keys" / "root.key").exists()
    assert (home / "keys" / "root.pub").read_bytes() == (tmp_path / "stick.pub").read_bytes()
    refused = keys("keys", "rotate")
    assert (refused.returncode, "name the root by --root-key" in refused.stderr) == (1, True)
    done = keys("keys", "rotate", "--json", "--root-key", "stick")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and [host["state"] for host in listed(keys)["hosts"]] == ["former", "current"]
    assert told == {"ok": True, "former": listed(keys)["hosts"][0]["id"], "current": listed(keys)["hosts"][1]["id"]}
    assert keys("keys", "rotate", GUARDAI_ROOT_KEY="stick").returncode == 0
    assert keys("keys", "rotate", "--root-key", "nowhere").returncode == 2
    assert keys("verify").returncode == 0


def test_root_with_a_passphrase_is_asked_for_it_and_never_shows_it(keys, home):
    secret = "open sesame"
    assert keys("bundle", "key", "stick", "--encrypt", GUARDAI_KEY_PASSPHRASE=secret).returncode == 0
    asked = keys("keys", "init", "--root-key", "stick")
    assert (asked.returncode, "nobody can be asked" in asked.stderr) == (2, True) and not home.exists()
    made = keys("keys", "init", "--root-key", "stick", GUARDAI_KEY_PASSPHRASE=secret)
    assert made.returncode == 0 and secret not in made.stdout + made.stderr


def test_revoked_host_is_told_by_everything_that_verifies(keys, home, recorded, tmp_path):
    assert keys("prove", recorded, "-o", "proof").returncode == 0
    assert keys("ledger", "export", "-o", "before").returncode == 0
    (host,) = listed(keys)["hosts"]
    done = keys("keys", "revoke", host["id"], "--since", "2020-01-01", "--reason", "stolen [red]laptop[/]")
    assert (done.returncode, done.stderr) == (0, "") and "from 2020-01-01 00:00:00 UTC on" in done.stdout
    shown = keys("keys", "list").stdout
    assert f"host {host['id']}  revoked" in shown and "stolen [red]laptop[/]" in shown
    report = json.loads(keys("verify", "--json").stdout)
    assert report["verdict"] == "broken" and {fault["code"] for fault in report["faults"]} == {"revoked"}
    statement = shutil.copy(home / "keys" / "revoked" / f"{host['id']}.json", tmp_path / "told.json")
    root = ("--key", home / "keys" / "root.pub")
    assert keys("verify", "--export", "before", *root).returncode == 0
    assert keys("verify", "--export", "before", *root, "--revoked", statement).returncode == 1
    assert keys("verify-proof", "proof", *root).returncode == 0
    refused = keys("verify-proof", "proof", *root, "--revoked", statement)
    assert (refused.returncode, "whose key was revoked" in refused.stderr) == (1, True)
    policy = (tmp_path / "before" / "trust.policy", "--revoked", statement)
    assert keys("verify-proof", "proof", "--policy", *policy).returncode == 2
    (tmp_path / "told.json").write_text("{}")
    assert keys("verify-proof", "proof", *root, "--revoked", statement).returncode == 2
    assert keys("verify", "--export", "before", *root, "--revoked", statement).returncode == 2


def test_time_that_is_none_and_host_that_is_none_revoke_nothing(keys, recorded):
    (host,) = listed(keys)["hosts"]
    assert keys("keys", "revoke", host["id"], "--since", "yesterday").returncode == 2
    assert keys("keys", "revoke", "0" * 16).returncode == 1
    assert [one["state"] for one in listed(keys)["hosts"]] == ["current"]


def test_public_keys_are_written_for_anybody(keys, home, recorded, tmp_path):
    assert keys("keys", "rotate").returncode == 0
    former = listed(keys)["hosts"][0]["id"]
    assert keys("keys", "revoke", former).returncode == 0
    done = keys("keys", "export-public", "-o", "public", "--json")
    told = json.loads(done.stdout)
    assert (told["hosts"], told["revoked"]) == (2, 1)
    policy = (tmp_path / "public" / "trust.policy").read_text()
    assert policy.count("log ") == 1 and policy.endswith("quorum none\n")
    assert (tmp_path / "public" / "revoked" / f"{former}.json").exists()
    again = keys("keys", "export-public", "-o", "public")
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert keys("prove", recorded, "-o", "proof").returncode == 0
    assert keys("verify-proof", "proof", "--policy", tmp_path / "public" / "trust.policy").returncode == 0
    assert {json.loads(one)["kind"] for one in events(home)} >= {"key.certified", "key.revoked"}
