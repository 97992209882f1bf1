"""Cityscapes in its official layout.

leftImg8bit/{train,val,test,train_extra}/CITY/ID_leftImg8bit.png
gtFine/{train,val}/CITY/ID_gtFine_labelIds.png      label ids 0..33, of which 19 are evaluated
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssseg.data.datasets.base import Array, ClassInfo, Record, Split
from ssseg.data.datasets.files import Files
from ssseg.data.datasets.official import existing_folders, tree_root, unlabeled_records
from ssseg.errors import UserError
from ssseg.types import IGNORE

IMAGE, MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"
EVALUATED = {
    7: ClassInfo("road", (128, 64, 128)),
    8: ClassInfo("sidewalk", (244, 35, 232)),
    11: ClassInfo("building", (70, 70, 70)),
    12: ClassInfo("wall", (102, 102, 156)),
    13: ClassInfo("fence", (190, 153, 153)),
    17: ClassInfo("pole", (153, 153, 153)),
    19: ClassInfo("traffic light", (250, 170, 30)),
    20: ClassInfo("traffic sign", (220, 220, 0)),
    21: ClassInfo("vegetation", (107, 142, 35)),
    22: ClassInfo("terrain", (152, 251, 152)),
    23: ClassInfo("sky", (70, 130, 180)),
    24: ClassInfo("person", (220, 20, 60)),
    25: ClassInfo("rider", (255, 0, 0)),
    26: ClassInfo("car", (0, 0, 142)),
    27: ClassInfo("truck", (0, 0, 70)),
    28: ClassInfo("bus", (0, 60, 100)),
    31: ClassInfo("train", (0, 80, 100)),
    32: ClassInfo("motorcycle", (0, 0, 230)),
    33: ClassInfo("bicycle", (119, 11, 32)),
}
"""Evaluated label ids, from cityscapesScripts/helpers/labels.py; the others are ignored."""
LAST_LABEL = 33


class Cityscapes(Files):
    """Cityscapes: street scenes of 50 cities, 2,975 images for training and 500 for validation.

    Training images without a mask file are unlabeled images. The masks of the test images are not
    public (the released ones have no evaluated class), so there is no test split. Files
    `_labelTrainIds.png` are not read, because tools write them differently.

    Args:
        root: The folder with `leftImg8bit/` and `gtFine/`.
        train_extra: Add the 19,998 images of `leftImg8bit/train_extra` to the unlabeled images.
        unlabeled: Further folders of images without masks, searched with their subfolders.

    Raises:
        UserError: For a missing file or folder, with its path and how to fix it.
    """

    name = "cityscapes"
    classes = tuple(EVALUATED.values())
    endings = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_gtFine")
    crop_size = (512, 512)
    scale = (0.5, 2.0)

    def __init__(
        self,
        root: str,
        train_extra: bool = False,
        unlabeled: str | Sequence[str] | None = None,
    ) -> None:
        expected = "the folder that holds leftImg8bit/ and gtFine/ (unpack both archives there)"
        self.root = tree_root(root, "leftImg8bit", ("cityscapes", "Cityscapes"), expected)
        if not (self.root / "gtFine").is_dir():
            raise UserError(
                f"{self.root} holds leftImg8bit/ but no gtFine/, where the masks are expected; "
                "unpack gtFine_trainvaltest.zip there"
            )
        self.extra = self.root / "leftImg8bit" / "train_extra" if train_extra else None
        if self.extra is not None and not self.extra.is_dir():
            raise UserError(
                f"option data.train_extra is true, but there is no {self.extra}; unpack "
                "leftImg8bit_trainextra.zip in the data set's folder, or leave the option out"
            )
        self.unlabeled_folders = existing_folders(unlabeled)
        self._images: dict[str, list[Record]] = {}

    def records(self, split: Split) -> list[Record]:
        """The images of a split that have masks, sorted by path."""
        if split == "test":
            return []
        found = self._scan(split)
        records = [record for record in found if record.mask is not None]
        missing = next((record.id for record in found if record.mask is None), None)
        if found and missing is not None and (split == "val" or not records):
            mask = self.root / "gtFine" / split / missing.split("_")[0] / f"{missing}{MASK}"
            raise UserError(
                f"image {missing} of {split} has no mask: expected {mask}; unpack "
                "gtFine_trainvaltest.zip again"
            )
        return records

    def _scan(self, split: str) -> list[Record]:
        """All images of a split, with and without mask, sorted by path."""
        if split not in self._images:
            folder = self.root / "leftImg8bit" / split
            images = sorted(p for p in folder.glob(f"*/*{IMAGE}") if p.name[0] != ".")
            if not images and split != "val":
                raise UserError(
                    f"there are no images CITY/*{IMAGE} in {folder}; unpack the official archive "
                    "there"
                )
            masks = {path.name: path for path in (self.root / "gtFine" / split).glob(f"*/*{MASK}")}
            ids = [path.name.removesuffix(IMAGE) for path in images]
            self._images[split] = [
                Record(i, path, masks.get(f"{i}{MASK}"))
                for i, path in zip(ids, images, strict=True)
            ]
        return self._images[split]

    def unlabeled(self) -> list[Record]:
        """Training images without masks, images of train_extra and of further folders."""
        own = [record for record in self._scan("train") if record.mask is None]
        # the gtCoarse masks of these images are not used
        extra = [] if self.extra is None else self._scan("train_extra")
        return [*own, *extra, *unlabeled_records(self.unlabeled_folders)]

    def decode(self, values: Array, path: Path) -> Array:
        """Class ids 0..18 from label ids, 255 for labels that are not evaluated: (H, W) uint8."""
        if values.ndim == 3:
            raise UserError(
                f"mask {path} is in colour; expected one channel of label ids 0 to {LAST_LABEL}, "
                f"as in the official {MASK}"
            )
        values = values.astype(np.int64)
        # 255 is -1 (license plate) in 8 bits
        strange = np.unique(values[((values < 0) | (values > LAST_LABEL)) & (values != IGNORE)])
        if strange.size:
            raise UserError(
                f"mask {path} holds the value {int(strange[0])}; expected label ids 0 to "
                f"{LAST_LABEL}, as in the official {MASK}"
            )
        table = np.full(256, IGNORE, np.uint8)
        table[list(EVALUATED)] = np.arange(len(EVALUATED))
        return table[values]
