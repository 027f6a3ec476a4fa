"""Tests of a policy folder: what a case says, what its file may not say, and what the command makes of it."""

import json
from xml.etree import ElementTree

import junitparser
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from guardai.cli import app
from guardai.policy import Bundle, explain
from guardai.policy.cases import read
from guardai.policy.tomllines import Lines
from guardai.policy.trial import coverage, tried

CEDAR = """
@id("reads") permit (principal is Agent, action == Action::"db.read", resource);
@id("writes") permit (principal is Agent, action == Action::"db.write", resource);
@id("ask") @reason("Ask the DBA") @approval("dba")
forbid (principal is Agent, action == Action::"db.write", resource)
when { context.environment == "prod" } unless { context.approvals.contains("dba") };
@id("home") permit (principal, action == Action::"reveal", resource) when { context.to.kind == "process" };
@id("tokens") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii")
when { context.to.kind == "model" };
"""
DEFAULTS = """
[destinations]
abroad = { kind = "model", region = "us", trust = "listed" }
home = { kind = "process", trust = "internal" }

[defaults]
principal = 'Agent::"bot"'
resource = 'Table::"shop.customers"'
context = { environment = "prod", session = { purpose = "report" } }
"""
GOOD = (
    DEFAULTS
    + """
[[case]]
name = "reading is allowed, and the model sees tokens"
action = "db.read"
labels = ["pii.email"]
to = "abroad"
expect = "allow"
masks = { "pii.email" = "token" }
policies = ["reads"]
masked_by = ["tokens"]

[[case]]
name = "at home all is revealed"
action = "db.read"
labels = ["pii.email", "secret.x"]
to = "home"
masks = {}

[[case]]
name = "a change waits for the DBA"
action = "db.write"
expect = "pause"
policies = ["ask"]
approvals = ["dba"]

[[case]]
name = "what was agreed is done"
action = "db.write"
context = { approvals = ["dba"] }
expect = "allow"
approvals = []

[[case]]
name = "nobody destroys"
action = ["db.destroy", "db.admin"]
resource = ['Table::"shop.customers"', { type = "Database", id = "shop" }]
expect = "deny"
policies = []
"""
)


@pytest.fixture
def with_tests(folder):
    def write(toml=GOOD, cedar=CEDAR, **more):
        root = folder(cedar)
        (root / "tests").mkdir()
        for name, text in {"a": toml, **more}.items():
            (root / "tests" / f"{name}.toml").write_text(text)
        return root

    return write


def outcome(root):
    cases, problems = read(root)
    assert not problems, problems
    return list(tried(Bundle.load(root), cases))


def wrong(root):
    cases, problems = read(root)
    return [(one.line, one.message) for one in problems], cases


def test_good_cases_pass_and_every_listed_request_is_tried(with_tests):
    results = outcome(with_tests())
    assert [result.failures for result in results] == [()] * 8
    assert [result.case.line for result in results][:2] == [11, 21]
    assert [result.name for result in results][4:] == [
        'nobody destroys [db.destroy, Table::"shop.customers"]',
        'nobody destroys [db.destroy, Database::"shop"]',
        'nobody destroys [db.admin, Table::"shop.customers"]',
        'nobody destroys [db.admin, Database::"shop"]',
    ]


def test_coverage_counts_what_decided_the_act_and_the_reveals(with_tests):
    root = with_tests()
    covered = coverage(Bundle.load(root), outcome(root))
    assert covered.percent == 100
    few = with_tests(GOOD.split("[[case]]")[0] + "[[case]]" + GOOD.split("[[case]]")[1])
    covered = coverage(Bundle.load(few), outcome(few))
    assert covered.decided == {"reads", "tokens"}
    assert [(one.id, one.line) for one in covered.never] == [("writes", 3), ("ask", 4), ("home", 7)]
    assert covered.percent == 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('expect = "allow"\nmasks', 'expect = "deny"\nmasks'), "expected deny, got allow by reads"),
        (('expect = "pause"', 'expect = "allow"'), "expected allow, got pause by ask: Ask the DBA"),
        (('policies = ["reads"]', 'policies = ["writes"]'), "expected to be determined by writes, was by reads"),
        (('policies = ["reads"]', 'policies = ["raeds"]'), "no policy has the id 'raeds'"),
        (('policies = ["reads"]', "policies = []"), "expected to be determined by none, was by reads"),
        (('approvals = ["dba"]\n\n', 'approvals = ["owner"]\n\n'), "expected approvals of owner, got dba"),
        (('"pii.email" = "token"', '"pii.email" = "redact"'), "pii.email: expected masked with redact, is masked with token by tokens"),
        (('{ "pii.email" = "token" }', "{}"), "pii.email: expected revealed, is masked with token by tokens"),
        (('to = "home"\nmasks = {}', 'to = "home"\nmasks = { "secret.x" = "redact" }'), "secret.x: expected masked with redact, is revealed by home"),
        (('masked_by = ["tokens"]', 'masked_by = []'), "expected to be masked by none, is by tokens"),
        (('masked_by = ["tokens"]', 'masked_by = ["tokns"]'), "no policy has the id 'tokns'"),
        (('environment = "prod", ', ""), "a policy failed: ask: attribute environment is missing"),
    ],
)  # fmt: skip
def test_what_is_not_as_expected_is_told_in_a_sentence(with_tests, change, says):
    assert change[0] in GOOD
    results = outcome(with_tests(GOOD.replace(*change)))
    assert any(says in failure for result in results for failure in result.failures), results


LIMITED = """
@id("wide") @row_cap("100") @timeout("1m") permit (principal, action == Action::"db.read", resource);
@id("narrow") @row_cap("0") @capture("before") permit (principal, action == Action::"db.read", resource == Table::"shop.a");
@id("kept") @capture("content") permit (principal, action == Action::"db.read", resource == Table::"shop.c");
@id("back") @capture("before") permit (principal, action == Action::"db.read", resource == Table::"shop.c");
@id("sure") @ledger("strict") permit (principal, action == Action::"db.read", resource == Table::"shop.d");
"""


@pytest.mark.parametrize(
    ("table", "limits", "says"),
    [
        ("shop.b", '{ row_cap = 100, timeout = "60s" }', None),
        ("shop.a", '{ row_cap = 0, timeout = "1m", capture = "before" }', None),
        (
            "shop.a",
            '{ row_cap = 100, timeout = "1m", capture = "before" }',
            "got capture before, row_cap 0, timeout 60",
        ),
        ("shop.c", '{ row_cap = 100, timeout = "1m", capture = ["before", "content"] }', None),
        (
            "shop.c",
            '{ row_cap = 100, timeout = "1m", capture = "content" }',
            "got capture before and content, row_cap 100",
        ),
        ("shop.b", "{}", "expected limits none, got row_cap 100, timeout 60"),
        ("shop.d", '{ row_cap = 100, timeout = "1m", ledger = "strict" }', None),
        ("shop.d", '{ row_cap = 100, timeout = "1m" }', "got ledger strict, row_cap 100"),
        (
            "shop.b",
            '{ row_cap = 100, timeout = "60s", affected_cap = 1 }',
            "expected limits affected_cap 1, row_cap 100",
        ),
    ],
)
def test_limits_are_expected_exactly(with_tests, table, limits, says):
    toml = DEFAULTS + f"[[case]]\nname = 'n'\naction = 'db.read'\nresource = 'Table::\"{table}\"'\nlimits = {limits}\n"
    (result,) = outcome(with_tests(toml, LIMITED))
    assert bool(result.failures) is bool(says)
    assert not says or says in result.failures[0]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("{ rows = 1 }", "'rows' is no limit; known: affected_cap, capture, ledger, row_cap, timeout"),
        ("{ row_cap = -1 }", "row_cap is -1; write a number of rows"),
        ("{ timeout = 5 }", "timeout is 5; write a time"),
        ("{ capture = true }", "capture is True; known: before, content"),
        ("3", "limits must be a table"),
    ],
)
def test_a_limit_that_there_is_not_is_told_with_its_line(with_tests, limits, says):
    found, _ = wrong(with_tests(DEFAULTS + f"[[case]]\nname = 'n'\naction = 'db.read'\nlimits = {limits}\n"))
    assert [(line, message) for line, message in found if says in message and line == 13], found


def test_an_error_fails_a_case_that_expects_the_denial_that_it_gives(with_tests):
    cedar = '@id("p") permit (principal, action, resource) when { context.missing };'
    toml = DEFAULTS + '[[case]]\nname = "n"\naction = "db.read"\nexpect = "deny"\n'
    assert outcome(with_tests(toml, cedar))[0].failures == ("a policy failed: p: attribute missing is missing",)


@pytest.mark.parametrize(
    ("toml", "line", "says"),
    [
        (GOOD.replace('policies = ["reads"]', 'polcies = ["reads"]'), 18, "'polcies' is unknown here; known: name"),
        (GOOD.replace("[defaults]", "[defualts]"), 6, "'defualts' is unknown here"),
        (GOOD.replace('principal = \'Agent::"bot"\'', 'princpal = "x"'), 7, "'princpal' is unknown here"),
        (GOOD.replace('expect = "pause"', 'expect = "pasue"'), 31, "expect is 'pasue'; known: allow, deny, pause"),
        (GOOD.replace('"token" }', '"blur" }'), 17, "the mask of 'pii.email' is 'blur'"),
        (GOOD.replace('{ "pii.email" = "token"', '{ "pii.dob" = "token"'), 17, "'pii.dob' is not among the case's labels"),
        (GOOD.replace('to = "abroad"', 'to = "abraod"'), 15, "'abraod' is not among [destinations]: abroad, home"),
        (GOOD.replace('to = "abroad"\n', ""), 11, "labels are given but not where"),
        (GOOD.replace('action = "db.read"\nlabels = ["pii.email"]\n', 'action = "db.raed"\n'), 11, "action 'db.raed' is unknown"),
        (GOOD.replace("'Agent::\"bot\"'", "'bot'"), 7, "principal is written"),
        (GOOD.replace('approvals = ["dba"]\n\n', 'masked_by = []\n\n'), 33, "the case has no labels"),
        (GOOD.replace('name = "a change waits for the DBA"', 'name = ""'), 29, "a case has a name"),
        (GOOD.replace('name = "what was agreed is done"', 'name = "a change waits for the DBA"'), 36, "another case is called"),
        (GOOD.replace('expect = "deny"\npolicies = []\n', ""), 42, "the case expects nothing"),
        (GOOD.replace('["db.destroy", "db.admin"]', "[]"), 44, "action is an empty list"),
        (GOOD.replace('policies = ["ask"]', 'policies = "ask"'), 32, "policies is a list of names"),
        (GOOD.replace("{ kind = \"process\"", "{ knid = \"process\""), 21, "not a request"),
        ("[[case]\n", 1, "not TOML"),
        ("a = 1\nb = [", 2, "not TOML"),
        ("", 0, "no [[case]]"),
        ("case = 3", 1, "begins with [[case]]"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say_is_told_with_its_line(with_tests, toml, line, says):
    found, _ = wrong(with_tests(toml))
    assert any(at == line and says in message for at, message in found), found


def test_a_file_with_a_fault_does_not_hide_the_cases_beside_it(with_tests):
    found, cases = wrong(with_tests(GOOD.replace('expect = "pause"', 'expect = "x"'), b="x ="))
    assert len(found) == 2
    assert len(cases) == 4


def test_a_case_is_answered_as_explain_answers_it(with_tests):
    root = with_tests()
    bundle = Bundle.load(root)
    request = {
        "principal": {"type": "Agent", "id": "bot"},
        "action": "db.read",
        "resource": {"type": "Table", "id": "shop.customers"},
        "context": {"environment": "prod", "session": {"purpose": "report"}},
        "labels": ["pii.email"],
        "to": {"kind": "model", "region": "us", "trust": "listed"},
    }
    answer = explain(bundle, request)
    assert outcome(root)[0].failures == ()
    assert (answer["decision"], answer["masks"], answer["policies"]) == ("allow", {"pii.email": "token"}, ["reads"])


TEXTS = st.lists(
    st.sampled_from(
        ["[[case]]", "[defaults]", "name = 'x'", "name = '''\n[[case]]\n'''", 'k = "[[case]]" # [[case]]', "# [[case]]", ""]
    ),
    max_size=12,
).map("\n".join)  # fmt: skip


@given(TEXTS)
def test_a_line_is_told_of_exactly_the_heads_that_toml_sees(text):
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = Lines(text)
    numbers = [lines.of_array("case", n) for n in range(len(data.get("case", [])))]
    assert 0 not in numbers
    assert numbers == sorted(set(numbers))
    assert all(text.split("\n")[number - 1] == "[[case]]" for number in numbers)
    assert lines.of_array("case", len(numbers)) == 0


VALUES = st.sampled_from(
    ["3", "1.5", "true", "2020-01-01", '"x"', "[]", "[1]", "{}", "{ a = 1 }", '[{ kind = "model" }]', "[[1]]", "'Agent::\"x\"'", "nan"]
)  # fmt: skip


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, derandomize=True, deadline=None
)
@given(st.lists(st.tuples(st.integers(0, 60), VALUES), max_size=4), st.integers(0, 2000))
def test_no_file_does_worse_than_a_problem(tmp_path, changes, cut):
    """Values of every kind in every place, and a file that ends anywhere."""
    lines = GOOD.split("\n")
    for number, value in changes:
        if number < len(lines) and " = " in lines[number]:
            lines[number] = lines[number].partition(" = ")[0] + " = " + value
    (tmp_path / "tests").mkdir(exist_ok=True)
    (tmp_path / "tests" / "a.toml").write_text("\n".join(lines)[: cut or None])
    cases, problems = read(tmp_path)
    assert cases or problems
    for problem in problems:
        assert 0 <= problem.line <= len(lines)
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "policies" / "p.cedar").write_text(CEDAR)
    assert all(isinstance(result.failures, tuple) for result in tried(Bundle.load(tmp_path), cases))


# ---- the command ----


def run(*arguments):
    return CliRunner().invoke(app, ["policy", "test", *map(str, arguments)])


def test_the_command_tells_files_counts_and_coverage(with_tests):
    done = run(with_tests(), "--fail-under", 100)
    assert done.exit_code == 0, done.output
    assert "tests/a.toml ........" in done.stdout
    assert "8 passed, 0 failed" in done.stdout
    assert "5 of 5 policies decided something (100 %)" in done.stdout


def test_a_failure_is_told_with_its_place_and_ends_in_1(with_tests):
    done = run(with_tests(GOOD.replace('expect = "pause"', 'expect = "allow"')))
    assert done.exit_code == 1
    assert "tests/a.toml ..F....." in done.stdout
    assert "FAILED tests/a.toml:28 a change waits for the DBA" in done.stdout
    assert "expected allow, got pause by ask: Ask the DBA" in done.stdout


def test_too_little_coverage_is_refused_and_names_what_never_decided(with_tests):
    root = with_tests()
    done = run(root, "-k", "READING", "--fail-under", 50)
    assert done.exit_code == 1
    assert "1 passed, 0 failed" in done.stdout
    assert "writes (policies/test.cedar:3)" in done.stdout
    assert "40 % is under 50 %" in done.stdout
    assert run(root, "-k", "reading", "--fail-under", 40).exit_code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("'Table::\"shop.customers\"', {", "'Tabel::\"shop.customers\"', {"),
            "resource.type 'Tabel' is unknown; known: Database, Host, Index, Model, Table, Tool",
        ),
        (
            ('action = ["db.destroy"', 'principal = \'Agnet::"bot"\'\naction = ["db.destroy"'),
            "principal.type 'Agnet' is unknown; known: Agent, App",
        ),
    ],
)
def test_a_type_that_no_policy_can_know_fails_the_case_that_names_it(with_tests, change, says):
    assert change[0] in GOOD
    # The case expects a denial, which is what Cedar says of a type that it has never heard of.
    done = run(with_tests(GOOD.replace(*change)), "--json")
    assert done.exit_code == 1
    failed = [one for one in json.loads(done.stdout)["cases"] if not one["ok"]]
    assert failed
    assert {(one["file"], one["line"], *one["failures"]) for one in failed} == {("tests/a.toml", 42, says)}


def test_json_says_the_same_to_a_program(with_tests):
    done = run(with_tests(GOOD.replace('expect = "pause"', 'expect = "allow"')), "--json")
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert data["ok"] is False
    assert [one["ok"] for one in data["cases"]] == [True, True, False, True, True, True, True, True]
    assert data["cases"][2]["line"] == 28
    assert data["cases"][2]["policies"] == ["ask"]
    assert data["coverage"] == {
        "percent": 100.0,
        "decided": ["ask", "home", "reads", "tokens", "writes"],
        "never": [],
    }


def test_junit_is_read_by_a_build_servers_parser(with_tests, tmp_path):
    file = tmp_path / "out.xml"
    toml = GOOD.replace('expect = "pause"', 'expect = "allow"').replace(
        "at home all", "at <home> & \\u0007 \\u2028 all"
    )
    done = run(with_tests(toml, b=GOOD), "--junit", file)
    assert done.exit_code == 1
    suites = list(junitparser.JUnitXml.fromfile(str(file)))
    assert [(one.name, one.tests, one.failures, one.errors) for one in suites] == [
        ("tests/a.toml", 8, 1, 0),
        ("tests/b.toml", 8, 0, 0),
    ]
    cases = list(suites[0])
    assert [bool(case.result) for case in cases] == [False, False, True, False, False, False, False, False]
    assert "expected allow, got pause by ask" in cases[2].result[0].message
    assert "tests/a.toml:28" in cases[2].result[0].text
    assert cases[1].name.startswith("at <home> & � ")
    assert cases[0].classname == "tests.a"
    root = ElementTree.parse(file).getroot()
    assert (root.get("tests"), root.get("failures")) == ("16", "1")


@pytest.mark.parametrize(
    ("toml", "arguments", "says"),
    [
        (GOOD, ("-k", "nowhere"), "no case has 'nowhere' in its name"),
        (GOOD.replace("expect", "expct"), (), "'expct' is unknown here"),
        (GOOD, ("--junit", "/nowhere/at/all.xml"), "cannot be written"),
    ],
)
def test_wrong_usage_ends_in_2(with_tests, toml, arguments, says):
    done = run(with_tests(toml), *arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_no_folder_and_no_tests_are_wrong_usage(folder, tmp_path):
    assert run(tmp_path / "none").exit_code == 2
    done = run(folder(CEDAR))
    assert done.exit_code == 2
    assert "no tests/*.toml" in done.stderr


def test_policies_that_cannot_be_used_are_refused(with_tests):
    done = run(with_tests(GOOD, "permit (foo);"))
    assert done.exit_code == 1
    assert "policies/test.cedar:1:9" in done.stderr
