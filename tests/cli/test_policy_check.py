"""`guardai policy check` on a folder with detectors of its own."""

import json
import os
import subprocess
import sys

import pytest

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]
DETECTOR = """
[[detector]]
label = "pii.employee_id"
literals = ["EMP-"]
pattern = 'EMP-[0-9]{6}(?![0-9])'
run = ""
matches = ["badge EMP-004211"]
ignores = ["EMP-42"]
"""


@pytest.fixture
def check(tmp_path, policy, home):
    def run(detectors, *arguments, cedar='@id("all") permit (principal, action, resource);', site=""):
        folder = policy(cedar)
        (folder / "detectors.toml").write_text(detectors)
        env = {**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1", "PYTHONPATH": str(site)}
        return subprocess.run(
            [*GUARDAI, "policy", "check", str(folder), *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, env=env,
        )  # fmt: skip

    return run


def test_good_folder_tells_how_many_detectors_it_has(check):
    done = check(
        DETECTOR,
        cedar='permit (principal, action, resource);\nforbid (principal, action, resource == Label::"pii.employee_id");',
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 detector of its own" in done.stdout


def test_failing_example_is_told_by_file_label_and_place_without_its_text(check):
    done = check(DETECTOR.replace("EMP-004211", "EMP-99"), "--json")
    assert done.returncode == 1
    assert "EMP-99" not in done.stdout
    [problem] = json.loads(done.stdout)["problems"]
    assert problem["file"] == "detectors.toml"
    assert problem["message"] == "pii.employee_id: matches, example 1: it is not found"


def test_expression_that_can_blow_up_is_told_with_a_text_that_shows_it(check):
    done = check(DETECTOR.replace("[0-9]{6}(?![0-9])", "(?:[0-9]+)+x"))
    assert done.returncode == 1
    assert "error detectors.toml: pii.employee_id: pattern: the expression can blow up: on " in done.stdout
    assert "this folder is refused" in done.stdout


def test_cache_is_that_of_the_home_that_is_named(check, tmp_path, home):
    done = check(DETECTOR, "--home", str(tmp_path / "named"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("detectors", "told"),
    [
        ('[words]\nphnoe = ["gizmo"]', "error detectors.toml: words of 'phnoe', which is no kind; is it 'phone'?"),
        (DETECTOR + "score = 50\n", "error detectors.toml: pii.employee_id: score = 50; it says how sure"),
        (
            DETECTOR.replace("literals", "literal"),
            "error detectors.toml: pii.employee_id: unknown literal (is it literals?)",
        ),
        ('countries = "de, atlantis"', "error detectors.toml: countries: no pack of a country 'atlantis'"),
        (DETECTOR + "run_on = 'a'\n", "error detectors.toml: pii.employee_id: unknown run_on"),
        (
            DETECTOR.replace('run = ""', "run = 'a](?:b+)+[d'"),
            "error detectors.toml: pii.employee_id: run is the inside of one",
        ),
    ],
)
def test_what_would_do_nothing_or_harm_is_told_with_the_name_of_the_file(check, detectors, told):
    done = check(detectors)
    assert done.returncode == 1
    assert told in done.stdout


def test_countries_may_be_written_as_in_the_environment(check):
    assert check('countries = "de, fr"').returncode == 0


def test_warning_alone_refuses_nothing(check):
    done = check(DETECTOR.partition("matches")[0])
    assert done.returncode == 0
    assert "warning detectors.toml: pii.employee_id: it has no `matches`" in done.stdout


def test_what_is_no_toml_is_told_once(check):
    done = check("[[detector]\n", "--json")
    assert [one["file"] for one in json.loads(done.stdout)["problems"]] == ["detectors.toml"]


def test_missing_recogniser_is_told(check):
    done = check('recognisers = ["nobodys"]')
    assert done.returncode == 1
    assert "recogniser 'nobodys' is not installed" in done.stdout


def test_policy_may_speak_of_what_an_installed_pack_finds(check, tmp_path):
    info = tmp_path / "site" / "acme_pack-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pack\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[guardai.detectors]\nacme = acme_pack:PACK\n")
    module = tmp_path / "site" / "acme_pack.py"
    module.write_text(
        "from guardai.text import Detector, Pack\n"
        "PACK = Pack('acme', (Detector('pii.acme', ('ACME-',), 'ACME-[0-9]{4}'),))\n"
    )
    cedar = 'permit (principal, action, resource);\nforbid (principal, action, resource == Label::"pii.acme");'
    assert check("", cedar=cedar).returncode == 1
    assert check("", cedar=cedar, site=tmp_path / "site").returncode == 0
    good = module.read_text()
    module.write_text(good.replace("[0-9]{4}'", "[0-9]{4}', matches=('ACME-12',)"))
    done = check("", cedar=cedar, site=tmp_path / "site")
    assert done.returncode == 1
    assert "pack acme: pii.acme: matches, example 1: it is not found" in done.stdout
    module.write_text(good)
    module.write_text(module.read_text().replace("[0-9]{4}", "(?:[0-9]+)+x"))
    done = check("", cedar=cedar, site=tmp_path / "site")
    assert done.returncode == 1
    assert "pack acme: pii.acme: pattern: the expression can blow up" in done.stderr
    assert "Traceback" not in done.stderr
