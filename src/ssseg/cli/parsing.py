"""What jsonargparse says is wrong, in one sentence with the names that people type."""

import re
from argparse import ArgumentParser
from typing import Any

from ssseg.errors import UserError
from ssseg.runs.command import typed_name


def format_parser_error(message: str) -> str:
    """What a parser's message says is wrong, as: option, what was given, what is expected."""
    keys = re.findall(r'Parser key "([^"]+)"', message)
    given = re.findall(r"(?:Got value|Given value): (.*)", message)
    expected = re.findall(r"Expected an? (.*?)(?:\. Got value: .*)?$", message, re.MULTILINE)
    missing = re.findall(r"arguments are required: (.*)", message)
    if missing:
        return f"option {typed_name('.'.join([*keys, missing[0]]))} is missing; give it a value"
    if not (keys and given and expected):
        return " ".join(message.split())
    wanted = " or ".join(dict.fromkeys(_type_name(name) for name in expected))
    return f"option {typed_name('.'.join(keys))} is {given[-1].strip()!r}; expected {wanted}"


def _type_name(name: str) -> str:
    """A type as people name it."""
    if name.startswith("typing.Literal["):
        return "one of " + name.removeprefix("typing.Literal[").rstrip("]")
    words = {"float": "a number", "int": "a whole number", "bool": "true or false"}
    found = re.fullmatch(r"<class '(.*)'>", name)
    plain_name = found.group(1) if found else name
    return {**words, "NoneType": "null", "str": "a text"}.get(plain_name, plain_name)


class VerbParser(ArgumentParser):
    """An argparse parser whose complaints are sentences like all others; no guessed short names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> Any:
        """Say it as every other mistake is said."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")
