"""LangChain's PII middleware: the five kinds that it has, each a pass over the text, as its rules run them."""

from __future__ import annotations

from benchmarks.peers import Find

NAME = "LangChain, PIIMiddleware"
DISTRIBUTION = "langchain"


def load() -> Find:
    from langchain.agents.middleware import PIIMiddleware

    detectors = [
        PIIMiddleware(kind, strategy="redact").detector for kind in ("email", "credit_card", "ip", "mac_address", "url")
    ]

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(found["start"], found["end"], found["type"]) for detect in detectors for found in detect(text)]

    return find
