"""PASCAL VOC 2012 in its official layout, with the additional masks of SBD.

VOCdevkit/VOC2012/
JPEGImages/ID.jpg
SegmentationClass/ID.png                      palette index = class id, 255 = border and difficult
ImageSets/Segmentation/{train,val}.txt        1,464 and 1,449 ids
SegmentationClassAug/ID.png                   or SBD's own release: 10,582 images for training
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from ssseg.data.datasets.base import Array, ClassInfo, Record, Split
from ssseg.data.datasets.files import Files, existing_folder
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
from ssseg.errors import UserError, one_of

Masks = Literal["aug", "voc"]
NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
AUG_LISTS = (
    "ImageSets/Segmentation/train_aug.txt",
    "ImageSets/Segmentation/trainaug.txt",
    "ImageSets/SegmentationAug/train_aug.txt",
)
"""Paths at which several tools write the list of the 10,582 images."""


def voc_color(index: int) -> tuple[int, int, int]:
    """The colour in the official palette; red, green and blue use the index's bits in turn."""
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    )
    return red, green, blue


class Voc(Files):
    """PASCAL VOC 2012: 21 classes, 1,464 or (with SBD's masks) 10,582 images for training.

    The 1,464 images are the labeled images of protocol `1464`.

    Args:
        root: `VOCdevkit/VOC2012`, or a folder that contains it.
        masks: `aug`: train on the augmented set, with masks from `SegmentationClassAug/` or `sbd`.
            `voc`: train on the 1,464 images with masks of VOC.
        sbd: Folder `benchmark_RELEASE/dataset` of the official SBD release; its `.mat` files are
            read instead of `SegmentationClassAug/`. For images that have a mask of VOC, that mask
            is used.
        unlabeled: Further folders of images without masks, searched with their subfolders.

    Raises:
        UserError: For a missing file or folder, with its path and how to fix it.
    """

    name = "voc"
    classes = tuple(ClassInfo(name, voc_color(i)) for i, name in enumerate(NAMES))
    crop_size = (321, 321)
    scale = (0.5, 2.0)
    batch_size = 8

    def __init__(
        self,
        root: str,
        masks: Masks = "aug",
        sbd: str | None = None,
        unlabeled: str | Sequence[str] | None = None,
    ) -> None:
        if masks not in get_args(Masks):
            raise one_of("value of option data.masks", masks, list(get_args(Masks)))
        expected = "the folder VOCdevkit/VOC2012 with JPEGImages/ and SegmentationClass/"
        places = ("VOC2012", "VOCdevkit/VOC2012")
        self.root = tree_root(root, "SegmentationClass", places, expected)
        self.images = NamedFiles(self.root / "JPEGImages", ".jpg")
        self.own = NamedFiles(self.root / "SegmentationClass", ".png")
        self.augmented = NamedFiles(self.root / "SegmentationClassAug", ".png")
        self.masks, self.sbd = masks, None if sbd is None else _sbd_folder(sbd)
        if masks == "aug" and self.sbd is None and not self.augmented.folder.is_dir():
            raise UserError(
                f"there is no {self.augmented.folder}, where the masks of the augmented training "
                "set are expected; add it, give the official SBD release with option data.sbd, or "
                "train on the 1,464 masks of VOC with data.masks voc"
            )
        self.unlabeled_folders = existing_folders(unlabeled)
        self._records: dict[Split, list[Record]] = {}

    def records(self, split: Split) -> list[Record]:
        """The images of a split in the order of its list; the test masks are not public."""
        if split not in self._records:
            self._records[split] = self._find(split)
        return self._records[split]

    def _find(self, split: Split) -> list[Record]:
        if split == "test":
            return []
        if split == "val" or self.masks == "voc":
            return listed_records(self._list(split), self.images, self.own)
        records = self._augmented() if self.sbd is None else self._with_sbd(self.sbd)
        held_out = listed_ids(self._list("val"))
        shared = next((record.id for record in records if record.id in held_out), None)
        if shared is not None:
            raise UserError(
                f"the augmented training set has the image {shared!r}, which is in line "
                f"{held_out[shared]} of {self._list('val')} for validation; expected no image in "
                "both"
            )
        return records

    def _list(self, split: str) -> Path:
        return self.root / "ImageSets" / "Segmentation" / f"{split}.txt"

    def _augmented(self) -> list[Record]:
        """The images of a list in `AUG_LISTS`, else all masks but those of val, sorted."""
        for name in AUG_LISTS:
            if (self.root / name).is_file():
                return listed_records(self.root / name, self.images, self.augmented)
        ids = sorted(self.augmented.ids() - set(listed_ids(self._list("val"))))
        missing = sorted(set(ids) - self.images.ids())
        if missing:
            raise UserError(
                f"{self.augmented.path(missing[0])} has no image: expected "
                f"{self.images.path(missing[0])}; unpack VOC 2012 again, or remove the mask"
            )
        return [Record(i, self.images.path(i), self.augmented.path(i)) for i in ids]

    def _with_sbd(self, folder: Path) -> list[Record]:
        """Images of VOC and SBD without those of VOC's validation set, sorted by id."""
        found = {
            record.id: record
            for record in listed_records(self._list("train"), self.images, self.own)
        }
        mats = NamedFiles(folder / "cls", ".mat")
        for part in ("train", "val"):
            for record in listed_records(folder / f"{part}.txt", self.images, mats):
                found.setdefault(record.id, record)
        held_out = listed_ids(self._list("val"))
        return [found[name] for name in sorted(found) if name not in held_out]

    def unlabeled(self) -> list[Record]:
        """The images of the folders that option data.unlabeled names."""
        return unlabeled_records(self.unlabeled_folders)

    def protocols(self) -> Mapping[str, list[str]]:
        """`1464`: the training images with masks of VOC."""
        return {"1464": list(listed_ids(self._list("train")))}

    def read_values(self, record: Record) -> Array:
        """The values of a PNG file or of the matrix in SBD's file, (H, W) uint8."""
        path = Path(str(record.mask))
        return read_mat(path, "GTcls", "Segmentation") if path.suffix == ".mat" else read_ids(path)


def _sbd_folder(given: str) -> Path:
    expected = "give benchmark_RELEASE/dataset of the official SBD release"
    folder = existing_folder("data.sbd", given, expected)
    for place in (folder, folder / "dataset", folder / "benchmark_RELEASE" / "dataset"):
        if (place / "cls").is_dir():
            return place
    raise UserError(f"option data.sbd is {given}, but there is no cls/ in it; {expected}")
