"""The version, which also a source tree that is not installed knows."""

__version__ = "0.2.0.dev0"
