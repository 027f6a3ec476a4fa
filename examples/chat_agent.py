"""An agent with the openai client and a tool over SQLite. Its only line for guardai is the import."""

import json
import os
import sqlite3

from openai import OpenAI

import guardai.auto  # noqa: F401 - the gate

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "run_sql",
            "description": "Run a SQL statement on the shop's database: customers(id, name, email).",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        },
    }
]

shop = sqlite3.connect(":memory:")
shop.executescript("""
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
    INSERT INTO customers VALUES (1, 'Ann', 'ann@example.com'), (2, 'Bob', 'bob@example.com');
""")


def run_sql(query: str) -> str:
    try:
        return json.dumps(shop.execute(query).fetchall())
    except Exception as exc:  # an agent's loop tells the model what went wrong and goes on
        return f"error: {exc}"


def ask(question: str) -> str:
    client = OpenAI()
    model = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
    messages = [{"role": "user", "content": question}]
    while True:
        answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0].message
        if not answer.tool_calls:
            return answer.content or ""
        messages.append(answer.model_dump(exclude_none=True))
        for call in answer.tool_calls:
            result = run_sql(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


print(ask("Which customers are there, and how do I reach them?"))
