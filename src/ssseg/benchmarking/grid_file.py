"""Reads grids: from names on the command line, or from a YAML file."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ssseg.benchmarking.grid import Grid, Options, plan
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS
from ssseg.runs.command import pairs, typed
from ssseg.runs.paths import as_path

Labeled = dict[str, Any]
"""Values by label."""
KEYS: dict[str, tuple[Any, str]] = {
    "methods": (list, "a list of names"),
    "rows": (dict, "options by label"),
    "splits": (list, "a list, e.g. [1/8, 1/4]"),
    "networks": (list, "a list of names"),
    "columns": (dict, "options by label"),
    "options": (dict, "options by name"),
    "recipe": (str, "a file beside the grid"),
    "seeds": (int | list, "a count or a list"),
    "supervised": (bool, "true or false"),
    "test": (bool, "true or false"),
    "published": (dict, "numbers by row and column"),
    "skip": (dict, "columns by row"),
    "smoke": (dict, "keys of a grid"),
}
ROWS = ("methods", "rows", "supervised")
"""Keys that the smoke form inherits from its grid."""
REFERENCE = "supervised"
"""The method that is added for comparison."""


def grid_of(
    methods: Sequence[str],
    seeds: Sequence[int],
    options: Sequence[str] = (),
    *,
    splits: Sequence[str] = (),
    networks: Sequence[str] = (),
    supervised: bool = True,
    test: bool = False,
) -> Grid:
    """A grid of every method with every split, network and seed.

    Args:
        methods: Names of methods (or dotted paths).
        seeds: Seeds of the runs; the choice of labeled images does not depend on them.
        options: Further options of `ssseg fit`, as typed.
        splits: Choices of labeled images, as `--data.labeled`.
        networks: Names of networks.
        supervised: Add a supervised run with the same number of steps, if there is none.
        test: Also score the last step of every run on the test images.

    Raises:
        UserError: For an unknown method, no method or no seed.
    """
    rows = {method: {"method": method} for method in methods}
    columns = _product({}, splits, networks)
    shared = _one_network(options)
    grid = Grid(_with_reference(rows, supervised), columns, seeds, shared, test=test)
    return _checked(grid, "a benchmark")


def _one_network(options: Sequence[str]) -> list[str]:
    """Add `--network auto`, so that all methods use the default network of the data set."""
    named = any(flag in ("--network", "--config") for flag, _ in pairs(options))
    return [*options] if named else ["--network", "auto", *options]


def _with_reference(rows: Labeled, wanted: bool) -> Labeled:
    """Add a row for supervised training, if wanted and there is none."""
    methods = [options.get("method") for options in rows.values() if isinstance(options, dict)]
    if not rows or not wanted or REFERENCE in methods:
        return rows
    return {REFERENCE: {"method": REFERENCE}, **rows}


def _product(columns: Labeled, splits: Sequence[Any], networks: Sequence[Any]) -> Labeled:
    """Every column combined with every split and every network."""
    axes: list[Labeled] = [
        columns or {"": {}},
        {str(split): {"data.labeled": split} for split in splits} or {"": {}},
        {str(network): {"network": network} for network in networks} or {"": {}},
    ]
    out = {}
    for parts in product(*(axis.items() for axis in axes)):
        label = ", ".join(label for label, _ in parts if label)
        out[label] = {name: value for _, options in parts for name, value in options.items()}
    return out


def read_grid(
    path: Path,
    options: Sequence[str] = (),
    *,
    smoke: bool = False,
    supervised: bool = True,
) -> Grid:
    """Read a grid from a YAML file.

    Keys of the file:

    - `methods`: names, and `rows`: options of `ssseg fit` by label. Each is a row.
    - `columns`: options of `ssseg fit` by label, `splits`: values of `data.labeled`, and
      `networks`: names. Each combination is a column.
    - `options`: options of all runs, and `recipe`: a file for `ssseg fit --config`, beside the
      grid.
    - `seeds`: a count or a list.
    - `supervised`: false if no supervised run is added.
    - `test`: true if the test images are scored too.
    - `published`: published mIoU by row and column.
    - `skip`: columns without a run, by row.
    - `smoke`: a small form of the grid. It inherits the rows; all other keys are its own. Its rows
      replace those with the same label; a row without options is removed.

    Args:
        path: The file.
        options: Further options for all runs, as typed; they override those of the file.
        smoke: Read the smoke form.
        supervised: Add a supervised run if there is none and the file allows it.

    Raises:
        UserError: For a missing or invalid file.
    """
    given = _known_keys(_content(path), str(path))
    if smoke:
        small = given.get("smoke")
        if small is None:
            raise UserError(f"{path} has no smoke form; add the key `smoke`, or leave out --smoke")
        small = _known_keys(small, f"{path}: smoke")
        rows = {**given.get("rows", {}), **small.get("rows", {})}
        kept = {key: given[key] for key in ROWS if key in given}
        given = {**kept, **small, "rows": {k: v for k, v in rows.items() if v is not None}}
    reference = supervised and given.get("supervised", True)
    return _grid({**given, "supervised": reference}, path, options)


def _content(path: Path) -> Labeled:
    if not path.is_file():
        raise UserError(f"there is no grid {path}; expected a YAML file, or --methods")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not {"rows", "methods"} & given.keys():
        raise UserError(f"{path} is not a grid; expected a YAML mapping with `rows` or `methods`")
    return given


def _known_keys(given: Labeled, where: str) -> Labeled:
    for key, value in given.items():
        if key not in KEYS:
            raise one_of(f"key of grid {where}", key, list(KEYS))
        kinds, wanted = KEYS[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise UserError(f"{where}: {key} is {value!r}; expected {wanted}")
    return given


def _grid(given: Labeled, path: Path, options: Sequence[str]) -> Grid:
    parts: dict[str, Labeled] = {}
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
    if "columns" in given and not parts["columns"]:
        raise UserError(f"{path}: the key columns is empty; add columns, or remove the key")
    shared = typed(given.get("options", {}))
    if "recipe" in given:
        recipe = path.parent / as_path(given["recipe"])
        if not recipe.is_file():
            raise UserError(f"{path}: there is no recipe {recipe}")
        shared.insert(0, f"--config={recipe}")
    seeds = given.get("seeds", 1)
    named = {str(method): {"method": method} for method in given.get("methods", [])}
    grid = Grid(
        _with_reference({**named, **parts["rows"]}, given["supervised"]),
        _product(parts["columns"], given.get("splits", []), given.get("networks", [])),
        list(range(seeds)) if isinstance(seeds, int) else seeds,
        _one_network([*shared, *options]),
        {
            row: {str(column): value for column, value in values.items()}
            for row, values in parts["published"].items()
        },
        {row: [str(column) for column in columns] for row, columns in parts["skip"].items()},
        given.get("test", False),
    )
    return _checked(grid, str(path))


def _checked(grid: Grid, where: str) -> Grid:
    for label, options in grid.rows.items():
        method = options.get("method")
        if method is None:
            raise UserError(f"{where}: row {label!r} has no method; add one")
        if not isinstance(method, str) or (method not in METHODS and "." not in method):
            raise one_of(f"method of row {label!r} of {where}", method, list(METHODS))
    if not grid.rows or not grid.seeds:
        raise UserError(f"{where} needs at least one method and one seed")
    if any(isinstance(seed, bool) or not isinstance(seed, int) for seed in grid.seeds):
        raise UserError(f"{where}: seeds are {grid.seeds}; expected whole numbers")
    shared = {flag.removeprefix("--"): "" for flag, _ in pairs(grid.options)}
    for label, options in grid.rows.items():
        _allowed(where, label, {k: v for k, v in options.items() if k != "method"})
    for label, options in {**grid.columns, "options": shared}.items():
        _allowed(where, label, options)
    _check_labels(grid, where)
    try:
        plan(grid, Path())
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return grid


def _check_labels(grid: Grid, where: str) -> None:
    """Check that `published` and `skip` name rows and columns of the grid."""
    several: Mapping[str, Mapping[str, Any]] = {"published": grid.published, "skip": grid.skip}
    for key, by_row in several.items():
        for row, columns in by_row.items():
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
            raise UserError(f"{where}: skip removes every row of column {column!r}")


def _allowed(where: str, label: str, options: Options) -> None:
    """Check that options are not set by the grid itself, and that their values are plain."""
    for name, value in options.items():
        if name in ("method", "out", "seed_everything"):
            raise UserError(
                f"{where}: {label!r} has option {name}; only rows have a method, and seeds and "
                "folders are set by the benchmark; remove it"
            )
        try:
            typed({name: value})
        except UserError as error:
            raise UserError(
                f"{where}: {label!r}: {name} is {value!r}, a {type(value).__name__}; quote it"
            ) from error
