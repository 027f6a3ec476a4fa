"""Databases through their Python drivers: every statement and every row of an agent passes the gate."""

from guardai_dbapi.integration import DbapiIntegration

__all__ = ["integration"]

integration = DbapiIntegration()
