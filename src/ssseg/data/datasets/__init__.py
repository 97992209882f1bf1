"""Data sets by name. Each has one entry in `DATASETS`; this module does not import torch."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ssseg.errors import UserError, one_of
from ssseg.serialization import import_class

if TYPE_CHECKING:
    from ssseg.data.datasets.base import Source


class DatasetEntry(NamedTuple):
    """A data set in the output of `ssseg datasets`: class name and one line of summary."""

    class_name: str
    summary: str
    home: str = ""
    """Where its files are published; empty for those that are built in or your own."""


DATASETS = {
    "street": DatasetEntry(
        "Street", "built in: drawn street scenes, 8 classes, fixed layout (Cityscapes-like)"
    ),
    "objects": DatasetEntry(
        "Objects", "built in: drawn objects at any position, 6 classes (VOC-like)"
    ),
    "folder": DatasetEntry(
        "Folder", "your photographs: {train,val,test}/{images,masks}, classes.json, unlabeled/"
    ),
    "pairs": DatasetEntry(
        "Pairs", "your photographs as they lie: a folder of images, masks for some of them"
    ),
    "domains": DatasetEntry(
        "Domains",
        "domain adaptation: labels from one folder, unlabeled and scored images of another",
    ),
    "voc": DatasetEntry(
        "Voc",
        "PASCAL VOC 2012: VOCdevkit/VOC2012, with SegmentationClassAug/ or SBD",
        "VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    ),
    "cityscapes": DatasetEntry(
        "Cityscapes",
        "Cityscapes: leftImg8bit/ and gtFine/ with labelIds",
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from "
        "https://www.cityscapes-dataset.com, with an account",
    ),
    "context": DatasetEntry(
        "Context",
        "PASCAL-Context, 59 or 60 classes: VOCdevkit/VOC2010 and its maps",
        "the photographs from http://host.robots.ox.ac.uk/pascal/VOC/voc2010/, the maps from "
        "https://cs.stanford.edu/~roozbeh/pascal-context/",
    ),
    "camvid": DatasetEntry(
        "CamVid",
        "CamVid, 11 or 32 labels: 701_StillsRaw_full/, LabeledApproved_full/",
        "from http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    ),
}

PAIRS = ("images", "masks")
"""Options that stand for the data set `pairs` where none is named."""
DOMAINS = ("labeled_root", "unlabeled_root")
"""Options that stand for the data set `domains` where none is named."""


def unnamed(options: Iterable[str], usual: str) -> str:
    """The data set that options stand for where none is named.

    Args:
        options: Their names, without dashes.
        usual: The data set of other options.
    """
    given = set(options)
    if given & set(DOMAINS):
        return "domains"
    return "pairs" if given & set(PAIRS) else usual


def source_class(name: str) -> type[Source]:
    """The class of a data set, by a name in `DATASETS` or by the dotted path of another class.

    Raises:
        UserError: For an unknown name, or a path that is not the path of a `Source` subclass.
    """
    if name not in DATASETS and "." not in name:
        raise one_of("data set", name, list(DATASETS))
    path = f"{__name__}.{name}.{DATASETS[name].class_name}" if name in DATASETS else name
    found = import_class(path, "data set")
    from ssseg.data.datasets.base import Source

    if not issubclass(found, Source):
        raise UserError(
            f"{name!r} is not a data set; expected a subclass of ssseg.data.datasets.Source"
        )
    return found


def __getattr__(attribute: str) -> Any:
    if attribute == "Source":
        return import_module(f"{__name__}.base").Source
    for name, entry in DATASETS.items():
        if entry.class_name == attribute:
            return source_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
