"""Labels for columns, written into `catalog.toml` so that everything else in it stays as its author wrote it."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardai.errors import BundleError
from guardai.policy.catalog import Catalog

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Item, Table

__all__ = ["pattern", "save", "with_labels"]

_SPECIAL: Final = re.compile(r"[*?\[]")


def pattern(table: str, column: str) -> str:
    """The key of `[columns]` that means this column: without the schema, which a statement may leave out, and literally."""
    return _SPECIAL.sub(r"[\g<0>]", f"{table}.{column}".lower())


def with_labels(
    text: str,
    labels: Mapping[str, Sequence[str]],
    file: str = "catalog.toml",
    found: frozenset[str] = frozenset(),
) -> str:
    """A catalog with more labels for columns.

    Comments, order, blank lines and line ends stay. INVARIANT: nothing that the catalog says is changed or taken away;
    a key of `[columns]` that is there already keeps its labels and gets those that it lacks.

    Args:
        text: the catalog as it is; "" for none.
        labels: pattern (see `pattern`) → labels.
        file: the catalog's name, for messages.
        found: labels that the folder's detectors add to the vocabulary.

    Returns:
        The new text; `text` itself if it says all of this already.

    Raises:
        BundleError: the text is no catalog, or is written in a way that cannot be added to.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    Catalog.parse(text, file, found)
    before = tomllib.loads(text)
    there: dict[str, list[str]] = before.get("columns", {})
    missing = {
        key: [label for label in dict.fromkeys(wanted) if label not in there.get(key, ())]
        for key, wanted in labels.items()
    }
    missing = {key: wanted for key, wanted in missing.items() if wanted}
    if not missing:
        return text
    try:
        document = tomlkit.parse(text)
        _add(document, missing)
        made = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise BundleError(f"{file}: cannot be added to: {error}") from None
    if text.count("\r\n") == text.count("\n") > 0:
        made = made.replace("\r\n", "\n").replace("\n", "\r\n")
    expected = {
        **before,
        "columns": {**there, **{key: [*there.get(key, ()), *wanted] for key, wanted in missing.items()}},
    }
    if _parsed(made) != expected:
        raise BundleError(
            f"{file}: [columns] is written in a way that cannot be added to; write it as a table of its own"
        )
    Catalog.parse(made, file, found)
    return made


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _add(document: TOMLDocument, missing: Mapping[str, list[str]]) -> None:
    import tomlkit
    from tomlkit.items import Table

    if "columns" not in document:
        if document.body:
            document.add(tomlkit.nl())
        document["columns"] = tomlkit.table()
    columns: Any = document["columns"]
    rest = _behind(columns) if isinstance(columns, Table) else []
    for key, wanted in missing.items():
        if key in columns:
            columns[key].extend(wanted)
        else:
            columns.append(key, wanted)
    if rest:
        columns.value.body.extend(rest)


def _behind(columns: Table) -> list[tuple[Any, Item]]:
    """Takes off what stands behind the last entry from the first blank line on: the heading of what comes next."""
    from tomlkit.items import Whitespace

    body = columns.value.body
    first = next((at for at in range(len(body), 0, -1) if body[at - 1][0] is not None), 0)
    cut = next((at for at in range(first, len(body)) if isinstance(body[at][1], Whitespace)), len(body))
    rest = body[cut:]
    del body[cut:]
    return rest


def save(file: Path, before: str, after: str) -> None:
    """Puts `after` in the place of `before`, whole or not at all, whatever interrupts it. Mode and links stay.

    Raises:
        BundleError: the file is no longer what it was when `after` was made from it, or cannot be written.
    """
    place = file.resolve()
    try:
        mode = place.stat().st_mode & 0o7777 if place.exists() else 0o644
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".catalog-")
        try:
            with os.fdopen(handle, "wb") as new:
                new.write(after.encode())
                new.flush()
                os.fsync(new.fileno())
            Path(temporary).chmod(mode)
            # As late as can be: an editor may have saved the file in the meantime.
            if (place.read_bytes().decode("utf-8", "replace") if place.exists() else "") != before:
                raise BundleError(f"{file}: was changed in the meantime; nothing was written")
            Path(temporary).replace(place)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise BundleError(f"{file}: cannot be written: {error.strerror}") from None
