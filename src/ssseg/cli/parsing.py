"""Error messages of option parsers: one sentence, with options as the user types them."""

import inspect
import re
from argparse import ArgumentParser
from typing import Any

from ssseg.errors import UserError
from ssseg.runs.command import typed_name


def format_parser_error(message: str) -> str:
    """A message of jsonargparse as one sentence: option, given value, expected value."""
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
    """A readable name of a type."""
    if name.startswith("typing.Literal["):
        return "one of " + name.removeprefix("typing.Literal[").rstrip("]")
    words = {"float": "a number", "int": "a whole number", "bool": "true or false"}
    found = re.fullmatch(r"<class '(.*)'>", name)
    plain_name = found.group(1) if found else name
    return {**words, "NoneType": "null", "str": "a text"}.get(plain_name, plain_name)


def required_options(cls: type) -> list[str]:
    """The parameters of a class that have no default; `*args` and `**kwargs` are none."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in several
    ]


class VerbParser(ArgumentParser):
    """An argparse parser that raises `UserError` and does not accept abbreviated options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> Any:
        """Raise `UserError` instead of printing the usage and exiting."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")
