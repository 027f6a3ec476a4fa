"""A governed subclass of a driver's class, for objects that are governed one by one (`guardai.wrap`)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

__all__ = ["governed_class", "governed_method"]


def governed_method(original: Any, wrapper: Any) -> Any:
    """A method that calls `wrapper(wrapped, instance, args, kwargs)`, as `Hooks.wrap` has it called."""

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper(functools.partial(original, self), self, args, kwargs)

    return method


def governed_class(kind: Any, wrappers: Mapping[str, Any], **more: Any) -> Any:
    """The subclass of a class that goes by its name, its methods wrapped as `install` wraps those of the library's own.

    Args:
        kind: the class.
        wrappers: method → wrapper.
        more: what else the subclass has.
    """
    methods = {name: governed_method(getattr(kind, name), wrapper) for name, wrapper in wrappers.items()}
    about = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind.__name__, (kind,), {**methods, **about, **more})
