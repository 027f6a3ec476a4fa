"""Detectors that are not ours: from a policy folder's `detectors.toml` and from an installed distribution."""

import importlib
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guardai
from guardai.text import Detector, Own, Pack, PackError, RecogniserError, StreamMasker, configure, mask, packs, scan
from guardai.text.detectors.admit import admit, headed, reads_on
from guardai.text.detectors.detector import KINDS, MAX_ANCHOR, MAX_LEAD, Number
from guardai.text.trial import tried

scanning = importlib.import_module("guardai.text.scanner")

BADGE = """
[[detector]]
label = "pii.employee_id"
literals = ["EMP-"]
pattern = 'EMP-[0-9]{6}(?![0-9])'
run = ""
matches = ["badge EMP-004211"]
ignores = ["EMP-42", "TEMP-004211"]
"""


@pytest.fixture(autouse=True)
def _as_before():
    yield
    configure()


def labels(text):
    return [finding.label for finding in scan(text)]


def one(**fields):
    given = {"label": "pii.employee_id", "literals": ("EMP-",), "pattern": "EMP-[0-9]{6}", "run": ""} | fields
    return Pack("acme", (Detector(**given),))


# ---- the file ----


class TestFile:
    def test_detector_of_the_file_finds(self):
        own = Own.read(BADGE)
        configure(own=own.pack)
        assert mask("badge EMP-004211, ann@b.example") == "badge [EMPLOYEE_ID], [EMAIL]"
        configure()
        assert mask("badge EMP-004211") == "badge EMP-004211"

    def test_file_of_nothing_but_comments_says_nothing(self):
        assert Own.read("# nothing yet\n") == Own()

    def test_number_words_and_countries_of_the_file_count(self):
        own = Own.read(
            """
            countries = []
            [[number]]
            label = "pii.member_no"
            form = '[0-9]{7}'
            words = ["member"]
            needs = "word"
            [words]
            phone = ["zavolej"]
            """
        )
        configure(own=own.pack)
        assert labels("member 1234567") == ["pii.member_no"]
        assert labels("order 1234567") == []
        assert labels("zavolej 123 456 789") == ["pii.phone"]

    def test_countries_of_the_file_count_until_they_are_taken_back(self):
        own = Own.read('countries = ["nl"]')
        configure(own=own.pack, countries=own.pack.countries)
        assert labels("BSN 111222333") == ["pii.nl_bsn"]
        configure()
        assert labels("BSN 111222333") == []

    def test_packs_that_are_named_are_used_and_no_others(self):
        token = "ghp_" + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7"
        own = Own.read('packs = ["core"]')
        configure(packs=own.packs, own=own.pack)
        assert labels(f"ann@b.example {token}") == ["pii.email"]
        configure()
        assert labels(f"ann@b.example {token}") == ["pii.email", "secret.github_token"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("detector = 3", "write [[detector]], in two brackets"),
            ("[[detectors]]\n", "pack detectors.toml: unknown detectors (is it detector?); known are after, "),
            ("recognizers = []", "unknown recognizers (is it recognisers?)"),
            ("colour = 1", "unknown colour; known are"),
            ('[[detector]]\nlabel = "pii.x"\nliteral = ["ab"]', "detectors.toml: pii.x: unknown literal (is it literals?)"),
            ('[[detector]]\nliterals = ["ab"]', "a [[detector]] has no label, such as 'pii.employee_id'"),
            ('[[number]]\nlabel = "pii.x"\nwords = ["x"]', "detectors.toml: pii.x: it has no form"),
            ('[[detector]]\nlabel = "Employee Id"', "not a label: 'Employee Id'; write lower-case words joined by dots, such as"),
            ('[[detector]]\nlabel = "pii.x"\nliterals = ["ab"]\npattern = "ab"\nscore = 50', "pii.x: score = 50; it says how sure a finding is, from 0 to 1"),
            ('[[number]]\nlabel = "pii.x"\nform = "[0-9]{7}"\nwords = ["x"]\nscore = nan', "pii.x: score = nan; "),
            ("x = [", "pack detectors.toml: "),
            (b"\xff", "detectors.toml"),
            ('[[detector]]\nlabel = "pii.x"\nliterals = ["ab"]\npattern = "ab("', "pii.x: missing )"),
            ('countries = ["atlantis"]', "pack detectors.toml: countries: no pack of a country 'atlantis'"),
            ('countries = "de, atlantis"', "pack detectors.toml: countries: no pack of a country 'atlantis'"),
            ('packs = "core"', "packs is a list of names"),
            ('recognisers = "spacy"', "recognisers is a list of names"),
            ('[recogniser.spacy]\nmodel = "x"', "[recogniser.spacy] is not among `recognisers`"),
            ('recogniser = "spacy"', "write a recogniser's arguments under"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_told(self, content, told):
        with pytest.raises(PackError, match=re.escape(told)):
            Own.read(content)

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ('[[detector]]\nlabel = "pii.x"\nliterals = ["ab"]\npattern = "ab(c+)+d"', "pii.x: pattern: write (?:…)"),
            ('[[detector]]\nlabel = "pii.x"\nliterals = ["ab"]\npattern = "ab(?:c+)+d"', "pii.x: pattern: the expression can blow up"),
            ('[words]\nphnoe = ["gizmo"]', "words of 'phnoe', which is no kind; is it 'phone'? There are amount, call, card, other, "),
            ('[after]\nphnoe = ["gizmo"]', "words of 'phnoe', which is no kind; is it 'phone'?"),
            ('[words]\n"pii.dee_steuer_id" = ["gizmo"]', "is it 'pii.de_steuer_id'?"),
            ('[words]\nqqqqq = ["gizmo"]', "words of 'qqqqq', which is no kind. There are"),
        ],
    )  # fmt: skip
    def test_what_may_not_be_used_is_told_with_the_name_of_the_file(self, content, told):
        with pytest.raises(PackError, match=r"pack detectors\.toml: .*" + re.escape(told)):
            configure(own=Own.read(content).pack)

    def test_words_may_speak_of_what_any_pack_finds(self):
        number = '[[number]]\nlabel = "pii.member_no"\nform = "[0-9]{7}"\nwords = ["member"]\n'
        for kind in (*KINDS, "pii.member_no", "pii.de_steuer_id", "secret.github_token"):
            configure(own=Own.read(f'{number}[words]\n"{kind}" = ["gizmo"]').pack)

    def test_countries_are_written_as_in_the_environment(self):
        assert Own.read('countries = "de, fr"').pack.countries == ("de", "fr")
        assert Own.read('countries = "all"').pack.countries == ("all",)

    def test_pack_that_is_not_there_is_told_and_all_stays_as_it_was(self):
        configure(own=Own.read(BADGE).pack)
        with pytest.raises(PackError, match="no pack 'acme'; installed: core, secrets"):
            configure(packs=["core", "acme"])
        assert labels("EMP-004211") == ["pii.employee_id"]

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("spacy", "installed: none. Try guardai-sdk-spacy"),
            ("spacyy", "installed: none. Is it 'spacy'? Try guardai-sdk-spacy"),
            ("nobodys", "installed: none."),
        ],
    )
    def test_recogniser_that_is_misspelt_is_no_advice_to_install_what_nobody_owns(self, monkeypatch, name, told):
        monkeypatch.setattr("guardai.text.recognise.entry_points", lambda group: [])
        with pytest.raises(RecogniserError) as caught:
            Own(recognisers=(name,)).loaded()
        assert str(caught.value) == f"recogniser {name!r} is not installed; {told}"


# ---- what may be used ----


class TestAdmission:
    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"pattern": "EMP-(?:[a-z]+[0-9]*)+x"}, "pattern: the expression can blow up"),
            ({"pattern": "EMP-[a-z]*[a-z]*[a-z]*x"}, "pattern: the expression can blow up"),
            ({"head": "(?:[a-z]+)+"}, "head: the expression can blow up"),
            ({"pattern": "EMP-(a|b)[0-9]{6}"}, "write (?:…) for a group that only groups"),
            ({"pattern": "EMP-[^,]{3,9},"}, "it reads on behind whitespace"),
            ({"pattern": "EMP-[0-9]{6}(?! x)"}, "it reads on behind whitespace"),
            ({"pattern": "EMP-[0-9]{6}$"}, r"write \Z"),
            ({"pattern": "EMP-" + "(?<=" + "x" * 65 + ")[0-9]"}, "a lookbehind sees 64 bytes at most"),
            ({"head": "[A-Z][a-z]{1,20} ", "pattern": "[A-Z][a-z]{1,20} EMP-[0-9]{6}", "spaced": True}, "head: it reads whitespace"),
            ({"head": "[^,]{1,20}"}, "head: it reads whitespace"),
            ({"head": r"(?:a|\s){1,9}"}, "head: it reads whitespace"),
            ({"head": f"[a-z]{{{MAX_LEAD + 1}}}"}, "head: it matches 80 bytes at most"),
            ({"head": "[a-z]+"}, "head: it matches 80 bytes at most"),
            ({"head": "(?<=" + "x" * 41 + ")[a-z]"}, "head: a lookbehind sees 40 bytes at most"),
            ({"then": "[0-9] [0-9]", "spaced": True}, "then: it reads on behind whitespace"),
            ({"literals": ("EMP ",), "then": "[0-9]"}, "then: nothing is looked for behind a literal that ends in whitespace"),
            ({"pattern": "EMP\u00a0[0-9]{6}"}, "pattern: a space that is not ASCII's, U+00A0, is seen as one that is"),
            ({"literals": ("EMP\u3000",)}, "literals: a space that is not ASCII's, U+3000"),
            ({"then": "\u202f"}, "then: a space that is not ASCII's, U+202F"),
            ({"run": "a-z\u2009"}, "run: a space that is not ASCII's, U+2009"),
            ({"pattern": r"EMP\xc2\xa0[0-9]{6}"}, "pattern: a space that is not ASCII's, U+00A0, is seen as one that is"),
            ({"pattern": r"EMP(?: |\xE3\x80\x80)[0-9]{6}"}, "pattern: a space that is not ASCII's, U+3000"),
            ({"pattern": r"EMP(?: |\xe2\x80\xa8)[0-9]{6}"}, "pattern: a space that is not ASCII's, U+2028"),
        ],
    )  # fmt: skip
    def test_detector_that_may_not_be_used_is_told_with_pack_and_label(self, fields, told):
        with pytest.raises(PackError, match=re.escape(told)) as caught:
            admit(one(**fields))
        assert str(caught.value).startswith("pack acme: pii.employee_id: ")

    @pytest.mark.parametrize(
        "fields",
        [
            {"pattern": r"EMP-[0-9]{6}(?=\s|\Z)"}, {"pattern": r"EMP-\s{0,3}(?P<value>[0-9]{6})\b"}, {"pattern": r"EMP-[^\s,]{3,9},"},
            {"pattern": "EMP-[^,]{3,9},", "spaced": True}, {"pattern": "EMP-[0-9]{6}(?! x)", "spaced": True},
            {"head": "[a-z]{1,8}-", "pattern": "EMP-[0-9]{6}"}, {"head": f"[a-z]{{{MAX_LEAD}}}"}, {"head": r"(?<=\s)[a-z](?! )"},
            {"then": "[0-9]{2}"}, {"then": " "}, {"pattern": r"EMP(?:-|\xe2\x80\x91|\xe2\x80\x8b|\xc2\xa7)[0-9]{6}"}, {"literals": ("EMP ",), "pattern": "EMP "},
        ],
    )  # fmt: skip
    def test_detector_that_may_be_used_is(self, fields):
        admit(one(**fields))

    def test_value_runs_on_to_the_first_space_of_any_width(self):
        configure(own=one(pattern="EMP-[0-9]{6}", run=r"^\s\x00"))
        for space in " \u00a0\u3000\u2028":
            assert mask(f"EMP-004211/x{space}rest") == f"[EMPLOYEE_ID]{space}rest"

    def test_words_are_known_by_any_space(self):
        configure(own=one(pattern="EMP-[0-9]{6}", words=("badge\u00a0number",), needs="word"))
        for space in " \u00a0\u3000":
            assert labels(f"badge{space}number{space}EMP-004211") == ["pii.employee_id"]

    def test_words_are_known_with_and_without_the_signs_in_them(self):
        configure(own=one(pattern="EMP-[0-9]{6}", words=("№ badge", "\U0001faaa"), needs="word"))
        for before in ("№ badge", "badge №", "badge：", "\U0001faaa", "x\U0001faaa\ufe0f"):
            assert labels(f"{before} EMP-004211") == ["pii.employee_id"]
        assert labels("№ EMP-004211") == []

    def test_number_that_can_blow_up_is_told(self):
        with pytest.raises(PackError, match=r"pack acme: pii\.x: form: the expression can blow up"):
            admit(Pack("acme", numbers=(Number("pii.x", "[0-9](?:[ -]?[0-9]+)+x", words=("x",)),)))

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"run": "a](?:b+)+[c](?:b+)+[d"}, "run is the inside of one character class"),
            ({"before": "a](?:b+)+[c](?:b+)+[d"}, "before is the inside of one character class"),
            ({"run": "a]|[b"}, "run is the inside of one character class"),
            ({"before": "^a"}, "before is the inside of one character class"),
            ({"before": "^"}, "before is the inside of one character class"),
            ({"run": "a\\"}, "run is the inside of one character class"),
            ({"run": "z-a"}, "bad character range"),
            ({"run": "^a"}, "not beyond"),
            ({"then": r"\b"}, "each with an exact count"),
            ({"then": r"\x41"}, "each with an exact count"),
            ({"then": "[z-a]"}, "bad character range"),
            ({"then": "a{0}"}, "each with an exact count"),
            ({"head": "(?i)a"}, "global flags not at the start"),
            ({"literals": ("x" * (MAX_ANCHOR + 1),)}, "170 bytes at most"),
            ({"literals": ("x" * MAX_ANCHOR,), "then": "x"}, "170 bytes at most"),
            ({"literals": (), "anchors": (f"[a-z]{{{MAX_ANCHOR + 1}}}",)}, "170 at most"),
            ({"score": 50}, "score = 50"),
        ],
    )  # fmt: skip
    def test_what_would_mean_something_else_where_it_is_put_is_told_when_a_detector_is_made(self, fields, told):
        with pytest.raises(PackError, match=re.escape(told)):
            one(**fields)

    @pytest.mark.parametrize("inside", [r"\]\[", r"A-Za-z0-9_\-", r"\x80-\xff", "^\\s\\x00", r"\w.^"])
    def test_what_is_the_inside_of_a_class_is_taken(self, inside):
        assert one(run=inside).detectors[0].run == inside

    def test_pack_that_is_configured_is_judged_as_one_that_is_installed(self):
        configure(own=Own.read(BADGE).pack)
        with pytest.raises(PackError, match=r"pack acme: pii\.employee_id: pattern: the expression can blow up"):
            configure(own=one(pattern="EMP-(?:[0-9]+)+x"))
        assert labels("EMP-004211") == ["pii.employee_id"]

    def test_no_head_that_ships_reads_whitespace_or_is_wider_than_is_searched(self):
        shipped = [kind for pack in (packs.core(), packs.secrets(), *packs.countries("all")) for kind in pack.detectors]
        assert [kind.label for kind in shipped if headed(kind.head)] == []

    @pytest.mark.parametrize(
        "kind",
        {
            (kind.pattern, kind.ignore_case): pytest.param(kind, id=f"{pack.name}-{kind.label}")
            for pack in (packs.core(), packs.secrets(), *packs.countries("all"))
            for kind in pack.detectors
            if not kind.spaced
        }.values(),
    )
    def test_what_ships_decides_before_a_stream_lets_go(self, kind):
        assert not reads_on(kind.pattern, ignore_case=kind.ignore_case)[0]


_atoms = st.sampled_from(
    ["a", "b", "[ab]", "[^b]", r"[^\s]", ".", r"\s", " ", "-", "[a-z]", r"\w", r"\b", r"\Z", "(?=a)", "(?!b)", r"(?=\s)",
     r"(?!\s)", r"(?=\s|\Z)", "(?<=a)", "(?! b)"]
)  # fmt: skip


def _compound(inner):
    repeat = st.sampled_from(["*", "+", "?", "{2}", "{0,3}", "*?", "{3,7}", "*+"])
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, repeat).map(lambda both: f"(?:{both[0]}){both[1]}"),
        inner.map(lambda body: f"(?={body})"),
        inner.map(lambda body: f"(?!{body})"),
    )


_texts = st.lists(
    st.tuples(st.sampled_from(["ID", "xID", "a ID", "ab-ID"]), st.text("ab \n-", max_size=6)).map("".join),
    min_size=1,
    max_size=6,
).map("".join)
_steps = st.one_of(st.just([1]), st.lists(st.integers(1, 40), min_size=1, max_size=5))
_slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def streams_as_the_whole(text, steps, **fields):
    """Of a detector that is admitted: every split gives what masking the whole does."""
    before = scanning._configured._made
    try:
        configure(own=Pack("acme", (Detector("pii.x", before="", **fields),)), packs=["core"])
    except PackError:
        return
    scanning._configured._made = scanning.build("python")
    try:
        whole, stream, out, at = mask(text), StreamMasker(), "", 0
        while at < len(text):
            step = steps[len(out) % len(steps)]
            out += stream.feed(text[at : at + step])
            assert whole.startswith(out)
            at += step
        assert out + stream.finish() == whole
    finally:
        scanning._configured._made = before
        configure()


@_slow
@given(
    st.recursive(_atoms, _compound, max_leaves=6), st.sampled_from(["", "a?", "[ab]{1,4}", r"\S{0,40}"]),
    st.booleans(), st.sampled_from(["", "a-z"]), st.booleans(), _texts, _steps,
)  # fmt: skip
def test_whatever_detector_is_admitted_a_stream_of_every_split_is_the_whole(
    expression, head, group, run, spaced, text, steps
):
    pattern = f"(?:{head})ID" + (f"(?P<value>{expression})" if group else expression)
    streams_as_the_whole(text, steps, literals=("ID",), pattern=pattern, head=head, run=run, spaced=spaced)


@_slow
@given(
    st.lists(st.sampled_from(["a", "[ab ]{0,3}", " ", "[^b]", r"\s?", "-", ".", r"\S{1,9}", "(?<=a)", "(?! )"]), max_size=3),
    st.booleans(), _texts, _steps,
)  # fmt: skip
def test_whatever_head_is_admitted_a_stream_of_every_split_is_the_whole(parts, spaced, text, steps):
    head = "".join(parts)
    streams_as_the_whole(text, steps, literals=("ID",), pattern=f"{head}ID", head=head, run="", spaced=spaced)


@_slow
@given(
    st.sampled_from(["ID", "ID ", "ID-"]), st.lists(st.sampled_from(["a", " ", "-", r"\s", "[^b]", r"\S"]), max_size=3).map("".join),
    st.booleans(), _texts, _steps,
)  # fmt: skip
def test_whatever_must_follow_a_literal_a_stream_of_every_split_is_the_whole(literal, then, spaced, text, steps):
    streams_as_the_whole(text, steps, literals=(literal,), pattern="ID", then=then, run="", spaced=spaced)


@pytest.mark.parametrize("before", ["", "x" * 600, "the quick brown fox " * 40, "x" * 41, "^" * 41])
@pytest.mark.parametrize("look", ["", "(?<=" + "x" * 40 + ")", "(?<!^" + "x" * 40 + ")"])
def test_longest_anchor_behind_the_widest_head_is_found_by_a_stream_as_in_the_whole(before, look):
    literal = "y" * MAX_ANCHOR
    fields = {"literals": (literal,), "head": f"{look}a{{{MAX_LEAD}}}", "pattern": f"a{{{MAX_LEAD}}}y+"}
    text = f"{before}{'a' * MAX_LEAD}{literal} and {'a' * MAX_LEAD}{literal}"
    admit(one(**fields))
    streams_as_the_whole(text, [1], run="", spaced=True, **fields)
    streams_as_the_whole(text, [7], run="y", **fields)


# ---- trial ----


class TestTrial:
    def test_good_detector_has_no_fault(self):
        assert tried(BADGE) == []

    def test_examples_are_told_by_place_and_never_shown(self):
        found = [str(fault) for fault in tried(BADGE.replace("EMP-004211", "EMP-99").replace("EMP-42", "EMP-123456"))]
        assert found == [
            "pii.employee_id: matches, example 1: it is not found",
            "pii.employee_id: ignores, example 1: it is found",
        ]

    def test_example_that_another_kind_takes_is_told_with_that_kind(self):
        text = BADGE.replace("badge EMP-004211", "EMP-004211@b.example").replace("(?![0-9])", "(?![0-9@])")
        [fault] = tried(text)
        assert str(fault) == "pii.employee_id: matches, example 1: it is not found; it is found as pii.email"

    def test_detector_without_examples_is_a_warning(self):
        [fault] = tried(BADGE.partition("matches")[0])
        assert (fault.severity, "no `matches`" in fault.message) == ("warning", True)

    def test_anchor_that_stands_everywhere_is_a_warning_with_the_count(self):
        text = BADGE.replace('"EMP-"', '"EMP-", "er"').replace("'EMP-", "'(?:EMP-|er)")
        [fault] = tried(text)
        assert fault.severity == "warning"
        assert re.search(r"the anchor 'er' stands \d+ times in a KB of ordinary text", fault.message)

    def test_compiled_databases_are_kept_where_it_is_said(self, tmp_path, monkeypatch):
        elsewhere = tmp_path / "elsewhere"
        monkeypatch.setenv("GUARDAI_HOME", str(elsewhere))
        assert tried(BADGE, tmp_path / "cache") == []
        assert not elsewhere.exists()

    def test_missing_recogniser_is_an_error(self):
        [fault] = tried('recognisers = ["nobodys"]')
        assert fault.severity == "error"
        assert "'nobodys' is not installed" in fault.message

    def test_unusable_file_is_an_error(self):
        [fault] = tried("[[detector]]\nlabel = 'pii.x'\n")
        assert fault.severity == "error"


# ---- with a gate ----


@pytest.fixture
def note():
    """A tool that says what it was given."""
    return guardai.tool(lambda text: f"noted {text}")


class TestGate:
    def test_detectors_of_the_policy_folder_count_until_shutdown(self, policy, home):
        folder = policy("permit (principal, action, resource);")
        (folder / "detectors.toml").write_text(BADGE)
        guardai.init(home=home, policy=folder)
        assert labels("EMP-004211") == ["pii.employee_id"]
        guardai.shutdown()
        assert labels("EMP-004211") == []

    def test_policy_can_speak_of_a_label_that_a_detector_declares(self, policy, home, events, note):
        folder = policy(
            """
            @id("all") permit (principal, action, resource);
            @id("badges") @mask("token")
            forbid (principal, action == Action::"reveal", resource == Label::"pii.employee_id");
            """,
            'labels = { "pii.employee_id" = "token" }',
        )
        (folder / "detectors.toml").write_text(BADGE)
        guardai.init(home=home, policy=folder)

        with guardai.session():
            assert note("badge EMP-004211") == "noted badge <EMPLOYEE_ID_1>"
        guardai.shutdown()
        assert events(kind="call.intent")[0]["findings"] == {"pii.employee_id": 1}

    @pytest.mark.parametrize("first", ["configure", "init"])
    def test_what_the_program_configured_counts_where_the_policy_says_nothing(self, policy, home, note, first):
        folder = policy("permit (principal, action, resource);")
        pack = Own.read(BADGE).pack
        try:
            if first == "init":
                guardai.init(home=home, policy=folder)
            configure(own=pack)
            if first == "configure":
                guardai.init(home=home, policy=folder)
            with guardai.session():
                assert note("badge EMP-004211") == "noted badge [EMPLOYEE_ID]"
            (folder / "detectors.toml").write_text('packs = ["core"]')
            guardai.init(home=home, policy=folder)
            assert labels("EMP-004211") == []
            guardai.shutdown()
            assert labels("EMP-004211") == ["pii.employee_id"]
        finally:
            configure()

    def test_label_that_nothing_declares_is_refused(self, policy, home):
        folder = policy(
            'permit (principal, action, resource);\nforbid (principal, action, resource == Label::"pii.employee_id");'
        )
        with pytest.raises(guardai.BundleError, match=r"pii\.employee_id"):
            guardai.init(home=home, policy=folder)

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("x = [", "detectors.toml: not TOML"),
            (BADGE.replace("[0-9]{6}", "(?:[0-9]+)+"), r"detectors.toml: .*pii\.employee_id: pattern: the expression can blow up"),
            (BADGE.replace('label = "pii.employee_id"', ""), "detectors.toml: a \\[\\[detector\\]\\] has no label"),
            ('recognisers = ["nobodys"]', "detectors.toml: recogniser 'nobodys' is not installed"),
            ('packs = ["nobodys"]', "no pack 'nobodys'"),
        ],
    )  # fmt: skip
    def test_folder_whose_detectors_cannot_be_used_is_refused_before_a_home_is_made(self, policy, home, content, told):
        folder = policy("permit (principal, action, resource);")
        (folder / "detectors.toml").write_text(content)
        with pytest.raises(guardai.BundleError, match=told):
            guardai.init(home=home, policy=folder)
        assert not home.exists()
        assert labels("EMP-004211 ann@b.example") == ["pii.email"]

    def test_failed_second_init_leaves_the_first_ones_detectors(self, policy, home, tmp_path):
        folder = policy("permit (principal, action, resource);")
        (folder / "detectors.toml").write_text(BADGE)
        guardai.init(home=home, policy=folder)
        broken = tmp_path / "broken"
        broken.mkdir()
        with pytest.raises(guardai.BundleError):
            guardai.init(home=home, policy=broken)
        assert labels("EMP-004211") == ["pii.employee_id"]

    def test_detectors_are_part_of_the_digest(self, policy):
        from guardai.policy import Bundle

        folder = policy("permit (principal, action, resource);")
        before = Bundle.load(folder).digest
        (folder / "detectors.toml").write_text(BADGE)
        assert Bundle.load(folder).digest != before

    def test_names_that_no_policy_knows_are_refused(self, policy, home, monkeypatch):
        class Ships:
            name, labels = "ships", ("fleet.ship",)

            def recognise(self, text):
                return []

        from guardai.text import own

        monkeypatch.setattr(own, "load", lambda names, options: (Ships(),))
        folder = policy("permit (principal, action, resource);")
        (folder / "detectors.toml").write_text('recognisers = ["ships"]')
        with pytest.raises(guardai.BundleError, match=r"recogniser ships finds 'fleet\.ship', which no policy knows"):
            guardai.init(home=home, policy=folder)
        (folder / "catalog.toml").write_text('labels = { "fleet.ship" = "redact" }')
        guardai.init(home=home, policy=folder)

    def test_starter_detectors_are_sound_once_their_comments_are_taken_away(self):
        from guardai.policy import STARTER

        text = (STARTER / "detectors.toml").read_text(encoding="utf-8")
        assert Own.read(text) == Own()
        written = re.sub(r"(?m)^# ?(?=\[\[|\w+ = )", "", text[text.index("# [[detector]]") :])
        assert [kind.label for kind in Own.read(written).pack.kinds()] == ["pii.employee_id"]
        assert tried(written) == []


# ---- by entry point ----

MODULE = """
from guardai.text import Detector, Pack

def mod97(value):
    return int(value[5:]) % 97 == 1

def pack():
    return Pack("acme", (Detector(
        label="pii.acme_customer", literals=("ACME-",), pattern="ACME-[0-9]{6}(?![0-9])", run="", validator=mod97,
        matches=("customer ACME-000098",), ignores=("ACME-000099",),
    ),))
"""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A distribution as pip would install it: a module, and metadata that names the entry point."""

    def install(module=MODULE, value="acme_pack:pack"):
        site = tmp_path / "site"
        info = site / "acme_pack-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "acme_pack.py").write_text(module)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pack\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[guardai.detectors]\nacme = {value}\n")
        monkeypatch.syspath_prepend(str(site))
        scanning.reset()
        return site

    yield install
    sys.modules.pop("acme_pack", None)
    monkeypatch.undo()
    scanning.reset()


class TestDistribution:
    def test_installed_pack_finds_with_its_own_validator(self, distribution):
        distribution()
        assert labels("ACME-000098 and ACME-000099") == ["pii.acme_customer"]

    def test_its_labels_are_known_to_policies_and_decide(self, distribution, policy, home):
        distribution()
        folder = policy(
            """
            @id("all") permit (principal, action, resource);
            @id("acme") @mask("redact")
            forbid (principal, action == Action::"reveal", resource in Label::"pii.acme_customer");
            """
        )
        guardai.init(home=home, policy=folder)

        @guardai.tool
        def note(text):
            return text

        with guardai.session():
            assert note("ACME-000098") == "[ACME_CUSTOMER]"

    def test_it_can_be_left_out(self, distribution):
        distribution()
        configure(packs=["core", "secrets"])
        assert labels("ACME-000098") == []

    def test_its_examples_are_tried_and_told_with_its_name(self, distribution):
        distribution()
        assert tried("") == []
        assert tried(BADGE) == []

    def test_failing_example_of_it_is_told_with_its_name(self, distribution):
        distribution(
            MODULE.replace("customer ACME-000098", "ACME-000099").replace('ignores=("ACME-000099",)', "words=()")
        )
        assert list(map(str, tried(""))) == ["pack acme: pii.acme_customer: matches, example 1: it is not found"]
        assert tried('packs = ["core"]') == []

    def test_words_of_it_that_speak_of_nothing_are_a_warning(self, distribution):
        distribution(MODULE.replace("),))", "),), words={'phnoe': ('gizmo',)})"))
        [fault] = tried("")
        assert (fault.severity, fault.pack) == ("warning", "acme")
        assert str(fault).startswith("pack acme: words of 'phnoe', which is no kind; is it 'phone'?")

    def test_one_that_can_blow_up_is_refused_when_it_is_loaded(self, distribution):
        distribution(MODULE.replace("[0-9]{6}(?![0-9])", "(?:[0-9]+)+x"))
        with pytest.raises(PackError, match=r"pack acme: pii\.acme_customer: pattern: the expression can blow up"):
            scan("anything")


def test_error_of_a_recogniser_is_one_of_ours():
    assert issubclass(RecogniserError, guardai.GuardError)
