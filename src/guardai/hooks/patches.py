"""Patches: made by name, when the library is imported; told one by one; undone by identity."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import wrapt

if TYPE_CHECKING:
    from types import ModuleType


__all__ = ["Hooks", "Patch", "Status", "Wrapper"]

#: `patched`; `pending`: the library is not imported yet; `absent`: the library has no such thing; `failed`: see why.
Status = Literal["patched", "pending", "absent", "failed"]

#: `wrapper(wrapped, instance, args, kwargs)`, as wrapt calls it.
Wrapper = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]


class Patch(msgspec.Struct):
    """One target of an integration and how it stands.

    Attributes:
        target: `module:Class.attribute`.
        status: how it stands.
        why: for what is not patched.
    """

    target: str
    status: Status = "pending"
    why: str = ""


class _Bound(wrapt.BoundFunctionWrapper[Any, Any]):
    """A patched method, taken from an object. It pickles as the object and the method's name, as a plain one does."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        method: Any = self.__wrapped__
        return getattr, (method.__self__, method.__name__)


class _Wrapped(wrapt.FunctionWrapper[Any, Any]):
    """A patched function. It pickles as what it wraps, by name: worker pools depend on that."""

    __bound_function_wrapper__ = _Bound

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _by_name, (self.__wrapped__.__module__, self.__wrapped__.__qualname__)


def _by_name(module: str, qualified: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    return found


class Hooks:
    """What one integration has in its hands.

    Nothing here imports the adapted library: a patch waits for the program's own import of it.
    """

    def __init__(self) -> None:
        self.patches: list[Patch] = []
        self._handles: list[tuple[Any, str, Any]] = []
        self._undo: list[Callable[[], None]] = []
        self._active = True

    @property
    def active(self) -> bool:
        """False once undone. Methods that somebody cached before look here and pass through."""
        return self._active

    def wrap(self, target: str, wrapper: Wrapper) -> Patch:
        """Wraps `module:Class.attribute` as soon as its module is imported, or now if it is.

        Args:
            target: what to wrap.
            wrapper: called as `wrapper(wrapped, instance, args, kwargs)`. For an `async def` give an `async def`: a
                plain function would run when the coroutine is made, not when it is awaited.
        """
        module, _, path = target.partition(":")
        patch = Patch(target)
        self.patches.append(patch)

        # Some libraries look a name up among the variables of their callers: `args` would be found here.
        def active(_wrapped: Any, _instance: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
            if not self._active:
                return _wrapped(*_args, **_kwargs)
            return wrapper(_wrapped, _instance, _args, _kwargs)

        def now(loaded: ModuleType) -> None:
            if not self._active:
                return
            try:
                # The module object that was handed over: the parent package may not have its attribute yet.
                handle = wrapt.wrap_object(loaded, path, _Wrapped, (active,))
            except AttributeError as exc:
                patch.status, patch.why = "absent", str(exc)
            except Exception as exc:
                patch.status, patch.why = "failed", f"{type(exc).__name__}: {exc}"
            else:
                patch.status = "patched"
                self._handles.append((loaded, path, handle))

        self.when_imported(module, now)
        return patch

    def when_imported(self, module: str, then: Callable[[ModuleType], None]) -> None:
        """Calls `then(module)` right after the module is executed, or now if it has been."""
        loaded = sys.modules.get(module)
        if loaded is not None:
            then(loaded)
        else:
            wrapt.register_post_import_hook(then, module)

    def undo_with(self, undo: Callable[[], None]) -> None:
        """Something else to do when the integration is uninstalled."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Takes every patch back, also from below another vendor's."""
        self._active = False
        while self._undo:
            self._undo.pop()()
        while self._handles:
            target, path, handle = self._handles.pop()
            try:
                wrapt.unwrap_object(target, path, handle, missing_ok=True)
            except wrapt.WrapperNotOutermostError:
                # Somebody closed over it with a plain function: it stays in place and passes through (`active`).
                continue
        for patch in self.patches:
            patch.status, patch.why = "pending", "uninstalled"
