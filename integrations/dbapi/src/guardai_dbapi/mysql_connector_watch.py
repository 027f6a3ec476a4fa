"""Whether an answer is still to come on a connection: a task can be cancelled at any packet, a program interrupted.

The library reads whatever comes next as the answer to what it sent last. INVARIANT: an asynchronous connection on which an
agent has been at work counts each packet that was to be sent or read and was not, because that goes on or was given up; no
agent's statement follows such a one, nor one that was interrupted while it waited. What was given up before an agent came is
found by asking: see `Session.heard`.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from guardai import SessionAborted
from guardai_dbapi.subclasses import governed_class

__all__ = ["distrust", "drop", "loses", "misread", "unanswered", "watch"]

_COUNT: Final = "_guardai_unanswered"
_NETWORK: Final = "mysql.connector.aio.network"


def unanswered(connection: Any) -> bool:
    """Whether an answer is awaited, or was given up."""
    return bool(getattr(connection._socket, _COUNT, 0))


def misread(connection: Any) -> bool:
    """Whether what is read next may be that answer. Of a connection that is gone nothing is: the library says so itself."""
    return unanswered(connection) and not _gone(connection._socket)


def _gone(socket: Any) -> bool:
    reader, writer = getattr(socket, "_reader", None), getattr(socket, "_writer", None)
    return reader is not None and writer is not None and (writer.transport.is_closing() or reader.at_eof())


def loses(connection: Any) -> bool:
    """Whether parts of answers are lost: compressed, the asynchronous library keeps the first packet alone of a short one."""
    kind = type(getattr(connection._socket, "_netbroker", None))
    return kind.__module__ == _NETWORK and kind.__name__ == "NetworkBrokerCompressed"


def distrust(connection: Any) -> None:
    """What came was the answer to something else."""
    setattr(connection._socket, _COUNT, 1)


def drop(connection: Any, exc: BaseException) -> None:
    """An agent's statement was cancelled: nobody waits for its answer, and what guardai has put around it ends with it."""
    if isinstance(exc, (Exception, SessionAborted)) or connection._socket is None:
        return
    if not hasattr(connection._socket, "_writer"):
        distrust(connection)
    elif unanswered(connection) and connection._socket._writer is not None:
        connection._socket._writer.transport.abort()


def watch(connection: Any) -> None:
    """From now on packets are counted. A connection that only waits is left as it is."""
    kind: Any = type(connection._socket)
    ours = any(base.__module__ == _NETWORK for base in kind.__mro__)
    if ours and not hasattr(kind, "_guardai_governed"):
        connection._socket.__class__ = _watched(kind)


@functools.cache
def _watched(kind: Any) -> Any:
    return governed_class(kind, {"read": _moved, "write": _moved}, _guardai_governed=True)


async def _moved(wrapped: Any, socket: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    told = vars(socket)
    before = told.get(_COUNT, 0)
    told[_COUNT] = before + 1
    packet = await wrapped(*args, **kwargs)
    if not before:  # two at once may have got each other's
        told[_COUNT] -= 1
    return packet
