"""Reads the class ids of a mask; invalid values are counted and do not raise."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ssseg.data.datasets.base import Array, Record, Source
from ssseg.data.datasets.class_list import Color, code_of, codes_of, color_of, translated
from ssseg.data.datasets.files import Files
from ssseg.data.datasets.folder import Folder
from ssseg.data.image_io import decoding, open_picture
from ssseg.errors import UserError
from ssseg.types import IGNORE


class Refused(Exception):  # noqa: N818 (a result of reading, not an error of the program)
    """The mask has no class ids; `kind` is a key of `file_rules.KINDS`."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.detail = kind, detail


class Mask(NamedTuple):
    """The content of a mask file."""

    ids: Array
    """(H, W) integers; some may be no class id. IGNORE for colours in `unknown`."""
    unknown: dict[Color, int]
    """Number of pixels of each colour that belongs to no class."""
    plain: bool
    """Whether the values in the file are the ids."""
    colored: bool = False
    """Whether the file has colours instead of ids."""
    renumbered: bool = False
    """Whether the class list maps the values in the file to other ids."""
    strange: Mapping[int, int] = MappingProxyType({})
    """Number of pixels of each value that is not in the class list, if it lists values."""


class MaskFacts(NamedTuple):
    """Size and counts of a mask."""

    height: int
    width: int
    counts: tuple[int, ...]
    """Number of pixels of each of the 256 ids; 0 for ids that are neither a class nor IGNORE."""
    strange: dict[int, int]
    """Number of pixels of each value that is neither a class nor IGNORE."""
    unknown: dict[Color, int]
    """Number of pixels of each colour that belongs to no class."""
    colored: bool
    """Whether the file has colours instead of ids."""
    palette: dict[int, Color]
    """Colours of the ids in this mask, from the palette of the file; empty without a palette."""

    @property
    def problems(self) -> list[str]:
        """Kinds of problems of the values, as keys of `file_rules.KINDS`."""
        return ["mask_values"] * bool(self.strange) + ["mask_unknown_colors"] * bool(self.unknown)

    @property
    def blank(self) -> bool:
        """Whether every pixel is ignored."""
        return not self.problems and self.counts[IGNORE] == self.height * self.width


def read_mask(source: Source, record: Record) -> Mask:
    """Read the class ids of a mask.

    Raises:
        Refused: If the mask has no class ids.
    """
    path = record.mask
    with suppress(OSError):
        if isinstance(path, Path) and not path.stat().st_size:
            raise Refused("mask_empty")
    try:
        if not isinstance(source, Files) or type(source).read_mask is not Files.read_mask:
            return Mask(source.read_mask(record), {}, False)
        values = source.read_values(record)
    except UserError as error:
        # an error with a cause comes from a decoder
        broken = error.__cause__ is not None
        raise Refused("mask_unreadable" if broken else "mask_refused", str(error)) from error
    if isinstance(source, Folder) and type(source).decode is Folder.decode:
        if values.ndim == 3:
            return _colors(values, source)
        if source.class_file.values:
            ids, strange = translated(values, source.class_file.values)
            return Mask(ids, {}, False, renumbered=True, strange=strange)
    try:
        ids = source.decode(values, Path(str(path)))
    except UserError as error:
        raise Refused("mask_refused", str(error)) from error
    return Mask(ids, {}, ids is values)


def facts_of(source: Source, record: Record, mask: Mask) -> MaskFacts:
    """Count the values of a mask."""
    # without a readable class list any id may be a class
    limit = source.num_classes or IGNORE
    ids = mask.ids.astype(np.uint8) if mask.ids.dtype == np.bool_ else mask.ids
    if ids.dtype == np.uint8:
        found = dict(enumerate(np.bincount(ids.ravel(), minlength=256).tolist()))
    else:
        values, numbers = np.unique(ids, return_counts=True)
        found = dict(zip(values.tolist(), numbers.tolist(), strict=True))
    known = {v: n for v, n in found.items() if n and (0 <= v < limit or v == IGNORE)}
    strange = {int(v): n for v, n in found.items() if n and v not in known} | dict(mask.strange)
    counts = tuple(known.get(i, 0) for i in range(256))
    palette = _palette(record, known) if mask.plain else {}
    height, width = ids.shape
    return MaskFacts(height, width, counts, strange, mask.unknown, mask.colored, palette)


def _colors(values: Array, source: Folder) -> Mask:
    """Ids of a mask in colour; unlike `ids_of_colors` it does not raise for unknown colours."""
    known = source.class_file.colors
    if not known:
        raise Refused("mask_colored")
    ids, strange = translated(codes_of(values), {code_of(c): i for c, i in known.items()})
    return Mask(ids, {color_of(code): n for code, n in strange.items()}, False, True)


def _palette(record: Record, present: dict[int, Any]) -> dict[int, Color]:
    path = Path(str(record.mask))
    with suppress(UserError), decoding(path), open_picture(path) as image:
        if image.mode == "P":
            values = image.getpalette("RGB") or []
            colors = list(zip(values[::3], values[1::3], values[2::3], strict=True))
            return {i: colors[i] for i in present if i < len(colors) and i != IGNORE}
    return {}
