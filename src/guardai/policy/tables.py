"""A TOML table that says where it stands when something in it is wrong."""

from __future__ import annotations

from typing import Any, cast

from guardai.errors import BundleError
from guardai.model import MASKS, Label, Mask

__all__ = ["Table"]


class Table:
    """One table of a TOML file. Every method raises `BundleError` naming file and key for what is not as it should be."""

    def __init__(self, data: object, file: str, at: str) -> None:
        self._file, self._at = file, at
        if not isinstance(data, dict):
            raise self._error("must be a table")
        self._data: dict[str, Any] = data

    def _error(self, what: str, key: str = "") -> BundleError:
        at = ".".join(part for part in (self._at, key) if part)
        return BundleError(f"{self._file}: {at or 'the file'} {what}")

    def only(self, *keys: str) -> None:
        for key in self._data:
            if key not in keys:
                raise self._error(f"is not a key of the catalog; allowed here: {', '.join(keys)}", key)

    def text(self, key: str, default: str, *choices: str) -> str:
        value = self._data.get(key, default)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self._error(f"must be {' or '.join(map(repr, choices)) if choices else 'a string'}", key)
        return value

    def keys(self, key: str) -> list[str]:
        return list(Table(self._data.get(key, {}), self._file, key)._data)

    def tables(self, key: str) -> list[tuple[str, Table]]:
        inner = Table(self._data.get(key, {}), self._file, key)
        return [(name, Table(entry, self._file, f'{key}."{name}"')) for name, entry in inner._data.items()]

    def array(self, key: str) -> list[Table]:
        entries = self._data.get(key, [])
        if not isinstance(entries, list):
            raise self._error(f"must be written [[{key}]]", key)
        return [Table(entry, self._file, f"{key}[{number}]") for number, entry in enumerate(entries, 1)]

    def label_lists(self, key: str) -> list[tuple[str, frozenset[str]]]:
        found = []
        for pattern, labels in Table(self._data.get(key, {}), self._file, key)._data.items():
            at = f'{key}."{pattern}"'
            if "." not in pattern:
                raise self._error("must be a pattern for table.column", at)
            if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
                raise self._error('must be a list of labels, such as ["pii.email"]', at)
            found.append((pattern, frozenset(self._label(label, at) for label in labels)))
        return found

    def masks(self, key: str) -> dict[str, Mask]:
        found: dict[str, Mask] = {}
        for label, mask in Table(self._data.get(key, {}), self._file, key)._data.items():
            at = f'{key}."{label}"'
            if mask not in MASKS:
                raise self._error(f"must be one of {', '.join(MASKS)}", at)
            found[self._label(label, at)] = cast("Mask", mask)
        return found

    def _label(self, name: str, at: str) -> str:
        try:
            return str(Label(name))
        except ValueError as error:
            raise self._error(f"names {error}", at) from None
