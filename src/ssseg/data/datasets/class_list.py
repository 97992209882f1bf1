"""`classes.json`: names, colours, ids, and which colours and ids mean ignore."""

import colorsys
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, ClassInfo
from ssseg.errors import UserError
from ssseg.types import IGNORE

Color = tuple[int, int, int]
EXAMPLE = '["background", "road"]'


class ClassList(NamedTuple):
    """What a `classes.json` says."""

    path: Path
    classes: list[ClassInfo]
    colors: dict[Color, int]
    """Class ids (IGNORE too) of the colours that the file itself gives."""
    values: dict[int, int]
    """Class ids (IGNORE too) of the values in masks; empty where masks hold the ids themselves."""


def read_classes(path: Path) -> ClassList:
    """The classes of a `classes.json`.

    Either a list of names, or an object whose `classes` is a list of names or of objects with
    `name` and, where wanted, `color` (three numbers) and `id`: the value that means the class in
    masks, for every class or for none; without it values count from 0 in the order of the list.
    The object may have `ignore`: a list of what is ignored in masks, values and colours.

    Raises:
        UserError: For what is no such file, contradicts itself, or names a single class.
    """
    try:
        # -sig: editors on Windows begin a file with a byte order mark
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}; write one with the class names: {EXAMPLE}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); expected {EXAMPLE}") from error
    entries = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} names no classes; expected a list such as {EXAMPLE}")
    if len(entries) > IGNORE:
        raise UserError(f"{path} names {len(entries)} classes; expected at most {IGNORE}")
    classes, colors = list[ClassInfo](), dict[Color, int]()
    for place, given in enumerate(entries):
        entry = _entry(path, place, given)
        name = entry["name"]
        if name in [info.name for info in classes]:
            first = [info.name for info in classes].index(name)
            raise UserError(
                f"classes {first} and {place} in {path} are both named {name!r}; expected a name "
                "of its own for each class, because scores are reported by name"
            )
        color = _color(entry["color"], f"class {name!r}", path) if "color" in entry else None
        if color is not None:
            _claim(colors, color, place, f"class {name!r}", path)
        classes.append(ClassInfo(name, color or default_color(place, len(entries))))
    if len(classes) == 1:
        raise UserError(
            f"{path} names one class, {classes[0].name!r}, which cannot be told from anything; "
            f'name what else there is as well: ["background", {json.dumps(classes[0].name)}]'
        )
    ignored = content.get("ignore", []) if isinstance(content, dict) else []
    ignored = ignored if isinstance(ignored, list) else [ignored]
    for value in ignored:
        if not _is_id(value):
            _claim(colors, _color(value, "ignore", path), IGNORE, "ignore", path)
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    names = [info.name for info in classes]
    values = _values(path, names, ids, [value for value in ignored if _is_id(value)])
    return ClassList(path, classes, colors, values)


def _values(path: Path, names: list[str], ids: list[Any], ignored: list[int]) -> dict[int, int]:
    """What the values in masks mean; empty where they are the places in the list."""
    without = [name for name, given in zip(names, ids, strict=True) if given is None]
    explicit = any(given not in (None, place) for place, given in enumerate(ids))
    if explicit and without:
        raise UserError(
            f'class {without[0]!r} in {path} has no "id", but others have one that is not their '
            "place in the list; give every class its id, the value that means it in masks"
        )
    places = dict[int, int]()
    for place, (name, given) in enumerate(zip(names, ids, strict=True)):
        value = place if given is None else given
        if not _is_id(value):
            raise UserError(
                f"class {name!r} in {path} has the id {value!r}; expected a whole number of at "
                "least 0, the value that means it in masks"
            )
        if value in places:
            raise UserError(
                f"classes {names[places[value]]!r} and {name!r} in {path} both have the id "
                f"{value}; expected an id of its own for each class"
            )
        places[value] = place
    twice = [value for value in ignored if ignored.count(value) > 1]
    if twice:
        raise UserError(
            f'"ignore" in {path} names {twice[0]} twice; expected each id once, and a colour as a '
            f"list of its own: [{ignored}]"
        )
    for value in ignored:
        if value in places:
            raise UserError(
                f'"ignore" in {path} names {value}, which is the id of class '
                f"{names[places[value]]!r}{'' if explicit else ' by its place in the list'}; give "
                f'each class the value that means it in masks: {{"name": '
                f'{json.dumps(names[0])}, "id": {value + 1}}}, ...'
            )
    if not explicit and not ignored:
        return {}
    return {IGNORE: IGNORE, **dict.fromkeys(ignored, IGNORE), **places}


def translated(codes: Array, known: Mapping[int, int]) -> tuple[Array, dict[int, int]]:
    """Class ids for what a mask holds.

    Args:
        codes: (H, W) integers.
        known: What each of them means.

    Returns:
        (H, W) uint8, IGNORE where a number is not known; and the pixels of each of those numbers.
    """
    found, inverse, numbers = np.unique(codes, return_inverse=True, return_counts=True)
    ids = np.array([known.get(code, IGNORE) for code in found.tolist()], np.uint8)
    counted = zip(found.tolist(), numbers.tolist(), strict=True)
    unknown = {code: number for code, number in counted if code not in known}
    return ids[inverse].reshape(codes.shape), unknown


def ids_of_values(values: Array, known: ClassList, path: Path) -> Array:
    """Class ids of a mask whose values the class list explains.

    Args:
        values: (H, W) integers.
        known: What they mean.
        path: The mask, for messages.

    Returns:
        (H, W) uint8, or the values themselves where they are the ids.

    Raises:
        UserError: For a value that `known` does not name.
    """
    if not known.values:
        return values
    ids, unknown = translated(values, known.values)
    if unknown:
        raise UserError(
            f"mask {path} holds the value {min(unknown)}, which {known.path} does not name (its "
            f"ids and ignored values are {', '.join(map(str, sorted(known.values)))}); correct "
            'the mask, or add the value as the "id" of a class or to "ignore"'
        )
    return ids


def codes_of(values: Array) -> Array:
    """One number for each colour of (H, W, 3) uint8: (H, W) int32."""
    codes: Array = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return codes


def code_of(color: Color) -> int:
    """The number of a colour."""
    return (color[0] << 16) + (color[1] << 8) + color[2]


def color_of(code: int) -> Color:
    """The colour of a number."""
    return code >> 16, code >> 8 & 255, code & 255


def ids_of_colors(values: Array, known: ClassList, path: Path) -> Array:
    """Class ids of a mask in colour.

    Args:
        values: (H, W, 3) uint8.
        known: The colours.
        path: The mask, for messages.

    Returns:
        (H, W) uint8.

    Raises:
        UserError: For a colour that `known` does not name.
    """
    if not known.colors:
        raise UserError(
            f"mask {path} is in colour, but {known.path} gives no colours; give each class its "
            '"color", or save masks as one channel of class ids'
        )
    wanted = {code_of(color): i for color, i in known.colors.items()}
    ids, unknown = translated(codes_of(values), wanted)
    if unknown:
        lossy = "; JPEG changes colours, so save masks as PNG" if len(unknown) > 50 else ""
        raise UserError(
            f"mask {path} has the colour {list(color_of(min(unknown)))}, which is of no class in "
            f'{known.path} ({len(unknown)} such colours); add it to a class or to "ignore"{lossy}'
        )
    return ids


def default_color(place: int, count: int) -> Color:
    """A colour for a class that names none: evenly spread hues."""
    lightness = (0.45, 0.65, 0.3)[place % 3]
    red, green, blue = colorsys.hls_to_rgb(place / max(1, count), lightness, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def _entry(path: Path, place: int, entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"class {place} in {path} has no name: {entry!r}")
    return entry


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _color(value: Any, whose: str, path: Path) -> Color:
    if (
        not isinstance(value, (list, tuple))
        or len(value) != 3
        or not all(isinstance(c, int) and 0 <= c <= 255 for c in value)
    ):
        raise UserError(f"{whose} in {path} has color {value!r}; expected three numbers 0..255")
    return value[0], value[1], value[2]


def _claim(colors: dict[Color, int], color: Color, meaning: int, whose: str, path: Path) -> None:
    if colors.setdefault(color, meaning) != meaning:
        raise UserError(
            f"{whose} in {path} has color {list(color)}, which another class has; expected a "
            "colour of its own for each class"
        )
