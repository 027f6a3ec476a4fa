"""PostgreSQL: five queries of the system catalogs, which every user may read, and which wait for nobody.

Where an administrator has closed a catalog or a function, nothing is asked of it: an error would end the transaction that
the program is in. Names are told as the server's own bytes where the client's encoding could not hold them. Every function
and catalog is named with its schema, so that none of the program's own stands in for it. No `%`, `:` or `?` stands in a
query: some drivers would take it for a parameter.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Generator
from typing import Any, Final

from guardai.model import LiveFunction, LiveSchema
from guardai.model.live import Volatility
from guardai.sql.live.found import Found, quoted, text

__all__ = ["postgres"]

Rows = list[tuple[Any, ...]]

_VOLATILITY: Final[dict[str, Volatility]] = {"i": "immutable", "s": "stable", "v": "volatile"}
#: Of pg_trigger.tgtype.
_EVENTS: Final = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))
_RELATIONS_NEED: Final = ("pg_class", "pg_namespace", "pg_attribute", "pg_constraint")
_FUNCTIONS_NEED: Final = ("pg_proc", "pg_language", "pg_aggregate")
_TRIGGERS_NEED: Final = ("pg_trigger", "pg_rewrite")
_LOCKS_NEED: Final = ("pg_database", "pg_depend", "pg_locks")
_CATALOGS: Final = _RELATIONS_NEED + _FUNCTIONS_NEED + _TRIGGERS_NEED + _LOCKS_NEED
_CALLED: Final = ("pg_get_viewdef", "pg_get_ruledef", "pg_get_function_sqlbody")

_SETTINGS: Final = (
    "SELECT pg_catalog.encode(pg_catalog.convert_to(CAST(pg_catalog.array_to_json(pg_catalog.current_schemas(true)) "
    "AS text), pg_catalog.current_setting('server_encoding')), 'hex'), "
    "pg_catalog.current_setting('server_encoding'), pg_catalog.current_setting('client_encoding')"
    + "".join(f", CAST(pg_catalog.has_table_privilege('pg_catalog.{name}', 'SELECT') AS int)" for name in _CATALOGS)
    + "".join(
        # Of one that this version does not have, the answer is NULL.
        f", CAST(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.{name}(oid)'), 'EXECUTE') AS int)"
        for name in _CALLED
    )
)

_OURS: Final = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND NOT pg_catalog.pg_is_other_temp_schema(n.oid)"


def _unlocked(catalog: str, owner: str) -> str:
    """A condition: whoever asks for the text of this view, rule or function does not wait for a lock.

    The engine locks, as a reader does, every table that such a text names. A program may hold one of them on another
    connection, in the middle of a migration: it would wait for itself, without end.
    """
    taken = (
        "k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock' AND k.pid <> pg_catalog.pg_backend_pid() AND "
        "k.database = (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database())"
    )
    return f"""{owner} NOT IN (
    SELECT k.relation FROM pg_catalog.pg_locks AS k WHERE {taken}
    UNION ALL
    SELECT d.objid FROM pg_catalog.pg_locks AS k JOIN pg_catalog.pg_depend AS d ON d.refobjid = k.relation
    WHERE d.refclassid = CAST('pg_catalog.pg_class' AS regclass)
      AND d.classid = CAST('pg_catalog.{catalog}' AS regclass) AND {taken})"""  # noqa: S608 - as below


#: A view's text hangs on its rule.
_VIEW_RULE: Final = "(SELECT v.oid FROM pg_catalog.pg_rewrite AS v WHERE v.ev_class = c.oid AND v.rulename = '_RETURN')"
_UNLOCKED_VIEW: Final = f"{_unlocked('pg_rewrite', 'c.oid')} AND {_unlocked('pg_rewrite', _VIEW_RULE)}"
_UNLOCKED_RULE: Final = f"{_unlocked('pg_rewrite', 'r.oid')} AND {_unlocked('pg_rewrite', 'c.oid')}"
_UNLOCKED_FUNCTION: Final = _unlocked("pg_proc", "p.oid")

_RELATIONS: Final = f"""
SELECT {{schema}}, {{name}}, CAST(c.relkind AS text), CAST(pg_catalog.pg_table_is_visible(c.oid) AS int),
  CAST(c.relrowsecurity AS int),
  (SELECT {{columns}} FROM pg_catalog.pg_attribute AS a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT {{key}} FROM pg_catalog.pg_constraint AS p
   CROSS JOIN LATERAL pg_catalog.unnest(p.conkey) WITH ORDINALITY AS k (attnum, place)
   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
   WHERE p.conrelid = c.oid AND p.contype = 'p'),
  CASE WHEN c.relkind IN ('v', 'm') THEN {{query}} END,
  CAST(c.oid AS text),
  (SELECT CAST(pg_catalog.json_agg(a.attnum ORDER BY a.attnum) AS text) FROM pg_catalog.pg_attribute AS a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {_OURS}"""  # noqa: S608 - no value of anybody's stands in it

#: An aggregate is as dangerous as the functions that it calls; its own row always says "immutable".
_FUNCTIONS: Final = f"""
SELECT {{schema}}, {{name}}, CAST(pg_catalog.pg_function_is_visible(p.oid) AS int),
  CASE WHEN g.aggfnoid IS NULL THEN CAST(p.provolatile AS text) ELSE (
    SELECT pg_catalog.max(CAST(q.provolatile AS text)) FROM pg_catalog.pg_proc AS q WHERE {{parts}}) END,
  CASE WHEN g.aggfnoid IS NULL THEN CAST(p.prosecdef AS int) ELSE (
    SELECT pg_catalog.max(CAST(q.prosecdef AS int)) FROM pg_catalog.pg_proc AS q WHERE {{parts}}) END,
  {{language}}, {{body}}
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_aggregate AS g ON CAST(g.aggfnoid AS oid) = p.oid
WHERE {_OURS}"""  # noqa: S608
_PARTS: Final = "q.oid IN ({})".format(
    ", ".join(
        f"CAST(g.{name} AS oid)"
        for name in (
            "aggtransfn", "aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn", "aggminvtransfn",
            "aggmfinalfn",
        )
    )
)  # fmt: skip

#: A trigger that is switched off fires for nobody; those of foreign keys are the engine's own.
_TRIGGERS: Final = f"""
SELECT {{schema}}, {{name}}, CAST(pg_catalog.pg_table_is_visible(c.oid) AS int), CAST(t.tgtype AS int),
  {{function_schema}}, {{function}}, CAST(pg_catalog.pg_function_is_visible(p.oid) AS int)
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace AS m ON m.oid = p.pronamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND {_OURS}
UNION ALL
SELECT {{schema}}, {{name}}, CAST(pg_catalog.pg_table_is_visible(c.oid) AS int),
  CASE r.ev_type WHEN '2' THEN 16 WHEN '3' THEN 4 WHEN '4' THEN 8 ELSE 28 END, NULL, {{rule}}, NULL
FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' AND {_OURS}"""  # noqa: S608

#: Foreign keys that do something: `c` cascades, `n` sets NULL, `d` the default.
_FOREIGN: Final = f"""
SELECT {{schema}}, {{name}}, CAST(pg_catalog.pg_table_is_visible(c.oid) AS int), {{child_schema}}, {{child}},
  CAST(k.confdeltype AS text), CAST(k.confupdtype AS text),
  (SELECT {{columns}} FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS p (attnum, place)
   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.attnum),
  (SELECT {{keys}} FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS p (attnum, place)
   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = p.attnum)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.confrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS d ON d.oid = k.conrelid JOIN pg_catalog.pg_namespace AS m ON m.oid = d.relnamespace
WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) AND {_OURS}"""  # noqa: S608
_FOLLOWS: Final = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def postgres() -> Generator[str, Rows, LiveSchema]:
    """Yields queries, is sent their rows; returns the schema."""
    found = Found()
    [(schemas, server, client, *rights)] = yield _SETTINGS
    may = dict(zip(_CATALOGS + _CALLED, rights, strict=True))
    encoding = text(server)
    codec = _codec(encoding)
    path = [_schema(name) for name in json.loads(bytes.fromhex(text(schemas)).decode(codec, "replace"))]

    # Whatever the client could not be sent would be an error. Nor does it know the bytes of a server that does not.
    plain = encoding == text(client) != "SQL_ASCII"

    def cell(expression: str) -> str:
        whole = f"CAST({expression} AS text)"
        if plain:
            return whole
        own = "pg_catalog.current_setting('server_encoding')"
        return f"pg_catalog.encode(pg_catalog.convert_to({whole}, {own}), 'hex')"

    def told(value: Any) -> str:
        return text(value) if plain else bytes.fromhex(text(value)).decode(codec, "replace")

    def call(function: str, of: str, unlocked: str, otherwise: str = "''") -> str:
        if not (may[function] and allowed((*_LOCKS_NEED, "pg_rewrite"))):
            return cell(otherwise)
        return cell(f"CASE WHEN {unlocked} THEN pg_catalog.{function}({of}) ELSE {otherwise} END")

    def allowed(catalogs: tuple[str, ...]) -> bool:
        return all(may[catalog] for catalog in catalogs)

    names = {"schema": cell("n.nspname"), "name": cell("c.relname")}
    if not allowed(_RELATIONS_NEED):
        return found.schema(path)
    rows = yield _RELATIONS.format(
        **names,
        columns=cell("pg_catalog.json_agg(a.attname ORDER BY a.attnum)"),
        key=cell("pg_catalog.json_agg(a.attname ORDER BY k.place)"),
        query=call("pg_get_viewdef", "c.oid", _UNLOCKED_VIEW),
    )
    _relations(found, rows, told)

    listed = cell("pg_catalog.json_agg(a.attname ORDER BY p.place)")
    rows = yield _FOREIGN.format(
        **names, child_schema=cell("m.nspname"), child=cell("d.relname"), columns=listed, keys=listed
    )
    for schema, name, visible, child_schema, child, deletes, updates, columns, keys in rows:
        found.cascade(
            _named(told(schema), told(name), visible),
            quoted(_schema(told(child_schema)), told(child)),
            [quoted(column) for column in json.loads(told(columns))],
            json.loads(told(keys)),
            _FOLLOWS.get(text(deletes), ""),
            _FOLLOWS.get(text(updates), ""),
        )

    if not allowed(_FUNCTIONS_NEED):
        return found.schema(path)
    # A body that is kept parsed has no source.
    body = call(
        "pg_get_function_sqlbody", "p.oid", f"p.prosqlbody IS NOT NULL AND {_UNLOCKED_FUNCTION}",
        "CASE WHEN l.lanname IN ('c', 'internal') THEN '' ELSE p.prosrc END",
    )  # fmt: skip
    rows = yield _FUNCTIONS.format(
        schema=names["schema"], name=cell("p.proname"), parts=_PARTS, language=cell("l.lanname"), body=body
    )
    for schema, name, visible, volatility, definer, language, body in rows:
        found.function(
            _named(told(schema), told(name), visible),
            LiveFunction(
                _VOLATILITY.get(text(volatility), "volatile"), told(language), told(body).strip(), bool(definer)
            ),
        )

    if not allowed(_TRIGGERS_NEED):
        return found.schema(path)
    rows = yield _TRIGGERS.format(
        **names,
        function_schema=cell("m.nspname"),
        function=cell("p.proname"),
        rule=call("pg_get_ruledef", "r.oid", _UNLOCKED_RULE),
    )
    for schema, name, visible, bits, function_schema, function, function_visible in rows:
        events = [event for bit, event in _EVENTS if bits & bit]
        body = told(function)
        if function_schema is not None:
            body = _named(told(function_schema), body, function_visible).lower()
        found.trigger(_named(told(schema), told(name), visible), events, body)
    return found.schema(path)


def _relations(found: Found, rows: Rows, told: Callable[[Any], str]) -> None:
    for schema, relation, kind, visible, guarded, columns, key, query, number, numbers in rows:
        name = _named(told(schema), told(relation), visible)
        listed = json.loads(told(columns)) if columns is not None else []
        if listed:
            found.numbered(name, int(text(number)), zip(json.loads(text(numbers)), listed, strict=True))
        if text(kind) in ("v", "m"):
            found.view(name, listed, told(query))
        else:
            found.table(name, listed, json.loads(told(key)) if key is not None else ())
        if guarded:
            found.guard(name)


def _named(schema: str, name: str, visible: Any) -> str:
    return name if visible else f"{_schema(schema)}.{name}"


def _schema(name: str) -> str:
    """The session's own temporary schema has a number, and a name that statements can use."""
    return "pg_temp" if name.startswith("pg_temp_") else name


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding.replace("WIN", "cp")).name
    except LookupError:
        return "utf-8"
