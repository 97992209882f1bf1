"""CamVid in its official layout: 701 frames, labels in 32 colours.

701_StillsRaw_full/ID.png
LabeledApproved_full/ID_L.png
label_colors.txt                optional: lines `R G B name`, instead of the table here
{train,val,test}.txt            optional: lists of ids, instead of the usual split by sequences
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array, ClassInfo, Record, Split
from ssseg.data.datasets.class_list import Color
from ssseg.data.datasets.files import Files
from ssseg.data.datasets.official import (
    NamedFiles,
    existing_folders,
    listed_records,
    tree_root,
    unlabeled_records,
)
from ssseg.errors import UserError
from ssseg.types import IGNORE

LABELS: dict[str, tuple[Color, str | None]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "sign symbol"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "sign symbol"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "sign symbol"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "building"),
}
"""Official label -> its colour, and the class among SegNet's 11 classes.

The groups are from MathWorks' SegNet example, "following the original SegNet training
methodology"; SegNet published its masks, but no table.
"""
ELEVEN = {
    "sky": "Sky",
    "building": "Building",
    "pole": "Column_Pole",
    "road": "Road",
    "pavement": "Sidewalk",
    "tree": "Tree",
    "sign symbol": "SignSymbol",
    "fence": "Fence",
    "car": "Car",
    "pedestrian": "Pedestrian",
    "bicyclist": "Bicyclist",
}
"""SegNet's classes in their order -> the label whose colour is used."""


class CamVid(Files):
    """CamVid: 701 frames of four drives through Cambridge, 960 x 720.

    Args:
        root: The folder with `701_StillsRaw_full/` and `LabeledApproved_full/`.
        classes: 11: SegNet's groups. 32: the official labels; Void is ignored, so there are 31
            classes.
        unlabeled: Further folders of images without masks, searched with their subfolders.

    Raises:
        UserError: For a missing file or folder, with its path and how to fix it.
    """

    name = "camvid"
    endings = ("_L",)
    crop_size = (360, 480)

    def __init__(
        self,
        root: str,
        classes: int = 11,
        unlabeled: str | Sequence[str] | None = None,
    ) -> None:
        if classes not in (11, 32):
            raise UserError(f"option data.classes is {classes}; expected 11 or 32")
        expected = "the folder that holds 701_StillsRaw_full/ and LabeledApproved_full/"
        self.root = tree_root(root, "701_StillsRaw_full", ("CamVid", "camvid"), expected)
        self.images = NamedFiles(self.root / "701_StillsRaw_full", ".png")
        self.masks = NamedFiles(self.root / "LabeledApproved_full", "_L.png")
        if not self.masks.folder.is_dir():
            raise UserError(
                f"there is no {self.masks.folder}, where the masks are expected; unpack "
                "LabeledApproved_full.zip there"
            )
        groups = {name: group if classes == 11 else name for name, (_, group) in LABELS.items()}
        groups["Void"] = None
        shown = ELEVEN if classes == 11 else {name: name for name in LABELS if name != "Void"}
        self.classes = [ClassInfo(name, LABELS[label][0]) for name, label in shown.items()]
        places = {info.name: i for i, info in enumerate(self.classes)}
        self.color_file = self.root / "label_colors.txt"
        self.ids_of_codes = {
            _code(color): places.get(groups[name] or "", IGNORE)
            for color, name in self._colors().items()
        }
        self.unlabeled_folders = existing_folders(unlabeled)
        self._records: dict[Split, list[Record]] = {}

    @property
    def meaning(self) -> str | None:
        """As in `Files`, with the colours of the labels."""
        known = super().meaning
        return None if known is None else f"{known} {self.ids_of_codes}"

    def _colors(self) -> dict[Color, str]:
        """Colour -> label, from `label_colors.txt` if it exists, else from `LABELS`."""
        if not self.color_file.is_file():
            return {color: name for name, (color, _) in LABELS.items()}
        colors: dict[Color, str] = {}
        lines = self.color_file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            values = [int(word) for word in words[:3] if re.fullmatch(r"\d{1,3}", word)]
            if len(words) != 4 or len(values) != 3 or max(values) > 255 or words[3] not in LABELS:
                raise UserError(
                    f"line {number} of {self.color_file} is {line!r}; expected three numbers "
                    "0..255 and the name of an official label, such as 64 0 128 Car"
                )
            colors[values[0], values[1], values[2]] = words[3]
        return colors

    def records(self, split: Split) -> list[Record]:
        """The frames of a split, in the order of its list file or sorted."""
        if split not in self._records:
            self._records[split] = self._find(split)
        return self._records[split]

    def _find(self, split: Split) -> list[Record]:
        lists = [self.root / f"{name}.txt" for name in ("train", "val", "test")]
        if any(path.is_file() for path in lists):
            path = self.root / f"{split}.txt"
            wanted = split == "train" or path.is_file()
            return listed_records(path, self.images, self.masks) if wanted else []
        images, masks = self.images.ids(), self.masks.ids()
        ids = [name for name in sorted(images) if _usual_split(name, self.root) == split]
        missing = next((name for name in ids if name not in masks), None)
        if missing is not None:
            raise UserError(
                f"{self.images.path(missing)} has no mask: expected {self.masks.path(missing)}; "
                "unpack LabeledApproved_full.zip again"
            )
        return [Record(name, self.images.path(name), self.masks.path(name)) for name in ids]

    def unlabeled(self) -> list[Record]:
        """The images of the folders that option data.unlabeled names."""
        return unlabeled_records(self.unlabeled_folders)

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids (H, W) uint8 from the colours of the labels."""
        if values.ndim == 2:
            raise UserError(
                f"mask {path} has one channel; expected the colours of LabeledApproved_full (for "
                "masks of class ids use --data folder)"
            )
        codes = values.astype(np.int64) @ np.array(_PLACES)
        found, inverse = np.unique(codes, return_inverse=True)
        strange = [int(code) for code in found if int(code) not in self.ids_of_codes]
        if strange:
            color = [strange[0] // place % 256 for place in _PLACES]
            raise UserError(
                f"mask {path} has the colour {color}, which belongs to no official label "
                f"({len(strange)} such colours); unpack it again, or add the colour to "
                f"{self.color_file}"
            )
        ids = np.array([self.ids_of_codes[int(code)] for code in found], np.uint8)
        return ids[inverse].reshape(codes.shape)


_PLACES = (1 << 16, 1 << 8, 1)


def _code(color: Color) -> int:
    return sum(value * place for value, place in zip(color, _PLACES, strict=True))


def _usual_split(name: str, root: Path) -> Split:
    """The split of a frame in SegNet's lists (367, 101 and 233 frames), by its sequence."""
    sequence, _, frame = name.partition("_")
    number = int(digits[0]) if (digits := re.findall(r"\d+$", frame)) else None
    if number is not None:
        match sequence:
            case "0006R0":
                return "train"
            case "Seq05VD":
                return "test"
            case "0001TP":
                return "train" if number < 8550 else "test"
            case "0016E5":  # validation: the part with 15 labeled frames per second
                return "val" if 7959 <= number <= 8159 else "train"
    raise UserError(
        f"frame {name!r} belongs to no sequence of CamVid, so its split is unknown; expected names "
        f"such as 0001TP_006690, or lists train.txt, val.txt and test.txt in {root}"
    )
