"""What jsonargparse says is wrong, in one sentence with the names that people type."""

import re


def sentence(message: str) -> str:
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


def typed_name(key: str) -> str:
    """An option's name as a person types it."""
    key = re.sub(r"^(fit|validate|test)\.", "", key).replace(".init_args", "")
    return key.removeprefix("model.").replace("data.source.", "data.")


def _type_name(name: str) -> str:
    """A type as people name it."""
    if name.startswith("typing.Literal["):
        return "one of " + name.removeprefix("typing.Literal[").rstrip("]")
    words = {"float": "a number", "int": "a whole number", "bool": "true or false"}
    found = re.fullmatch(r"<class '(.*)'>", name)
    plain_name = found.group(1) if found else name
    return {**words, "NoneType": "null", "str": "a text"}.get(plain_name, plain_name)
