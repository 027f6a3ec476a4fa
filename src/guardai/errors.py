"""What guardai raises.

::

    Exception
     └─ GuardError                 everything below; catch this to catch us
         ├─ PolicyDenied           nothing happened: policy does not permit the call (also a PermissionError)
         │   ├─ ApprovalPending    nothing happened yet: a named human has to agree first
         │   └─ ApprovalDenied     nothing happened: the human said no
         ├─ ResultWithheld         it happened, but its result may not be revealed to this caller
         ├─ LedgerError            nothing happened: the intent could not be recorded
         ├─ BundleError            the policy bundle cannot be used
         ├─ SinkError              a sink did not take what was sealed; it comes again (no call ever sees this)
         │   └─ SinkRefused        a sink will never take it, however often it comes
         └─ ConfigError            a setting is unknown or has the wrong type (also a ValueError)
    BaseException
     └─ SessionAborted             a denial that agent loops do not swallow (on_denied="abort")

No message here ever carries a value that was found sensitive: a denial names the policy, its reason and the event.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AnchorAhead",
    "AnchorError",
    "ApprovalDenied",
    "ApprovalPending",
    "BundleError",
    "ConfigError",
    "GuardError",
    "LedgerError",
    "PolicyDenied",
    "ResultWithheld",
    "SessionAborted",
    "SinkError",
    "SinkRefused",
]


class GuardError(Exception):
    """The root of every error that guardai raises."""


def _denial(verb: str, reason: str, policies: tuple[str, ...], event: str, about: str) -> str:
    by = f" by {', '.join(policies)}" if policies else ""
    what = f"; the statement {about}" if about else ""
    # The last words of a refusal are what to do next.
    record = f"; why: guardai policy explain {event}" if event else ""
    return f"{verb}{by}: {reason}{what}{record}"


class _Refusal(BaseException):
    """What a refusal knows: which policies, why, and the event that records it."""

    def __init__(
        self,
        reason: str,
        *,
        action: str = "",
        policies: tuple[str, ...] = (),
        event: str = "",
        groups: tuple[str, ...] = (),
        about: str = "",
        statement: str = "",
    ) -> None:
        self.reason = reason
        self.action = action
        self.policies = policies
        self.event = event
        self.groups = groups
        self.about = about
        self.statement = statement
        super().__init__(_denial(self._verb().format(action=action or "call"), reason, policies, event, about))

    @staticmethod
    def _verb() -> str:
        return "{action} denied"

    def __reduce__(self) -> tuple[object, ...]:
        # Worker pools pickle what a task raised; keyword-only arguments need a hand.
        known = {name: getattr(self, name) for name in ("action", "policies", "event", "groups", "about", "statement")}
        return _rebuild, (type(self), self.reason, known)


def _rebuild(cls: type[_Refusal], reason: str, known: dict[str, Any]) -> _Refusal:
    return cls(reason, **known)


class PolicyDenied(_Refusal, GuardError, PermissionError):
    """Policy does not permit the call. Nothing happened.

    Attributes:
        reason: the deciding policy's `@reason`, or why there was no decision.
        action: the verb that was asked, such as `db.destroy`.
        policies: the `@id`s of the policies that decided; empty when nothing permitted.
        event: the id of the event that records the refusal.
        groups: the approval groups that would lift it, if any.
        about: of a SQL statement, what it would do, in plain words: `deletes from customers, not bounded`.
        statement: a SQL statement laid out for people, a `?` for each of its literals.
    """


class ApprovalPending(PolicyDenied):
    """The call waits for a named human of `groups`, and nothing can wait here. Nothing happened."""

    @staticmethod
    def _verb() -> str:
        return "{action} waits for approval"


class ApprovalDenied(PolicyDenied):
    """The human who was asked said no. Nothing happened."""

    @staticmethod
    def _verb() -> str:
        return "{action} was refused on approval"


class ResultWithheld(_Refusal, GuardError):
    """The call ran, but its result may not be revealed to the caller and cannot be masked."""

    @staticmethod
    def _verb() -> str:
        return "{action} ran, its result is withheld"


class LedgerError(GuardError):
    """The ledger cannot record. Raised before the effect, which therefore did not happen."""


class BundleError(GuardError):
    """The policy bundle cannot be used: missing, malformed, or failing its self-test."""


class SinkError(GuardError):
    """A sink did not take the events. Raised by sinks, for the pump; no call ever sees it.

    Its words stand in the log and in `guardai sinks status`: no key, no password, no event in them.

    Attributes:
        after: seconds after which the sink wants to be asked again; None if it did not say.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class SinkRefused(SinkError):
    """At least one of the events will never be taken, however often it comes: it is malformed to the sink, or too large."""


class AnchorError(GuardError):
    """An anchor did not take a tree head, or a receipt proves nothing. No call ever sees it.

    Its words stand in the log, in `guardai anchors status` and in what `guardai verify` prints: no key, no password in them.
    """


class AnchorAhead(AnchorError):
    """An anchor knows a tree head that the ledger does not go on from: the ledger was cut, set back or forked.

    Attributes:
        size: how many events are under that head; 0 if it does not say.
    """

    def __init__(self, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size


class ConfigError(GuardError, ValueError):
    """A setting is unknown or of the wrong type; the message names the place, the key and what is allowed."""


class SessionAborted(_Refusal, BaseException):
    """A denial under `on_denied="abort"`: a BaseException, which agent loops do not turn into a tool message."""

    @staticmethod
    def _verb() -> str:
        return "session aborted, {action} denied"


for _error in (*__all__,):
    # Tracebacks and pickles show the public name.
    globals()[_error].__module__ = "guardai"
