"""`trainval_merged.json`: PASCAL-Context's label maps as the Detail API publishes them.

The format, from the API (github.com/zhanghang1989/detail-api): `images` have `image_id`,
`file_name`, `height`, `width` and `phase`; `annos_segmentation` have `image_id`, `category_id` (one
of PASCAL-Context's 459 labels) and `segmentation`, a run-length code with `size` [height, width]
and `counts`. Where annotations overlap, the later one in the file counts; 0 means no label.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError

LAST_LABEL = 459


class DetailFile:
    """The label maps of a file of the Detail API. The file (590 MB) is read when first needed.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._phases: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, int]] = {}
        self._segments: dict[str, list[tuple[int, str]]] | None = None

    def ids(self, phase: str) -> list[str]:
        """The sorted ids of the images of a phase, `train` or `val`."""
        self._read()
        return sorted(name for name, found in self._phases.items() if found == phase)

    def label_map(self, name: str) -> Array:
        """The labels of an image, (H, W) uint16; 0 where there is no label.

        Raises:
            UserError: For an image that is not in the file, or an invalid mask.
        """
        segments = self._read()
        if name not in segments:
            raise UserError(
                f"{self.path} has no image {name}, but its list names it; download the file again"
            )
        labels = np.zeros(self._shapes[name], np.uint16)
        for category, counts in segments[name]:
            try:
                labels[decode_runs(counts, self._shapes[name])] = category
            except ValueError as error:
                raise UserError(
                    f"{self.path} has a mask of image {name} that cannot be decoded ({error}); "
                    "download it again"
                ) from error
        return labels

    def _read(self) -> dict[str, list[tuple[int, str]]]:
        if self._segments is not None:
            return self._segments
        try:
            content = json.loads(self.path.read_bytes())
            self._segments = self._take(content)
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            raise UserError(
                f"{self.path} cannot be read as annotations of the Detail API "
                f"({type(error).__name__}: {error}); expected trainval_merged.json with images and "
                "annos_segmentation"
            ) from error
        return self._segments

    def _take(self, content: Any) -> dict[str, list[tuple[int, str]]]:
        """The data of the label maps; parts, boundaries and occlusions are not kept."""
        names = {image["image_id"]: Path(image["file_name"]).stem for image in content["images"]}
        for image in content["images"]:
            name = names[image["image_id"]]
            self._phases[name] = image["phase"]
            self._shapes[name] = (int(image["height"]), int(image["width"]))
        segments: dict[str, list[tuple[int, str]]] = {name: [] for name in names.values()}
        for annotation in content["annos_segmentation"]:
            name, code = names[annotation["image_id"]], annotation["segmentation"]
            label = int(annotation["category_id"])
            if not 0 < label <= LAST_LABEL:
                raise ValueError(f"a mask of image {name} has category_id {label}")
            if tuple(code["size"]) != self._shapes[name] or not isinstance(code["counts"], str):
                raise ValueError(f"a mask of image {name} is not a run-length code of its size")
            segments[name].append((label, code["counts"]))
        return segments


def decode_runs(counts: str, shape: tuple[int, int]) -> Array:
    """Decode a mask in COCO's compressed run-length encoding.

    The numbers are the lengths of alternating runs of zeros and ones, column by column. From the
    fourth number on, the difference to the number two places before is stored. A number is stored
    in groups of five bits, the lowest group first. A group is the character with the code 48 plus
    the group, plus 32 if more groups follow; the highest bit of the last group is the sign.

    Args:
        counts: The code.
        shape: Height and width of the mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: For an invalid code, or a code of another number of pixels.
    """
    runs = list[int]()
    value = shift = 0
    for character in counts.encode("ascii"):
        group = character - ord("0")
        if not 0 <= group < 64:
            raise ValueError(f"character {chr(character)!r}")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    height, width = shape
    if shift or min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"the runs do not have {height} x {width} pixels together")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T
