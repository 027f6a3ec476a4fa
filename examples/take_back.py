"""What an agent changed, put back: policy has the rows kept before they change, `guardai rollback` runs the rest.

python examples/take_back.py
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import guardai

POLICY = """
@id("reads") permit (principal is Agent, action == Action::"db.read", resource);
@id("writes") @capture("before") permit (principal is Agent, action == Action::"db.write", resource);
@id("reveal") permit (principal, action == Action::"reveal", resource);
"""


def rollback(event: str, home: Path, policy: Path) -> None:
    """As on the command line: `guardai rollback EVENT`."""
    command = [sys.executable, "-c", "from guardai.cli import main; main()", "rollback", event, "--yes"]
    subprocess.run([*command, "--home", str(home), "--policy", str(policy)], check=False)  # noqa: S603


with tempfile.TemporaryDirectory() as folder:
    home = Path(os.environ.get("GUARDAI_HOME", f"{folder}/home"))
    policy = Path(folder, "policy")
    (policy / "policies").mkdir(parents=True)
    (policy / "policies" / "example.cedar").write_text(POLICY)
    (policy / "catalog.toml").touch()

    guardai.init(home=home, policy=policy)
    with contextlib.closing(sqlite3.connect(f"{folder}/shop.db")) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, cents INTEGER)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, "paid", n * 100) for n in range(1, 6)])
        shop.commit()

        with guardai.session(agent="careless-bot"):
            shop.execute("UPDATE orders SET state = ?, cents = 0 WHERE id IN (?, ?)", ("cancelled", 2, 3))
            shop.commit()
        print("the agent left ", shop.execute("SELECT id, state, cents FROM orders WHERE id IN (2, 3)").fetchall())

    guardai.shutdown()
    from guardai.ledger import events

    kept = [event for event in events(home) if b'"captured":2' in event]
    name = kept[-1].split(b'"id":"')[1].split(b'"')[0].decode()
    rollback(name, home, policy)
    with contextlib.closing(sqlite3.connect(f"{folder}/shop.db")) as shop:
        print("and now there is", shop.execute("SELECT id, state, cents FROM orders WHERE id IN (2, 3)").fetchall())
