"""What reading or changing a table of a certain name means: files, links, system tables, tables that hold secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from guardai.sql.pragmas import tells

if TYPE_CHECKING:
    from guardai.sql.facts import Facts

__all__ = ["judge_read", "judge_write", "named", "searched", "table_name"]

_URL: Final = re.compile(r"[a-z0-9+]{2,}://", re.IGNORECASE)
_PATH: Final = re.compile(r"[/\\:*?\[~]")
#: Unquoted, too, duckdb takes such a name for a file.
_FILE_ENDINGS: Final = frozenset(
    "arrow avro csv db duckdb feather gz ipc json jsonl ndjson orc parquet sqlite tsv txt xls xlsx xml yaml yml zst".split()  # noqa: SIM905
)
_FORMATS: Final = frozenset("avro binaryfile csv delta iceberg json orc parquet text xml".split())  # noqa: SIM905
#: Tables of passwords, keys and rules of access; and logs of what others wrote, values included.
_SECRETS: Final = {
    "postgres": frozenset({"pg_authid", "pg_shadow", "pg_user_mapping", "pg_user_mappings", "pg_hba_file_rules",
                           "pg_file_settings", "pg_subscription", "pg_ident_file_mappings"}),
    "mysql": frozenset({"mysql.user", "mysql.global_priv", "mysql.authentication_string", "mysql.servers",
                        "mysql.general_log", "mysql.slow_log"}),
    "tsql": frozenset({"sql_logins", "syslogins", "sysxlogins", "credentials", "sys.linked_logins"}),
    "oracle": frozenset({"user$", "link$", "sys.user$", "sys.link$"}),
    "duckdb": frozenset({"duckdb_secrets", "duckdb_logs"}),
}  # fmt: skip
_SAME: Final = {"mariadb": "mysql", "redshift": "postgres"}
_SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema", "mysql", "sys", "performance_schema", "system"})


def table_name(table: Any) -> str:
    """A table's name as written, lower-case, without quotes; "" for a function in its place."""
    this = table.args.get("this")
    kind = type(this).__name__
    if kind not in {"Identifier", "Var", "Literal", "Dot"}:
        return ""
    last: list[str] = []
    while type(this).__name__ == "Dot":  # a name of four parts and more
        last.insert(0, this.expression.name)
        this = this.this
    parts = [table.text("catalog"), table.text("db"), this.name, *last]
    return ".".join(part for part in parts if part).lower()


def searched(node: Any, dialect: str) -> str:
    """The table of `x IN table`, which SQLite and ClickHouse take for a query of it; "" for any other IN."""
    table = node.args.get("field")
    if dialect not in {"sqlite", "clickhouse"} or type(table).__name__ != "Column":
        return ""
    return ".".join(part for part in (table.text("table"), table.name) if part).lower()


def named(name: str, dialect: str) -> set[str]:
    """The effects of reading or writing whatever a name stands for, beyond reading or writing a table."""
    if dialect in {"duckdb", "clickhouse"}:
        if _URL.search(name):
            return {"file", "network"}
        ends_as_file = dialect == "duckdb" and "." in name and name.rpartition(".")[2] in _FILE_ENDINGS
        return {"file"} if ends_as_file or _PATH.search(name) else set()
    if (dialect == "oracle" and "@" in name) or (dialect == "tsql" and name.count(".") >= 3):
        return {"network"}
    of_format = dialect == "databricks" and name.partition(".")[0] in _FORMATS and ("/" in name or ":" in name)
    return {"file"} if of_format or (dialect == "snowflake" and name.startswith("@")) else set()


def judge_read(table: Any, dialect: str, facts: Facts) -> None:
    """Adds what reading a table does."""
    name = table_name(table)
    if not name:
        return  # a function in the place of a table, judged by its name
    facts.effects.add("read")
    facts.reads.add(name)
    facts.called |= named(name, dialect)
    last = name.rpartition(".")[2]
    if dialect == "duckdb" and "." in table.this.name:  # one name with a dot in it: extensions know more endings
        facts.called.add("file")
    if dialect == "sqlite" and last.startswith("pragma_") and not tells(last[7:]):
        facts.called.add("admin")
    secret = _SECRETS.get(_SAME.get(dialect, dialect), ())
    if last in secret or ".".join(name.split(".")[-2:]) in secret:
        facts.called.add("admin")
        facts.give("credential-table")


def judge_write(name: str, dialect: str, facts: Facts) -> None:
    """Adds what changing a table does."""
    if not name:
        return
    facts.writes.add(name)
    facts.effects |= named(name, dialect)
    schema, _, last = name.rpartition(".")
    system = schema.rpartition(".")[2] in _SYSTEM_SCHEMAS or (dialect == "sqlite" and last.startswith("sqlite_"))
    if system or (last.startswith("pg_") and dialect in {"postgres", "redshift"}):
        facts.effects.add("admin")
        facts.give("system-table")
