"""Options of the Python functions as LightningCLI takes them: values stay what they are."""

from collections.abc import Mapping
from typing import Any

from ssseg.cli.aliases import expand
from ssseg.data.datasets import unnamed
from ssseg.runs.command import plain_value

NETWORK = "ssseg.Segmenter"
TEXTS = ("data.labeled", "trainer.devices")
"""Options that may be a number or a text, and are a text where they are typed: the configuration,
and so its hash, is the same."""
CLASSES = ("model.method", "model.network", "data.source")
"""Options whose value is a class with options of its own."""


def plain_options(named: Mapping[str, Any], **groups: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a Python function as plain values by the names that people type.

    Args:
        named: Options by name; those that are None are left out.
        **groups: Options whose names begin with that of the group, e.g. `optim`.

    Raises:
        UserError: For a value that is an object, which no text stands for.
    """
    options = {name: value for name, value in named.items() if value is not None}
    for group, values in groups.items():
        options |= {f"{group}.{name}": value for name, value in (values or {}).items()}
    return {name: plain_value(value, name) for name, value in options.items()}


def fit_options(
    method: Any,
    data: Any = None,
    *,
    network: str | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    out: Any = None,
    logger: str | bool = "csv",
    method_options: Mapping[str, Any] | None = None,
    network_options: Mapping[str, Any] | None = None,
    optim: Mapping[str, Any] | None = None,
    compute: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    reference: Any = None,
    init: Any = None,
    **data_options: Any,
) -> dict[str, Any]:
    """The options of `ssseg.fit`, under the names of its arguments, as `plain_options`."""
    named = {"method": method, "network": network, "seed_everything": seed}
    named |= {"data": data or unnamed(data_options, "street")}
    named |= {"logger": "csv" if logger is True else logger}
    options = plain_options(
        {**named, "out": out, "reference": reference, "init": init},
        **{"method": method_options, "network": network_options, "optim": optim},
        **{"compute": compute, "trainer": trainer, "data": data_options},
    )
    return options if max_steps is None else options | {"trainer.max_steps": max_steps}


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as nested dictionaries, classes as `class_path` and `init_args`.

    Args:
        options: Plain values by the names that people type, without dashes.

    Raises:
        UserError: For an unknown method, network, data set or option of one.
    """
    out: dict[str, Any] = {}
    for flag, (value,) in expand([(f"--{name}", [value]) for name, value in options.items()]):
        option = flag.removeprefix("--")
        *groups, name = option.split(".")
        holder = out
        for place, group in enumerate(groups, 1):
            holder = _inside(holder, group)
            if ".".join(groups[:place]) in CLASSES:
                holder = _inside(holder, "init_args")
        if option in CLASSES:
            _inside(holder, name)["class_path"] = value
        else:
            number = option in TEXTS and isinstance(value, int | float)
            holder[name] = str(value) if number else value
    if "network" in out.get("model", {}):
        out["model"]["network"]["class_path"] = NETWORK
    return out


def _inside(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The dictionary under a name, for itself: a value that others gave is not changed."""
    holder[name] = dict(holder.get(name) or {})
    found: dict[str, Any] = holder[name]
    return found
