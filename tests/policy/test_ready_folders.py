"""The folders of examples/policies: sound, tested to the last policy, and such that every policy is missed if it goes."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardai.cli import app
from guardai.model import ACTIONS
from guardai.policy import STARTER, Bundle, check
from guardai.policy.cases import read
from guardai.policy.trial import tried
from guardai.policy.vocabulary import ON_PERMITS

READY = Path(__file__).parents[2] / "examples" / "policies"
FOLDERS = sorted(path for path in READY.iterdir() if path.is_dir())
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def run(*arguments):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def test_they_are_the_ones_that_the_readme_and_the_guide_name():
    for page in (READY.parent / "README.md", READY.parents[1] / "docs" / "policy-guide.md"):
        text = page.read_text(encoding="utf-8")
        assert all(f"`{folder.name}`" in text or f"policies/{folder.name}" in text for folder in FOLDERS), page
    assert len(FOLDERS) == 7


def missed(bundle, cases):
    failures = [failure for result in tried(bundle, cases) for failure in result.failures]
    return [failure for failure in failures if not failure.startswith("no policy has the id")]


@each
def test_check_has_nothing_to_say(folder, tmp_path):
    done = run("check", folder, "--json", "--home", tmp_path)
    assert json.loads(done.stdout) == {"ok": True, "problems": []}


@each
def test_its_tests_pass_and_reach_every_policy(folder):
    done = run("test", folder, "--fail-under", 100)
    assert done.exit_code == 0, done.output


@each
def test_every_policy_that_goes_is_missed_by_a_test(folder, tmp_path):
    """Reached is not enough: a case has to fail without it."""
    cases, problems = read(folder)
    assert not problems
    bundle = Bundle.load(folder)
    for policy in bundle.policies.values():
        root = tmp_path / policy.id
        shutil.copytree(folder, root)
        file = root / policy.file
        file.write_text(file.read_text(encoding="utf-8").replace(policy.source, ""), encoding="utf-8")
        without = Bundle.load(root)
        assert len(without.policies) == len(bundle.policies) - 1
        assert missed(without, cases), f"no test misses {policy.id}"


@each
def test_every_limit_that_goes_is_missed_by_a_test(folder, tmp_path):
    cases, _ = read(folder)
    for policy in Bundle.load(folder).policies.values():
        for name in ON_PERMITS & policy.annotations.keys():
            root = tmp_path / f"{policy.id}-{name}"
            shutil.copytree(folder, root)
            file = root / policy.file
            text = file.read_text(encoding="utf-8")
            unlimited = policy.source.replace(f'@{name}("{policy.annotations[name]}")', "")
            file.write_text(text.replace(policy.source, unlimited), encoding="utf-8")
            assert missed(Bundle.load(root), cases), f"no test misses @{name} of {policy.id}"


@each
def test_every_forbid_says_why_and_every_policy_has_a_name(folder):
    for policy in Bundle.load(folder).policies.values():
        assert "id" in policy.annotations
        assert policy.effect == "permit" or policy.annotations.get("reason"), policy.id


@each
def test_what_it_says_nothing_of_is_denied_in_its_tests(folder):
    """A test of denials for each action that changes, runs or sends something."""
    cases, _ = read(folder)
    denied = {run.request.action for case in cases for run in case.runs if case.expected.decision in ("deny", "pause")}
    assert {"db.destroy", "db.admin", "db.unknown", "process.exec", "http.request", "data.export"} & denied
    assert denied <= set(ACTIONS)


@each
def test_its_readme_is_a_few_lines(folder):
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert 3 <= len(lines) <= 12


def test_the_starter_here_is_the_one_that_is_installed():
    here = {path.relative_to(READY / "starter") for path in (READY / "starter").rglob("*") if path.is_file()}
    there = {
        path.relative_to(STARTER)
        for path in STARTER.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert here - {Path("README.md")} == there
    for name in there:
        assert (READY / "starter" / name).read_bytes() == (STARTER / name).read_bytes(), f"copy {name} over"


def test_the_eighteen_identifiers_each_have_a_column_and_a_test():
    folder = READY / "healthcare-hipaa"
    catalog = (folder / "catalog.toml").read_text(encoding="utf-8")
    for number in range(1, 19):
        assert f"# {number:>2} " in catalog, number
    labelled = set(Bundle.load(folder).catalog.labels)
    labelled |= {
        label
        for entry in catalog.splitlines()
        if entry.startswith('"*.')
        for label in json.loads(entry.partition("=")[2].partition("#")[0])
    }
    cases, _ = read(folder)
    tested = {label for case in cases for run in case.runs for label in run.request.labels}
    assert {label for label in labelled if label.startswith(("pii.", "phi."))} - {"pii.location"} <= tested


@each
def test_no_alarm_on_it(folder):
    assert check(folder) == []
