"""`guardai demo` as a person and a program run it: in a process of its own, against the stand-in on loopback."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardai.cli.demo import script, shop
from guardai.testing.model_server import ModelServer, error, text, tool_call

COMMAND = [sys.executable, "-c", "from guardai.cli import main; main()", "demo"]


def demo(folder, *arguments, **environment):
    """Runs the command with `folder` as its temporary folder and nothing of the surroundings' settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDAI_", "OPENAI_"))}
    given = kept | {"TMPDIR": str(folder), "TEMP": str(folder), "NO_COLOR": "1"} | environment
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=given,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def ran(folder):
    return demo(folder, "--home", folder / "home", "--json")


@pytest.fixture(scope="module")
def story(ran):
    assert ran.returncode == 0, ran.stderr + ran.stdout[-3000:]
    return json.loads(ran.stdout)


def test_the_demo_keeps_every_promise(story):
    assert [check["what"] for check in story["checks"] if not check["held"]] == []
    assert len(story["checks"]) == 10


def test_the_json_is_all_that_stands_on_stdout(ran, story):
    assert ran.stdout.startswith("{")
    assert ran.stderr == ""
    assert story["model"]["stand_in"] is True


def test_the_ledger_that_it_leaves_has_its_events_and_verifies(story, folder):
    from guardai import ledger
    from guardai.lineage import EdgeTable

    events = [json.loads(event) for event in ledger.events(folder / "home")]
    assert len(events) >= 20
    assert ledger.verify(folder / "home", projection=EdgeTable()).verdict == 0
    assert story["verification"]["events"] == len(events)


def test_no_event_holds_an_address_outside_its_principal(story, folder):
    from guardai import ledger

    for raw in ledger.events(folder / "home"):
        event = json.loads(raw)
        event.pop("principal")
        assert not re.search(r"[\w.%+-]+@[\w-]+\.\w", json.dumps(event))


def test_the_home_holds_only_what_guardai_keeps(story, folder):
    home = folder / "home"
    assert Path(story["folder"]).parent == folder
    assert not Path(story["folder"]).is_relative_to(home)
    assert not [path for path in home.rglob("*") if "shop" in path.name or "tampered" in path.name]


def test_the_model_received_tokens_where_the_process_had_addresses(story):
    rows = story["acts"][0]
    had = json.loads(rows["tools"][0]["result"])
    received = json.loads(next(m["content"] for m in rows["model_received"] if m["role"] == "tool"))
    assert [row["name"] for row in received] == [row["name"] for row in had]
    for mine, theirs in zip(had, received, strict=True):
        for column in ("email", "phone", "iban"):
            assert mine[column] != theirs[column]
            assert mine[column] in rows["answer"]


def test_the_key_became_something_else_on_its_way(story):
    key = story["acts"][1]
    assert script.pasted_key() in key["question"]
    assert script.pasted_key() not in json.dumps(key["model_received"])
    assert script.pasted_key() not in key["answer"]


def test_each_denial_names_policy_and_event(story):
    denials = [tool["result"] for tool in story["acts"][2]["tools"]]
    assert len(denials) == len(script.ATTEMPTS)
    known = {call["intent"] for call in story["calls"]}
    for denial in denials:
        assert re.match(r"PolicyDenied: db\.\w+ denied by [\w-]+", denial)
        assert re.search(r"; why: guardai policy explain (\S+)$", denial)[1] in known


def test_the_person_saw_no_address_though_the_model_wrote_one(story):
    stream = story["acts"][3]
    assert "".join(script.DESK_CHUNKS) in "".join(stream["model_sent"])
    assert "".join(script.DESK_CHUNKS) not in stream["answer"]
    assert len(stream["pieces"]) > 1


def test_every_call_says_who_what_which_data_and_which_policy(story):
    assert len(story["calls"]) == 21
    for call in story["calls"]:
        assert call["user"]
        assert call["agent"] == "shop-assistant"
        assert call["data"]
        assert call["policies"]
        assert call["status"] in {"ok", "denied"}
    assert any(call["masks"].get("pii.email") == "token" for call in story["calls"])
    assert any(label.startswith("secret.") for call in story["calls"] for label in call["masks"])


def test_the_changed_copy_is_broken_and_the_event_is_named(story):
    from guardai import ledger

    tampered = story["tampered"]
    assert tampered["verified"]["verdict"] == "broken"
    assert tampered["event"] in {fault["event"] for fault in tampered["verified"]["faults"]}
    assert ledger.verify(Path(tampered["verified"]["home"])).verdict == 1
    assert tampered["before"] != tampered["after"]


def test_a_second_run_into_the_same_home_tells_only_its_own_story(story, folder):
    again = demo(folder, "--home", folder / "home", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert len(told["calls"]) == len(story["calls"])
    assert told["verification"]["events"] > story["verification"]["events"]
    assert not {call["intent"] for call in told["calls"]} & {call["intent"] for call in story["calls"]}


def test_for_people_it_prints_pages_and_names_a_temporary_home(tmp_path):
    ran = demo(tmp_path)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    for scene in script.SCENES:
        assert scene.title in ran.stdout
    home = re.search(r"guardai verify --home (\S+)", ran.stdout)[1]
    assert Path(home).is_relative_to(tmp_path)
    assert "stand-in" in ran.stdout
    assert "NOT HELD" not in ran.stdout


def test_an_output_that_knows_no_arrows_gets_question_marks(tmp_path):
    ran = demo(tmp_path, PYTHONIOENCODING="ascii", COLUMNS="160")
    assert ran.returncode == 0, ran.stderr
    assert "? token" in ran.stdout


def test_proxies_of_the_environment_do_not_come_between(tmp_path):
    nowhere = "http://127.0.0.1:9"
    ran = demo(tmp_path, "--json", HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere, ALL_PROXY=nowhere)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_real_endpoint_takes_the_place_of_the_stand_in(tmp_path, by):
    def other(request):
        if request.user.startswith("Empty") and not request.tool_results:
            return tool_call("run_sql", {"query": "DELETE FROM customers"})
        return text(f"I am {request.body['model']}.")

    with ModelServer(other) as server:
        base_url = server.base_url
        arguments = ["--base-url", base_url] if by == "option" else []
        environment = {} if by == "option" else {"OPENAI_BASE_URL": base_url}
        ran = demo(tmp_path, "--json", "--model", "gpt-test", *arguments, OPENAI_API_KEY="k", **environment)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["model"] == {"stand_in": False, "name": "gpt-test", "base_url": base_url}
    assert told["acts"][0]["answer"] == "I am gpt-test."
    assert told["acts"][0]["model_received"] is None
    assert len(told["checks"]) == 4
    assert script.pasted_key() not in "".join(request.text for request in server.requests)
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_an_endpoint_that_fails_is_told_in_one_line(tmp_path):
    with ModelServer(lambda request: error(401, "no such key")) as server:
        ran = demo(tmp_path, "--base-url", server.base_url)
    assert ran.returncode == 2
    assert "no such key" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_model_without_an_endpoint_is_wrong_usage(tmp_path):
    ran = demo(tmp_path, "--model", "gpt-4o")
    assert ran.returncode == 2
    assert "--base-url" in ran.stderr


def test_settings_of_the_surroundings_do_not_turn_the_demo_into_something_else(tmp_path):
    (tmp_path / "guardai.toml").write_text('mode = "observe"\nintegrations = []\n')
    ran = demo(tmp_path, "--json")
    assert ran.returncode == 0, ran.stderr
    assert shop.CUSTOMERS == 2_000
