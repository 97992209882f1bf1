"""`classes.json`: names, colours and ids of classes, and the colours and ids to ignore."""

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
    """The content of a `classes.json`."""

    path: Path
    classes: list[ClassInfo]
    colors: dict[Color, int]
    """Colour in masks -> class id or IGNORE; only colours that the file gives."""
    values: dict[int, int]
    """Value in masks -> class id or IGNORE; empty if the values are the class ids."""


def read_classes(path: Path) -> ClassList:
    """Read a `classes.json`.

    The file has a list of names, or an object. The list `classes` of the object has names, or
    objects with `name` and optionally `color` (three numbers) and `id`. `id` is the value of the
    class in masks; all classes have one, or none; without it the value is the index in the list.
    The list `ignore` of the object has values and colours that are ignored in masks.

    Raises:
        UserError: For an invalid file, contradictory entries, or a single class.
    """
    try:
        # -sig: some editors write a byte order mark at the start
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}; write one with the class names: {EXAMPLE}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); expected {EXAMPLE}") from error
    return class_list_of(content, path)


def class_list_of(content: Any, path: Path) -> ClassList:
    """The classes that a `classes.json` with this content names.

    Args:
        content: As `read_classes` describes it.
        path: Of the file, for messages.

    Raises:
        UserError: As `read_classes`.
    """
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
                f"classes {first} and {place} in {path} are both named {name!r}; expected a "
                "different name for each class, because scores are reported by name"
            )
        color = _color(entry["color"], f"class {name!r}", path) if "color" in entry else None
        if color is not None:
            _claim(colors, color, place, f"class {name!r}", path)
        classes.append(ClassInfo(name, color or default_color(place, len(entries))))
    if len(classes) == 1:
        raise UserError(
            f"{path} names only one class, {classes[0].name!r}; expected at least two, for example "
            f'["background", {json.dumps(classes[0].name)}]'
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
    """Value in masks -> class id or IGNORE; empty if the values are indices into the list."""
    without = [name for name, given in zip(names, ids, strict=True) if given is None]
    explicit = any(given not in (None, place) for place, given in enumerate(ids))
    if explicit and without:
        raise UserError(
            f'class {without[0]!r} in {path} has no "id", but other classes have one that is not '
            "their index in the list; give every class its id, which is its value in masks"
        )
    places = dict[int, int]()
    for place, (name, given) in enumerate(zip(names, ids, strict=True)):
        value = place if given is None else given
        if not _is_id(value):
            raise UserError(
                f"class {name!r} in {path} has the id {value!r}; expected a whole number of at "
                "least 0, which is its value in masks"
            )
        if value in places:
            raise UserError(
                f"classes {names[places[value]]!r} and {name!r} in {path} both have the id "
                f"{value}; expected a different id for each class"
            )
        places[value] = place
    twice = [value for value in ignored if ignored.count(value) > 1]
    if twice:
        raise UserError(
            f'"ignore" in {path} names {twice[0]} twice; expected each id once, and a colour as a '
            f"nested list: [{ignored}]"
        )
    for value in ignored:
        if value in places:
            raise UserError(
                f'"ignore" in {path} names {value}, which is the id of class '
                f"{names[places[value]]!r}{'' if explicit else ' by its index in the list'}; give "
                f'each class its value in masks: {{"name": {json.dumps(names[0])}, '
                f'"id": {value + 1}}}, ...'
            )
    if not explicit and not ignored:
        return {}
    return {IGNORE: IGNORE, **dict.fromkeys(ignored, IGNORE), **places}


def translated(codes: Array, known: Mapping[int, int]) -> tuple[Array, dict[int, int]]:
    """Map the numbers in a mask to class ids.

    Args:
        codes: (H, W) integers.
        known: Number -> class id or IGNORE.

    Returns:
        (H, W) uint8, IGNORE for unknown numbers; and the number of pixels of each unknown number.
    """
    found, inverse, numbers = np.unique(codes, return_inverse=True, return_counts=True)
    ids = np.array([known.get(code, IGNORE) for code in found.tolist()], np.uint8)
    counted = zip(found.tolist(), numbers.tolist(), strict=True)
    unknown = {code: number for code, number in counted if code not in known}
    return ids[inverse].reshape(codes.shape), unknown


def ids_of_values(values: Array, known: ClassList, path: Path) -> Array:
    """Map the values in a mask to class ids.

    Args:
        values: (H, W) integers.
        known: The class list.
        path: The mask, for messages.

    Returns:
        (H, W) uint8, or `values` if the values are the class ids.

    Raises:
        UserError: For a value that is not in the class list.
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
    """Colours (H, W, 3) uint8 as one number per pixel, (H, W) int32."""
    codes: Array = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return codes


def code_of(color: Color) -> int:
    """The number of a colour, as in `codes_of`."""
    return (color[0] << 16) + (color[1] << 8) + color[2]


def color_of(code: int) -> Color:
    """The colour of a number."""
    return code >> 16, code >> 8 & 255, code & 255


def ids_of_colors(values: Array, known: ClassList, path: Path) -> Array:
    """Map the colours in a mask to class ids.

    Args:
        values: (H, W, 3) uint8.
        known: The class list.
        path: The mask, for messages.

    Returns:
        (H, W) uint8.

    Raises:
        UserError: For a colour that is not in the class list.
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
            f"mask {path} has the colour {list(color_of(min(unknown)))}, which is not in "
            f'{known.path} ({len(unknown)} such colours); add it to a class or to "ignore"{lossy}'
        )
    return ids


def default_color(place: int, count: int) -> Color:
    """The default colour of a class; the hues of all classes are evenly spaced."""
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
            "different colour for each class"
        )
