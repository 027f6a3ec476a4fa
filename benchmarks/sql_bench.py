"""What an inspection costs: a statement seen before, a new one, and its lineage right after it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Measure, Row
from guardai.model import LiveSchema, LiveTrigger
from guardai.sql import Lineage, inspect, judge, whole
from guardai.sql.flows import _fresh as carried_afresh
from guardai.sql.lineage import lineage_of

TITLE = "SQL"

SCHEMA = {
    "customers": ["id", "name", "email", "phone", "iban", "card", "region"],
    "orders": ["id", "customer_id", "total", "status", "created_at"],
    "items": ["id", "order_id", "sku", "quantity", "price"],
}
STATEMENTS = {
    "constant": "SELECT 1",
    "by key": "SELECT id, name FROM customers WHERE id = ?",
    "star": "SELECT * FROM customers WHERE region = 'eu' ORDER BY name LIMIT 10",
    "three joins": "SELECT c.name, sum(i.quantity * i.price) AS total FROM customers c JOIN orders o ON o.customer_id = c.id "
    "JOIN items i ON i.order_id = o.id WHERE o.status = 'paid' AND c.region IN ('eu', 'us') GROUP BY c.name HAVING sum(i.price) > 10 ORDER BY 2 DESC",
    "two CTEs": "WITH paid AS (SELECT * FROM orders WHERE status = 'paid'), best AS (SELECT customer_id, max(total) AS m FROM paid "
    "GROUP BY customer_id) SELECT c.email, b.m FROM best b JOIN customers c ON c.id = b.customer_id",
    "insert": "INSERT INTO orders (customer_id, total, status) VALUES (?, ?, 'new')",
    "update": "UPDATE customers SET email = ? WHERE id = ?",
    "delete": "DELETE FROM orders WHERE id = 42",
    "with comment": "/* from the agent */ SELECT name -- who\nFROM customers WHERE id = 7",
    "refused": "DELETE FROM customers WHERE 1 = 1 OR '' = ''",
    "ddl": "DROP TABLE customers",
    "insert 100 rows": "INSERT INTO items (order_id, sku, quantity, price) VALUES "
    + ", ".join(f"({n}, 'sku-{n}', {n}, {n}.5)" for n in range(100)),
}


def rows(measure: Measure) -> Iterator[Row]:
    lineage = Lineage(SCHEMA, "sqlite")
    for name, sql in STATEMENTS.items():
        fresh(sql)
        inspect(sql, "sqlite")
        yield measure.alone(f"new statement: {name}", lambda sql=sql: fresh(sql), limit=500, rounds=200)
        yield measure.alone(f"· its lineage: {name}", lambda sql=sql: lineage._fresh(sql), limit=None, rounds=200)
    key = STATEMENTS["by key"]
    yield measure.alone("statement seen before", lambda: inspect(key, "sqlite"), limit=1, rounds=20_000)
    live = LiveSchema(
        tables={table: tuple(columns) for table, columns in SCHEMA.items()},
        views={"paying": "SELECT c.id, c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id"},
        triggers={
            "orders": (LiveTrigger(frozenset({"insert"}), "BEGIN UPDATE items SET sku = 1 WHERE id = NEW.id; END"),)
        },
    )
    inspect(key, "sqlite", schema=live)
    yield measure.alone("· against a live schema", lambda: inspect(key, "sqlite", schema=live), limit=1, rounds=20_000)
    against = whole.against(live)
    for name, sql in {
        "view": "SELECT name FROM paying WHERE id = ?",
        "trigger": STATEMENTS["insert"],
    }.items():
        yield measure.alone(
            f"new statement, live schema: {name}", lambda sql=sql: fresh(sql, against), limit=500, rounds=200
        )
        yield measure.alone(f"· what it carries: {name}", lambda sql=sql: carried(live, sql), limit=None, rounds=200)


def fresh(sql: str, against: whole.Against | None = None) -> object:
    judge._last.__dict__.clear()
    return whole._fresh(sql, "sqlite", against.reach("sqlite") if against is not None else None)


def carried(live: LiveSchema, sql: str) -> object:
    return carried_afresh(lineage_of(live, "sqlite"), sql)
