"""What an inspection costs: a statement seen before, a new one, and its lineage. Prints medians in µs, `--json` the same."""

import json
import statistics
import sys
import time

from guardai.sql import Lineage, inspect
from guardai.sql import judge, whole

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


def median(call, rounds):
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def repeated(sql, dialect, count=2000):
    inspect(sql, dialect)

    def many():
        for _ in range(count):
            inspect(sql, dialect)

    return median(many, 15) / count


def fresh(sql, dialect):
    judge._last.__dict__.clear()
    return whole._fresh(sql, dialect)


def run(dialect="sqlite"):
    lineage = Lineage(SCHEMA, dialect)
    found = {}
    for name, sql in STATEMENTS.items():
        fresh(sql, dialect)
        inspect(sql, dialect)
        found[name] = {
            "new": round(median(lambda: fresh(sql, dialect), 200), 1),
            "lineage after it": round(median(lambda: lineage._fresh(sql), 200), 1),
            "seen before": round(repeated(sql, dialect), 3),
        }
    return found


if __name__ == "__main__":
    results = run()
    if "--json" in sys.argv:
        print(json.dumps(results))
    else:
        print(f"{'µs, median':18}{'new':>10}{'lineage':>10}{'repeat':>10}")
        for name, row in results.items():
            print(f"{name:18}{row['new']:>10}{row['lineage after it']:>10}{row['seen before']:>10}")
        print(f"{'median of all':18}{statistics.median(r['new'] for r in results.values()):>10.1f}")
