"""The openai client, majors 2 and 3: every request and every answer passes the gate."""

from guardai_openai.integration import OpenAIIntegration

__all__ = ["integration"]

integration = OpenAIIntegration()
