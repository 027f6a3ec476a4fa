"""SQLite: every file of the connection, and the functions that the program gave it.

Text is asked for as blobs, because a program's text factory would change it; a blob of text is in the database's own
encoding. A database that may not be read (an authorizer forbids it), a view over a table that is gone and a virtual table
whose module is not loaded are left out alone: the errors of this reader's queries are to be thrown into it, and it raises
again those that say nothing of rights, of a locked file for one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from guardai.model import LiveFunction, LiveSchema
from guardai.sql.live.found import EVENTS, Found, first_of, query_of, quoted, text, tokens

__all__ = ["sqlite"]

Rows = list[tuple[Any, ...]]

_CODECS: Final = {b"a\0": "utf-16-le", b"\0a": "utf-16-be"}
#: Functions of the extensions that SQLite itself comes with: it does not count them among its own.
_BUNDLED: Final = frozenset(
    {
        "bm25", "fts3_tokenizer", "fts5", "fts5_get_locale", "fts5_insttoken", "fts5_locale", "fts5_source_id", "highlight",
        "match", "matchinfo", "offsets", "optimize", "rtreecheck", "rtreedepth", "rtreenode", "snippet",
    }
)  # fmt: skip
_DETERMINISTIC: Final = 0x800
#: Hidden columns of virtual tables (1) are none of `*`; generated ones (2, 3) are.
_COLUMNS: Final = """
SELECT m.rowid, p.pk, CAST(p.name AS BLOB)
FROM {master} AS m JOIN pragma_table_xinfo(m.name, {name}) AS p
WHERE p.hidden <> 1 AND {which} ORDER BY m.rowid, p.cid"""
#: Those whose columns can be told whatever else is broken, and the others.
_SOUND: Final = "m.type = 'table' AND m.rootpage > 0"
_OTHERS: Final = "(m.type = 'view' OR m.type = 'table' AND m.rootpage = 0)"


def sqlite() -> Generator[str, Rows, LiveSchema]:
    """Yields queries, is sent their rows, or has their errors thrown into it; returns the schema."""
    found = Found()
    try:
        rows = yield "SELECT CAST('a' AS BLOB), seq, CAST(name AS BLOB) FROM pragma_database_list ORDER BY seq"
    except Exception as error:
        if not _forbidden(error):
            raise
        return found.schema(["temp", "main"])
    codec = _CODECS.get(bytes(rows[0][0]), "utf-8") if rows else "utf-8"
    names = [text(name, codec) for _, _, name in rows]
    # Unqualified names are looked for in temp first, then in the order of attachment.
    path = sorted(names, key=lambda name: name != "temp")

    files: dict[str, tuple[Rows, dict[int, list[tuple[str, int]]]]] = {}
    for name in path:
        files[name] = yield from _file(name, codec)
    homes = first_of(
        (
            (file, text(row[2], codec))
            for file, (objects, _) in files.items()
            for row in objects
            if text(row[1], codec) in ("table", "view")
        ),
        path,
    )

    def named(file: str, relation: str) -> str:
        return relation if homes.get(relation.lower()) == file else f"{file}.{relation}"

    for file, (objects, columns) in files.items():
        for rowid, kind, relation, owner, sql in objects:
            name, told, of = text(relation, codec), columns.get(rowid, []), text(owner, codec)
            match text(kind, codec):
                case "table":
                    keyed = sorted((place, column) for column, place in told if place)
                    found.table(named(file, name), [column for column, _ in told], [column for _, column in keyed])
                case "view":
                    found.view(named(file, name), [column for column, _ in told], query_of(text(sql, codec)))
                case "trigger":
                    events, body = _trigger(text(sql, codec))
                    # A temporary trigger may be of a table in any file.
                    for place in files if file == "temp" else (file,):
                        found.trigger(named(place, of), events, body)

    yield from _foreign_keys(found, path, codec, named)
    try:
        rows = yield "SELECT CAST(name AS BLOB), flags FROM pragma_function_list WHERE NOT builtin"
    except Exception:  # a build without the pragma, or an authorizer
        rows = []
    for name, flags in rows:
        if (function := text(name, codec)) not in _BUNDLED:
            found.function(function, LiveFunction("immutable" if flags & _DETERMINISTIC else "volatile"))
    return found.schema(path)


def _file(name: str, codec: str) -> Generator[str, Rows, tuple[Rows, dict[int, list[tuple[str, int]]]]]:
    """(rowid, type, name, owner, sql) of everything in one file; and rowid → (column, place in the key)."""
    quoted = name.replace('"', '""')
    master = "temp.sqlite_temp_master" if name == "temp" else f'"{quoted}".sqlite_master'
    literal = "'" + name.replace("'", "''") + "'"
    columns: dict[int, list[tuple[str, int]]] = {}

    def keep(rows: Rows) -> None:
        for rowid, place, column in rows:
            columns.setdefault(rowid, []).append((text(column, codec), place))

    try:
        objects = yield (
            "SELECT rowid, CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), CAST(sql AS BLOB) "  # noqa: S608
            f"FROM {master} WHERE type IN ('table', 'view', 'trigger')"
        )
        keep((yield _COLUMNS.format(master=master, name=literal, which=_SOUND)))
    except Exception as error:
        if not _forbidden(error):
            raise
        return [], {}
    try:
        keep((yield _COLUMNS.format(master=master, name=literal, which=_OTHERS)))
    except Exception:  # one of them is broken: which, is told by asking for each
        rows = yield f"SELECT m.rowid FROM {master} AS m WHERE {_OTHERS}"  # noqa: S608
        for (rowid,) in rows:
            try:
                keep((yield _COLUMNS.format(master=master, name=literal, which=f"m.rowid = {rowid}")))
            except Exception:
                objects = [each for each in objects if each[0] != rowid]
    return objects, columns


def _foreign_keys(
    found: Found, files: list[str], codec: str, named: Callable[[str, str], str]
) -> Generator[str, Rows, None]:
    """What foreign keys do besides; nothing where the connection has them switched off, as SQLite does by itself."""
    try:
        [(on,)] = yield "SELECT foreign_keys FROM pragma_foreign_keys"
    except Exception:
        on = 1
    for file in files if on else ():
        master = "temp.sqlite_temp_master" if file == "temp" else f"{quoted(file)}.sqlite_master"
        literal = "'" + file.replace("'", "''") + "'"
        try:
            rows = yield (
                'SELECT CAST(m.name AS BLOB), f.id, CAST(f."table" AS BLOB), CAST(f."from" AS BLOB), CAST(f."to" AS BLOB), '  # noqa: S608
                f"f.on_update, f.on_delete FROM {master} AS m JOIN pragma_foreign_key_list(m.name, {literal}) AS f "
                "WHERE m.type = 'table' AND m.rootpage > 0 ORDER BY m.rowid, f.id, f.seq"
            )
        except Exception:  # an authorizer
            rows = []
        keys: dict[tuple[str, int], tuple[str, str, str, list[str], list[str]]] = {}
        for child, number, parent, column, key, updates, deletes in rows:
            of = text(child, codec), number
            _, _, _, columns, to = keys.setdefault(
                of, (text(parent, codec), text(updates, codec), text(deletes, codec), [], [])
            )
            columns.append(text(column, codec))
            if key is not None:  # without one it is the primary key
                to.append(text(key, codec))
        for (child, _), (parent, updates, deletes, columns, to) in keys.items():
            written = [quoted(column) for column in columns]
            found.cascade(named(file, parent), quoted(file, child), written, to, deletes.upper(), updates.upper())


def _forbidden(error: Exception) -> bool:
    """Whether an authorizer said no. A locked file, say, is no reason to take the schema for empty."""
    return any(said in str(error) for said in ("not authorized", "prohibited"))


def _trigger(sql: str) -> tuple[frozenset[str], str]:
    """The event and the statements of a `CREATE TRIGGER`; all events and "" if that is not what it is."""
    # The three verbs are reserved: a bare one is no name.
    event = ""
    for word, _, end in tokens(sql):
        if not event and word in EVENTS:
            event = word
        elif event and word == "begin":
            body = sql[end:].strip().removesuffix(";").rstrip()
            if body[-3:].lower() == "end":
                return frozenset({event}), body[:-3].rstrip()
            break
    return EVENTS, ""
