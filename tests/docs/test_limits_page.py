"""docs/limits.md: its policies are good, its program prints what it says, and every counter stands there."""

import re
import sys
from pathlib import Path

from guardai.policy.vocabulary import COUNTERS

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def test_program_of_the_page_prints_what_the_page_says(tmp_path, blocks, run):
    [policies], [program], [printed, *_] = blocks(PAGE, "cedar"), blocks(PAGE, "python"), blocks(PAGE, "")
    (tmp_path / "guardai-policy" / "policies").mkdir(parents=True)
    (tmp_path / "guardai-policy" / "policies" / "limits.cedar").write_text(policies)
    (tmp_path / "page.py").write_text(program)
    checked = run([*GUARDAI, "policy", "check", "guardai-policy"])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "warning" not in checked.stdout
    done = run([sys.executable, "page.py"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_every_counter_stands_on_the_page_and_none_besides():
    told = set()
    for name, without in re.findall(r"^\| `context\.([a-z_.]+)\.W` \| (.*?) \|$", PAGE, re.M):
        windows = ("minute", "hour", "day") if "(no `session`)" in without else ("minute", "hour", "day", "session")
        told |= {f"{name}.{window}" for window in windows}
    assert told == COUNTERS


def test_request_of_the_page_is_answered_as_the_sixty_first_call(tmp_path, run):
    asked = re.search(r'^`(\{"context".*\})`', PAGE, re.M)[1]
    (tmp_path / "p" / "policies").mkdir(parents=True)
    (tmp_path / "p" / "policies" / "p.cedar").write_text(
        '@id("p") permit (principal, action, resource);'
        '@id("l") forbid (principal, action, resource) when { context.count.calls.minute > 60 };'
    )
    head = (
        '{"principal": {"type": "Agent", "id": "a"}, "action": "tool.call", "resource": {"type": "Tool", "id": "t"}, '
    )
    for number, decision in ((61, "deny"), (60, "allow")):
        (tmp_path / "r.json").write_text(head + asked[1:].replace("61", str(number)))
        done = run([*GUARDAI, "policy", "explain", "--policy", "p", "--request", "r.json", "--json"])
        assert f'"decision": "{decision}"' in done.stdout, done.stdout + done.stderr
