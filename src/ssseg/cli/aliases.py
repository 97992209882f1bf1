"""Expands short options to those of LightningCLI, and checks their names.

`--method classmix` becomes `--model.method CLASS`; `--data.root x` becomes an option of the data
set or of the DataModule. A wrong name raises an error with the nearest correct name.
"""

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer

from ssseg.cli.parsing import required_options
from ssseg.data.datasets import DATASETS, source_class, unnamed
from ssseg.data.datasets.base import Source
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError, one_of
from ssseg.evaluation.inference import Inference
from ssseg.losses import LabeledLoss
from ssseg.methods import METHODS, USUAL, method_class
from ssseg.methods.base import Method, defaults
from ssseg.models import NETWORKS, Segmenter
from ssseg.models.networks import OPTIMISERS, network_for
from ssseg.runs.command import pairs
from ssseg.serialization import flatten, import_class, refuse_retired, to_plain
from ssseg.training.compute import Compute
from ssseg.training.optimizer import OptimizerConfig

AUTO = "auto"  # the default network of the data set
LINKED = ("num_classes", "in_channels", "mean", "std")  # set from the data
GROUPS = {
    "optim": ("optimiser", OptimizerConfig),
    "compute": ("computing", Compute),
    "loss": ("loss", LabeledLoss),
}
"""Groups of options of the module -> their name in messages, and their dataclass."""


RENAMED = {"data.lend_truth": "data.unlabeled_truth", "model.absent": "model.missing_classes"}
"""Options of version 0.1 -> their present names."""
NAMES = (
    *("method", "data", "network", "optim", "compute", "loss", "eval", "trainer", "model"),
    *("config", "out", "init", "resume", "reference", "versus", "logger", "checkpoint_every"),
    *("seed_everything", "ckpt_path", "weights_only", "page", "split", "print_config", "help"),
)
"""First parts of option names."""
SIZES = (
    *("--data.crop_size", "--data.image_size", "--data.eval_crop"),
    *("--eval.window", "--eval.stride"),
)
"""Options with height and width; a single number is both."""


Options = list[tuple[str, list[Any]]]
"""Options with their dashes, each with its values: words as typed, or one value of Python."""


def _square(flag: str, values: list[Any]) -> list[Any]:
    """Replace `64` by `[64, 64]` in options of `SIZES`, so that both give one configuration."""
    if flag in SIZES and len(values) == 1 and str(values[0]).isdecimal():
        side = values[0]
        return [f"[{side}, {side}]" if isinstance(side, str) else [side, side]]
    return values


def expand_aliases(args: Sequence[str]) -> list[str]:
    """Expand short options to those of LightningCLI, with classes before their options.

    Args:
        args: The arguments after the verb.

    Raises:
        UserError: For an unknown method, network, data set or option of one.
    """
    out: list[str] = []
    for flag, values in expand(list(pairs(args))):
        words = [str(value) for value in values]
        out += [f"{flag}={words[0]}"] if flag == "--config" else [flag, *words]
    return out


def expand(options: Options) -> Options:
    """Options under the names that LightningCLI knows, classes before their options.

    Args:
        options: Under the names that people use.

    Raises:
        UserError: For an unknown method, network, data set or option of one.
    """
    given = _with_pairs([(flag, _square(flag, values)) for flag, values in options])
    named: dict[str, str] = {}
    configurations: list[str] = []
    for flag, values in given:
        if flag in ("--method", "--data", "--network", "--config"):
            if len(values) != 1:
                raise UserError(f"option {flag} needs one value, got {len(values)}")
            if flag == "--config":
                _check_configuration(Path(values[0]))
                configurations.append(values[0])
                continue
            if flag in named:
                raise UserError(f"option {flag} is given twice: {named[flag]} and {values[0]}")
            named[flag] = values[0]
    configured = bool(configurations)
    asked = "--help" in [flag for flag, _ in given]
    method: type[Method] | None = None
    if "--method" in named:
        method = method_class(named["--method"])
    elif not configured and not asked:
        names = ", ".join(sorted(METHODS))
        raise UserError(f"option --method is missing; give one of {names}")
    source = source_class(named["--data"]) if "--data" in named else None
    if source is None and not configured:
        source = source_class(next(iter(DATASETS)))
    if source is not None:
        _known_data_options(source, [flag for flag, _ in given])
    if source is not None and not configured and not asked:
        _nothing_missing(source, named.get("--data", ""), [flag for flag, _ in given])
    out: Options = []
    # configurations first, because later arguments override earlier ones; then classes, because
    # their options need them
    classes: Options = [("--config", [file]) for file in configurations]
    for flag, values in given:
        head, _, option = flag.removeprefix("--").partition(".")
        if flag == "--method":
            assert method is not None
            made = _fresh(method) if configured else _path(method)
            classes.append(("--model.method", [made]))
        elif flag == "--data":
            assert source is not None
            classes.append(("--data.source", [_path(source)]))
        elif flag == "--config":
            continue
        elif flag == "--network":
            classes += _network(named["--network"], source)
        elif head == "method":
            if method is not None:
                refuse_retired(method, {option: " ".join(map(str, values))}, "the command line")
                _known(f"option of method {named['--method']}", option, list(defaults(method)))
            out.append((f"--model.method.{option}", values))
        elif head == "network":
            known = [n for n in _parameters(Segmenter) if n not in LINKED]
            _known("option of the network", option, known)
            out.append((f"--model.network.{option}", values))
        elif flag == "--loss":
            out.append(("--model.loss.name", values))
        elif head in GROUPS:
            what, kind = GROUPS[head]
            _known(f"option of the {what}", option, [f.name for f in fields(kind)])
            out.append((f"--model.{head}.{option}", values))
        elif head == "eval":
            known = [f.name for f in fields(Inference)]
            _known("option of the evaluation", option, [*known, "missing_classes", "boundary"])
            group = "model.inference" if option.split(".")[0] in known else "model"
            out.append((f"--{group}.{option}", values))
        elif head == "data" and option.split(".")[0] not in (
            "source",
            *_parameters(SegmentationData),
        ):
            out.append((f"--data.source.{option}", values))
        elif head == "trainer" and option:
            _known("option of the trainer", option, _parameters(Trainer))
            times = [_time(value) if isinstance(value, str) else value for value in values]
            out.append((flag, times))
        else:
            _known("option", head, list(NAMES))
            out.append((flag, values))
    if not configured and "--network" not in named and source is not None:
        classes = _network(AUTO, source) + classes
        if method is not None and method.decoder is not None:
            classes.append(("--model.network.decoder", [method.decoder]))
    return [*classes, *out]


def _time(text: str) -> str:
    """A time with days: YAML 1.1 takes 10:00:00:00, but not 010:00:00:00, for a number."""
    return re.sub(r"^(?=[1-9]\d*(:\d+){3}$)", "0", text)


def _with_pairs(given: Options) -> Options:
    """Add the data set (for images and masks: and the method) that options stand for."""
    flags = {flag for flag, _ in given}
    options = {flag.removeprefix("--data.") for flag in flags if flag.startswith("--data.")}
    named = unnamed(options, "")
    if not named or flags & {"--data", "--config"}:
        return given
    if named != "pairs":
        return [("--data", [named]), *given]
    method = [] if "--method" in flags else [("--method", [USUAL])]
    return [*method, ("--data", ["pairs"]), *given]


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _fresh(method: type[Method]) -> str:
    """A method with all its defaults, to override all options of a method in a configuration."""
    usual = {name: default for name, default in defaults(method).items() if default is not MISSING}
    recipe = {"class_path": _path(method), "init_args": to_plain(usual)}
    return json.dumps(recipe, default=lambda v: v.name if isinstance(v, Enum) else str(v))


def _check_configuration(path: Path) -> None:
    """Check a configuration file, with clearer messages than those of the parser.

    Raises:
        UserError: For a file that is missing, not YAML, or has no options by name.
    """
    if not path.is_file():
        raise UserError(f"option --config: there is no file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"option --config: {path} is not YAML ({' '.join(str(error).split())}); expected "
            "options as in the config.yaml of a run"
        ) from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"contains a {type(content).__name__}"
        raise UserError(
            f"option --config: {path} {found}; expected options by name, as in the config.yaml of "
            "a run"
        )
    for name in flatten(content):
        if name in RENAMED:
            raise UserError(
                f"option --config: {path} has the option {name}, which is called {RENAMED[name]} "
                "since ssseg 0.2; rename it in the file, or use ssseg 0.1"
            )
    model = content.get("model")
    chosen = model.get("method") if isinstance(model, dict) else None
    if isinstance(chosen, dict) and "." in str(chosen.get("class_path")):
        options = chosen.get("init_args") or {}
        where = f"option --config: {path}"
        refuse_retired(import_class(chosen["class_path"], "method"), options, where)


def _known_data_options(source: type[Source], flags: Sequence[str]) -> None:
    """Check names of options `--data.NAME`; called before the check for missing options."""
    known = _parameters(source) + _parameters(SegmentationData)
    for flag in flags:
        head, _, option = flag.partition(".")
        if head == "--data" and option and option.split(".")[0] != "source":
            _known(f"option of data set {source.name}", option, known)


def _nothing_missing(source: type[Source], name: str, flags: list[str]) -> None:
    """Check that all required options of a data set are given."""
    for option in required_options(source):
        if f"--data.{option}" not in flags:
            raise UserError(f"data set {name} needs option --data.{option}; give it a value")


def _network(name: str, source: type[Source] | None) -> Options:
    """The options that the name of a network stands for; pretrained where that is possible."""
    if name == AUTO:
        if source is None:
            raise UserError("option --network is auto, which needs the data set; give --data too")
        name = network_for(source.network)
    if name not in NETWORKS:
        raise one_of("network", name, [AUTO, *NETWORKS])
    groups = {"network": {"weights": AUTO} | NETWORKS[name], "optim": OPTIMISERS.get(name, {})}
    return [
        (f"--model.{group}.{option}", [value])
        for group, options in groups.items()
        for option, value in options.items()
    ]


def _parameters(cls: type) -> list[str]:
    return [name for name in inspect.signature(cls).parameters if name != "self"]


def _known(what: str, option: str, known: list[str]) -> None:
    name = option.split(".")[0].rstrip("+")
    if name not in (*known, "help"):
        raise one_of(what, name, known)
