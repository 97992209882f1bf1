"""Methods by name. Each method is in the file of its name and has one entry in `METHODS`.

This module does not import torch, so that `ssseg methods` and `ssseg --help` start fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ssseg.errors import UserError, one_of
from ssseg.serialization import import_class

if TYPE_CHECKING:
    from ssseg.methods.base import Method


class MethodEntry(NamedTuple):
    """A method in the output of `ssseg methods`: class name, paper and one line of summary."""

    class_name: str
    source: str
    summary: str


METHODS = {
    "supervised": MethodEntry("Supervised", "-", "labeled images only: the baseline"),
    "mean_teacher": MethodEntry(
        "MeanTeacher", "Tarvainen & Valpola 2017", "consistency with the EMA teacher; no mixing"
    ),
    "mixup": MethodEntry("MixUp", "Verma et al. 2019 (ICT)", "blend two unlabeled images"),
    "cutmix": MethodEntry("CutMix", "French et al. 2020", "paste a rectangle of another image"),
    "cowmix": MethodEntry(
        "CowMix", "French et al. 2020", "paste cow-spotted regions of another image"
    ),
    "classmix": MethodEntry(
        "ClassMix", "Olsson et al. 2021", "paste half of the predicted classes"
    ),
    "complexmix": MethodEntry(
        "ComplexMix", "Chen et al. 2021", "paste half of the classes, block by block"
    ),
    "fixmatch": MethodEntry(
        "FixMatch", "Sohn et al. 2020", "confident labels of weak views for mixed strong views"
    ),
    "unimatch": MethodEntry(
        "UniMatch", "Yang et al. 2023", "two mixed strong views, and dropout of features"
    ),
    "unimatch_v2": MethodEntry(
        "UniMatchV2", "Yang et al. 2025", "two mixed strong views with complementary channels"
    ),
    "augseg": MethodEntry(
        "AugSeg",
        "Zhao et al. 2023",
        "paste labeled pixels where the teacher is uncertain, then mix",
    ),
    "dacs": MethodEntry(
        "DACS", "Tranheden et al. 2021", "paste labeled classes into images of another domain"
    ),
    "guidedmix": MethodEntry(
        "GuidedMix", "Tu et al. 2021", "blend with a similar labeled image, then decouple"
    ),
    "guidedmix_released": MethodEntry(
        "GuidedMixReleased", "Tu et al. 2021 (code)", "blend features for a second decoder"
    ),
    "prevmatch": MethodEntry(
        "PrevMatch", "Shin et al. 2024", "UniMatch, and the labels of earlier selves"
    ),
    "corrmatch": MethodEntry(
        "CorrMatch", "Sun et al. 2024", "labels spread over regions of similar features"
    ),
    "contrast": MethodEntry(
        "Contrast", "Wang et al. 2022", "UniMatch V2, and contrast of labeled features"
    ),
    "cps": MethodEntry("CPS", "Chen et al. 2021", "two networks learn from each other's labels"),
    "cct": MethodEntry("CCT", "Ouali et al. 2020", "light decoders agree on perturbed features"),
    "vat": MethodEntry(
        "VAT", "Miyato et al. 2018", "images moved where the prediction changes most"
    ),
    "advsemiseg": MethodEntry(
        "AdvSemiSeg", "Hung et al. 2018", "a critic tells labels from predictions, by pixel"
    ),
    "s4gan": MethodEntry(
        "S4GAN", "Mittal et al. 2021", "a critic of whole images decides what becomes a label"
    ),
    "s4l": MethodEntry("S4L", "Zhai et al. 2019", "a head learns by how much an image was turned"),
    "dst_cbc": MethodEntry(
        "DSTCBC", "Feng et al. 2020", "a growing share of every class's confident labels"
    ),
    "gct": MethodEntry(
        "GCT", "Ke et al. 2020", "two networks learn where a detector says the other errs less"
    ),
}

USUAL = "classmix"
"""The method that trains where none is named and a folder of images is given."""


def method_class(name: str) -> type[Method]:
    """The class of a method, by a name in `METHODS` or by the dotted path of another class.

    Raises:
        UserError: For an unknown name, or a path that is not the path of a `Method` subclass.
    """
    if name not in METHODS and "." not in name:
        raise one_of("method", name, list(METHODS))
    path = f"{__name__}.{name}.{METHODS[name].class_name}" if name in METHODS else name
    found = import_class(path, "method")
    from ssseg.methods.base import Method

    if not issubclass(found, Method):
        raise UserError(f"{name!r} is not a method; expected a subclass of ssseg.methods.Method")
    return found


def create_method(name: str, **hparams: Any) -> Method:
    """Create a method by name or dotted path with the given hyper-parameters."""
    return method_class(name)(**hparams)


def __getattr__(attribute: str) -> Any:
    if attribute == "Method":
        return import_module(f"{__name__}.base").Method
    for name, entry in METHODS.items():
        if entry.class_name == attribute:
            return method_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "Method", *(entry.class_name for entry in METHODS.values())])
