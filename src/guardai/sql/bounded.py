"""Whether a condition bounds an UPDATE or DELETE to the rows of given values.

Tautologies are not hunted: there are too many. What counts is what is proven: one of the AND-ed conditions compares a
column of the changed table with a constant or parameter, or with a list of such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardai.sql.lexicon import MYSQL

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

__all__ = ["bounds", "column_of", "conjuncts", "joined"]

#: Unquoted and unqualified these are values of the session, not columns: `DELETE … WHERE user = 'me'` empties the table.
_VALUES: Final = frozenset(
    {
        "current_catalog", "current_database", "current_date", "current_datetime", "current_role", "current_schema",
        "current_time", "current_timestamp", "current_user", "default", "false", "level", "localtime",
        "localtimestamp", "null", "ora_rowscn", "rownum", "session_user", "sysdate", "system_user", "systimestamp",
        "true", "uid", "value",
    }
)  # fmt: skip
_USER_IS_VALUE: Final = frozenset(
    {"postgres", "redshift", "oracle", "tsql", "duckdb", "snowflake", "trino", "databricks"}
)
#: Columns that no table lists and that are the same in many or all rows, under whatever qualifier. PostgreSQL calls
#: functions of a whole row as if they were columns: `t.num_nulls`.
_SAME_IN_MANY: Final = {
    "postgres": frozenset({"tableoid", "xmin", "xmax", "cmin", "cmax", "num_nulls", "num_nonnulls", "pg_typeof",
                           "pg_column_size", "pg_column_compression", "pg_collation_for"}),
    "redshift": frozenset({"tableoid", "xmin", "xmax", "cmin", "cmax", "insertxid", "deletexid"}),
    "oracle": frozenset({"ora_rowscn", "level", "rownum"}),
    "clickhouse": frozenset({"_table", "_database", "_part", "_partition_id", "_partition_value", "_sample_factor",
                             "_shard_num", "_part_index", "_part_uuid", "_disk_name"}),
}  # fmt: skip
_CONSTANTS: Final = frozenset({"Literal", "Placeholder", "Parameter", "Boolean", "Null", "HexString", "BitString", "ByteString",
                               "RawString", "National", "UnicodeString"})  # fmt: skip
_WRAPPERS: Final = frozenset({"Paren", "Neg", "Cast", "TryCast", "Collate", "Introducer", "Date", "Timestamp"})


def _kind(node: Any) -> str:
    return type(node).__name__


def _bare(node: Any) -> Any:
    while _kind(node) == "Paren":
        node = node.this
    return node


def conjuncts(condition: Any) -> Iterator[Any]:
    """The AND-ed parts of a condition."""
    pending = [condition]
    while pending:
        node = _bare(pending.pop())
        if _kind(node) == "And":
            pending += (node.this, node.expression)
        elif node is not None:
            yield node


def _constant(node: Any) -> bool:
    """A literal, a parameter, or one of these in brackets, with a sign, a type or a collation."""
    for _ in range(8):
        kind = _kind(node)
        if kind in _CONSTANTS:
            return True
        if kind not in _WRAPPERS:
            return False
        node = node.this
    return False


def _matches_many(value: Any, dialect: str, *, null_safe: bool) -> bool:
    """Whether a constant equals the values of many rows, whatever the column means by them."""
    if null_safe or dialect == "tsql":  # `<=> NULL` is IS NULL, and so is `= NULL` where SQL Server is told so
        kind = _kind(_bare(value))
        if kind == "Null" or (null_safe and kind in {"Placeholder", "Parameter"}):
            return True
    if dialect not in MYSQL:
        return False
    # MySQL compares text with a number or a time as such, and text that is none is zero.
    number = False
    for _ in range(8):
        kind = _kind(value)
        if kind in {"Paren", "Collate", "Introducer"}:
            value = value.this
        elif kind == "Neg":  # makes a number of anything
            number, value = True, value.this
        else:
            break
    if kind == "Literal" and not value.args.get("is_string"):
        return not any(digit in str(value.this).lower().partition("e")[0] for digit in "123456789")
    if kind == "Boolean":
        return not value.this
    return number or kind in _WRAPPERS


def _text_of(node: Any) -> str | None:
    """The text of a plain string constant, None for anything else."""
    node = _bare(node)
    return str(node.this) if _kind(node) == "Literal" and node.args.get("is_string") else None


def column_of(node: Any, dialect: str) -> Any:
    """The column, if the node is one for certain."""
    node = _bare(node)
    if _kind(node) != "Column" or _kind(node.this) != "Identifier":
        return None
    name, quoted = node.this.name.lower(), node.this.args.get("quoted")
    if name in _SAME_IN_MANY.get(dialect, ()):
        return None
    plain = not node.args.get("table") and not quoted
    if plain and (name in _VALUES or (name == "user" and dialect in _USER_IS_VALUE)):
        return None
    return node


def _equal_pairs(node: Any) -> Iterator[tuple[Any, Any]]:
    """What a condition sets equal: pairs, either way round; for an IN list the column with each member."""
    kind = _kind(node)
    if kind in {"EQ", "NullSafeEQ"}:
        left, right = _bare(node.this), _bare(node.expression)
        if _kind(left) == _kind(right) == "Tuple":
            for one, other in zip(left.expressions, right.expressions, strict=False):
                yield one, other
                yield other, one
        else:
            yield left, right
            yield right, left


def _could_be_same(column: Any, value: Any, dialect: str) -> bool:
    """Whether quotes may mean another thing than they do here: column and value are then one, in every row.

    In sqlite a quoted name that is no column is a string, and SQL Server can be told so: `"a" = 'a'`. MySQL can be told the
    reverse (ANSI_QUOTES): `a = "a"`.
    """
    if dialect in MYSQL:
        text = _text_of(value)
        return text is not None and text.lower() == column.this.name.lower()
    if dialect not in {"sqlite", "tsql"} or column.args.get("table") or not column.this.args.get("quoted"):
        return False
    text = _text_of(value)
    if text is None:  # a number differs from any string; of a parameter nothing is known
        return _kind(_bare(value)) != "Literal"
    return text == column.this.name or text.startswith("/s")


def _pins(column: Any, value: Any, dialect: str, *, null_safe: bool = False) -> bool:
    """Whether a column that equals a value is thereby held to the rows of that value."""
    return (
        _constant(value)
        and not _could_be_same(column, value, dialect)
        and not _matches_many(value, dialect, null_safe=null_safe)
    )


def _in_list(node: Any, dialect: str) -> Any:
    """The column of `column IN (constants)` or `column = ANY (array)`."""
    kind = _kind(node)
    if kind == "In" and _kind(node.args.get("field")) in {"Placeholder", "Parameter"}:
        return column_of(node.this, dialect)  # the driver writes a list out: `id IN %s`
    if kind == "In" and node.expressions and not node.args.get("query") and not node.args.get("unnest"):
        left = _bare(node.this)
        columns = left.expressions if _kind(left) == "Tuple" else [left]
        column = column_of(columns[0], dialect)
        members = [_bare(member) for member in node.expressions]
        if _kind(left) == "Tuple":
            if all(
                _kind(m) == "Tuple"
                and all(_constant(v) and not _matches_many(v, dialect, null_safe=False) for v in m.expressions)
                for m in members
            ):
                return column
            return None
        if column is not None and all(_pins(column, member, dialect) for member in members):
            return column
    if kind == "EQ":
        column, right = column_of(node.this, dialect), _bare(node.expression)
        if column is not None and _kind(right) == "Any":
            array = _bare(right.this)
            while _kind(array) == "Cast":
                array = _bare(array.this)
            if _kind(array) in _CONSTANTS or (_kind(array) == "Array" and all(_constant(m) for m in array.expressions)):
                return column
    return None


def bounds(
    condition: Any,
    names: set[str],
    dialect: str,
    *,
    alone: bool,
    joins: Sequence[Any] = (),
    tables: Container[str] = (),
) -> bool:
    """Whether a condition bounds a table.

    Args:
        condition: the WHERE's expression, or None.
        names: what the table is called in the statement, lower-case.
        dialect: a known dialect.
        alone: no other table takes part, so an unqualified column is the table's.
        joins: the conditions of joins. They tie tables to one another, and bound nothing by themselves: an outer join
            keeps the rows that do not meet its condition.
        tables: what the tables are called through which it may be bound: a column of a subquery may be a constant.
    """
    if condition is None:
        return False
    if dialect == "clickhouse" and any(_kind(node) == "Alias" for node in condition.walk()):
        return False  # a name given within a condition stands for its value: `(1 AS id) = 1 AND id = 1`
    fixed: list[Any] = []
    links: list[tuple[Any, Any]] = []
    for node in conjuncts(condition):
        column = _in_list(node, dialect)
        if column is not None:
            fixed.append(column)
        for one, other in _equal_pairs(node):
            left = column_of(one, dialect)
            if left is None:
                continue
            if _pins(left, other, dialect, null_safe=_kind(node) == "NullSafeEQ"):
                fixed.append(left)
            elif column_of(other, dialect) is not None:
                links.append((left, column_of(other, dialect)))
    reached = {_table(column) for column in fixed}
    for node in (node for join in joins for node in conjuncts(join)):
        for one, other in _equal_pairs(node):
            if column_of(one, dialect) is not None and column_of(other, dialect) is not None:
                links.append((column_of(one, dialect), column_of(other, dialect)))
    if alone:
        last = {table.rpartition(".")[2] for table in reached}
        return bool(fixed) and all(table in names or not table for table in last)
    if reached & names:
        return True
    # Bound through a join: `t.id = s.id AND s.key = 5`.
    reached = {table for table in reached if table in tables}
    return any(_table(left) in names and _table(right) in reached for left, right in links)


def joined(condition: Any, names: set[str], dialect: str) -> bool:
    """Whether a condition ties a table's column to a column of another table, or to a constant."""
    if condition is None:
        return False
    for node in conjuncts(condition):
        if _in_list(node, dialect) is not None:
            return True
        for one, other in _equal_pairs(node):
            left, right = column_of(one, dialect), column_of(other, dialect)
            if (
                left is not None
                and _table(left) in names
                and (
                    _pins(left, other, dialect, null_safe=_kind(node) == "NullSafeEQ")
                    or (right is not None and _table(right) not in names)
                )
            ):
                return True
    return False


def _table(column: Any) -> str:
    """How a column's table is named, with its schema if that is written."""
    schema, table = str(column.text("db")).lower(), str(column.text("table")).lower()
    return f"{schema}.{table}" if schema else table
