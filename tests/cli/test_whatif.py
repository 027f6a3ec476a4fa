"""`guardai policy replay`, `diff` and `suggest` on the command line: pictures for people, JSON for programs, exit codes."""

import json

import pytest
from typer.testing import CliRunner

import guardai
from guardai.cli import app
from guardai.hooks import Call, Target, opened

ALL = '@id("all") permit (principal, action, resource);'
LLM = '@id("llm") permit (principal, action in Action::"llm", resource);'


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["policy", *map(str, arguments)])


@pytest.fixture
def used(home, policy):
    """A ledger with three tool calls, and the folder of the policy that allowed them."""
    folder = policy(ALL)
    guardai.init(home=home, integrations=[], policy=folder)
    with guardai.session(user="ann", agent="bot"):
        for _ in range(3):
            opened(Call("tool.call", Target("tool", "", "look[up]"), payload={"q": "to alice@example.com"})).close()
    guardai.shutdown()
    return home, folder


def folder_of(tmp_path, cedar, name="new"):
    (tmp_path / name / "policies").mkdir(parents=True)
    (tmp_path / name / "policies" / "p.cedar").write_text(cedar)
    return tmp_path / name


class TestReplay:
    def test_nothing_changes_under_the_same_policy_and_the_end_is_good(self, run, used):
        home, folder = used
        result = run("replay", "--bundle", folder, "--ledger", home)
        assert (result.exit_code, result.stdout.split()[0]) == (0, "=")

    def test_what_changes_is_shown_and_the_end_says_so(self, run, used, tmp_path):
        result = run("replay", "--bundle", folder_of(tmp_path, LLM), "--ledger", used[0])
        assert result.exit_code == 1
        assert "3 would be otherwise" in result.stdout
        assert "(no permit)" in result.stdout
        assert 'Tool::"look[up]"' in result.stdout
        assert "bot for ann" in result.stdout
        assert "█" in result.stdout

    def test_json_holds_the_same_and_nothing_else(self, run, used, tmp_path):
        data = json.loads(run("replay", "--bundle", folder_of(tmp_path, LLM), "--ledger", used[0], "--json").stdout)
        assert (data["decided"], data["changed"]) == (3, 3)
        assert data["decisions"][0]["then"] == "allow"
        assert data["by_principal"] == {"bot for ann": 3}
        assert len(data["bundles"]) == 1

    def test_home_can_be_named_by_the_environment(self, run, used, monkeypatch):
        monkeypatch.setenv("GUARDAI_HOME", str(used[0]))
        assert run("replay", "--bundle", used[1]).exit_code == 0

    def test_ledger_without_a_call_cannot_tell(self, run, home, policy):
        guardai.init(home=home, integrations=[])
        guardai.session(user="u").__enter__()
        guardai.shutdown()
        assert run("replay", "--bundle", policy(ALL), "--ledger", home).exit_code == 2


class TestDiff:
    def test_same_folder_has_no_difference(self, run, used):
        result = run("diff", used[1], used[1], "--ledger", used[0])
        assert (result.exit_code, result.stdout.split()[0]) == (0, "=")

    def test_difference_is_told_in_words_with_what_was_recorded(self, run, used, tmp_path):
        result = run("diff", used[1], folder_of(tmp_path, LLM), "--ledger", used[0])
        assert result.exit_code == 1
        assert "A permits what B does not" in result.stdout
        assert 'Agent::"bot" for ann, tool.call on Tool::"look[up]"' in result.stdout

    def test_example_names_the_chain_and_how_it_is_known_who_acts(self, run, tmp_path):
        strict = '@id("w") permit (principal, action == Action::"db.write", resource) when {{ {} }};'
        for which, condition, told in (
            (1, 'principal.assurance == "verified"', 'principal.assurance "verified"'),
            (2, 'principal.chain.contains("planner")', 'principal.chain ["planner"]'),
        ):
            a = folder_of(tmp_path, strict.format("false"), f"a{which}")
            b = folder_of(tmp_path, strict.format(condition), f"b{which}")
            assert f"with {told}" in run("diff", a, b).stdout

    def test_json_holds_requests_that_explain_takes(self, run, used, tmp_path):
        new = folder_of(tmp_path, LLM)
        data = json.loads(run("diff", used[1], new, "--json").stdout)
        acts = [one for one in data["differences"] if one["a"]["effect"] == "allow"]
        assert acts
        for one in acts:
            file = tmp_path / "request.json"
            file.write_text(json.dumps(one["request"]))
            says = [
                json.loads(run("explain", "--policy", p, "--request", file, "--json").stdout) for p in (used[1], new)
            ]
            assert [answer["decision"] for answer in says] == ["allow", "deny"]


class TestSuggest:
    def test_file_is_written_once_and_passes_the_check(self, run, used, tmp_path):
        folder = tmp_path / "suggested"
        (folder / "policies").mkdir(parents=True)
        file = folder / "policies" / "s.cedar"
        assert run("suggest", "--ledger", used[0], "-o", file).exit_code == 0
        assert run("check", folder).exit_code == 0
        assert run("replay", "--bundle", folder, "--ledger", used[0]).exit_code == 0
        again = run("suggest", "--ledger", used[0], "-o", file)
        assert again.exit_code == 2
        assert "there already" in again.stderr

    def test_without_a_file_it_is_printed_and_as_json_with_its_counts(self, run, used):
        printed = run("suggest", "--ledger", used[0]).stdout
        data = json.loads(run("suggest", "--ledger", used[0], "--json").stdout)
        assert data["cedar"] == printed
        assert (data["calls"], data["refused"], data["left_out"]) == (3, 0, 0)

    def test_where_nothing_was_used_it_says_so(self, run, home):
        guardai.init(home=home, integrations=[])
        guardai.session(user="u").__enter__()
        guardai.shutdown()
        result = run("suggest", "--ledger", home)
        assert result.exit_code == 2
        assert "no allowed call is recorded" in result.stderr

    def test_file_that_cannot_be_written_is_named(self, run, used, tmp_path):
        result = run("suggest", "--ledger", used[0], "-o", tmp_path / "none" / "s.cedar")
        assert result.exit_code == 2
        assert "cannot be written" in result.stderr


class TestBadInput:
    @pytest.mark.parametrize("command", ["replay", "suggest", "diff"])
    def test_no_ledger_is_wrong_usage(self, run, policy, tmp_path, command):
        given = {"replay": ("--bundle", policy(ALL)), "suggest": (), "diff": (policy(ALL), policy(ALL))}[command]
        result = run(command, *given, "--ledger", tmp_path / "nowhere")
        assert result.exit_code == 2
        assert "there is no ledger" in result.stderr

    @pytest.mark.parametrize("command", ["replay", "suggest", "diff"])
    def test_broken_store_is_said_to_be_broken(self, run, used, command):
        home, folder = used
        for path in (home / "ledger").glob("store.db*"):
            path.write_bytes(b"not a database" * 1000)
        given = {"replay": ("--bundle", folder), "suggest": (), "diff": (folder, folder)}[command]
        result = run(command, *given, "--ledger", home)
        assert result.exit_code == 2
        assert "guardai verify" in result.stderr

    @pytest.mark.parametrize("command", ["replay", "diff"])
    def test_refused_folder_is_refused(self, run, used, tmp_path, command):
        home, folder = used
        bad = folder_of(tmp_path, "permit (foo);", "bad")
        given = {"replay": ("--bundle", bad, "--ledger", home), "diff": (folder, bad)}[command]
        result = run(command, *given)
        assert result.exit_code == 1
        assert "guardai policy check" in result.stderr

    @pytest.mark.parametrize("command", ["replay", "diff"])
    def test_missing_arguments_are_wrong_usage(self, run, command):
        assert run(command).exit_code == 2

    def test_altered_events_are_counted_and_nothing_raised(self, run, used):
        home, folder = used
        spool = home / "ledger" / "spool"
        guardai.init(home=home, integrations=[], policy=folder)
        opened(Call("tool.call", Target("tool", "", "x"), payload={})).close()
        [live] = [path for path in spool.glob("*.jsonl") if path.stat().st_size]
        altered = live.read_bytes().replace(b'"effect":"allow"', b'"effect":["all"]').replace(b'"asked":', b'"asken":')
        guardai.shutdown()
        live.write_bytes(altered)
        result = run("replay", "--bundle", folder, "--ledger", home, "--json")
        assert result.exit_code in (0, 1)
        data = json.loads(result.stdout)
        assert data["decided"] >= 3
