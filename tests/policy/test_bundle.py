"""Reading a bundle: what is refused, and that the refusal says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import BundleError
from guardai.policy import Bundle, check
from guardai.policy.source import MAX_DEPTH, MAX_OPERATORS, Fault, parse, split
from guardai.policy.vocabulary import OWN

PERMIT = '@id("p") permit (principal, action, resource);'


def refused(folder, *given, **named):
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder(*given, **named))
    return str(caught.value)


def test_a_folder_with_policies_and_nothing_else_is_a_bundle(folder):
    bundle = Bundle.load(folder(PERMIT))
    assert set(bundle.policies) == {"p"}
    assert not bundle.catalog.has_columns
    assert bundle.warnings == ()


def test_an_empty_catalog_is_one(folder):
    assert Bundle.load(folder(PERMIT, "")).catalog.mask("pii.email") == "redact"


def test_a_policy_knows_its_file_line_source_and_annotations(folder):
    bundle = Bundle.load(folder({"b.cedar": "// one\n\n" + PERMIT, "a.cedar": '@id("q") @reason("r")\n' + PERMIT[9:]}))
    one, other = bundle.policies["p"], bundle.policies["q"]
    assert (one.file, one.line, one.source) == ("policies/b.cedar", 3, PERMIT)
    assert (other.file, other.line, other.annotations) == ("policies/a.cedar", 1, {"id": "q", "reason": "r"})


def test_without_an_id_a_policy_is_called_by_its_place(folder):
    bundle = Bundle.load(folder("\npermit (principal, action, resource);"))
    assert list(bundle.policies) == ["policies/test.cedar:2"]
    assert "no @id" in bundle.warnings[0].message


def test_no_such_folder(tmp_path):
    with pytest.raises(BundleError, match=r"nowhere: no such directory; `guardai init`"):
        Bundle.load(tmp_path / "nowhere")


def test_a_folder_without_policies(tmp_path):
    with pytest.raises(BundleError, match=r"no policies/\*\.cedar"):
        Bundle.load(tmp_path)


def test_a_folder_with_only_comments(folder):
    assert "no policy in any file" in refused(folder, "// nothing\n")


@pytest.mark.parametrize(
    ("cedar", "says"),
    [
        (PERMIT + "\n\npermit (principal, action, foo);", "test.cedar:3:28: not Cedar: found an invalid variable"),
        (PERMIT + "\npermit (principal, action, resource)", "test.cedar:2:1: a policy is not finished"),
        (PERMIT + "\n}", "test.cedar:2:1: a policy is not finished"),
        (PERMIT + "\n;", "test.cedar:2:1: not Cedar"),
        (PERMIT + '\npermit (principal, action, resource) when { "abc };', "test.cedar:2:45: not Cedar"),
        (PERMIT + "\npermit (principal == ?principal, action, resource);", "test.cedar:2:1: templates"),
        (PERMIT + "\n\n" + PERMIT, "test.cedar:3:1: policy 'p': @id is taken by the policy in policies/test.cedar:1"),
        (PERMIT + " permit (principal, action, resource)\n  when { context.a == };", "test.cedar:2:23: not Cedar"),
        (PERMIT + " permit (principal action, resource);", "test.cedar:1:66: not Cedar"),
        (PERMIT + " /* permit */", "test.cedar:1:48:"),
        ('@id("a`b") ' + PERMIT[9:], "an @id is"),
        ('@id("") ' + PERMIT[9:], "an @id is"),
        ("@id " + PERMIT[9:], "an @id is"),
        ('@id("x") @id("y") ' + PERMIT[9:], "duplicate annotation: @id"),
        ('@raeson("x") ' + PERMIT, "@raeson is not an annotation of guardai; did you mean 'reason'?"),
        ('@rows("5") ' + PERMIT, "@rows is not an annotation of guardai"),
        ("@reason " + PERMIT, "@reason says nothing"),
        ('@severity("hgih") ' + PERMIT, "@severity is 'hgih'; did you mean 'high'?"),
        (
            '@mask("blur") forbid (principal, action, resource);',
            "@mask is 'blur'; known: drop, fpe, hash, null, partial, redact, shift, token",
        ),
        ('@mask("hash") ' + PERMIT, "@mask on a permit does nothing"),
        ('@mask("hash") forbid (principal, action in Action::"db", resource);', "@mask does nothing on a forbid"),
        ('@on_denied("abrt") forbid (principal, action, resource);', "did you mean 'abort'?"),
        ('@approval("dba") ' + PERMIT, "@approval on a permit does nothing"),
        ('@row_cap("many") ' + PERMIT, "@row_cap is 'many'; write a number of rows such as"),
        ('@row_cap("-1") ' + PERMIT, "@row_cap is '-1'; write a number of rows such as"),
        ('@affected_cap("1.5") ' + PERMIT, "@affected_cap is '1.5'; write a number of rows such as"),
        ('@capture("after") ' + PERMIT, "@capture is 'after'; known: before, content"),
        ('@ledger("spool") ' + PERMIT, "@ledger is 'spool'; known: signed, strict"),
        ('@ledger("strict") forbid (principal, action in Action::"db", resource);', "@ledger on a forbid does nothing"),
        (
            '@ledger("strict") permit (principal, action == Action::"reveal", resource);',
            "@ledger does nothing on a permit of reveal",
        ),
        (
            '@capture("before") forbid (principal, action in Action::"db", resource);',
            "@capture on a forbid does nothing",
        ),
        ('@timeout("5") ' + PERMIT, "@timeout is '5'; write a time such as"),
        ('@timeout("0s") ' + PERMIT, "@timeout is '0s'; write a time such as"),
        ('@row_cap("5") forbid (principal, action in Action::"db", resource);', "@row_cap on a forbid does nothing"),
        (
            '@timeout("5s") permit (principal, action in Action::"llm", resource);',
            "@timeout does nothing on a permit that covers no action of databases",
        ),
        ('@approval("dba") forbid (principal, action, resource);', "@approval is 'dba', its `unless` asks for nothing"),
        *(
            (
                f'@approval("dba") forbid (principal, action, resource) unless {{ {unless} }};',
                "an approval of dba counts against its `unless`",
            )
            for unless in (
                '!context.approvals.contains("dba")',
                'context.approvals.contains("dba") == false',
                'true != context.approvals.contains("dba")',
                'context.mode == "observe" && !(context.environment == "dev" || context.approvals.contains("dba"))',
                'if context.approvals.contains("dba") then false else true',
            )
        ),
        (
            '@approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("owner") };',
            "@approval is 'dba', its `unless` asks for owner",
        ),
        (
            '@approval("dba") forbid (principal, action, resource) when { context.approvals.contains("dba") };',
            "asks for nothing",
        ),
        (
            '@approval("dba") forbid (principal, action, resource)'
            ' unless { context.approvals.containsAny(["dba", "owner"]) };',
            "asks for dba, owner",
        ),
        ('permit (principal, action == Action::"db.raed", resource);', "did you mean 'db.read'?"),
        ('permit (principal, action in Action::"databse", resource);', 'Action::"databse" is unknown'),
        ('permit (principal, action in [Action::"db", Action::"lm"], resource);', "did you mean 'llm'?"),
        ('permit (principal, action == Action::"db", resource);', 'Action::"db" is a group, which == never matches'),
        ('permit (principal, action, resource) when { action in Action::"bd" };', 'Action::"bd" is unknown'),
        ('permit (principal, action, resource in Label::"pi");', "Label::\"pi\" is unknown; did you mean 'pii'?"),
        ('permit (principal, action, resource in Label::"pii.emial");', "did you mean 'pii.email'?"),
        ('permit (principal, action, resource in Label::"pii.shoe_size");', 'Label::"pii.shoe_size" is unknown'),
        ('permit (principal, action, resource in Label::"secrets.aws");', 'Label::"secrets.aws" is unknown'),
        ('permit (principal, action, resource == Label::"pii");', 'Label::"pii" is a group, which == never matches'),
        ('permit (principal, action, resource == Label::"secret");', "is a group"),
        (
            'permit (principal, action, resource) when { resource in [Label::"pii", Label::"sceret"] };',
            'Label::"sceret"',
        ),
        (
            "permit (principal, action, resource) when { " + "(" * 30 + "true" + ")" * 30 + " };",
            "more than 24 nested brackets",
        ),
        (
            "permit (principal, action, resource) when { " + "!(" * 10**5 + "true" + ")" * 10**5 + " };",
            "nested brackets",
        ),
        ("permit (principal, action, resource) when { context" + ".a" * 10**5 + " };", "more than 400 operators"),
        ("permit (principal, action, resource) when { " + " && ".join(["true"] * 300) + " };", "nested too deeply"),
    ],
)
def test_refused_with_file_and_line(folder, cedar, says):
    message = refused(folder, cedar)
    assert "policies/test.cedar:" in message
    assert says in message


@pytest.mark.parametrize(
    "cedar",
    [
        '@approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("dba") };',
        '@approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("dba") == true };',
        '@approval("dba") forbid (principal, action, resource) unless { !!context.approvals.contains("dba") };',
        '@approval("dba") forbid (principal, action, resource)'
        ' unless { if context.approvals.contains("dba") then true else context.environment == "dev" };',
        'permit (principal, action == Action::"reveal", resource in Label::"secret.some_new_key");',
        'permit (principal, action == Action::"reveal", resource == Label::"origin.zz");',
        'permit (principal, action in Action::"db", resource in Label::"trust");',
        'permit (principal, action, resource) when { context.environment == "a;b // c" && "\\";" != "\n;" };',
        "permit (principal, action, resource) when { context.anything.at.all > 3 };",
    ],
)
def test_accepted(folder, cedar):
    assert Bundle.load(folder('@id("it") ' + cedar))


def test_the_catalogs_labels_are_known_to_policies(folder):
    cedar = '@id("f") permit (principal, action, resource in Label::"hr");'
    with pytest.raises(BundleError, match='Label::"hr" is unknown'):
        Bundle.load(folder(cedar))
    assert Bundle.load(folder(cedar, '[columns]\n"staff.pay" = ["hr.salary"]\n'))


def test_text_that_is_not_utf_8(folder):
    root = folder(PERMIT)
    (root / "policies" / "bad.cedar").write_bytes(b"permit \xff")
    with pytest.raises(BundleError, match=r"policies/bad\.cedar: not UTF-8"):
        Bundle.load(root)


def test_a_policy_file_that_is_a_directory(folder):
    root = folder(PERMIT)
    (root / "policies" / "bad.cedar").mkdir()
    with pytest.raises(BundleError, match=r"policies/bad\.cedar: cannot be read"):
        Bundle.load(root)


def test_a_catalog_with_a_fault_names_file_and_key(folder):
    assert "catalog.toml: databses is not a key" in refused(folder, PERMIT, "[databses]\n")
    assert "catalog.toml: not TOML" in refused(folder, PERMIT, "[[[")


def test_every_fault_is_counted(folder):
    assert "(and 2 more; `guardai policy check" in refused(folder, '@a("x") @b("x") @c("x") ' + PERMIT)


def test_the_manifest_names_the_bundle(folder):
    assert Bundle.load(folder(PERMIT, manifest_json='{"name": "shop", "version": "3"}')).name == "shop"


@pytest.mark.parametrize(
    "manifest", ["[", "[]", '{"name": 3}', '{"expires": "2020-01-01"}', '{"digests": "x"}', '{"requires": "new"}']
)
def test_a_manifest_that_cannot_be_honoured_is_refused(folder, manifest):
    assert "manifest.json:" in refused(folder, PERMIT, manifest_json=manifest)


def test_the_digest_changes_with_every_name_and_byte(folder):
    digests = {
        Bundle.load(one).digest
        for one in (
            folder(PERMIT),
            folder(PERMIT + " "),
            folder({"other.cedar": PERMIT}),
            folder(PERMIT, ""),
            folder(PERMIT, "# x"),
        )
    }
    assert len(digests) == 5
    assert Bundle.load(folder(PERMIT)).digest == Bundle.load(folder(PERMIT)).digest
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)


def test_the_digest_is_of_what_decides_and_not_of_what_it_is_called(folder):
    assert Bundle.load(folder(PERMIT)).digest == Bundle.load(folder(PERMIT, manifest_json='{"name": "a"}')).digest


def test_a_folder_that_needs_a_newer_guardai_is_refused(folder):
    assert "needs guardai 999 or newer" in refused(folder, PERMIT, manifest_json='{"requires": "999"}')


def test_the_digest_does_not_depend_on_where_the_bundle_is(folder):
    assert Bundle.load(folder(PERMIT, "")).digest == Bundle.load(folder(PERMIT, "")).digest


# ---- check ----


def test_a_good_bundle_has_no_problems(folder):
    assert check(folder(PERMIT)) == []


def test_check_finds_all_problems_and_never_raises(folder, tmp_path):
    problems = check(folder('@raeson("x") ' + PERMIT + "\npermit (foo);\n" + PERMIT, "[nonsense]\n"))
    assert [(one.file, one.line) for one in problems] == [
        ("catalog.toml", 0),
        ("policies/test.cedar", 1),
        ("policies/test.cedar", 2),
        ("policies/test.cedar", 3),
    ]
    assert check(tmp_path / "nowhere")[0].severity == "error"


@pytest.mark.parametrize(
    ("cedar", "says"),
    [
        ("permit (principal is User, action, resource);", "unable to find an applicable action"),
        ('permit (principal, action in Action::"llm", resource is Table);', "unable to find an applicable action"),
        ("permit (principal, action, resource) when { context.sql.unbounded };", "optional attribute `sql`"),
        ("permit (principal, action, resource) when { context.zone };", "attribute `zone`"),
        ("permit (principal, action, resource) when { context.environment == 3 };", "not compatible"),
        ('permit (principal, action, resource) when { context.to.kind == "model" };', "attribute `to`"),
        (
            'permit (principal, action == Action::"reveal", resource) when { context.to.kind == "modle" };',
            "context.to.kind is never 'modle'; did you mean 'model'?",
        ),
        (
            'permit (principal, action == Action::"reveal", resource) when { ["model", "hots"].contains(context.to.kind) };',
            "context.to.kind is never 'hots'; did you mean 'host'?",
        ),
        ('permit (principal, action, resource) when { context.mode == "observ" };', "did you mean 'observe'?"),
        (
            'permit (principal, action in Action::"db", resource)'
            ' when { context has sql && context.sql.effects.contains("raed") };',
            "context.sql.effects is never 'raed'; did you mean 'read'?",
        ),
        *(
            (
                f'forbid (principal, action in Action::"db", resource) when {{ {asks} }};',
                f"nobody's context has {path}{more}",
            )
            for asks, path, more in (
                (
                    'context has enviroment && context.enviroment == "prod"',
                    "enviroment",
                    "; did you mean 'environment'?",
                ),
                ("context has sqll && context.sqll.unbounded", "sqll", "; did you mean 'sql'?"),
                ("context has sql.unbouned && context.sql.unbouned", "sql.unbouned", "; did you mean 'sql.unbounded'?"),
                ('context.session has purpos && context.session.purpos == "x"', "session.purpos", "; did you mean"),
                ("context has count.callls", "count.callls", "; did you mean"),
                (
                    "context has zone",
                    "zone",
                    "; what an integration of your own hands over stands in schema.cedarschema",
                ),
            )
        ),
        (
            'forbid (principal, action == Action::"reveal", resource == Label::"origin.eu") unless { resource.region == "eu" };',
            "it never applies",
        ),
        (
            'permit (principal, action, resource) when { context.labels.contains("pii") };',
            "context.labels never holds 'pii'",
        ),
        (
            'permit (principal, action, resource) when { context.session.labels.containsAny(["pii.emial"]) };',
            "did you mean 'pii.email'?",
        ),
    ],
)
def test_check_finds_what_can_be_loaded_but_never_works(folder, cedar, says):
    root = folder(PERMIT + '\n\n@id("odd") ' + cedar)
    assert Bundle.load(root)
    problems = check(root)
    assert says in problems[0].message, problems
    assert {(one.severity, one.file, one.line, one.policy) for one in problems} == {
        ("error", "policies/test.cedar", 3, "odd")
    }


@pytest.mark.parametrize(
    "path", ["sql", "sql.unbounded", "count.calls.minute", "session.purpose", "model", "approvals"]
)
def test_check_lets_a_policy_ask_for_all_that_a_context_can_have(folder, path):
    asks = f'@id("x") forbid (principal, action, resource) when {{ context has {path} }};'
    assert not any("nobody's context" in one.message for one in check(folder(f"{PERMIT}\n{asks}")))


def test_check_lets_a_policy_ask_for_what_the_folders_schema_adds(folder):
    asks = '@id("x") forbid (principal, action, resource) when { context has crm.ticket && context.crm.ticket == "x" };'
    root = folder(f"{PERMIT}\n{asks}")
    assert "nobody's context has crm" in str(check(root)[0])
    (root / "schema.cedarschema").write_text("type Call = { crm?: { ticket: String } };")
    assert check(root) == []


@pytest.mark.parametrize("asks", ['context.approvals.contains("dba")', '!context.approvals.contains("dba")'])
def test_check_warns_of_an_approval_that_nobody_is_asked_for(folder, asks):
    (problem,) = check(folder(f'@id("f") forbid (principal, action, resource) unless {{ {asks} }};'))
    assert (problem.severity, "without @approval nobody is ever asked" in problem.message) == ("warning", True)


# ---- cutting a file into policies ----

PIECES = st.sampled_from(
    [
        'permit (principal, action, resource) when { context.a == "x;y" };',
        'forbid (principal, action, resource) unless { "// no comment" == "\\"" };',
        '@reason("a // b; c")\npermit (principal, action, resource);',
        'permit(principal,action,resource)when{["a","b"].contains(context.b)};',
    ]
)
BETWEEN = st.sampled_from(["", " ", "\n", '// a; b " c\n', "\n// {([\n", "\r\n//x\r\n", "\t"])


@given(st.lists(st.tuples(BETWEEN, PIECES)), BETWEEN)
def test_what_is_cut_is_what_cedar_would_read(pieces, rest):
    import cedarpy

    text = "".join(between + piece for between, piece in pieces) + rest
    cut = split(text)
    assert [piece for _, piece in cut] == [piece for _, piece in pieces]
    assert len(cedarpy.PolicySet.from_str(text)) == len(cut)
    lines = text.split("\n")
    for line, piece in cut:
        assert piece.split("\n")[0] in lines[line - 1]


@given(st.text(alphabet='permit(){}[];"\\/\n @=!&|.', max_size=80))
def test_no_text_does_worse_than_a_fault(text):
    try:
        for line, piece in split(text):
            parse(piece, "f", line)
    except Fault as fault:
        assert fault.line >= 1


def test_the_limits_are_below_what_ends_the_process():
    """On a thread with a small stack, where Cedar's parser has the least room."""
    import threading

    deep = "(" * (MAX_DEPTH - 1) + "true" + ")" * (MAX_DEPTH - 1)
    chain = " || ".join(["context.a"] * 55)
    wide = "[" + ",".join(f'"{n}"' for n in range(5000)) + "].contains(context.environment)"
    many = " && ".join(f"({' || '.join(['context.flag'] * 12)})" for _ in range(MAX_OPERATORS // 26))
    done = []

    def work():
        for condition in (deep, chain, wide, many):
            ((line, piece),) = split(f"permit (principal, action, resource) when {{ {condition} }};")
            done.append(parse(piece, "f", line))

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(done) == 4


@pytest.mark.parametrize("name", OWN)
def test_check_refuses_a_reveal_that_reads_what_is_the_calls_own(folder, name):
    for read in (f"context.{name}.isEmpty()", f"context has {name}"):
        alone = f'@id("r") permit (principal, action == Action::"reveal", resource) when {{ {read} }};'
        [problem] = [one for one in check(folder(f"{PERMIT}\n{alone}")) if one.severity == "error"]
        assert (problem.line, problem.column) == (2, alone.index("context") + 1)
        assert problem.message == f"context.{name} is always empty in a policy of reveal: {OWN[name]}"
        # The acts that it covers besides have it.
        assert not [
            one
            for one in check(folder(alone.replace('action == Action::"reveal"', "action")))
            if one.severity == "error"
        ]
    assert "context.session.labels" in OWN["labels"]


def test_check_passes_a_reveal_that_reads_the_sessions_labels(folder):
    cedar = 'permit (principal, action == Action::"reveal", resource) unless { context.session.labels.contains("pii.email") };'
    assert not [one for one in check(folder(cedar)) if one.severity == "error"]
