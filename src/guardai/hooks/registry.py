"""The integrations of this process: found by entry point, installed by `init`, uninstalled by `shutdown`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, Final, Literal, Protocol, runtime_checkable

from guardai.errors import ConfigError
from guardai.hooks.context import install as carry_context
from guardai.hooks.patches import Hooks

__all__ = ["GROUP", "Integration", "Wraps", "install", "installed", "report", "uninstall", "wrap"]

GROUP: Final = "guardai.integrations"
_log: Final = logging.getLogger("guardai")


@runtime_checkable
class Integration(Protocol):
    """An adapter that turns one library's calls into governed calls. Found by the entry-point group above.

    Attributes:
        name: `openai`.
        library: the distribution it adapts, for its version; "" for the standard library.
        targets: modules whose import triggers it; never imported by us.
        versions: the PEP 440 range it is tested against.
    """

    name: str
    library: str
    targets: tuple[str, ...]
    versions: str

    def install(self, hooks: Hooks) -> None:
        """Wraps what has to be wrapped."""

    def uninstall(self, hooks: Hooks) -> None:
        """Undoes what `hooks` does not undo by itself."""


@runtime_checkable
class Wraps(Protocol):
    """An integration that can govern one object without patching anything else."""

    def wrap(self, obj: Any, hooks: Hooks) -> Any | None:
        """The governed object, or None if it is not of this library."""


class _Installed:
    __slots__ = ("hooks", "integration", "name", "why")

    def __init__(self, name: str, integration: Integration | None, hooks: Hooks, why: str = "") -> None:
        self.name = name
        self.integration = integration
        self.hooks = hooks
        self.why = why


_lock = threading.RLock()
_installed: dict[str, _Installed] = {}
_context = Hooks()


def install(wanted: Literal["auto"] | Sequence[str]) -> None:
    """Installs every integration found, or those named. What is installed stays as it is.

    Raises:
        ConfigError: a named integration is not there, or cannot be installed.
    """
    global _context
    with _lock:
        if not _context.patches or not _context.active:
            _context = Hooks()
            carry_context(_context)
        found = {point.name: point for point in entry_points(group=GROUP)}
        for name in sorted(found) if wanted == "auto" else wanted:
            if name in _installed:
                continue
            if name not in found:
                raise ConfigError(
                    f"integration {name!r} is not installed; installed are: {', '.join(sorted(found)) or 'none'}"
                )
            _installed[name] = _load(found[name], strict=wanted != "auto")


def _load(point: EntryPoint, *, strict: bool) -> _Installed:
    hooks = Hooks()
    try:
        integration: Integration = point.load()
        integration.install(hooks)
    except Exception as exc:
        hooks.undo()
        if strict:
            raise ConfigError(f"integration {point.name!r} cannot be installed: {type(exc).__name__}: {exc}") from exc
        _log.warning("integration %r cannot be installed, its library is NOT governed: %s", point.name, exc)
        return _Installed(point.name, None, hooks, f"{type(exc).__name__}: {exc}")
    return _Installed(point.name, integration, hooks)


def uninstall() -> None:
    """Restores the original objects."""
    with _lock:
        for entry in _installed.values():
            if entry.integration is not None:
                entry.integration.uninstall(entry.hooks)
            entry.hooks.undo()
        _installed.clear()
        _context.undo()


def installed() -> tuple[str, ...]:
    """Names of the integrations in place."""
    return tuple(sorted(_installed))


def wrap(obj: Any) -> Any:
    """One object, governed, without patching its library.

    Raises:
        TypeError: no installed integration knows what this is.
    """
    import types

    if isinstance(obj, (types.FunctionType, types.MethodType)):
        from guardai._tool import tool

        return tool(obj)
    with _lock:
        for point in entry_points(group=GROUP):
            integration = point.load()
            if isinstance(integration, Wraps):
                entry = _installed.get(point.name)
                wrapped = integration.wrap(obj, entry.hooks if entry is not None else Hooks())
                if wrapped is not None:
                    return wrapped
    kind = type(obj)
    raise TypeError(f"no installed integration governs {kind.__module__}.{kind.__qualname__}; see `guardai doctor`")


def report() -> list[dict[str, Any]]:
    """How every integration and each of its targets stands: what `guardai doctor --json` prints."""
    with _lock:
        return [_told(entry) for _, entry in sorted(_installed.items())]


def _told(entry: _Installed) -> dict[str, Any]:
    integration = entry.integration
    library = integration.library if integration is not None else ""
    try:
        found = version(library) if library else None
    except PackageNotFoundError:
        found = None
    targets = [{"target": p.target, "status": p.status, "why": p.why} for p in entry.hooks.patches]
    states = {str(target["status"]) for target in targets}
    if integration is None:
        status = "failed"
    elif library and found is None:
        status = "absent"
    else:
        # One whose libraries are many is in place once one of them is.
        worst = (
            ("failed", "absent", "patched", "pending")
            if len(integration.targets) > 1
            else ("failed", "absent", "pending")
        )
        status = next((state for state in worst if state in states), "patched")
    why = entry.why
    if integration is not None and found is not None and not why:
        why = _outside(found, integration.versions)
    return {
        "name": entry.name,
        "library": library or "standard library",
        "version": found,
        "status": status,
        "why": why,
        "targets": targets,
    }


def _outside(found: str, tested: str) -> str:
    from packaging.specifiers import SpecifierSet

    return "" if SpecifierSet(tested).contains(found, prereleases=True) else f"{found} is not among the tested {tested}"
