"""The tables of this room, read from their data files when a dialect is first used."""

from __future__ import annotations

import os.path
from functools import cache
from typing import Final, NamedTuple

__all__ = ["GRAMMAR", "Functions", "functions", "statement_effects"]

_HERE: Final = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs 4 ms at import
_UNKNOWN: Final = frozenset({"unknown"})

#: Words that may stand before a bracket without calling anything: grammar and types. A function of such a name does no
#: more than compute in every dialect; one that did more would stand in functions/effects.txt, which is asked first.
GRAMMAR: Final = frozenset(
    """add after against all and any array as asc asof ascii at before begin between block by byte case changes cast check cluster
    columns conflict constraint convert cross cube current default define desc distinct distribute else end escape
    except exclude exists explode extract fetch filter final first following for foreign format from full generated
    global group grouping having hash if ignore ilike in include index inner insert intersect interpolate interval into is join keep key
    keys last lateral left like limit listagg loop materialized match match_condition match_recognize matched measures merge minus model
    natural next not nulls of offset on only option options or operator order ordinal ordinality out outer output over overlaps overwrite
    partition partitions passing path pattern percent pivot placing position prewhere primary prior qualify range
    recursive references reject rename repeatable replace reservoir respect returning right rollup root row rows safe_offset safe_ordinal sample seed select semi separator set
    sets settings similar some sort straight_join subpartition sum table tablesample temporal then to top trim union
    unique unnest unpivot update use using value values view when where window with within without xmlnamespaces zone
    bernoulli bigint binary bit blob bool boolean bpchar char character clob date datetime datetime2 datetime64
    datetimeoffset dec decimal decimal32 decimal64 decimal128 decimal256 double enum enum8 enum16 fixedstring float
    float4 float8 geography geometry halfvec int int2 int4 int8 integer json jsonb lowcardinality map mediumint money
    national nchar nclob nested nullable number numeric nvarchar nvarchar2 object precision raw real signed smallint
    sparsevec string struct text time timestamp timestamp_ltz timestamp_ntz timestamp_tz timestamptz timetz tinyint
    tuple unsigned uuid varbinary varbit varchar varchar2 variant varying vector year""".split()  # noqa: SIM905 - a table of words
)


class Functions(NamedTuple):
    """What is known of a dialect's functions.

    Attributes:
        harmless: lower-case names that only compute.
        effects: name → what it does beyond that.
        prefixes: the same for names by how they begin.
    """

    harmless: frozenset[str]
    effects: dict[str, frozenset[str]]
    prefixes: tuple[tuple[str, frozenset[str]], ...]

    def effect(self, name: str) -> frozenset[str] | None:
        """What calling it does beyond computing; None if nothing is known of that."""
        found = self.effects.get(name)
        if found is None and name not in self.harmless:
            for prefix, effect in self.prefixes:
                if name.startswith(prefix):
                    return effect
        return found


def _read(name: str) -> list[str]:
    with open(os.path.join(_HERE, *name.split("/")), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        return file.read().splitlines()


def _lines(name: str, dialect: str) -> list[tuple[frozenset[str], list[str]]]:
    """The lines of a table that concern a dialect, those for all first."""
    general, own = [], []
    for line in _read(name):
        if not line or line.startswith("#"):
            continue
        dialects, effects, *words = line.split()
        entry = (frozenset(effects.split(",")), words)
        if dialects == "*":
            general.append(entry)
        elif dialect in dialects.split(","):
            own.append(entry)
    return general + own


@cache
def functions(dialect: str) -> Functions:
    """The functions of a known dialect."""
    harmless = frozenset(line for line in _read(f"functions/{dialect}.txt") if line and not line.startswith("#"))
    effects: dict[str, frozenset[str]] = {}
    prefixes: dict[str, frozenset[str]] = {}
    for effect, names in _lines("functions/effects.txt", dialect):
        for name in names:
            table, key = (prefixes, name[:-1]) if name.endswith("*") else (effects, name)
            table[key] = table.get(key, frozenset()) | effect
    return Functions(harmless, effects, tuple(prefixes.items()))


@cache
def _statements(dialect: str) -> dict[str, frozenset[str]]:
    return {word: effects for effects, words in _lines("statements.txt", dialect) for word in words}


def statement_effects(first: str, second: str, dialect: str) -> frozenset[str]:
    """What a statement that begins with these words does."""
    table = _statements(dialect)
    return table.get(f"{first}_{second}") or table.get(first) or _UNKNOWN
