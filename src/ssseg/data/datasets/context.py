"""PASCAL-Context: images of VOC 2010 with a label for every pixel.

VOCdevkit/VOC2010/
JPEGImages/ID.jpg
and the label maps in one of these formats:
SegmentationClassContext/ID.png      0 = background, 1..59, in mmsegmentation's order
  ImageSets/SegmentationContext/{train,val}.txt
trainval/ID.mat                      LabelMap with the 459 original labels
  {train,val}.txt, or ImageSets/Main/{train,val}.txt of VOC 2010
trainval_merged.json                 of the Detail API, with the 459 original labels
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array, ClassInfo, Record, Split
from ssseg.data.datasets.detail_api import LAST_LABEL, DetailFile
from ssseg.data.datasets.files import Files
from ssseg.data.datasets.official import (
    NamedFiles,
    existing_folders,
    listed_ids,
    listed_records,
    read_mat,
    tree_root,
    unlabeled_records,
)
from ssseg.data.image_io import read_ids
from ssseg.errors import UserError
from ssseg.types import IGNORE

BACKGROUND = ClassInfo("background", (120, 120, 120))
CLASSES = {
    2: ClassInfo("aeroplane", (180, 120, 120)),
    9: ClassInfo("bag", (6, 230, 230)),
    18: ClassInfo("bed", (80, 50, 50)),
    19: ClassInfo("bedclothes", (4, 200, 3)),
    22: ClassInfo("bench", (120, 120, 80)),
    23: ClassInfo("bicycle", (140, 140, 140)),
    25: ClassInfo("bird", (204, 5, 255)),
    31: ClassInfo("boat", (230, 230, 230)),
    33: ClassInfo("book", (4, 250, 7)),
    34: ClassInfo("bottle", (224, 5, 255)),
    44: ClassInfo("building", (235, 255, 7)),
    45: ClassInfo("bus", (150, 5, 61)),
    46: ClassInfo("cabinet", (120, 120, 70)),
    59: ClassInfo("car", (8, 255, 51)),
    65: ClassInfo("cat", (255, 6, 82)),
    68: ClassInfo("ceiling", (143, 255, 140)),
    72: ClassInfo("chair", (204, 255, 4)),
    80: ClassInfo("cloth", (255, 51, 7)),
    85: ClassInfo("computer", (204, 70, 3)),
    98: ClassInfo("cow", (0, 102, 200)),
    104: ClassInfo("cup", (61, 230, 250)),
    105: ClassInfo("curtain", (255, 6, 51)),
    113: ClassInfo("dog", (11, 102, 255)),
    115: ClassInfo("door", (255, 7, 71)),
    144: ClassInfo("fence", (255, 9, 224)),
    158: ClassInfo("floor", (9, 7, 230)),
    159: ClassInfo("flower", (220, 220, 220)),
    162: ClassInfo("food", (255, 9, 92)),
    187: ClassInfo("grass", (112, 9, 255)),
    189: ClassInfo("ground", (8, 255, 214)),
    207: ClassInfo("horse", (7, 255, 224)),
    220: ClassInfo("keyboard", (255, 184, 6)),
    232: ClassInfo("light", (10, 255, 71)),
    258: ClassInfo("motorbike", (255, 41, 10)),
    259: ClassInfo("mountain", (7, 255, 255)),
    260: ClassInfo("mouse", (224, 255, 8)),
    284: ClassInfo("person", (102, 8, 255)),
    295: ClassInfo("plate", (255, 61, 6)),
    296: ClassInfo("platform", (255, 194, 7)),
    308: ClassInfo("pottedplant", (255, 122, 8)),
    324: ClassInfo("road", (0, 255, 20)),
    326: ClassInfo("rock", (255, 8, 41)),
    347: ClassInfo("sheep", (255, 5, 153)),
    349: ClassInfo("shelves", (6, 51, 255)),
    354: ClassInfo("sidewalk", (235, 12, 255)),
    355: ClassInfo("sign", (160, 150, 20)),
    360: ClassInfo("sky", (0, 163, 255)),
    366: ClassInfo("snow", (140, 140, 140)),
    368: ClassInfo("sofa", (250, 10, 15)),
    397: ClassInfo("table", (20, 255, 0)),
    415: ClassInfo("track", (31, 255, 0)),
    416: ClassInfo("train", (255, 31, 0)),
    420: ClassInfo("tree", (255, 224, 0)),
    424: ClassInfo("truck", (153, 255, 0)),
    427: ClassInfo("tvmonitor", (0, 0, 255)),
    440: ClassInfo("wall", (255, 71, 0)),
    445: ClassInfo("water", (0, 235, 255)),
    454: ClassInfo("window", (0, 173, 255)),
    458: ClassInfo("wood", (31, 0, 255)),
}
"""Number in the official `labels.txt` -> class; names and colours as in mmsegmentation.

The official `59_labels.txt` is not used. It has another order (VOC's classes first) and the names
diningtable, bedcloth and clothes for three of the classes.
"""


class Context(Files):
    """PASCAL-Context: 59 frequent classes, 4,998 images for training and 5,105 for validation.

    Args:
        root: `VOCdevkit/VOC2010`, or a folder that contains it.
        classes: 59: pixels of the other 400 labels are ignored. 60: they are class 0, background.
        unlabeled: Further folders of images without masks, searched with their subfolders.

    Raises:
        UserError: For a missing file or folder, with its path and how to fix it.
    """

    name = "context"
    crop_size = (480, 480)
    scale = (0.5, 2.0)

    def __init__(
        self,
        root: str,
        classes: int = 59,
        unlabeled: str | Sequence[str] | None = None,
    ) -> None:
        if classes not in (59, 60):
            raise UserError(
                f"option data.classes is {classes}; expected 59, or 60 with background as a class"
            )
        self.classes = ([BACKGROUND] if classes == 60 else []) + list(CLASSES.values())
        expected = "the folder VOCdevkit/VOC2010 with JPEGImages/"
        self.root = tree_root(root, "JPEGImages", ("VOC2010", "VOCdevkit/VOC2010"), expected)
        self.images = NamedFiles(self.root / "JPEGImages", ".jpg")
        self.maps = NamedFiles(self.root / "SegmentationClassContext", ".png")
        self.mats = NamedFiles(self.root / "trainval", ".mat")
        detail = self.root / "trainval_merged.json"
        if not any(p.exists() for p in (self.maps.folder, self.mats.folder, detail)):
            raise UserError(
                f"there are no label maps in {self.root}; expected SegmentationClassContext/ with "
                "PNG files, trainval/ with the official .mat files, or trainval_merged.json"
            )
        self.detail = DetailFile(detail)
        if (self.root / "labels.txt").is_file():
            _check_labels(self.root / "labels.txt")
        self.unlabeled_folders = existing_folders(unlabeled)
        self._records: dict[Split, list[Record]] = {}

    def records(self, split: Split) -> list[Record]:
        """The images of a split in the order of its list; there are no test masks."""
        if split not in self._records:
            self._records[split] = [] if split == "test" else self._find(split)
        return self._records[split]

    def _find(self, split: str) -> list[Record]:
        own = self.root / "ImageSets" / "SegmentationContext" / f"{split}.txt"
        if self.maps.folder.is_dir():
            return listed_records(own, self.images, self.maps)
        if self.mats.folder.is_dir():
            for path in (own, self.root / f"{split}.txt"):
                if path.is_file():
                    return listed_records(path, self.images, self.mats)
            # VOC's list may include test images, which have no labels
            ids, labeled = listed_ids(self._main(split)), self.mats.ids()
            found = [name for name in ids if name in labeled]
            return self._with_images(found, {i: self.mats.path(i) for i in found})
        ids_of_file = self.detail.ids(split)
        return self._with_images(ids_of_file, dict.fromkeys(ids_of_file, self.detail.path))

    def _main(self, split: str) -> Path:
        return self.root / "ImageSets" / "Main" / f"{split}.txt"

    def _with_images(self, ids: list[str], masks: dict[str, Path]) -> list[Record]:
        there = self.images.ids()
        missing = next((name for name in ids if name not in there), None)
        if missing is not None:
            raise UserError(
                f"{masks[missing]} has labels of image {missing}, but there is no "
                f"{self.images.path(missing)}; unpack VOC 2010 again"
            )
        return [Record(name, self.images.path(name), masks[name]) for name in ids]

    def unlabeled(self) -> list[Record]:
        """The images of the folders that option data.unlabeled names."""
        return unlabeled_records(self.unlabeled_folders)

    def read_values(self, record: Record) -> Array:
        """The values of a PNG file, or the 459 original labels, (H, W) integers."""
        path = Path(str(record.mask))
        if path.suffix == ".json":
            return self.detail.label_map(record.id)
        return read_mat(path, "LabelMap") if path.suffix == ".mat" else read_ids(path)

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids, (H, W) uint8; with 59 classes, background is 255."""
        original = path.suffix != ".png"
        if values.ndim == 3:
            raise UserError(
                f"mask {path} is in colour; expected one channel of class ids 0 to {len(CLASSES)}"
            )
        last = LAST_LABEL if original else len(CLASSES)
        values = values.astype(np.int64)
        known = (values >= 0) & (values <= last) | (not original) & (values == IGNORE)
        if not known.all():
            what = "labels" if original else "class ids"
            raise UserError(
                f"mask {path} holds the value {values[~known][0]}; expected {what} 0 to {last}"
            )
        first = self.num_classes - len(CLASSES)  # 1 where background is class 0
        table = np.full(LAST_LABEL + 1, 0 if first else IGNORE, np.uint8)
        numbers = list(CLASSES) if original else list(range(1, len(CLASSES) + 1))
        table[numbers] = first + np.arange(len(CLASSES))
        if not original:
            table[IGNORE] = IGNORE
        return table[values]


def _check_labels(path: Path) -> None:
    """Compare the `labels.txt` of the release with `CLASSES`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); unpack it again") from error
    named = dict(line.replace(" ", "").partition(":")[::2] for line in lines)
    for number, info in CLASSES.items():
        if named.get(str(number)) != info.name:
            raise UserError(
                f"{path} gives label {number} the name {named.get(str(number))!r}; expected "
                f"{info.name!r}, as in the official release; replace it with the official file"
            )
