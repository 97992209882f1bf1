"""The version, readable without an installed package."""

__version__ = "0.2.0.dev0"
