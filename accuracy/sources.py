"""Source code and prose in which nothing should be found: what is installed with Python.

Both are real. The code is CPython's library and the installed packages, without their tests, whose purpose is to hold
addresses, and without python-stdnum, whose docstrings hold a valid number of each kind that it checks; the prose is the library's docstrings and what packages say of themselves. An e-mail address or the address of
a machine that stands there is no false alarm, and is counted on its own, for every tool alike.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

__all__ = ["code", "prose"]

#: A tool reads at most so many characters at a time.
_PIECE = 50_000


def code(limit: int) -> list[str]:
    """About `limit` characters of source code, files chosen by a hash of their names."""
    return _some(((p, p.read_text(encoding="utf-8", errors="replace")) for p in _modules()), limit)


def prose(limit: int) -> list[str]:
    """About `limit` characters of docstrings and of packages' descriptions."""
    return _some(_written(), limit)


def _modules() -> list[Path]:
    roots = (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib")))
    found = {p for root in roots for p in root.rglob("*.py") if not _omitted(p.relative_to(root)) and p.is_file()}
    return sorted(found, key=lambda p: hashlib.sha256(p.name.encode()).digest())


_OMITTED = ("test", "_test", "idle_test", "__pycache__", "site-packages", "stdnum")


def _omitted(path: Path) -> bool:
    return any(part.startswith(_OMITTED) for part in path.parts)


def _written() -> Iterator[tuple[Path, str]]:
    library = Path(sysconfig.get_path("stdlib"))
    for path in _modules():
        if library in path.parents and "site-packages" not in path.parts:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
                except SyntaxError:
                    continue  # lib2to3 keeps files of Python 2
            nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, nodes)]
            yield path, "\n\n".join(t for t in texts if t)
    for path in sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info/METADATA")):
        yield path, str(message_from_string(path.read_text(encoding="utf-8", errors="replace")).get_payload())


def _some(files: Iterator[tuple[Path, str]], limit: int) -> list[str]:
    pieces: list[str] = []
    left = limit
    for _, text in files:
        if left <= 0:
            break
        pieces += [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
        left -= len(text)
    return [piece for piece in pieces if piece.strip()]
