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
def recorded(home):
    """A home with events in the store; the id of one."""
    ledger = Ledger.open(home)
    given = {"action": "db.read", "principal": {"agent": "a", "user": "u"}}
    name = ledger.append(Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=VERSION, **given))
    ledger.close()
    return name


def listed(guardai_command):
    return json.loads(guardai_command("keys", "list", "--json").stdout)


def test_keys_are_made_listed_and_not_made_twice(guardai_command, home):
    made = guardai_command("keys", "init")
    assert (made.returncode, made.stderr) == (0, "")
    assert "its private key is here" in made.stdout and str(home / "keys" / "root.pub") in made.stdout
    again = guardai_command("keys", "init")
    assert (again.returncode, "has keys already" in again.stderr) == (1, True)
    told = listed(guardai_command)
    assert told["root"]["kind"] == "Ed25519" and told["root"]["private"] is True and told["notes"] == []
    (host,) = told["hosts"]
    assert (host["state"], host["private"]) == ("current", True) and host["since"] < host["until"]
    assert f"host {host['id']}  current" in guardai_command("keys", "list").stdout


def test_home_without_keys_is_told(guardai_command):
    done = guardai_command("keys", "list")
    assert (done.returncode, "guardai keys init makes keys" in done.stderr) == (2, True)


def test_root_on_a_stick_makes_keys_and_is_asked_for_at_each_rotation(guardai_command, home, tmp_path):
    assert guardai_command("bundle", "key", "stick").returncode == 0
    assert guardai_command("keys", "init", "--root-key", "stick").returncode == 0
    assert not (home / "keys" / "root.key").exists()
    assert (home / "keys" / "root.pub").read_bytes() == (tmp_path / "stick.pub").read_bytes()
    refused = guardai_command("keys", "rotate")
    assert (refused.returncode, "name the root by --root-key" in refused.stderr) == (1, True)
    done = guardai_command("keys", "rotate", "--json", "--root-key", "stick")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and [host["state"] for host in listed(guardai_command)["hosts"]] == [
        "former",
        "current",
    ]
    assert told == {
        "ok": True,
        "former": listed(guardai_command)["hosts"][0]["id"],
        "current": listed(guardai_command)["hosts"][1]["id"],
    }
    assert guardai_command("keys", "rotate", GUARDAI_ROOT_KEY="stick").returncode == 0
    assert guardai_command("keys", "rotate", "--root-key", "nowhere").returncode == 2
    assert guardai_command("verify").returncode == 0


def test_root_with_a_passphrase_is_asked_for_it_and_never_shows_it(guardai_command, home):
    secret = "open sesame"
    assert guardai_command("bundle", "key", "stick", "--encrypt", GUARDAI_KEY_PASSPHRASE=secret).returncode == 0
    asked = guardai_command("keys", "init", "--root-key", "stick")
    assert (asked.returncode, "nobody can be asked" in asked.stderr) == (2, True) and not home.exists()
    made = guardai_command("keys", "init", "--root-key", "stick", GUARDAI_KEY_PASSPHRASE=secret)
    assert made.returncode == 0 and secret not in made.stdout + made.stderr


def test_revoked_host_is_told_by_everything_that_verifies(guardai_command, home, recorded, tmp_path):
    assert guardai_command("prove", recorded, "-o", "proof").returncode == 0
    assert guardai_command("ledger", "export", "-o", "before").returncode == 0
    (host,) = listed(guardai_command)["hosts"]
    done = guardai_command("keys", "revoke", host["id"], "--since", "2020-01-01", "--reason", "stolen [red]laptop[/]")
    assert (done.returncode, done.stderr) == (0, "") and "from 2020-01-01 00:00:00 UTC on" in done.stdout
    shown = guardai_command("keys", "list").stdout
    assert f"host {host['id']}  revoked" in shown and "stolen [red]laptop[/]" in shown
    report = json.loads(guardai_command("verify", "--json").stdout)
    assert report["verdict"] == "broken" and {fault["code"] for fault in report["faults"]} == {"revoked"}
    statement = shutil.copy(home / "keys" / "revoked" / f"{host['id']}.json", tmp_path / "told.json")
    root = ("--key", home / "keys" / "root.pub")
    assert guardai_command("verify", "--export", "before", *root).returncode == 0
    assert guardai_command("verify", "--export", "before", *root, "--revoked", statement).returncode == 1
    assert guardai_command("verify-proof", "proof", *root).returncode == 0
    refused = guardai_command("verify-proof", "proof", *root, "--revoked", statement)
    assert (refused.returncode, "whose key was revoked" in refused.stderr) == (1, True)
    policy = (tmp_path / "before" / "trust.policy", "--revoked", statement)
    assert guardai_command("verify-proof", "proof", "--policy", *policy).returncode == 2
    (tmp_path / "told.json").write_text("{}")
    assert guardai_command("verify-proof", "proof", *root, "--revoked", statement).returncode == 2
    assert guardai_command("verify", "--export", "before", *root, "--revoked", statement).returncode == 2


def test_time_that_is_none_and_host_that_is_none_revoke_nothing(guardai_command, recorded):
    (host,) = listed(guardai_command)["hosts"]
    assert guardai_command("keys", "revoke", host["id"], "--since", "yesterday").returncode == 2
    assert guardai_command("keys", "revoke", "0" * 16).returncode == 1
    assert [one["state"] for one in listed(guardai_command)["hosts"]] == ["current"]


def test_public_keys_are_written_for_anybody(guardai_command, home, recorded, tmp_path):
    assert guardai_command("keys", "rotate").returncode == 0
    former = listed(guardai_command)["hosts"][0]["id"]
    assert guardai_command("keys", "revoke", former).returncode == 0
    done = guardai_command("keys", "export-public", "-o", "public", "--json")
    told = json.loads(done.stdout)
    assert (told["hosts"], told["revoked"]) == (2, 1)
    policy = (tmp_path / "public" / "trust.policy").read_text()
    assert policy.count("log ") == 1 and policy.endswith("quorum none\n")
    assert (tmp_path / "public" / "revoked" / f"{former}.json").exists()
    again = guardai_command("keys", "export-public", "-o", "public")
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert guardai_command("prove", recorded, "-o", "proof").returncode == 0
    assert guardai_command("verify-proof", "proof", "--policy", tmp_path / "public" / "trust.policy").returncode == 0
    assert {json.loads(one)["kind"] for one in events(home)} >= {"key.certified", "key.revoked"}
