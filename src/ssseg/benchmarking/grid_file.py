"""Grids as people give them: names of methods on the command line, or a YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ssseg.benchmarking.grid import Grid, Options, plan, typed
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS

KEYS: dict[str, tuple[Any, str]] = {
    "rows": (dict, "options by label"),
    "columns": (dict, "options by label"),
    "options": (dict, "options by name"),
    "recipe": (str, "a file beside the grid"),
    "seeds": (int | list, "a count or a list"),
    "published": (dict, "numbers by row and column"),
    "skip": (dict, "columns by row"),
}


def grid_of(methods: Sequence[str], seeds: Sequence[int], options: Sequence[str]) -> Grid:
    """Every method with every seed; all else equal.

    Args:
        methods: Names of methods (or dotted paths).
        seeds: Of the runs; the choice of labeled images does not depend on them.
        options: Further options of `ssseg fit`, as typed.

    Raises:
        UserError: For an unknown method, or no method or seed at all.
    """
    rows = {method: {"method": method} for method in methods}
    return _checked(Grid(rows, {"": {}}, seeds, _one_network(options)), "a benchmark")


def _one_network(options: Sequence[str]) -> list[str]:
    """Methods may bring a network of their own; side by side they share the data set's."""
    named = any(option.split("=")[0] in ("--network", "--config", "-c") for option in options)
    return [*options] if named else ["--network", "auto", *options]


def read_grid(path: Path, options: Sequence[str] = ()) -> Grid:
    """A grid from a YAML file.

    Its keys: `rows` and `columns` (a label, then the options of `ssseg fit` that make it),
    `options` (the same for all), `recipe` (a configuration for `ssseg fit --config`, beside the
    file), `seeds` (a count or a list), `published` (a paper's numbers, by row and column) and
    `skip` (by row, columns that make no sense for it).

    Args:
        path: The file.
        options: Further options for all runs, as typed; they override the file's.

    Raises:
        UserError: For a file that is missing or no grid.
    """
    if not path.is_file():
        raise UserError(f"there is no grid {path}; expected a YAML file, or --methods")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or "rows" not in given:
        raise UserError(f"{path} is no grid; expected a YAML mapping with the key `rows`")
    for key in given:
        if key not in KEYS:
            raise one_of(f"key of grid {path}", key, list(KEYS))
    for key, value in given.items():
        kinds, wanted = KEYS[key]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise UserError(f"{path}: {key} is {value!r}; expected {wanted}")
    parts = {}
    for key, kind, wanted in (
        ("rows", dict, "options, e.g. {method: cutmix}"),
        ("columns", dict, "options, e.g. {data.labeled: 8}"),
        ("published", dict, "numbers by column"),
        ("skip", list, "a list of columns"),
    ):
        for label, entry in given.get(key, {}).items():
            if not isinstance(entry, kind):
                raise UserError(f"{path}: {key}: {label!r} is {entry!r}; expected {wanted}")
        parts[key] = {str(label): entry for label, entry in given.get(key, {}).items()}
    shared = typed(given.get("options", {}))
    if "recipe" in given:
        recipe = path.parent / given["recipe"]
        if not recipe.is_file():
            raise UserError(f"{path}: there is no recipe {recipe}")
        shared.insert(0, f"--config={recipe}")
    seeds = given.get("seeds", 1)
    grid = Grid(
        parts["rows"],
        parts["columns"] if "columns" in given else {"": {}},
        list(range(seeds)) if isinstance(seeds, int) else seeds,
        _one_network([*shared, *options]),
        {
            row: {str(column): value for column, value in values.items()}
            for row, values in parts["published"].items()
        },
        {row: [str(column) for column in columns] for row, columns in parts["skip"].items()},
    )
    return _checked(grid, str(path))


def _checked(grid: Grid, where: str) -> Grid:
    for label, options in grid.rows.items():
        method = options.get("method")
        if method is None:
            raise UserError(f"{where}: row {label!r} names no method; give one")
        if not isinstance(method, str) or (method not in METHODS and "." not in method):
            raise one_of(f"method of row {label!r} of {where}", method, list(METHODS))
    if not grid.rows or not grid.columns or not grid.seeds:
        raise UserError(f"{where} needs at least one method and one seed")
    if any(isinstance(seed, bool) or not isinstance(seed, int) for seed in grid.seeds):
        raise UserError(f"{where}: seeds are {grid.seeds}; expected whole numbers")
    shared = {word[2:].split("=")[0]: "" for word in grid.options if word.startswith("--")}
    for label, options in grid.rows.items():
        _allowed(where, label, {k: v for k, v in options.items() if k != "method"})
    for label, options in {**grid.columns, "options": shared}.items():
        _allowed(where, label, options)
    for key in ("published", "skip"):
        for row, columns in getattr(grid, key).items():
            for column in columns or [""]:
                if row not in grid.rows or (columns and column not in grid.columns):
                    raise UserError(
                        f"{where}: {key}: there is no row {row!r} with a column {column!r}; "
                        "expected labels of the grid"
                    )
    for row, values in grid.published.items():
        for column, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise UserError(
                    f"{where}: published: {row!r}: {column!r} is {value!r}; expected a number"
                )
    for column in grid.columns:
        if all(column in grid.skip.get(row, ()) for row in grid.rows):
            raise UserError(f"{where}: skip leaves no row for column {column!r}")
    try:
        plan(grid, Path())
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return grid


def _allowed(where: str, label: str, options: Options) -> None:
    """Refuse options that follow from the grid, and values that no option has."""
    for name, value in options.items():
        if name in ("method", "out", "seed_everything"):
            raise UserError(
                f"{where}: {label!r} has option {name}; rows alone have a method, "
                "and seeds and folders follow from the grid"
            )
        try:
            typed({name: value})
        except TypeError as error:
            raise UserError(
                f"{where}: {label!r}: {name} is {value!r}, a {type(value).__name__}; quote it"
            ) from error
