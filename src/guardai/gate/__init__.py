"""The road, and the only place that knows every room of floor 2."""

from guardai.gate.capture import Answer, Ask, Capture
from guardai.gate.faces import agoverned, governed, inside, opened
from guardai.gate.flow import Flow
from guardai.gate.gate import Gate
from guardai.gate.road import Phase, Ticket
from guardai.gate.rows import Rows
from guardai.gate.run import HERE, Here, Run
from guardai.gate.runtime import Runtime, current, require, start, stop

__all__ = [
    "HERE",
    "Answer",
    "Ask",
    "Capture",
    "Flow",
    "Gate",
    "Here",
    "Phase",
    "Rows",
    "Run",
    "Runtime",
    "Ticket",
    "agoverned",
    "current",
    "governed",
    "inside",
    "opened",
    "require",
    "start",
    "stop",
]
