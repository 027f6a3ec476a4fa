"""Places inside JSON-like data: something taken out of it and put back, everything else left as it is.

What the gate should not read as text (an image, a vector, a text whose masked form is known already) is lifted out of a
payload before the gate sees it and put back afterwards. INVARIANT: data that was given is never changed; the copy shares
every part from which nothing was lifted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Path", "lift", "put"]

Path = tuple[str | int, ...]

#: `picked(key, value, path)`: None to go on, or what to leave in the value's place.
Pick = Callable[[str | int, Any], Any]


def lift(value: Any, pick: Pick, places: list[tuple[Path, Any]], path: Path = ()) -> Any:
    """A copy without what `pick` takes; each thing taken is added to `places`.

    Args:
        value: JSON-like data.
        pick: given key and value, returns None to leave it, otherwise what stands in its place.
        places: is extended by (path, what was there).
        path: where `value` is.
    """
    if type(value) is dict:
        items: Any = value.items()
    elif type(value) is list:
        items = enumerate(value)
    else:
        return value
    copy: Any = None
    for key, child in items:
        instead = pick(key, child)
        if instead is not None:
            places.append(((*path, key), child))
        elif type(child) is dict or type(child) is list:
            instead = lift(child, pick, places, (*path, key))
            if instead is child:
                continue
        else:
            continue
        if copy is None:
            copy = value.copy()
        copy[key] = instead
    return value if copy is None else copy


def put(value: Any, places: list[tuple[Path, Any]]) -> None:
    """Puts back what was lifted. The containers on the way there are `lift`'s copies or the gate's, never the caller's."""
    for path, thing in places:
        at = value
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = thing
