"""A shop assistant, written as anyone would write it: the openai client, sqlite3, a loop.

Nothing in this file knows of any guard. It runs whatever SQL the model writes, in one statement or in a script, and
hands errors back to the model, as most agents do.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Agent", "Step"]

SYSTEM = (
    "You are the assistant of a shop. The SQLite database has the tables customers (id, name, email, phone, iban, "
    "card, region) and orders (id, customer_id, product, amount_cents, placed, status). Use the tools; be brief."
)
#: A model that calls tools for ever is stopped here.
MAX_ROUNDS = 12


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    _tool("run_sql", "Run one SQL statement and return its rows.", query="string"),
    _tool("run_script", "Run several SQL statements separated by semicolons.", script="string"),
    _tool("look_up_customer", "Find the customer who placed an order.", order_id="integer"),
]


@dataclass
class Step:
    """One tool call and what came of it."""

    tool: str
    arguments: dict[str, Any]
    result: str
    failed: bool = False


@dataclass
class Agent:
    """Answers questions about the shop."""

    client: Any
    model: str
    database: Path
    steps: list[Step] = field(default_factory=list)

    def ask(self, question: str) -> str:
        """The answer to a question, when it is complete."""
        messages = self._start(question)
        for _ in range(MAX_ROUNDS):
            answer = self.client.chat.completions.create(model=self.model, messages=messages, tools=TOOLS)
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                messages.append(self._call(call.id, call.function.name, call.function.arguments))
        return "I gave up."

    def stream(self, question: str) -> Iterator[str]:
        """The answer to a question, as it is being written."""
        messages = self._start(question)
        for _ in range(MAX_ROUNDS):
            calls: dict[int, dict[str, Any]] = {}
            stream = self.client.chat.completions.create(model=self.model, messages=messages, tools=TOOLS, stream=True)
            for chunk in stream:
                if not chunk.choices:
                    continue
                delta = chunk.choices[0].delta
                if delta.content:
                    yield delta.content
                for part in delta.tool_calls or ():
                    call = calls.setdefault(
                        part.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                    )
                    call["id"] += part.id or ""
                    call["function"]["name"] += part.function.name or ""
                    call["function"]["arguments"] += part.function.arguments or ""
            if not calls:
                return
            messages.append({"role": "assistant", "tool_calls": list(calls.values())})
            for call in calls.values():
                messages.append(self._call(call["id"], call["function"]["name"], call["function"]["arguments"]))
        yield "I gave up."

    def _start(self, question: str) -> list[dict[str, Any]]:
        self.steps.clear()
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]

    def _call(self, call_id: str, name: str, written: str) -> dict[str, Any]:
        tools: dict[str, Callable[..., Any]] = {
            "run_sql": self.run_sql,
            "run_script": self.run_script,
            "look_up_customer": self.look_up_customer,
        }
        step = Step(name, {}, "")
        try:
            step.arguments = json.loads(written)
            step.result = json.dumps(tools[name](**step.arguments), ensure_ascii=False)
        except Exception as problem:  # the model is told what went wrong, whatever it was
            step.result, step.failed = f"{type(problem).__name__}: {problem}", True
        self.steps.append(step)
        return {"role": "tool", "tool_call_id": call_id, "content": step.result}

    def run_sql(self, query: str) -> list[dict[str, Any]]:
        """Runs whatever the model wrote."""
        connection = self._connect()
        try:
            with connection:
                return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def run_script(self, script: str) -> str:
        """Runs as many statements as the model wrote."""
        connection = self._connect()
        try:
            with connection:
                connection.executescript(script)
        finally:
            connection.close()
        return "done"

    def look_up_customer(self, order_id: int) -> dict[str, Any] | None:
        """The customer who placed an order."""
        connection = self._connect()
        try:
            rows = connection.execute(
                "SELECT o.id AS order_id, o.product, o.status, c.name, c.email FROM orders o "
                "JOIN customers c ON c.id = o.customer_id WHERE o.id = ?",
                (order_id,),
            ).fetchall()
        finally:
            connection.close()
        return dict(rows[0]) if rows else None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database)
        connection.row_factory = sqlite3.Row
        return connection
