"""docs/detectors.md: what it says to write is written, and what it says happens."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardai.text import Detector, Own, Pack, PackError, configure, scan
from guardai.text.detectors.admit import admit

PAGE = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def run(command, cwd, **env):
    return subprocess.run(
        [*GUARDAI, *command], cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "NO_COLOR": "1", **env},
    )  # fmt: skip


def test_file_of_the_page_passes_the_check_of_the_page(tmp_path):
    assert run(["init", "guardai-policy"], tmp_path).returncode == 0
    detector, number, *_ = blocks("toml")
    with (tmp_path / "guardai-policy" / "detectors.toml").open("a") as file:
        file.write(detector + number)
    done = run(["policy", "check", "guardai-policy"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 detectors of its own" in done.stdout
    assert "warning" not in done.stdout


def test_every_key_of_a_detector_is_explained():
    told = set(re.findall(r"`(\w+)`", PAGE))
    hidden = {"title", "example"}  # for the reference of labels
    assert set(Detector.__dataclass_fields__) - hidden <= told


@pytest.mark.parametrize("row", re.findall(r"^\| `(.+?)` \| .+? \|", PAGE.partition("What is refused")[2], re.M)[:3])
def test_what_the_page_says_is_refused_is(row):
    with pytest.raises(PackError, match="can blow up"):
        admit(Pack("page", (Detector("pii.x", ("ab",), f"ab{row}"),)))


def test_pattern_that_the_page_says_leaks_is_refused():
    with pytest.raises(PackError, match="reads on behind whitespace"):
        admit(Pack("page", (Detector("pii.x", ("EMP-",), "EMP-[0-9]{6}(?! void)"),)))


def test_distribution_of_the_page_finds(tmp_path, monkeypatch):
    [module] = blocks("python")
    entry = next(block for block in blocks("toml") if "entry-points" in block)
    info = tmp_path / "acme_detectors-1.dist-info"
    info.mkdir()
    (tmp_path / "acme_detectors.py").write_text(module)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-detectors\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[guardai.detectors]\n" + re.search(r'^acme = "(.+)"', entry, re.M)[0].replace('"', "")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    scanning = importlib.import_module("guardai.text.scanner")
    scanning.reset()
    try:
        assert [finding.label for finding in scan("ACME-00123470 and ACME-00123471")] == ["pii.acme_contract"]
        [detector] = sys.modules["acme_detectors"].pack().detectors
        assert all(scan(text) for text in detector.matches)
        assert not any(scan(text) for text in detector.ignores)
    finally:
        sys.modules.pop("acme_detectors", None)
        monkeypatch.undo()
        scanning.reset()


def test_recogniser_of_the_page_is_read():
    [block] = [block for block in blocks("toml") if "recognisers" in block]
    own = Own.read(block)
    assert (own.recognisers, own.options) == (("spacy",), {"spacy": {"model": "en_core_web_sm"}})
    configure()
