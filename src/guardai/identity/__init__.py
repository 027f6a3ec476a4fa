"""Who acts: principals and the delegation chain."""

from guardai.identity.principal import acting_agent, acting_app, acting_user, delegated

__all__ = ["acting_agent", "acting_app", "acting_user", "delegated"]
