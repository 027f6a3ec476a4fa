"""Which pragmas only tell, and which change something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx

if TYPE_CHECKING:
    from guardai.sql.facts import Facts
    from guardai.sql.prescan import Token

__all__ = ["judge_pragma", "tells"]

#: sqlite: these take a name and tell about it.
_TELL_ABOUT: Final = frozenset(
    """foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check table_info
    table_list table_xinfo""".split()  # noqa: SIM905
)
#: sqlite: these tell a setting while nothing is assigned.
_TELL: Final = _TELL_ABOUT | frozenset(
    """analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size cache_spill
    cell_size_check checkpoint_fullfsync collation_list compile_options count_changes data_version database_list
    default_cache_size defer_foreign_keys empty_result_callbacks encoding foreign_keys freelist_count
    full_column_names fullfsync function_list hard_heap_limit ignore_check_constraints journal_mode journal_size_limit
    legacy_alter_table legacy_file_format locking_mode max_page_count mmap_size module_list page_count page_size
    pragma_list query_only read_uncommitted recursive_triggers reverse_unordered_selects schema_version secure_delete
    short_column_names soft_heap_limit stats synchronous temp_store threads trusted_schema user_version
    wal_autocheckpoint writable_schema""".split()  # noqa: SIM905
)
_DUCKDB: Final = frozenset(
    """collations database_list database_size functions metadata_info platform show show_databases show_tables
    show_tables_expanded storage_info table_info user_agent version""".split()  # noqa: SIM905
)
#: Assigning these concerns the connection alone.
_SESSION: Final = frozenset(
    """busy_timeout cache_size cache_spill case_sensitive_like defer_foreign_keys foreign_keys query_only
    read_uncommitted recursive_triggers temp_store threads""".split()  # noqa: SIM905
)


def tells(name: str) -> bool:
    """Whether a pragma of sqlite only tells, if nothing is assigned; such a one is a table function, too."""
    return name in _TELL


def judge_pragma(tokens: list[Token], dialect: str, facts: Facts) -> None:
    """Adds what a pragma does."""
    words = tokens[1:]
    if len(words) >= 3 and words[1][1] == ".":
        words = words[2:]
    if not words or words[0][0] not in {lx.WORD, lx.QUOTED}:
        facts.unknown("unknown-statement")
        return
    name, rest = words[0][1], words[1:]
    plain = all(token[0] in {lx.WORD, lx.QUOTED, lx.STRING, lx.NUMBER} or token[1] in "()=.-+" for token in rest)
    calls = sum(token[1] == "(" for token in rest)
    if dialect == "duckdb":
        only_tells = name in _DUCKDB and not any(token[1] == "=" for token in rest)
    else:
        only_tells = name in (_TELL_ABOUT if rest else _TELL)
    if only_tells and plain and calls <= 1:
        facts.effects.add("read")
    else:
        facts.effects.add("session" if name in _SESSION else "admin")
