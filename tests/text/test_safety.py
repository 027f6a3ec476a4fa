"""Expressions that can blow up are refused, those that ship are not, and the judgement is held against a matcher that counts."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import Detector, Pack, PackError, packs
from guardai.text.detectors import automaton
from guardai.text.detectors import detector
from guardai.text.detectors import safety
from guardai.text.detectors.admit import admit

SIGHT = 250

# From the literature: Weideman et al. 2016, Davis et al. 2018, Shen et al. 2018, the OWASP page, and bug reports of
# well-known libraries; and shapes that have neither exponential nor polynomial ambiguity and are as slow.
KNOWN = [
    r"(a+)+$", r"(a|aa)+$", r"(a|aa)+", r"([a-zA-Z]+)*$", r"(a|a?)+$", r"(.*a){20}", r"(\w+\s?)*x", r"(a*)*b", r"(a*)+b",
    r"(a|a)*b", r"((ab)*)+c", r"(a|b|ab)*c", r"(\w+\d+)+C", r"(x+x+)+y", r"(\d+|[0-9a-f]+)+z", r"(?:a{0,50}){0,50}b",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
    r"^([a-z0-9]+([\-a-z0-9]*[a-z0-9]+)?\.){0,}([a-z0-9]+([\-a-z0-9]*[a-z0-9]+)?){1,63}(\.[a-z0-9]{2,7})+$",
    r"^(?:(?:\"[\w-]+\")|\w+(?:[.-]?\w+)*)+@x",
    r"(?:\s*\S+\s*)*=", r"\s*\s*\s*x", r"a*a*a*b", r"(.*)(.*)(.*)x", r"[a-z]+[a-z0-9]*[a-z_]*[a-z0-9_]*!", r".*.*=.*",
    r"a?" * 30 + "a" * 30, r"(a?){30}a{30}", r"(?:a?|b?){30}x", r"(?:|){40}x", r"x(?:|){40}$", r"(?:|){30}(?!)",
    "".join(f"(?:{letter}?)*" for letter in "abcdefghijklmnopqrstuv") + "X", "(?:a+b)?" * 30 + "c", r"(.a?){40}x",
    r"(?=(a+)+b)a", r"(?!(a|aa)+b)a", r"(?<=(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a))b",
    r"(?=(?:|){30})x", r"(?<=(?:|){30})x", r"(a*)\1\1\1b", r"(?i)(ab|AB)+c", r"(?>(a|aa)+b)c", r"(?:a+?)+?b", r"(a+)++b",
]  # fmt: skip

HARMLESS = [
    r"a+b", r"a*a*b", r"EMP-[0-9]{6}", r"(?:[a-z0-9]+\.)+x", r'"(?:[^"\\]|\\.)*"', r"(?:[^,]*,){3}x", r"\w+@\w+\.\w+",
    r"(?:ab|cd)+e", r"a*+a*+a*+a*+b", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", r"[A-Z]{2}[0-9]{6,9}[A-D]?", r"(?i)(a|A)+b",
    r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$", r"(?P<q>['\"])[^'\"]{0,40}(?P=q)", r"(?!x)(?<![0-9])[0-9]+",
    r"secret[_\-. ]?key\s{0,4}(?:=>|:=|[=:])\s{0,4}[A-Za-z0-9]{40}", r"[^\x00-\x1f]{0,200};", r"(a)?b(?(1)c|d)",
]  # fmt: skip


@pytest.mark.parametrize("expression", KNOWN, ids=range(len(KNOWN)))
def test_expression_known_to_blow_up_is_refused_with_a_text_that_shows_it(expression):
    why = safety.refusal(expression, length=SIGHT)
    assert "can blow up" in why
    assert "such as '" in why or " × '" in why or "lookbehind" in why


@pytest.mark.parametrize("expression", HARMLESS)
def test_expression_that_is_linear_or_at_most_quadratic_is_accepted(expression):
    assert safety.refusal(expression, length=SIGHT) is None


SHIPPED = {
    (source, getattr(kind, "ignore_case", False), length): f"{pack.name}-{kind.label}-{length}"
    for pack in (packs.core(), packs.secrets(), *packs.countries("all"))
    for kind in pack.kinds()
    for source, length in (
        (getattr(kind, "pattern", ""), detector.MAX_DECISION),
        (getattr(kind, "form", ""), detector.MAX_FORM),
        (f"(?s:.)*?(?:{kind.head})" if kind.head else "", detector.MAX_LEAD),
    )
    if source
}


def test_as_much_before_an_anchor_is_judged_as_is_searched():
    """Three repeats that share their bytes pass on 40 of them, and take too long on 80."""
    head = "a{0,9}a{0,40}a{0,40}-"
    assert safety.refusal(f"(?s:.)*?(?:{head})", length=40) is None
    with pytest.raises(PackError, match="head: the expression can blow up"):
        admit(Pack("acme", (Detector("pii.x", ("ID",), f"{head}ID", head=head),)))


def attacked(expression, length, ignore_case, beam=3):
    """The most ways that a search for a bad text finds: byte by byte it keeps the texts with the most so far, the most
    at their end, and the most states. The ways of each text are counted exactly."""
    tree = automaton.parser().parse(expression.encode(), re.IGNORECASE if ignore_case else 0)
    count = safety._Count(automaton.Automaton(tree, length, fold=False), length)
    kept, most = [(0, {0: 1})], 0
    for _ in range(length):
        following = {}
        for total, counts in kept:
            for letter in count._useful(frozenset(counts)):
                moved = {}
                for state, ways in counts.items():
                    for to, more in count._from(letter, state):
                        moved[to] = moved.get(to, 0) + ways * more
                following[tuple(moved.items())] = (total + sum(moved.values()), moved)
        if not following:
            break
        texts, kept = list(following.values()), []
        for worth in (lambda one: one[0], lambda one: sum(one[1].values()), lambda one: len(one[1])):
            texts.sort(key=worth, reverse=True)
            kept += texts[:beam]
        most = max(most, *(total for total, _ in kept))
    return most


@pytest.mark.parametrize(("expression", "ignore_case", "length"), list(SHIPPED), ids=list(SHIPPED.values()))
def test_no_expression_that_ships_can_blow_up(expression, ignore_case, length):
    """Proved; or, of the few for which the proof's bound is too coarse, attacked."""
    if safety.refusal(expression, length=length, ignore_case=ignore_case) is not None:
        assert attacked(expression, length, ignore_case) <= safety.MAX_STEPS


@pytest.mark.parametrize("expression", KNOWN[:16], ids=range(16))
def test_the_attack_finds_what_is_known(expression):
    assert attacked(expression, 100, False) > safety.MAX_STEPS


def test_the_more_a_detector_sees_the_more_an_expression_may_cost():
    assert safety.refusal(r"a*a*a*b", length=40) is None
    assert safety.refusal(r"a*a*b", length=2_000) is not None


def test_what_is_too_large_to_be_judged_is_refused():
    assert "cannot be told" in safety.refusal(r"(?:(?:a?b?){2,90}){2,90}c", length=SIGHT)


def test_quantity_is_the_one_that_the_theory_gives():
    # On n letters a*a* has n + 1 ways to share them, and as many again behind the end: a sum of squares, halved.
    counted = safety.cost("a*a*b", length=100).steps
    assert 100 * 100 / 2 < counted < 2 * 100 * 100


class TestWithoutTheParser:
    @pytest.fixture(autouse=True)
    def _none(self, monkeypatch):
        monkeypatch.setattr(safety, "parser", lambda: None)
        safety.refusal.cache_clear()
        yield
        safety.refusal.cache_clear()

    @pytest.mark.parametrize("expression", KNOWN, ids=range(len(KNOWN)))
    def test_what_can_blow_up_is_refused_by_eye(self, expression):
        assert safety.refusal(expression, length=SIGHT) is not None

    @pytest.mark.parametrize("expression", [r"EMP-[0-9]{6}", r"a+b", r"[(+*]{3}x\+", r"(?:ab|cd)e[0-9]{2,4}"])
    def test_what_is_simple_is_accepted(self, expression):
        assert safety.refusal(expression, length=SIGHT) is None


def test_construct_that_is_not_known_is_refused(monkeypatch):
    class Parser:
        @staticmethod
        def parse(source, flags):
            tree = automaton.parser().parse(b"a", flags)
            return type(tree)(tree.state, [("NOVELTY", None)])

    monkeypatch.setattr(safety, "parser", lambda: Parser)
    safety.refusal.cache_clear()
    assert "novelty, which is not known" in safety.refusal("ab", length=SIGHT)
    safety.refusal.cache_clear()


# ---- the oracle: a matcher that tries one way after the other, as `re` does, and counts ----


class TooMany(Exception):
    pass


class Counting:
    """Backtracking over the parser's tree. `steps`: bytes read with success, arrivals at the end included."""

    def __init__(self, expression, text, limit=10**9):
        self.text, self.steps, self.limit, self.groups = text, 0, limit, {}
        tree = automaton.parser().parse(expression.encode(), 0)
        self.tree, self.flags = list(tree), tree.state.flags

    def exhaust(self):
        """Every way is tried: the end is never good enough."""

        def end(at):
            self.step()
            return None

        self.seq(self.tree, 0, self.flags, end)
        return self.steps

    def match(self):
        return self.seq(self.tree, 0, self.flags, lambda at: at)

    def step(self):
        self.steps += 1
        if self.steps > self.limit:
            raise TooMany

    def seq(self, items, at, flags, then, index=0):
        if index == len(items):
            return then(at)
        op, argument = items[index]
        return self.one(str(op), argument, at, flags, lambda to: self.seq(items, to, flags, then, index + 1))

    def one(self, op, argument, at, flags, then):
        if op in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            if at < len(self.text) and automaton._bytes(op, argument, flags) >> self.text[at] & 1:
                self.step()
                return then(at + 1)
            return None
        if op == "AT":
            name = str(argument)
            good = (
                at == 0
                if name == "AT_BEGINNING"
                else at == len(self.text) or (at == len(self.text) - 1 and self.text[at:] == b"\n")
            )
            return then(at) if good else None
        if op == "SUBPATTERN":
            group, add, remove, body = argument
            before = self.groups.get(group)

            def closed(to):
                former, self.groups[group] = self.groups.get(group), (at, to)
                made = then(to)
                if made is None:
                    self.groups[group] = former
                return made

            made = self.seq(body, at, (flags | add) & ~remove, closed)
            if made is None:
                self.groups[group] = before
            return made
        if op == "BRANCH":
            for branch in argument[1]:
                if (made := self.seq(branch, at, flags, then)) is not None:
                    return made
            return None
        if op == "MAX_REPEAT":
            least, most, body = argument
            return self.repeat(int(least), int(most), body, at, flags, then, 0, -1)
        if op == "MIN_REPEAT":
            least, most, body = argument
            return self.lazy(int(least), int(most), body, at, flags, then, 0, -1)
        if op in ("POSSESSIVE_REPEAT", "ATOMIC_GROUP"):
            if op == "ATOMIC_GROUP":
                to = self.seq(argument, at, flags, lambda to: to)
            else:
                to, (least, most, body) = at, argument
                for count in range(int(most)):
                    further = self.seq(body, to, flags, lambda end: end)
                    if further is None or (further == to and count >= int(least)):
                        if further is None and count < int(least):
                            return None
                        break
                    to = further
            return then(to) if to is not None else None
        if op in ("ASSERT", "ASSERT_NOT"):
            direction, body = argument
            start = at if direction > 0 else at - body.getwidth()[0]
            seen = self.seq(body, start, flags, lambda to: to) if start >= 0 else None
            return then(at) if (seen is not None) == (op == "ASSERT") else None
        raise AssertionError(op)

    def repeat(self, least, most, body, at, flags, then, count, last):
        if count < least:
            return self.seq(body, at, flags, lambda to: self.repeat(least, most, body, to, flags, then, count + 1, -1))
        if count < most and at != last:
            made = self.seq(body, at, flags, lambda to: self.repeat(least, most, body, to, flags, then, count + 1, at))
            if made is not None:
                return made
        return then(at)

    def lazy(self, least, most, body, at, flags, then, count, last):
        if count < least:
            return self.seq(body, at, flags, lambda to: self.lazy(least, most, body, to, flags, then, count + 1, -1))
        if (made := then(at)) is not None:
            return made
        if count < most and at != last:
            return self.seq(body, at, flags, lambda to: self.lazy(least, most, body, to, flags, then, count + 1, at))
        return None


_atoms = st.sampled_from(["a", "b", "[ab]", "[^b]", ".", "c", "[bc]"])


def _compound(inner):
    repeat = st.sampled_from(["*", "+", "?", "{2}", "{0,3}", "{1,2}", "{2,}", "*?", "+?", "{3,7}", "*+", "{1,2}+"])
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, repeat).map(lambda both: f"(?:{both[0]}){both[1]}"),
        st.tuples(_atoms, repeat).map("".join),
        inner.map(lambda body: f"(?:{body}|)"),
        inner.map(lambda body: f"(?={body})"),
        inner.map(lambda body: f"(?>{body})"),
    )


EXPRESSIONS = st.recursive(_atoms, _compound, max_leaves=9)
TEXTS = st.text("abc", max_size=14).map(str.encode)


@given(EXPRESSIONS, TEXTS)
def test_the_counting_matcher_finds_what_re_finds(expression, text):
    found = re.compile(expression.encode()).match(text)
    try:
        assert Counting(expression, text, 200_000).match() == (found.end() if found else None)
    except TooMany:
        pass


@given(EXPRESSIONS, TEXTS)
def test_no_text_takes_more_steps_than_the_judgement_says(expression, text):
    try:
        said = safety.cost(expression, length=len(text)).steps
    except automaton.Unclear:
        return
    if said <= safety.MAX_STEPS:
        assert Counting(expression, text, 2 * safety.MAX_STEPS).exhaust() <= said


@given(EXPRESSIONS)
def test_what_is_refused_is_slow_on_the_text_that_the_refusal_names(expression):
    """But for what is not looked at: what stands in an atomic group or is read ahead."""
    if any(sign in expression for sign in ("(?=", "(?>", "*+", "}+", "++")):
        return
    found = safety.cost(expression, length=60)
    if found.steps <= safety.MAX_STEPS:
        return
    counter = Counting(expression, found.text + b"\xff", safety.MAX_STEPS // 50)
    with pytest.raises(TooMany):
        counter.exhaust()


@pytest.mark.parametrize("seed", range(2))
def test_accepted_and_refused_expressions_grow_as_they_were_judged(seed):
    """Steps on growing texts of the worst shape: accepted ones at most cubed by doubling twice, refused ones beyond."""
    rng = random.Random(seed)
    for expression in rng.sample(KNOWN[:16], 4):
        worst = safety.cost(expression, length=SIGHT).text
        with pytest.raises(TooMany):
            Counting(expression, worst + b"\xff", 5_000).exhaust()
    for expression in rng.sample(HARMLESS[:8], 4):
        for letter in b'a0"x ,':
            steps = [Counting(expression, bytes((letter,)) * n, 10**6).exhaust() for n in (12, 24, 48)]
            assert steps[2] <= 4.5 * steps[1] + 10
