"""Opens a data set from command line options, for verbs that read data without training."""

import inspect
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from typing import Any

import jsonargparse

from ssseg.cli.parsing import VerbParser, required_options
from ssseg.data.datasets import DATASETS, source_class, unnamed
from ssseg.data.datasets.base import Source
from ssseg.errors import UserError, one_of


class Parser(VerbParser):
    """A parser for the options of the data set and of the verb.

    `FOLDER` means `--data folder --data.root FOLDER`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_argument("folder", nargs="?", help="a data set in the folder layout")
        self.add_argument("--data", help=f"the data set: one of {', '.join(DATASETS)}")
        self.add_argument(
            "--data.OPTION", dest="_", help="an option of the data set, e.g. --data.root DIR"
        )

    def parse(self, args: Sequence[str]) -> tuple[Source, Namespace]:
        """The opened data set, and the other options.

        Raises:
            UserError: For options that are unknown or do not fit, and errors of the data set.
        """
        make, known = self.describe(args)
        return make(), known

    def describe(self, args: Sequence[str]) -> tuple[partial[Source], Namespace]:
        """A function that opens the data set, and the other options.

        Raises:
            UserError: For options that are unknown or do not fit.
        """
        rest, given = list[str](), dict[str, str]()
        words = iter(args)
        for word in words:
            if word.startswith("--data."):
                option, equals, value = word.removeprefix("--data.").partition("=")
                following = value if equals else next(words, None)
                if following is None:
                    raise UserError(f"option --data.{option} needs a value")
                given[option] = following
            else:
                rest.append(word)
        known = self.parse_args(rest)
        if known.folder is not None:
            if known.data is not None or "root" in given:
                raise UserError(
                    f"{known.folder!r} and --data or --data.root are both given; expected one"
                )
            known.data, given["root"] = "folder", known.folder
        known.data = known.data or unnamed(given, "")
        if not known.data:
            raise UserError(
                f"{self.prog}: give a folder, or --data with one of {', '.join(DATASETS)}"
            )
        return describe_source(known.data, given), known


def open_source(name: str, options: dict[str, str]) -> Source:
    """Open a data set by name, with options as typed.

    Raises:
        UserError: For an unknown name or option, a value of a wrong type, a missing option, and
            errors of the data set.
    """
    return describe_source(name, options)()


def describe_source(name: str, options: dict[str, str]) -> partial[Source]:
    """A function that opens a data set, with checked options.

    Raises:
        UserError: For an unknown name or option, a value of a wrong type, a missing option.
    """
    cls = source_class(name)
    parameters = inspect.signature(cls).parameters
    for option in options:
        if option not in parameters:
            raise one_of(f"option of data set {name}", option, list(parameters))
    for option in required_options(cls):
        if option not in options:
            raise UserError(f"data set {name} needs option --data.{option}; give it a value")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    # a class without type annotations gets its options as YAML reads them, as in training
    parser.add_class_arguments(cls, "data", fail_untyped=False)
    try:
        values = parser.parse_args([f"--data.{key}={value}" for key, value in options.items()])
    except jsonargparse.ArgumentError as error:
        raise UserError(" ".join(str(error).split())) from error
    given = values.get("data")
    return partial(cls, **({} if given is None else vars(given)))
