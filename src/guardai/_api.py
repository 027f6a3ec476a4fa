"""What the public functions do. Kept out of `__init__` so that importing guardai imports next to nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from guardai.gate.scope import SessionScope
    from guardai.model import Audience, OnDenied, Session

__all__ = ["current", "init", "record", "session", "shutdown", "wrap"]

T = TypeVar("T")

_lock = threading.Lock()
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def init(
    *,
    home: Path | str | None = None,
    policy: Path | str | None = None,
    policy_root: Path | str | None = None,
    policy_keys: Sequence[Path | str] | None = None,
    policy_refresh: str | None = None,
    mode: Literal["enforce", "observe"] | None = None,
    environment: str | None = None,
    region: str | None = None,
    integrations: Literal["auto"] | Sequence[str] | None = None,
    app_calls: Literal["ignore", "record", "govern"] | None = None,
    agent: str | None = None,
    ledger: str | None = None,
    ledger_mode: Literal["spool", "signed", "strict"] | None = None,
    ledger_full: Literal["fail_closed", "block", "shed"] | None = None,
    sinks: Sequence[str] | None = None,
    anchors: Sequence[str] | None = None,
    anchor_every: str | None = None,
    token_life: str | None = None,
    capture_life: str | None = None,
    content_life: str | None = None,
    counters: str | None = None,
) -> None:
    """Puts the gate in front of everything that agents of this process do. Calling it again replaces the settings.

    What is not given is read from `GUARDAI_*`, `guardai.toml` and `[tool.guardai]` in `pyproject.toml`; see
    `guardai.settings.Settings` for what each means. No library is imported: a patch waits for the program's own import.

    Raises:
        ConfigError: a setting is unknown or of the wrong type; it names the place and the key.
        BundleError: the policy cannot be used; it names file and line.
        LedgerError: `home` cannot be written.
    """
    from guardai import settings
    from guardai.gate import runtime
    from guardai.hooks import registry

    given = {
        "home": home,
        "policy": policy,
        "policy_root": policy_root,
        "policy_keys": policy_keys,
        "policy_refresh": policy_refresh,
        "mode": mode,
        "environment": environment,
        "region": region,
        "integrations": integrations,
        "app_calls": app_calls,
        "agent": agent,
        "ledger": ledger,
        "ledger_mode": ledger_mode,
        "ledger_full": ledger_full,
        "sinks": sinks,
        "anchors": anchors,
        "anchor_every": anchor_every,
        "token_life": token_life,
        "capture_life": capture_life,
        "content_life": content_life,
        "counters": counters,
    }
    with _lock:
        started = runtime.start(settings.load(given))
        try:
            registry.install(started.settings.integrations)
        except BaseException:
            # Half a gate is worse than none: what is not governed must not look as if it were.
            registry.uninstall()
            runtime.stop()
            raise


def shutdown() -> None:
    """Undoes everything: the wrapped libraries are as they were, the ledger is closed and sealed."""
    import sys

    if "guardai.gate.runtime" not in sys.modules:
        return
    from guardai.gate import runtime
    from guardai.hooks import registry

    with _lock:
        registry.uninstall()
        runtime.stop()


def session(
    *,
    user: str | None = None,
    agent: str | None = None,
    purpose: str = "",
    audience: Audience = "process",
    on_denied: OnDenied = "raise",
    id: str | None = None,  # noqa: A002 - it is what an event calls it
) -> SessionScope:
    """Opens a session, with `with` or `async with`: everything within is governed as this agent's, for this user.

    Args:
        user: on whose behalf; the operating system's user by default.
        agent: the agent's name; `GUARDAI_AGENT` or the program's name by default.
        purpose: what for; policies may ask, auditors will.
        audience: who reads the answers: the `process`, or a `person`.
        on_denied: a denial raises `PolicyDenied`, or aborts the session (`SessionAborted`, a BaseException).
        id: the session's, to go on with one that another process began or that was begun before a restart: for the same
            user the tokens that it gave out are known again, until they expire (`token_life`). 1 to 64 letters, digits and
            `._:-`. Random by default.

    Raises:
        GuardError: (when entered) `init` has not been called.
        LedgerError: (when entered) the session's beginning cannot be recorded.
    """
    from guardai.gate.scope import SessionScope

    for name, value, allowed in (
        ("audience", audience, ("process", "person")),
        ("on_denied", on_denied, ("raise", "abort")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if id is not None and (not isinstance(id, str) or not _ID.fullmatch(id) or id == "ambiguous"):
        raise ValueError("an id is 1 to 64 letters, digits and ._:-, and not 'ambiguous'")
    return SessionScope(user=user, agent=agent, purpose=purpose, audience=audience, on_denied=on_denied, id_=id)


def current() -> Session | None:
    """The session of this context, opened or implicit; None if there is none."""
    import sys

    gate = sys.modules.get("guardai.gate.run")
    here = gate.HERE.get() if gate is not None else None
    return here.run.session if here is not None else None


def wrap(obj: T) -> T:
    """Governs one object — a client, a connection, a function — without patching its library.

    Raises:
        TypeError: no installed integration knows what this is.
        GuardError: `init` has not been called.
    """
    from guardai.gate import require
    from guardai.hooks import registry

    require()
    wrapped: T = registry.wrap(obj)
    return wrapped


def record(kind: str, **fields: Any) -> str:
    """Records something of your own in the ledger, in this context's session; returns the event's id.

    Args:
        kind: what it is, dotted, such as `review.done`; what begins with a first word of guardai's own kinds is refused.
        fields: JSON-like data without floats; what looks sensitive in it is redacted first.

    Raises:
        ValueError: the kind is one of guardai's own.
        LedgerError: it could not be recorded.
    """
    from guardai.gate import HERE, require
    from guardai.gate.scope import emit_in
    from guardai.model import RESERVED
    from guardai.text import Masking

    if not _KIND.fullmatch(kind):
        raise ValueError("a kind is lower-case words joined by dots, such as 'review.done'")
    if kind.partition(".")[0] in RESERVED:
        raise ValueError(f"events of kind {kind!r} are written by guardai itself; choose another name")
    here = HERE.get()
    run = here.run if here is not None else require().acting.app()
    return emit_in(run, kind, Masking(lambda _: "redact").payload(fields))
