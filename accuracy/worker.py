"""One tool in a process of its own: `python -m accuracy.worker MODULE [TASK]`, each text's findings a line of JSON.

Without a task it prints the version of what is installed. Imports nothing but the standard library and the tool.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib import metadata
from pathlib import Path


def main() -> int:
    peer = importlib.import_module(sys.argv[1])
    if len(sys.argv) == 2:
        print(metadata.version(peer.DISTRIBUTION))
        return 0
    task = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    find = peer.load(**task["options"])
    # What a tool prints of its own must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for text in task["texts"]:
        answers.write(json.dumps(find(text)) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
