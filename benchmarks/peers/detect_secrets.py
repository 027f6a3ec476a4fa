"""detect-secrets with all plugins and its default filters. It reads files; the file is in memory where there is such a place."""

from __future__ import annotations

import atexit
import contextlib
import os
import tempfile
from pathlib import Path

from benchmarks.peers import Find

NAME = "detect-secrets"
DISTRIBUTION = "detect-secrets"


def load() -> Find:
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import default_settings

    kept = contextlib.ExitStack()
    kept.enter_context(default_settings())  # for as long as the function lives
    shared = Path("/dev/shm")
    folder = kept.enter_context(tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None))
    path = Path(folder) / "text.txt"

    def find(text: str) -> list[tuple[int, int, str]]:
        path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="\n")
        lines = text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        found = []
        for secret in scan_file(str(path)):
            at = lines[secret.line_number - 1].find(secret.secret_value or "")
            if at >= 0:
                start = starts[secret.line_number - 1] + at
                found.append((start, start + len(secret.secret_value or ""), secret.type))
        return found

    find.kept = kept  # type: ignore[attr-defined]
    atexit.register(kept.close)
    return find
