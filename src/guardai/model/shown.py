"""A URL as it may be shown: without user, password, query and fragment, any of which may be a secret."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["shown", "without_secrets"]


def shown(url: str) -> str:
    """`nats://host:4222/subject` of `nats://user:password@host:4222/subject?token=…`. Of what is no URL, its scheme."""
    scheme = url.partition(":")[0]
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme}://…"
    # The last @, as urlsplit sees it: one within a password does not make the rest a host.
    host = parts.netloc.rpartition("@")[2]
    return f"{scheme}:{'//' if host or url.startswith(f'{scheme}://') else ''}{host}{parts.path}"


def without_secrets(text: str, url: str) -> str:
    """The text with an … for whatever of it is a secret of the URL."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


#: Shorter ones stand in any text by chance, and each … in an ordinary word would tell them.
_SHORTEST: Final = 4


def _secrets(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    values = (pair.partition("=")[2] for pair in parts.query.split("&"))
    found = {url, parts.netloc if user or password else "", user, password, parts.query, parts.fragment, *values}
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
