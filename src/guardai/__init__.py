"""One import puts a gate in front of everything an AI agent does to the outside.

>>> import guardai
>>> guardai.init()                                    # doctest: +SKIP
>>> with guardai.session(user="u-1042", purpose="monthly-report"):    # doctest: +SKIP
...     run_my_agent()
"""

from guardai._api import current, init, record, session, shutdown, wrap
from guardai._tool import tool
from guardai._version import __version__
from guardai.errors import (
    AnchorAhead,
    AnchorError,
    ApprovalDenied,
    ApprovalPending,
    BundleError,
    ConfigError,
    GuardError,
    LedgerError,
    PolicyDenied,
    ResultWithheld,
    SessionAborted,
    SinkError,
    SinkRefused,
)
from guardai.model.label import Label

__all__ = [
    "AnchorAhead",
    "AnchorError",
    "ApprovalDenied",
    "ApprovalPending",
    "BundleError",
    "ConfigError",
    "GuardError",
    "Label",
    "LedgerError",
    "PolicyDenied",
    "ResultWithheld",
    "SessionAborted",
    "SinkError",
    "SinkRefused",
    "__version__",
    "current",
    "init",
    "record",
    "session",
    "shutdown",
    "tool",
    "wrap",
]
