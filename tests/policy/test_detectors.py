"""What a bundle knows of its detectors: their labels, and that they are part of it."""

import re

import pytest

from guardai.errors import BundleError
from guardai.policy import Bundle, check

FORBID = 'permit (principal, action, resource);\nforbid (principal, action, resource {} Label::"{}");'


@pytest.fixture
def folder(tmp_path):
    def write(cedar, detectors=None, catalog=""):
        (tmp_path / "policies").mkdir(exist_ok=True)
        (tmp_path / "policies" / "a.cedar").write_text(cedar)
        (tmp_path / "catalog.toml").write_text(catalog)
        if detectors is not None:
            (tmp_path / "detectors.toml").write_text(detectors)
        return tmp_path

    return write


@pytest.mark.parametrize("kind", ["detector", "number"])
def test_label_of_a_detector_is_known(folder, kind):
    path = folder(FORBID.format("==", "pii.badge"), f'[[{kind}]]\nlabel = "pii.badge"\n')
    assert [problem for problem in check(path) if problem.severity == "error"] == []
    bundle = Bundle.load(path)
    assert bundle.knows("pii.badge")
    assert bundle.detectors == (path / "detectors.toml").read_bytes()


def test_group_of_a_detectors_label_is_known_to_policies_and_catalog(folder):
    path = folder(FORBID.format("in", "hr"), '[[detector]]\nlabel = "hr.badge"\n', '[labels]\nhr = "redact"\n')
    assert Bundle.load(path).catalog.mask("hr.badge") == "redact"


def test_label_that_it_was_told_is_known(folder):
    path = folder(FORBID.format("==", "pii.badge"))
    with pytest.raises(BundleError, match=r"pii\.badge"):
        Bundle.load(path)
    assert Bundle.load(path, ["pii.badge"]).knows("pii.badge")
    assert any("pii.badge" in str(problem) for problem in check(path))
    assert check(path, ["pii.badge"]) == [
        problem for problem in check(path, ["pii.badge"]) if problem.severity == "warning"
    ]


def test_bundle_without_detectors_has_none(folder):
    assert Bundle.load(folder("permit (principal, action, resource);")).detectors is None


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("", "a [[detector]] has no label, such as 'pii.employee_id'"),
        ('label = ""', "[[detector]]: not a label: ''"),
        ('label = "Badge"', "[[detector]]: not a label: 'Badge'"),
        ("label = 3", "[[detector]]: a label is a string, not 3"),
        ('label = "pii badge"', "[[detector]]: not a label: 'pii badge'"),
    ],
)
def test_detector_without_a_label_is_refused_with_the_file(folder, label, says):
    path = folder("permit (principal, action, resource);", f"[[detector]]\n{label}\n")
    with pytest.raises(BundleError, match=re.escape(f"detectors.toml: {says}")):
        Bundle.load(path)


def test_detectors_are_in_the_digest(folder):
    before = Bundle.load(folder("permit (principal, action, resource);", "")).digest
    assert Bundle.load(folder("permit (principal, action, resource);", "# more")).digest != before


def test_names_that_recognisers_find_are_known_everywhere(folder):
    for label in ("pii.person", "pii.location", "pii.organization"):
        assert Bundle.load(folder(FORBID.format("==", label))).knows(label)
