"""Databases through DB-API drivers: every statement and every row of an agent passes the gate."""

from guardai_dbapi.sqlite import SqliteIntegration

__all__ = ["integration"]

integration = SqliteIntegration()
