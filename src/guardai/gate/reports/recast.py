"""A recorded scene as another catalog would have set it: where a database stands, who runs a model, what a tool does.

What was found in data stays as it was recorded: labels of columns that only the other catalog knows show in what a statement
reads (`context.sql.labels`), not in what was found in its rows.
"""

from __future__ import annotations

from typing import Any

from guardai.gate.reports.recorded import Scene
from guardai.model import Destination, Resource
from guardai.policy import Catalog

__all__ = ["recast"]


def recast(scene: Scene, catalog: Catalog) -> Scene:
    """The scene under this catalog."""
    match scene.kind:
        case "database":
            return _database(scene, catalog)
        case "model":
            return _model(scene, catalog)
        case "host":
            entry = catalog.model(scene.host, scene.name)
            to = Destination("host", entry.provider, entry.region, entry.trust)
            return _with(scene, to, {}, (("region", entry.region), ("trust", entry.trust)))
        case "tool":
            return _tool(scene, catalog)
        case _:
            return scene


def _database(scene: Scene, catalog: Catalog) -> Scene:
    entry = catalog.database(scene.host)
    environment = entry.environment or scene.environment
    attrs = (("environment", environment), ("region", entry.region))
    resources = []
    for one in scene.resources:
        if one.parent is None:
            resources.append(Resource("Database", entry.name, None, attrs))
        else:
            table = one.id.removeprefix(f"{one.parent[1]}.")
            resources.append(Resource("Table", f"{entry.name}.{table}", ("Database", entry.name), attrs))
    facts: dict[str, Any] = {"environment": environment}
    if "sql.labels" in scene.context:
        facts["sql.labels"] = _labels(scene, catalog)
    to = Destination("database", entry.name, entry.region, "listed" if entry.environment else "unlisted")
    return scene._replace(resources=tuple(resources), to=to, context={**scene.context, **facts})


def _labels(scene: Scene, catalog: Catalog) -> tuple[str, ...]:
    """The labels of the columns that a statement reads. INVARIANT: where they cannot be told, none is taken away."""
    context = scene.context
    tables = {*context.get("sql.tables_read", ()), *context.get("sql.tables_written", ())}
    columns = context.get("sql.columns_read", ())
    found: set[str] = set()
    for column in columns:
        named, _, name = column.rpartition(".")
        for table in (named,) if named else tables:
            found |= catalog.column_labels(table, name)
    unknown = any(column.endswith("*") for column in columns) or "destroy" in context.get("sql.effects", ())
    written = bool(context.get("sql.tables_written"))
    return tuple(sorted(found | set(context["sql.labels"]) if unknown or written else found))


def _model(scene: Scene, catalog: Catalog) -> Scene:
    entry = catalog.model(scene.host, scene.name)
    facts = {"model.provider": entry.provider, "model.region": entry.region, "model.trust": entry.trust}
    attrs = (("host", scene.host), ("region", entry.region), ("trust", entry.trust))
    parent = ("Provider", entry.provider or scene.host)
    resources = tuple(Resource("Model", one.id, parent, attrs) for one in scene.resources)
    to = Destination("model", entry.provider, entry.region, entry.trust)
    return scene._replace(resources=resources, to=to, context={**scene.context, **facts})


def _tool(scene: Scene, catalog: Catalog) -> Scene:
    entry = catalog.tool(scene.name)
    to = Destination("tool", "local", str(scene.context.get("region") or "local"), "internal")
    if entry.trust != "unlisted":
        to = Destination("tool", entry.provider, entry.region, entry.trust)
    # What the tool's author said counts more than a catalog.
    effects = scene.said or entry.effects
    return _with(scene, to, {"tool.effects": effects}, (("effects", effects), ("trust", to.trust)))


def _with(scene: Scene, to: Destination, facts: dict[str, Any], attrs: tuple[tuple[str, str], ...]) -> Scene:
    resources = tuple(one._replace(attrs=attrs) for one in scene.resources)
    return scene._replace(resources=resources, to=to, context={**scene.context, **facts})
