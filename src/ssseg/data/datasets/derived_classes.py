"""The class list that masks themselves suggest, where nobody wrote one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.data.datasets.class_list import codes_of, color_of
from ssseg.data.findings import shown
from ssseg.data.image_io import read_ids
from ssseg.data.reading import in_threads, kept
from ssseg.errors import UserError
from ssseg.types import IGNORE

MANY = 64
"""Values of one mask, above which it is taken for a photograph or for a mask with smooth edges."""
IGNORED = (IGNORE, 65535)
"""Values that mean ignore where there are others besides 0; the second is that of 16 bits."""


class Derived(NamedTuple):
    """A class list that was found."""

    content: dict[str, Any]
    """As a `classes.json` would have it."""
    sentence: str
    """What was found, and how it is understood."""

    @property
    def text(self) -> str:
        """The `classes.json` that says the same."""
        return json.dumps(self.content, ensure_ascii=False)


def grey_of(values: Array) -> Array:
    """What a mask holds, with colours that are all grey as the values they are.

    Args:
        values: (H, W) integers, or (H, W, 3) uint8.
    """
    if values.ndim == 3 and (values[..., :1] == values).all():
        return values[..., 0]
    return values


def derive_classes(masks: Sequence[Path]) -> Derived:
    """The classes of masks by the values or colours in them.

    Masks of 0 and 255 alone tell a foreground from its background; otherwise 255 is ignored, as
    everywhere in the field.

    Args:
        masks: All that are used.

    Raises:
        UserError: For masks that cannot be read, look like photographs, are grey and in colour, or
            hold a single value.
    """
    found = kept("values of masks", masks, lambda: list(in_threads(_values_in, masks)))
    for path, (_, values) in zip(masks, found, strict=True):
        if len(values) > MANY:
            raise UserError(
                f"mask {path} holds {len(values)} values, more than classes have: it is a "
                "photograph, or a mask with smooth edges or from a JPEG; save masks as PNG, "
                "unsmoothed, or name the classes in a classes.json beside the masks"
            )
    colored = [path for path, (is_colored, _) in zip(masks, found, strict=True) if is_colored]
    grey = [path for path in masks if path not in set(colored)]
    if colored and grey:
        raise UserError(
            f"mask {colored[0]} is in colour and mask {grey[0]} is grey, so that nothing says "
            "which value is which colour; save all masks in one way"
        )
    values = sorted({value for _, held in found for value in held})
    return _of_colors(values) if colored else _of_values(values, masks)


def _values_in(path: Path) -> tuple[bool, list[int]]:
    """Whether a mask is in colour, and its values or the numbers of its colours."""
    values = grey_of(read_ids(path))
    if values.ndim == 3:
        return True, np.unique(codes_of(values)).tolist()
    return False, np.unique(values).astype(int).tolist()


def _of_colors(codes: Sequence[int]) -> Derived:
    colors = [list(color_of(code)) for code in codes]
    named = zip(codes, colors, strict=True)
    return Derived(
        {"classes": [{"name": f"#{code:06x}", "color": color} for code, color in named]},
        f"the masks hold {len(codes)} colours ({shown(colors, 6)}), and each is taken for a class",
    )


def _of_values(values: Sequence[int], masks: Sequence[Path]) -> Derived:
    if list(values) == [0, IGNORE]:
        names = {"background": 0, "foreground": IGNORE}
        return Derived(
            {"classes": [{"name": name, "id": value} for name, value in names.items()]},
            "the masks hold 0 and 255, which are taken for background and foreground",
        )
    classes = [value for value in values if value not in IGNORED]
    if len(classes) < 2:
        what = f"the value {classes[0]}" if classes else "ignored pixels (255)"
        raise UserError(
            f"the {len(masks)} masks (e.g. {masks[0]}) hold {what} alone, so that nothing can be "
            "told apart; label images that show other classes"
        )
    content: dict[str, Any] = {
        "classes": [{"name": f"class {value}", "id": value} for value in classes]
    }
    sentence = f"the masks hold {len(classes)} classes: the values {shown(classes, 12)}"
    if ignored := [value for value in values if value in IGNORED]:
        content["ignore"] = ignored
        sentence += f" ({shown(ignored)} is ignored)"
    if classes == list(range(1, len(classes) + 1)):
        sentence += "; no mask holds 0, so that classes are taken to count from 1"
    return Derived(content, sentence)
