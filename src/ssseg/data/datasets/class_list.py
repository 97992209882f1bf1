"""`classes.json`: names, colours, and which colours mean ignore."""

import colorsys
import json
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


def read_classes(path: Path) -> ClassList:
    """The classes of a `classes.json`.

    Either a list of names, or an object whose `classes` is a list of objects with `name` and,
    where wanted, `color` (three numbers) and `id` (which must then count from 0). The object may
    have `ignore`: a list of colours whose pixels are ignored in masks in colour.

    Raises:
        UserError: For what is no such file, or contradicts itself.
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
    for place, entry in enumerate(entries):
        name, color = _class(path, place, entry)
        if name in [info.name for info in classes]:
            first = [info.name for info in classes].index(name)
            raise UserError(
                f"classes {first} and {place} in {path} are both named {name!r}; expected a name "
                "of its own for each class, because scores are reported by name"
            )
        if color is not None:
            _claim(colors, color, place, f"class {name!r}", path)
        classes.append(ClassInfo(name, color or default_color(place, len(entries))))
    ignored = content.get("ignore", []) if isinstance(content, dict) else []
    for value in ignored if isinstance(ignored, list) else [ignored]:
        _claim(colors, _color(value, "ignore", path), IGNORE, "ignore", path)
    return ClassList(path, classes, colors)


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
    codes = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    wanted = {
        (red << 16) + (green << 8) + blue: i for (red, green, blue), i in known.colors.items()
    }
    found, inverse = np.unique(codes, return_inverse=True)
    strange = [int(code) for code in found if int(code) not in wanted]
    if strange:
        color = [strange[0] >> 16, strange[0] >> 8 & 255, strange[0] & 255]
        lossy = "; JPEG changes colours, so save masks as PNG" if len(strange) > 50 else ""
        raise UserError(
            f"mask {path} has the colour {color}, which is of no class in {known.path} "
            f'({len(strange)} such colours); add it to a class or to "ignore"{lossy}'
        )
    ids = np.array([wanted[int(code)] for code in found], np.uint8)
    return ids[inverse].reshape(codes.shape)


def default_color(place: int, count: int) -> Color:
    """A colour for a class that names none: evenly spread hues."""
    lightness = (0.45, 0.65, 0.3)[place % 3]
    red, green, blue = colorsys.hls_to_rgb(place / max(1, count), lightness, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def _class(path: Path, place: int, entry: Any) -> tuple[str, Color | None]:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"class {place} in {path} has no name: {entry!r}")
    name: str = entry["name"]
    if entry.get("id", place) != place:
        raise UserError(
            f"class {name!r} in {path} has id {entry['id']}, expected {place}: "
            "ids count from 0 in the order of the list"
        )
    return name, _color(entry["color"], f"class {name!r}", path) if "color" in entry else None


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
