"""`trainval_merged.json`: PASCAL-Context's label maps as the Detail API publishes them.

Facts of the format, from the API (github.com/zhanghang1989/detail-api): `images` have `image_id`,
`file_name`, `height`, `width` and `phase`; `annos_segmentation` have `image_id`, `category_id` (one
of PASCAL-Context's 459 labels) and `segmentation`, a run-length code with `size` [height, width]
and `counts`. Where annotations overlap, the later one of the file is on top; label 0 is none.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssseg.data.datasets.base import Array
from ssseg.errors import UserError

LAST_LABEL = 459


class DetailFile:
    """The label maps of a file of the Detail API. It has 590 MB, and is read when first needed.

    Args:
        path: The file.
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
        """The labels of an image, (H, W) uint16; 0 where there is none.

        Raises:
            UserError: For an image that the file does not describe, or describes wrongly.
        """
        segments = self._read()
        if name not in segments:
            raise UserError(f"{self.path} describes no image {name}; expected one, as in its list")
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
        """What label maps need; most of the file (parts, boundaries, occlusions) is let go."""
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
                raise ValueError(f"a mask of image {name} is no run-length code of its size")
            segments[name].append((label, code["counts"]))
        return segments


def decode_runs(counts: str, shape: tuple[int, int]) -> Array:
    """The mask of a run-length code in COCO's compressed form.

    Runs of zeros and ones take turns, column by column. From the fourth on, a number is the
    difference to the last but one before it. Numbers are written in groups of five bits, the lowest
    first: characters from `0` on, plus 32 where more groups follow; the last group's highest bit is
    the sign.

    Args:
        counts: The code.
        shape: Height and width of the mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: For what is no code of such a mask.
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
        raise ValueError(f"its runs do not make {height} x {width} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T
