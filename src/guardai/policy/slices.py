"""Which policies can a request concern: an index over scopes, and pre-parsed sets for what it finds.

Cedar looks at every policy of a set, 1 µs each: 8 to 11 ms at 10,000. A policy whose scope names an entity by `==` or
`in` can only match a request about that entity or something in it, so it is filed under the entity's id and found with the
ids of the request's entities and of what they are in. A policy whose scope names none is in every slice of its actions.
Leaving out a policy whose scope does not match changes nothing: Cedar does not evaluate its conditions, so it can neither
decide nor fail. What is found is parsed once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import cedarpy

from guardai.model import REVEAL
from guardai.policy.lens import Lens
from guardai.policy.pace import breathe
from guardai.policy.recent import Recent
from guardai.policy.source import Policy, document
from guardai.policy.tree import Head, Reads, Scope, Uid, looks_at_resource, merge, reads

__all__ = ["Index", "Slice"]

#: Parsed sets that are kept: 10,000 entities with policies of their own need as many, of 1 to 4 KB each.
_SLICES: Final = 4_096


class Slice(NamedTuple):
    """The policies that can concern some request.

    Attributes:
        set: parsed; its policies bear their own ids.
        ids: the policies in it, in the bundle's order.
        reads: what of the context can change its answer.
        lens: the same, to read it with.
        looks: a policy asks for the resource's attributes or for what it is in, so Cedar has to be given it.
    """

    set: Any
    ids: tuple[str, ...]
    reads: Reads
    lens: Lens
    looks: bool


class _Bucket(NamedTuple):
    """The policies with one head; `number` tells buckets apart at the price of hashing an integer."""

    number: int
    ids: list[str]


class Index:
    """All policies of a bundle by action, principal and resource. Only its caches change after it was built."""

    __slots__ = ("_buckets", "_order", "_policies", "_reads", "_slices")

    def __init__(self, policies: Iterable[Policy], scopes: dict[str, Scope]) -> None:
        self._policies = {policy.id: policy for policy in policies}
        self._order = {name: number for number, name in enumerate(self._policies)}
        # By action, then principal, then resource: most requests find one or two principals and look no further.
        self._buckets: dict[str, dict[Head, dict[Head, _Bucket]]] = {}
        count = 0
        for name in self._policies:
            breathe()
            head = scopes[name]
            for action in head.actions:
                row = self._buckets.setdefault(action, {}).setdefault(head.principal, {})
                if head.resource not in row:
                    row[head.resource] = _Bucket(count, [])
                    count += 1
                row[head.resource].ids.append(name)
        self._reads: dict[str, Reads] = {}
        self._slices: Recent[tuple[int, ...], Slice] = Recent(_SLICES)

    def find(self, action: str, principal: tuple[Uid, ...], resource: tuple[Uid, ...]) -> Slice:
        """The slice for a request, its entities given with all that they are in, themselves first."""
        buckets = self._matching(action, principal, resource)
        key = tuple([bucket.number for bucket in buckets])
        # An empty slice is the same for every action but for its lens, which has nothing to skip.
        found = self._slices.get(key)
        if found is None:
            found = self._build(self._names(buckets), action)
            self._slices.put(key, found)
        return found

    def names(self, action: str, principal: tuple[Uid, ...], resource: tuple[Uid, ...]) -> list[str]:
        """The policies of that slice, in the bundle's order, without parsing them."""
        return self._names(self._matching(action, principal, resource))

    def _matching(self, action: str, principal: tuple[Uid, ...], resource: tuple[Uid, ...]) -> list[_Bucket]:
        rows = self._buckets.get(action)
        if rows is None:
            return []
        found = []
        resources: tuple[Head, ...] = (None, resource[0][0], *resource)
        for who in (None, principal[0][0], *principal):
            row = rows.get(who)
            if row is not None:
                found += [row[what] for what in resources if what in row]
        return found

    def _names(self, buckets: list[_Bucket]) -> list[str]:
        return sorted((name for bucket in buckets for name in bucket.ids), key=self._order.__getitem__)

    def _build(self, names: list[str], action: str) -> Slice:
        policies = [self._policies[name] for name in names]
        parsed = cedarpy.PolicySet.from_json_str(document([(policy.id, policy.json) for policy in policies]))
        read = merge(self._read(policy) for policy in policies)
        looks = any(looks_at_resource(policy.tree) for policy in policies)
        return Slice(parsed, tuple(names), read, Lens(read, skip="to" if action == REVEAL else ""), looks)

    def _read(self, policy: Policy) -> Reads:
        found = self._reads.get(policy.id)
        if found is None:
            found = self._reads[policy.id] = reads(policy.tree)
        return found
