"""The page about masks says what is so."""

import re
import subprocess
import sys
from pathlib import Path

from guardai.model import MASKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/masking.md").read_text(encoding="utf-8")


def test_its_python_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert blocks
    exec("\n".join(blocks), {})


def test_its_table_lists_every_mask_strongest_first():
    assert tuple(re.findall(r"^\| `(\w+)` \|", PAGE, re.M)) == MASKS


def test_its_policy_is_one(tmp_path, policy):
    [cedar] = re.findall(r"^```cedar\n(.*?)^```", PAGE, re.M | re.S)
    [catalog] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    from guardai.policy import Bundle

    bundle = Bundle.load(policy('@id("all") permit (principal, action, resource);\n' + cedar, catalog))
    assert bundle.policies["no-mail-in-reports"].annotations["mask"] == "hash"
    assert bundle.catalog.mask("pii.dob") == "shift"


def test_the_example_shows_every_mask():
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "masking.py")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "jane" not in done.stdout
    for mask in MASKS:
        assert re.search(rf"^{mask} ", done.stdout, re.M)
