"""Options as they are typed, and the parser of the verbs that are not Lightning's."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from ssseg.errors import UserError


class VerbParser(ArgumentParser):
    """An argparse parser whose complaints are sentences like all others; no guessed short names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> Any:
        """Say it as every other mistake is said."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def pairs(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Flags with the values that follow them; `--flag=value` is taken apart."""
    flag, values = "", list[str]()
    for arg in args:
        if arg.startswith("--"):
            if flag or values:
                yield flag, values
            flag, equals, value = arg.partition("=")
            values = [value] if equals else []
        else:
            values.append(arg)
    if flag or values:
        yield flag, values


def without(args: Sequence[str], gone: str) -> list[str]:
    """The same options but one; `--flag=value` is taken apart."""
    return [part for flag, values in pairs(args) if flag != gone for part in (flag, *values)]
