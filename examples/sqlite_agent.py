"""Statements of an agent: what passes, what is denied, what is masked."""

import sqlite3

import guardai

guardai.init()

shop = sqlite3.connect(":memory:")  # the application's own statements are left alone
shop.executescript("""
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
    INSERT INTO customers VALUES (1, 'Ann', 'ann@example.com'), (2, 'Bob', 'bob@example.com');
""")

with guardai.session(user="u-1042", agent="report-bot", purpose="monthly-report"):
    print("reads:", shop.execute("SELECT count(*) FROM customers").fetchone())

    shop.execute("UPDATE customers SET name = ? WHERE id = ?", ("Anna", 1))
    print("a bounded write passes:", shop.execute("SELECT name FROM customers WHERE id = 1").fetchone())

    for statement in (
        "DELETE FROM customers",
        "/* tidy up */ DELETE FROM customers WHERE 1 = 1",
        "DROP TABLE customers",
    ):
        try:
            shop.execute(statement)
        except guardai.PolicyDenied as refused:
            print("denied:", refused)

with guardai.session(user="u-1042", agent="help-desk", audience="person"):
    print("to a person:", shop.execute("SELECT name, email FROM customers").fetchall())

guardai.shutdown()
