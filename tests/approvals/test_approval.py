import pytest

from guardai.approvals import Approval, State, Verdict


def pending(*groups):
    return Approval(groups or ("dba",), asked_by="ann")


def test_one_agreement_for_each_group_approves():
    approval = pending("dba", "legal")
    assert approval.hear(Verdict("bob", "dba", True)) is State.PENDING
    assert approval.hear(Verdict("eve", "legal", True)) is State.APPROVED


def test_one_refusal_refuses():
    assert pending("dba", "legal").hear(Verdict("bob", "dba", False, "not on a Friday")) is State.REFUSED


def test_nobody_approves_what_they_asked_for():
    with pytest.raises(ValueError, match="cannot approve it"):
        pending().hear(Verdict("ann", "dba", True))


def test_one_person_counts_once():
    approval = pending("dba", "legal")
    approval.hear(Verdict("bob", "dba", True))
    with pytest.raises(ValueError, match="counts once"):
        approval.hear(Verdict("bob", "legal", True))
    assert approval.state is State.PENDING


def test_group_that_was_not_asked_does_not_count():
    with pytest.raises(ValueError, match="was not asked"):
        pending().hear(Verdict("bob", "friends", True))


def test_verdict_after_the_end_does_not_count():
    approval = pending()
    approval.hear(Verdict("bob", "dba", False))
    with pytest.raises(ValueError, match="refused already"):
        approval.hear(Verdict("eve", "dba", True))
    assert approval.state is State.REFUSED


def test_cancelled_pause_cannot_be_approved():
    approval = pending()
    approval.cancel()
    with pytest.raises(ValueError, match="cancelled already"):
        approval.hear(Verdict("bob", "dba", True))


def test_approval_without_a_group_is_no_approval():
    with pytest.raises(ValueError, match="at least one group"):
        Approval((), "ann")
