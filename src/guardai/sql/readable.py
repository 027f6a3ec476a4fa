"""A statement as people read it: laid out on lines, its literals replaced.

For approvals, logs and errors. Nothing that stands here is ever run; what the statement does is said by `inspect`.
"""

from __future__ import annotations

import re
from typing import Final

from guardai.sql import lexicon as lx
from guardai.sql.prescan import Refused, prescan

__all__ = ["SHOWN", "readable"]

#: Characters. Nobody reads on, and laying out takes longer than the text grows.
SHOWN: Final = 4_000
_VALUES: Final = frozenset({lx.STRING, lx.STRING_ODD, lx.Q_QUOTE, lx.DOLLAR, lx.NUMBER})
#: Replaced values next to one another tell no more than one does.
_LIST: Final = re.compile(r"\?(?:\s*,\s*\?)+")
_PLAIN_NAME: Final = re.compile(r"\W?\w{1,128}\W?")


def readable(sql: str, dialect: str) -> str:
    """The statement laid out, with `?` for each literal, and without comments.

    SECURITY INVARIANT: no literal and no comment of the statement is in the result. A quoted name that is not one word
    may be a literal that was written in the wrong quotes, as sqlite and MySQL permit: it is replaced as well. Of a
    statement that cannot be divided into tokens nothing is shown but why.

    Args:
        sql: any text. More than `SHOWN` characters of it are not shown.
        dialect: one that `inspect` knows.
    """
    try:
        tokens = prescan(sql, dialect).tokens
    except Refused as refused:
        return f"({refused}: cannot be shown)"
    parts: list[str] = []
    size, end = 0, 0
    for kind, _, _, start, stop in tokens:
        if size > SHOWN:
            parts.append(" …")
            break
        text = sql[start:stop]
        if kind in _VALUES or (kind == lx.QUOTED and not _PLAIN_NAME.fullmatch(text)):
            text = "?"
        if start > end:
            parts.append(" ")
        parts.append(text)
        size += len(text) + 1
        end = stop
    import sqlparse

    laid = sqlparse.format(_LIST.sub("?, …", "".join(parts)), reindent=True, keyword_case="upper")
    return "\n".join(line.rstrip() for line in laid.splitlines() if line.strip())
