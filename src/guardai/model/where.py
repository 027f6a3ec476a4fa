"""What is acted on, and where data goes."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Destination", "Resource", "Target", "TargetKind"]

TargetKind = Literal["model", "tool", "database", "index", "host"]


class Target(NamedTuple):
    """What an integration knows of the other side, before the catalog is asked.

    Attributes:
        kind: what sort of thing it is.
        host: `api.openai.com`, a database URL such as `sqlite:///var/shop.db`, or "" for something in this process.
        name: the model's, tool's or index's name.
    """

    kind: TargetKind
    host: str
    name: str = ""


class Resource(NamedTuple):
    """What is acted on, as policies see it.

    Attributes:
        type: `Database`, `Table`, `Model`, `Tool`, `Index` or `Host`.
        id: `shop.customers`, `gpt-4o`, `update_customer`.
        parent: what it is part of: a table's database, a model's provider.
        attrs: sorted (name, value) pairs that conditions may read, such as `("region", "eu")`.
    """

    type: str
    id: str
    parent: tuple[str, str] | None = None
    attrs: tuple[tuple[str, str], ...] = ()


class Destination(NamedTuple):
    """Where data would go: `context.to` of the reveal question.

    Attributes:
        kind: `model`, `tool`, `host`, `database`, `index`, `process`, `person`, or `vault`: what is kept for `guardai replay`.
        provider: who runs it; "" if unknown.
        region: where, `unknown` if the catalog does not say.
        trust: `internal`, `listed` (the catalog knows it) or `unlisted`.
    """

    kind: str
    provider: str = ""
    region: str = "unknown"
    trust: str = "unlisted"
