"""`@guardai.tool`: a plain function becomes a governed tool."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from guardai.model.call import Call
from guardai.model.where import Target

__all__ = ["tool"]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tool(
    *, name: str | None = None, effects: str = "", resource: str = ""
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, effects: str = "", resource: str = ""
) -> Any:
    """Makes a function, plain or `async`, a governed tool: action `tool.call` on `Tool::"<name>"`.

    The arguments are inspected and masked as policy says before the function runs, its result before the caller gets
    it; what the function does itself (a statement, another tool) is recorded as a child of the call.

    Args:
        function: the function, where the decorator is used bare.
        name: what policies call it; its `__qualname__` by default.
        effects: `read`, `write` or `destroy`: `context.tool.effects` in policies. What the catalog says of the tool by
            default, else `unknown`.
        resource: what it acts on, `context.tool.resource` in policies.

    Raises:
        TypeError: a generator function: what it yields could not be governed.
        GuardError: (when called) guardai is not started.
        PolicyDenied: (when called) policy does not permit the call; the function did not run.
    """
    if function is None:
        return functools.partial(_governed_tool, name=name, effects=effects, resource=resource)
    return _governed_tool(function, name=name, effects=effects, resource=resource)


def _governed_tool(function: Callable[..., Any], *, name: str | None, effects: str, resource: str) -> Any:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__qualname__} is a generator; a governed tool returns its result as a whole")
    if effects not in ("", "read", "write", "destroy"):
        raise ValueError(f"effects of a tool are 'read', 'write' or 'destroy', not {effects!r}")
    title = name or str(getattr(function, "__qualname__", type(function).__qualname__))
    target = Target("tool", "", title)
    facts: dict[str, Any] = {}
    if effects:
        facts["tool.effects"] = effects
    if resource:
        facts["tool.resource"] = resource
    arguments = _Arguments(function)

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call("tool.call", target, payload=arguments.named(args, kwargs), facts=facts)

    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):

        @functools.wraps(function)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            from guardai.gate import agoverned, require

            described = call(args, kwargs)

            async def effect(payload: Any) -> Any:
                if payload is described.payload:
                    return await function(*args, **kwargs)
                args_, kwargs_ = arguments.placed(payload)
                return await function(*args_, **kwargs_)

            return await agoverned(require().gate, described, effect)

        return arun

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        from guardai.gate import governed, require  # not before: decorating must cost nothing at import

        described = call(args, kwargs)

        def effect(payload: Any) -> Any:
            if payload is described.payload:
                return function(*args, **kwargs)
            args_, kwargs_ = arguments.placed(payload)
            return function(*args_, **kwargs_)

        return governed(require().gate, described, effect)

    return run


class _Arguments:
    """Arguments by name, as policy and masks see them, and back."""

    __slots__ = ("_names", "_signature")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters.values()
        #: Names by position where that is all there is to binding: it saves the 3 µs of `Signature.bind`.
        self._names: tuple[str, ...] | None = (
            tuple(p.name for p in parameters)
            if all(p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in parameters)
            else None
        )

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = self._names
        if names is not None and len(args) <= len(names) and not (kwargs.keys() - names[len(args) :]):
            return dict(zip(names, args)) | kwargs  # noqa: B905 - fewer arguments than names: the rest have defaults
        # Also where the call is wrong: this raises the TypeError that calling would have raised.
        return cast("dict[str, Any]", dict(self._signature.bind(*args, **kwargs).arguments))

    def placed(self, named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = inspect.BoundArguments(self._signature, named)
        return bound.args, bound.kwargs
