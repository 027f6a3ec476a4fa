"""What the words of policies mean, for the reference. Each table covers exactly the words of the vocabulary."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

__all__ = ["ACTIONS_MEAN", "ANNOTATIONS_MEAN", "ATTRIBUTES_MEAN", "ENTITIES_MEAN", "FAMILIES_MEAN", "MASKS_MEAN"]

ACTIONS_MEAN: Final = MappingProxyType(
    {
        "llm.generate": "A model is asked for text, structured or not, streamed or not.",
        "llm.embed": "A model is asked for embeddings.",
        "tool.call": "A governed function is called.",
        "retrieval.query": "An index is searched for documents.",
        "db.read": "A statement reads, or begins or ends a transaction.",
        "db.write": "A statement inserts, or changes rows that a constant or a parameter bounds.",
        "db.destroy": "A statement drops, truncates, or changes or deletes rows without a bound.",
        "db.admin": "A statement changes schemas, rights or settings, runs programs, touches files or other servers.",
        "db.unknown": "A statement that is not understood.",
        "mcp.call": "A tool of an MCP server is called.",
        "http.request": "A host is asked for something.",
        "process.exec": "A program is started.",
        "data.export": "Data leaves as a whole: a file, a copy of a table.",
        "reveal": "The second question: may data of this label reach `context.to`? If not, it is masked.",
    }
)

ENTITIES_MEAN: Final = MappingProxyType(
    {
        "User": "The person on whose behalf an agent acts.",
        "Agent": "Who acts.",
        "App": "The application around the agent: asked about only where `app_calls` is `govern`.",
        "Provider": "Who runs a model.",
        "Database": 'A database, by its name in the catalog: `Database::"shop"`.',
        "Table": 'A table in its database: `Table::"shop.customers"`.',
        "Model": "A model, by the name that was asked for.",
        "Tool": "A tool, by its name.",
        "Index": "An index that is searched.",
        "Host": "A host, by its name.",
        "Label": 'A kind of data; `Label::"pii"` holds all that begin with `pii.`.',
    }
)

ATTRIBUTES_MEAN: Final = MappingProxyType(
    {
        "assurance": "How it is known who it is: `asserted` by the program, or `verified`.",
        "chain": "The agents through which the call came, the first one first.",
        "effects": "What the tool does: `read`, `write`, `destroy` or `unknown`.",
        "environment": "`dev`, `prod`, …: the catalog's, else the process's.",
        "host": "The host that was asked.",
        "region": "Where it is, or `unknown`; of a label the last word of `origin.<region>`, empty for every other.",
        "trust": "What the catalog says of it: `internal`, `listed` or `unlisted`.",
        "user": "The person on whose behalf it acts.",
    }
)

ANNOTATIONS_MEAN: Final = MappingProxyType(
    {
        "id": "The policy's name in answers, denials and events. One policy each.",
        "reason": "Told to whoever is stopped, and recorded.",
        "severity": "How bad it is if the policy denies.",
        "mask": "What data becomes that may not be revealed. Without it the label's mask in the catalog counts.",
        "approval": 'The group that can lift the denial; the policy says so too: `unless { context.approvals.contains("group") }`.',
        "on_denied": "`abort` ends the session's work where the call is denied; `raise`, the default, only refuses the call.",
        "row_cap": "No more rows than this are handed over.",
        "timeout": 'A statement that takes longer is ended: `"30s"`, `"5m"`, `"1h"`.',
        "affected_cap": "A statement that changes more rows than this is rolled back.",
        "capture": "`before`: the rows that an UPDATE or DELETE changes are kept as they were, for `guardai rollback`. `content`: "
        "what the call carries is kept encrypted, for `guardai replay`. For both, two permits.",
        "ledger": "`signed`: each event of the call is signed before it goes on, not within a tenth of a second; `strict`: and on the disk, not "
        "only with the operating system. Whatever the ledger's own mode is (`ledger_mode`).",
    }
)

MASKS_MEAN: Final = MappingProxyType(
    {
        "drop": "nothing is left, the key neither",
        "null": "null",
        "redact": "`[EMAIL]`",
        "hash": "the same sign for the same value, and no way back",
        "shift": "a date, moved",
        "fpe": "a number of the same form",
        "partial": "`j***@e***.com`",
        "token": "`<EMAIL_1>`; what comes back is put right for the process",
    }
)

FAMILIES_MEAN: Final = MappingProxyType(
    {
        "dataset": "which data set data belongs to; every word behind it is known",
        "opaque": "what cannot be scanned",
        "origin": "the region that data is from; every word behind it is known",
        "pii": "personal data",
        "secret": "keys and passwords; every word behind it is known",
        "trust": "whether data is from where its author may give orders",
    }
)
