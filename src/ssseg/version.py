"""The version, which also a source tree that is not installed knows."""

__version__ = "0.1.0"
