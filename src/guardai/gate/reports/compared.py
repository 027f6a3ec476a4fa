"""What two bundles answer otherwise of what a ledger recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from guardai.gate.reports.recast import recast
from guardai.gate.reports.recorded import Reader, Recorded, Scene
from guardai.ledger import events
from guardai.policy import Asked, Bundle, counts, uncounted

__all__ = ["recorded"]


def recorded(home: Path, a: Bundle, b: Bundle) -> Iterator[tuple[Asked, Asked, str]]:
    """Each recorded question, as A's catalog sees it and as B's does, with the event's id.

    Raises:
        StoreError: the store cannot be read.
    """
    reader = Reader(home)
    for data in events(home):
        one = reader.read(data)
        if one is None or one.scene is None:
            continue
        if any(bundle.counted is not None and uncounted(bundle, one.asked()) for bundle in (a, b)):
            continue
        # Of labels no numbers are recorded, see `replay`.
        counted = {
            label for label in (*one.labels, *one.returned) for bundle in (a, b) if counts(bundle, one.principal, label)
        }
        for for_a, for_b in zip(
            _questions(one, _as(one, one.scene, a)), _questions(one, _as(one, one.scene, b)), strict=True
        ):
            if for_a.verbs or counted.isdisjoint(for_a.labels):
                yield for_a, for_b, one.id


def _as(one: Recorded, scene: Scene, bundle: Bundle) -> Scene:
    return scene if one.bundle == bundle.digest else recast(scene, bundle.catalog)


def _questions(one: Recorded, scene: Scene) -> Iterator[Asked]:
    asked = one.asked(scene)
    if one.kind == "call.intent":
        yield asked._replace(labels=())
        labels, to = one.labels, scene.to
    else:
        labels, to = tuple(one.returned), scene.back
    for label in labels:
        yield asked._replace(verbs=(), resources=(), labels=(label,), to=to, own={}, opaque=(), returns=())
