"""What a builder worked out, and a process begins with: the same answers, sooner, and only where it belongs."""

import time

import msgspec
import pytest

from guardai.errors import BundleError
from guardai.model import Destination, Principal, Resource
from guardai.policy import Bundle, Engine, selftest, stored, stored_index

BOT = Principal("Agent", "bot", "u-1")
MODEL = Destination("model", "openai", "us", "listed")
TEXT = """// @id("q") permit (principal, action, resource); is what a comment looks like
@id("q") permit (principal, action, resource);
@id("group") @reason("No") @approval("dba") forbid (principal is Agent, action in Action::"db", resource in Database::"shop")
when { context.environment == "prod" } unless { context.approvals.contains("dba") };
permit (principal == Agent::"bot", action == Action::"db.read", resource == Table::"shop.t1"); // ø, and no @id
@id("eu") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii");
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "p" / "policies").mkdir(parents=True)
    (tmp_path / "p" / "policies" / "a.cedar").write_text(TEXT)
    (tmp_path / "p" / "policies" / "b.cedar").write_text('@id("b") forbid (principal is App, action, resource);')
    (tmp_path / "p" / "catalog.toml").write_text('[labels]\n"hr.salary" = "redact"\n')
    return tmp_path / "p"


def unparsed(bundle):
    return [name for name, one in bundle.policies.items() if one._json is None]


def test_what_is_loaded_with_an_index_is_what_is_loaded_without(root):
    plain, quick = Bundle.load(root), Bundle.load(root, index=stored_index(root))
    assert [
        (one.id, one.effect, one.annotations, one.source, one.file, one.line, one.tree)
        for one in quick.policies.values()
    ] == [
        (one.id, one.effect, one.annotations, one.source, one.file, one.line, one.tree)
        for one in plain.policies.values()
    ]
    assert (quick.digest, quick.labels, quick.warnings) == (plain.digest, plain.labels, plain.warnings)
    assert quick.warnings


def test_answers_are_the_same(root):
    plain, quick = Engine(Bundle.load(root)), Engine(Bundle.load(root, index=stored_index(root)))
    for who in (BOT, Principal("App", "web", "u")):
        for verb in ("db.read", "db.write", "tool.call"):
            for name in ("shop.t1", "shop.t2", "other.t1"):
                what = (Resource("Table", name, ("Database", name.partition(".")[0])),)
                for context in ({}, {"environment": "prod"}, {"environment": "prod", "approvals": ("dba",)}):
                    assert quick.act(who, verb, what, context) == plain.act(who, verb, what, context)
        for label in ("pii.email", "hr.salary", "nobody.knows"):
            assert quick.reveal(who, label, MODEL, {}) == plain.reveal(who, label, MODEL, {})


def test_a_policy_is_parsed_when_a_question_reaches_it(root):
    bundle = Bundle.load(root, index=stored_index(root))
    # But for the forbids over groups: that they fire is proved whenever a bundle is loaded.
    assert unparsed(bundle) == ["q", "policies/a.cedar:5", "b"]
    Engine(bundle).act(BOT, "db.read", (Resource("Table", "shop.t1", ("Database", "shop")),), {})
    assert unparsed(bundle) == ["b"]


def test_an_index_does_not_spare_the_proof_that_groups_fire(root, monkeypatch):
    index = stored_index(root)
    monkeypatch.setattr(selftest, "_fires", lambda *_: False)
    with pytest.raises(BundleError, match="would never deny"):
        Bundle.load(root, index=index)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "policies" / "b.cedar").write_text(
            '@id("b") permit (principal is App, action, resource);'
        ),
        lambda root: (root / "policies" / "a.cedar").write_text(TEXT.replace("bot", "bat")),
        lambda root: (root / "catalog.toml").write_text('[labels]\n"hr.wages" = "redact"\n'),
    ],
)
def test_an_index_of_other_policies_is_not_looked_at(root, change):
    index = stored_index(root)
    change(root)
    bundle = Bundle.load(root, index=index)
    assert not unparsed(bundle)
    assert bundle.policies.keys() == Bundle.load(root).policies.keys()


def test_an_index_made_with_other_labels_or_by_another_version_is_not_looked_at(root, monkeypatch):
    index = stored_index(root)
    assert not unparsed(Bundle.load(root, ["acme.badge"], index=index))
    monkeypatch.setattr(stored, "__version__", "0.0.1")
    assert not unparsed(Bundle.load(root, index=index))


@pytest.mark.parametrize("bad", [b"x", b"\xc1", b"\x80", msgspec.msgpack.encode({"format": 1})])
def test_what_is_no_index_is_not_looked_at(root, bad):
    assert not unparsed(Bundle.load(root, index=bad))


def lie(root, **row):
    whole = msgspec.msgpack.decode(stored_index(root), type=stored._Whole)
    for name, value in row.items():
        setattr(whole.rows[0], name, value)
    return msgspec.msgpack.encode(whole)


def test_an_index_that_points_outside_of_the_files_is_not_looked_at(root):
    assert not unparsed(Bundle.load(root, index=lie(root, file="policies/none.cedar")))
    assert not unparsed(Bundle.load(root, index=lie(root, actions=99)))


def test_an_index_cannot_bring_a_text_past_the_limit_of_depth(root):
    deep = "// " + "(" * 5_000 + "\n"
    (root / "policies" / "a.cedar").write_text(deep + TEXT)
    bundle = Bundle.load(root, index=lie(root, start=3, length=5_000))
    with pytest.raises(ValueError, match="nested brackets"):
        _ = bundle.policies["q"].tree


def test_a_bundle_that_is_refused_has_no_index(root):
    (root / "policies" / "b.cedar").write_text('@id("q") permit (principal, action, resource);')
    with pytest.raises(BundleError, match="taken by"):
        stored_index(root)


def test_no_policy_is_parsed_where_the_index_belongs_to_the_files(root, monkeypatch):
    lines = (
        f'@id("t{n}") permit (principal, action == Action::"db.read", resource == Table::"shop.t{n}");'
        for n in range(500)
    )
    (root / "policies" / "c.cedar").write_text("\n".join(lines))
    index = stored_index(root)
    parsed = []
    monkeypatch.setattr("guardai.policy.bundle.parse", lambda text, *place: parsed.append(text))
    assert len(Bundle.load(root, index=index).policies) == 505
    assert parsed == []
