"""Pauses: a call that waits for a named human's verdict."""

from guardai.approvals.approval import Approval, State, Verdict

__all__ = ["Approval", "State", "Verdict"]
