"""`guardai rollback`: what a statement changed, put back from what was kept before it."""

from guardai.gate.rollback.engines import Engine, RollbackError, connect
from guardai.gate.rollback.undo import Kept, State, fits, kept, state, take_back, why_not

__all__ = ["Engine", "Kept", "RollbackError", "State", "connect", "fits", "kept", "state", "take_back", "why_not"]
