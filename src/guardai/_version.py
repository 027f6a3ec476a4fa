"""The version, as the distribution's metadata has it."""

__version__ = "0.1.0"
