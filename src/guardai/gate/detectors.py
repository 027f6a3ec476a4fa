"""What a bundle's detectors look for, as far as it can be used here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from guardai.errors import BundleError

if TYPE_CHECKING:
    from guardai.policy import Bundle
    from guardai.text import Search

__all__ = ["known", "search_of"]


def search_of(bundle: Bundle, cache_dir: Path, *, compiled: bool = False) -> Search:
    """What the bundle's detectors look for; what the program has configured, if it has none.

    Args:
        bundle: what is to decide.
        cache_dir: where compiled databases are kept.
        compiled: whether the scanner is made now, so that no call waits for that.

    Raises:
        BundleError: its detectors cannot be used.
    """
    from guardai.text import Own, PackError, RecogniserError, configured

    try:
        if bundle.detectors is None:
            search = configured()
        else:
            own = Own.read(bundle.detectors)
            search = own.search(cache_dir, own.loaded())
            known(bundle, search)
        if compiled:
            search.scanner()
    except (PackError, RecogniserError) as error:
        raise BundleError(f"{bundle.path / Own.FILE}: {error}") from error
    return search


def known(bundle: Bundle, search: Search) -> None:
    """Whether the policy knows what the recognisers of its own detectors find.

    Raises:
        BundleError: one finds what it does not know.
    """
    from guardai.text import Own

    for one in search.recognisers:
        for label in one.labels:
            if not bundle.knows(label):
                raise BundleError(
                    f"{bundle.path / Own.FILE}: recogniser {one.name} finds {label!r}, which no policy knows; "
                    "put it into catalog.toml, [labels]"
                )
