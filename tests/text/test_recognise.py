"""Names from a recogniser: in whole texts, payloads, rows and streams; beside patterns; and when it fails."""

import importlib
import os
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.model import Finding
from guardai.text import (
    Masking,
    Recogniser,
    RecogniserError,
    StreamMasker,
    Tokens,
    configure,
    mask,
    recognise,
    scan,
)

scanning = importlib.import_module("guardai.text.scanner")


def choose(**given):
    """With the smallest pack: what names are found does not depend on the others, and all of them take a second."""
    configure(packs=["core"], **given)


@pytest.fixture(scope="module", autouse=True)
def _as_before():
    yield
    configure()


class Capitals:
    """Words in capitals are organisations; words with one capital are persons, if `Dear` or `regards` stands anywhere in the piece.

    So what it finds at the beginning depends on what stands at the end, as with a model.
    """

    name = "capitals"
    labels = ("pii.person", "pii.organization")

    def __init__(self):
        self.seen = []

    def recognise(self, text):
        self.seen.append(text)
        about = "Dear" in text or "regards" in text
        at = 0
        for word in text.replace("\n", " ").replace("\x00", " ").split(" "):
            bare = word.strip(".,;:!?()<>[]\"'")
            start = at + word.find(bare) if bare else at
            if len(bare) > 1 and bare.isalpha() and bare.isupper():
                yield Finding(start, start + len(bare), "pii.organization", 0.7)
            elif about and bare.isalpha() and bare[:1].isupper() and bare not in ("Dear",):
                yield Finding(start, start + len(bare), "pii.person", 0.8)
            at += len(word) + 1


@pytest.fixture
def capitals():
    one = Capitals()
    choose(recognisers=[one])
    yield one
    choose()


def test_no_recogniser_is_loaded_unless_it_is_chosen(monkeypatch):
    monkeypatch.setattr(recognise, "entry_points", lambda **_: pytest.fail("looked for"))
    choose()
    assert mask("Dear Ann, write to a@b.example") == "Dear Ann, write to [EMAIL]"


def test_names_are_found_with_character_offsets_in_any_script(capitals):
    text = "Dear Ünal Ægir 🎉 Zoë, ACME 你好 NATO"
    found = {(text[one.start : one.end], one.label) for one in scan(text)}
    assert found == {
        ("Ünal", "pii.person"), ("Ægir", "pii.person"), ("Zoë", "pii.person"),
        ("ACME", "pii.organization"), ("NATO", "pii.organization"),
    }  # fmt: skip
    assert isinstance(capitals, Recogniser)


def test_text_without_the_recogniser_is_as_it_was_again(capitals):
    assert mask("Dear Ann") == "Dear [PERSON]"
    choose()
    assert mask("Dear Ann") == "Dear Ann"


def test_hint_is_not_read_as_part_of_the_text(capitals):
    assert [one.label for one in scan("x ACME", hint="NAME")] == ["pii.organization"]
    assert capitals.seen == ["x ACME"]


def test_text_without_a_letter_is_not_read(capitals):
    scan("12 345 - 67\n\n!!")
    assert capitals.seen == []


def test_same_line_is_read_once(capitals):
    for _ in range(3):
        scan("from ACME\nto NATO\nfrom ACME\n")
    assert capitals.seen == ["from ACME\n", "to NATO\n"]


def test_lone_surrogate_reaches_no_recogniser(capitals):
    assert mask("Dear Ann \ud800 ACME") == "Dear [PERSON] \ud800 [ORGANIZATION]"
    capitals.seen[0].encode()


class Spans:
    """Finds what it is told."""

    name = "spans"
    labels = ("pii.person", "pii.location", "pii.organization")

    def __init__(self, *words):
        self.words = words

    def recognise(self, text):
        for word, label, score in self.words:
            if (at := text.find(word)) >= 0:
                yield Finding(at, at + len(word), label, score)


class Everywhere(Spans):
    """Finds a person's name wherever it stands."""

    def recognise(self, text):
        return [Finding(m.start(), m.end(), "pii.person", 0.9) for word in self.words for m in re.finditer(word, text)]


@pytest.fixture
def spans():
    def put(*words, more=()):
        choose(recognisers=[Spans(*words), *(Spans(one) for one in more)])

    yield put
    choose()


class TestOverlaps:
    def test_pattern_wins_and_what_is_left_of_the_name_is_a_finding_of_its_own(self, spans):
        spans(("Ann Lee ann@b.example of Bath", "pii.person", 0.99))
        assert mask("from Ann Lee ann@b.example of Bath.") == "from [PERSON] [EMAIL] [PERSON]."

    def test_name_within_a_pattern_is_the_patterns(self, spans):
        spans(("ann", "pii.person", 0.99))
        assert mask("ann@b.example") == "[EMAIL]"

    def test_of_a_name_without_letters_outside_the_pattern_nothing_is_left(self, spans):
        spans(("(ann@b.example) ", "pii.person", 0.99))
        assert mask("x (ann@b.example) y") == "x ([EMAIL]) y"

    def test_overlapping_names_are_one_with_the_label_of_the_surest(self, spans):
        spans(("New York", "pii.location", 0.9), more=[("York Times", "pii.organization", 0.6)])
        assert mask("the New York Times said") == "the [LOCATION] said"

    def test_what_masking_has_put_there_is_no_name(self, spans):
        spans(("Dear <EMAIL_1> and [PERSON] and [SECRET:JWT]", "pii.organization", 0.9))
        text = "Dear <EMAIL_1> and [PERSON] and [SECRET:JWT]"
        assert mask(text) == "[ORGANIZATION] <EMAIL_1> [ORGANIZATION] [PERSON] [ORGANIZATION] [SECRET:JWT]"

    def test_white_space_around_a_name_is_none_of_it(self, spans):
        spans((" Ann \n", "pii.person", 0.9))
        assert mask("to Ann \nyes") == "to [PERSON] \nyes"


class TestPayloads:
    def test_each_leaf_is_read_alone_without_its_key(self, capitals):
        made = Masking(lambda _: "redact").payload(
            {"regards": "Ann Lee", "to": ["Dear Bob", "NATO", 7, None], "n": {"x": "Eve", "mail": "a@b.example"}}
        )
        assert made == {
            "regards": "Ann Lee", "to": ["Dear [PERSON]", "[ORGANIZATION]", 7, None], "n": {"x": "Eve", "mail": "[EMAIL]"},
        }  # fmt: skip
        assert set(capitals.seen) == {"Ann Lee", "Dear Bob", "NATO", "Eve", "a@b.example"}

    def test_json_within_a_leaf_is_read_leaf_by_leaf(self, capitals):
        made = Masking(lambda _: "redact").payload(
            {"x": '{"to": "Dear Ann", "of": ["NATO", "nothing"]}', "y": '["Bob"]'}
        )
        assert made == {"x": '{"to": "Dear [PERSON]", "of": ["[ORGANIZATION]", "nothing"]}', "y": '["Bob"]'}
        assert set(capitals.seen) == {"Dear Ann", "NATO", "nothing", "Bob"}

    def test_short_names_are_found(self, capitals):
        masking = Masking(lambda _: "redact")
        assert masking.text("EU") == "[ORGANIZATION]"
        assert masking.payload(["EU", "x"]) == ["[ORGANIZATION]", "x"]
        assert masking.payload("EU") == "[ORGANIZATION]"

    def test_unchanged_payload_is_the_same_object(self, capitals):
        payload = {"a": ["nothing here", "nor here"], "b": ("x", 1)}
        assert Masking(lambda _: "redact").payload(payload) is payload

    def test_cells_are_read_one_by_one(self, capitals):
        rows = [(1, "Dear Ann"), (2, "Bob"), (3, None)]
        assert Masking(lambda _: "redact").rows(rows) == [(1, "Dear [PERSON]"), (2, "Bob"), (3, None)]

    def test_same_name_is_the_same_token(self, capitals):
        masking = Masking(lambda _: "token", tokens=Tokens())
        assert masking.text("Dear Ann, Bob and Ann") == "Dear <PERSON_1>, <PERSON_2> and <PERSON_1>"

    def test_long_text_is_as_a_short_one(self, capitals):
        text = "Dear Ann " + "and so on " * 200
        assert Masking(lambda _: "redact").payload({"a": text})["a"].startswith("Dear [PERSON] and")


# ---- pieces and streams ----


@given(st.text(alphabet="ab \n.éA🎉", max_size=4000), st.integers(0, 5000))
def test_pieces_of_a_beginning_are_those_of_the_whole(text, cut):
    data, names = text.encode(), recognise.Recognisers([Capitals()])
    whole = list(names.pieces(data, 0, final=True))
    assert b"".join(data[a:b] for a, b, _ in whole) == data
    for a, b, found in whole:
        data[a:b].decode()  # no character is cut
        assert 0 < b - a <= recognise.PIECE
        assert all(0 <= start < end <= b - a for start, end, _, _ in found)
    some = list(names.pieces(data[:cut], 0, final=False))
    assert whole[: len(some)] == some


@pytest.mark.parametrize("gap", [" ", "", ". ", "-"])
def test_no_name_is_cut_however_long_the_line(gap):
    choose(recognisers=[Everywhere("Ann Mary Lee")])
    try:
        for before in range(0, 2300, 23):
            text = "x" * (before % 7) + f"{gap}word" * (before // 5) + gap + "Ann Mary Lee" + f"{gap}word" * 300
            assert "[PERSON]" in mask(text)
            assert "Ann" not in mask(text)
            assert "Lee" not in mask(text)
    finally:
        choose()


PARTS = st.sampled_from(
    [
        "Dear ", "Ann ", "Bob", "ACME", "regards", "\n", " ", ". ", "<PERSON_1>", "[EMAIL]", "ann@b.example", "+14155552671",
        "call me on ", "555 0100 222", "sk_" + "live_" + "aB3dE5gH7jK9mN1pQ2sT4vW6", "é", "🎉", "\x00", "\ud800", "x" * 40, "12 ",
        "lorem ipsum dolor sit amet, " * 12, "-----BEGIN PRIVATE KEY-----\n", "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4\n", "4111 1111 ",
        "1111 1111",
    ]
)  # fmt: skip


_SCANNERS = []


@given(st.lists(PARTS, max_size=30).map("".join), st.data())
def test_stream_of_every_split_is_the_whole(text, data):
    if not _SCANNERS:
        configure(recognisers=[Capitals()])
        _SCANNERS.append(scanning.build())
    before = scanning._configured._made
    scanning._configured._made = _SCANNERS[0]
    try:
        whole, stream, out, at = mask(text), StreamMasker(), [], 0
        while at < len(text):
            step = data.draw(st.sampled_from((1, 2, 5, 17, 90, 700)))
            out.append(stream.feed(text[at : at + step]))
            assert whole.startswith("".join(out))
            at += step
        assert "".join([*out, stream.finish()]) == whole
    finally:
        scanning._configured._made = before


def test_stream_holds_to_the_end_of_the_line_and_no_longer(capitals):
    stream = StreamMasker()
    assert stream.feed("Ann wrote this and that, with best ") == ""
    assert stream.feed("regards\n") == "[PERSON] wrote this and that, with best regards\n"
    assert stream.feed("Next") == ""
    assert stream.finish() == "Next"


def test_line_without_an_end_leaves_piece_by_piece(capitals):
    stream = StreamMasker()
    sizes = []
    for _ in range(600):
        stream.feed("word and word ")
        sizes.append(stream.held)
    assert max(sizes) < 3 * recognise.PIECE


def test_stream_without_a_recogniser_does_not_wait_for_the_line():
    configure()
    assert StreamMasker().feed("one two three four five six seven ") != ""


# ---- failures ----


class Broken(Capitals):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def recognise(self, text):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


BAD = [
    ValueError("Dear secret text"), [Finding(0, 99, "pii.person")], [Finding(-1, 3, "pii.person")], [Finding(3, 3, "pii.person")],
    [Finding(0, 4, "pii.other")], ["Ann"], None, [(0, 3, "pii.person", 1.0)],
]  # fmt: skip


class TestFailures:
    @pytest.fixture(params=range(len(BAD)))
    def broken(self, request):
        choose(recognisers=[Broken(BAD[request.param])])
        yield
        choose()

    def test_failing_recogniser_is_an_error_that_holds_no_text(self, broken):
        with pytest.raises(RecogniserError, match="capitals") as caught:
            mask("Dear Ann")
        assert "Dear" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_stream_fails_and_nothing_more_leaves(self, broken):
        stream = StreamMasker()
        with pytest.raises(RecogniserError):
            stream.feed("Dear Ann\n")
        assert stream.held == 0
        with pytest.raises(ValueError, match="failed"):
            stream.feed("more\n")

    def test_payload_is_an_error(self, broken):
        with pytest.raises(RecogniserError):
            Masking(lambda _: "redact").payload({"x": "Dear Ann", "y": 1})

    def test_call_is_denied_before_its_effect(self, broken, policy, home):
        import guardai

        folder = policy("permit (principal, action, resource);")
        ran = []
        guardai.init(home=home, policy=folder)
        choose(recognisers=[Broken(BAD[0])])

        @guardai.tool(effects="write")
        def note(text):
            ran.append(text)

        with guardai.session(), pytest.raises(guardai.PolicyDenied):
            note("Dear Ann")
        assert ran == []


def test_where_it_failed_is_told():
    choose(recognisers=[Broken(ValueError("text"))])
    try:
        with pytest.raises(RecogniserError, match=r"ValueError in \S*test_recognise, line \d+"):
            mask("Dear Ann")
    finally:
        choose()


def test_what_is_no_label_is_refused_when_it_is_chosen():
    one = Capitals()
    one.labels = ("Person",)
    with pytest.raises(RecogniserError, match="not a label"):
        choose(recognisers=[one])


def test_one_thread_at_a_time():
    class Busy(Capitals):
        inside = most = 0

        def recognise(self, text):
            self.inside += 1
            self.most = max(self.most, self.inside)
            threading.Event().wait(0.001)
            self.inside -= 1
            return []

    one = Busy()
    choose(recognisers=[one])
    try:
        threads = [threading.Thread(target=lambda n=n: [mask(f"text {n} {m}") for m in range(20)]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        choose()
    assert one.most == 1


def test_recogniser_that_scans_again_does_not_wait_for_itself():
    class Again(Capitals):
        def recognise(self, text):
            return [] if text == "inner" else list(mask("inner") and [])

    choose(recognisers=[Again()])
    try:
        assert mask("outer") == "outer"
    finally:
        choose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_does_not_wait_for_a_thread_of_its_parent():
    inside, done = threading.Event(), threading.Event()

    class Slow(Capitals):
        def recognise(self, text):
            if text == "slow":
                inside.set()
                done.wait(30)
            return []

    choose(recognisers=[Slow()])
    thread = threading.Thread(target=mask, args=("slow",))
    thread.start()
    inside.wait(30)
    try:
        child = os.fork()
        if child == 0:
            os._exit(0 if mask("quick") == "quick" else 1)
        for _ in range(600):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            threading.Event().wait(0.05)
        else:
            os.kill(child, 9)
            pytest.fail("the child waits for a lock")
        assert status == 0
    finally:
        done.set()
        thread.join()
        choose()


# ---- by entry point ----


class Entry:
    def __init__(self, name, made):
        self.name, self.value, self._made = name, "some:thing", made

    def load(self):
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


@pytest.fixture
def entries(monkeypatch):
    def put(**made):
        monkeypatch.setattr(recognise, "entry_points", lambda group: [Entry(n, m) for n, m in made.items()])

    yield put
    configure()


class TestByName:
    def test_named_recogniser_is_made_with_its_options(self, entries):
        entries(one=Capitals, other=lambda word: Spans((word, "pii.location", 0.9)))
        made = recognise.load(["one", "other"], {"other": {"word": "Bath"}})
        choose(recognisers=made)
        assert mask("Dear Ann of Bath") == "Dear [PERSON] of [LOCATION]"
        assert [type(one) for one in made] == [Capitals, Spans]

    def test_object_is_taken_as_it_is(self, entries):
        entries(one=Capitals())
        choose(recognisers=["one"])
        assert mask("ACME") == "[ORGANIZATION]"

    def test_missing_one_is_told_with_those_that_are_there(self, entries):
        entries(one=Capitals, two=Capitals)
        with pytest.raises(
            RecogniserError, match=r"'spacy' is not installed; installed: one, two\. Try guardai-sdk-spacy"
        ):
            choose(recognisers=["spacy"])

    @pytest.mark.parametrize(
        ("made", "told"),
        [
            (ImportError("No module named 'x'"), "its library is not installed: No module named 'x'"),
            (OSError("no model"), "cannot be made: OSError: no model"),
            (object, "is object, no Recogniser"),
            (lambda: 3, "is int, no Recogniser"),
            (lambda model: Capitals(), "cannot be made: TypeError"),
        ],
    )
    def test_one_that_cannot_be_made_is_told(self, entries, made, told):
        entries(one=made)
        with pytest.raises(RecogniserError, match=told):
            choose(recognisers=["one"])

    def test_options_for_what_takes_none_are_told(self, entries):
        entries(one=Capitals())
        with pytest.raises(RecogniserError, match="takes no options"):
            recognise.load(["one"], {"one": {"model": "x"}})

    def test_failed_choice_leaves_everything_as_it_was(self, entries):
        entries(one=Capitals)
        choose(recognisers=["one"])
        with pytest.raises(RecogniserError):
            choose(recognisers=["none"])
        assert mask("ACME") == "[ORGANIZATION]"
