"""`import guardai.auto` is `guardai.init()` with settings from the environment and the files."""

from guardai._api import init

init()
