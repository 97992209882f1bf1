"""The parser of the verbs that are not Lightning's."""

from argparse import ArgumentParser
from typing import Any

from ssseg.errors import UserError


class VerbParser(ArgumentParser):
    """An argparse parser whose complaints are sentences like all others; no guessed short names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> Any:
        """Say it as every other mistake is said."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")
