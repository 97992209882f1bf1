"""What can be put right in a mask without guessing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import Image

from ssseg.data.datasets.base import Array, Pixels, Source
from ssseg.data.nodata import gaps_of
from ssseg.data.tiff import NODATA
from ssseg.doctor.findings import file_of
from ssseg.doctor.look import Seen
from ssseg.doctor.mask import read_mask
from ssseg.types import IGNORE

TURNS = {
    # what EXIF's orientations ask of an image that is to be displayed
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Repair(NamedTuple):
    """What all masks of a data set have in common."""

    source: Source
    binary: Sequence[str]
    """Sets in whose masks 255 means the second of two classes."""
    shift: bool
    """Whether ids count from 1."""

    def mask(self, one: Seen, tell: Callable[[str, str], None]) -> Array:
        """The mask of a record put right, (H, W) uint8.

        Args:
            one: A record for which `usable_size` and `speaks` hold.
            tell: Is called with each reason of `fix.REASONS` and the file.
        """
        assert one.image is not None
        assert one.mask is not None
        found = read_mask(self.source, one.record)
        ids, num_classes = found.ids.astype(np.int64), self.source.num_classes
        name = file_of(self.source, one.record.mask, one.record)
        if self.shift:
            ids[(ids > 0) & (ids <= num_classes)] -= 1
            tell("shift", name)
        strange = (ids != IGNORE) & ((ids < 0) | (ids >= num_classes))
        if strange.any() or found.unknown or found.strange:
            ids[strange] = IGNORE
            tell("values", name)
        if one.role in self.binary and (ids == IGNORE).any():
            ids[ids == IGNORE] = 1
            tell("binary", name)
        if one.mask.colored:
            tell("colors", name)
        if found.renumbered:
            tell("ids", name)
        kinds = [problem.kind for problem in one.problems]
        out: Array = ids.astype(np.uint8)
        if "mask_rotation" in kinds:
            out = np.asarray(Image.fromarray(out).transpose(TURNS[one.image.orientation]))
            tell("turned", name)
        elif "mask_size" in kinds:
            size = (one.image.width, one.image.height)
            out = cv2.resize(out, size, interpolation=cv2.INTER_NEAREST_EXACT)
            tell("resized", name)
        return out


def usable_size(one: Seen) -> bool:
    """Whether the mask lies on the image, or can be laid on it by resizing or turning."""
    if one.image is None or one.mask is None:
        return False
    if "mask_size" not in [problem.kind for problem in one.problems]:
        return True
    image, mask = one.image, one.mask
    # the same aspect ratio, but for the rounding of one side to whole pixels
    difference = abs(mask.width * image.height - mask.height * image.width)
    return difference <= max(image.height, image.width)


def speaks(one: Seen, repair: Repair) -> bool:
    """Whether anything is labeled in the mask once it is put right."""
    if one.mask is None:
        return False
    labeled = sum(one.mask.counts[:IGNORE])
    return bool(labeled or one.role in repair.binary or (repair.shift and one.mask.strange))


def save_array(image: Array, pixels: Pixels, path: Path) -> None:
    """An image that is no image file yet, as one that is read back as the same values."""
    if pixels == "uint8" and image.shape[-1] in (1, 3, 4):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(f"{path}.png")
    else:
        # read_image gives 16 bits as floats in [0, 1]
        sixteen = pixels == "uint16"
        gaps = gaps_of(image)
        nodata = [] if gaps is None else [(NODATA, "s", 0, "0" if sixteen else "nan", True)]
        values = np.round(np.nan_to_num(image) * 65535).astype(np.uint16) if sixteen else image
        # without a word on planes the rows of a few channels would become pages
        planes: dict[str, Any] = {"planarconfig": "contig"} if values.shape[-1] > 1 else {}
        values = values if planes else values[..., 0]
        tifffile.imwrite(
            f"{path}.tif", values, photometric="minisblack", extratags=nodata, **planes
        )
