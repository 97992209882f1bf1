"""What the options of `guidedmix` are where nobody says."""

from collections.abc import Mapping
from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {
        "use_teacher": False,
        "loss": "squared_error",
        "labeled_side": "prediction",
        "dec_target": "prediction",
        "dec_weight": 1.0,
        "threshold": 0.0,
        "conf_weight": "none",
    },
    "teacher": {
        "use_teacher": True,
        "loss": "cross_entropy",
        "labeled_side": "truth",
        "dec_target": "truth",
        "dec_weight": 10.0,
        "pair": "similar",
        "threshold": 0.968,
        "conf_weight": "image",
    },
}
RETIRED = {
    "variant=released": "which is the method guidedmix_released since ssseg 0.2",
    "loss=focal": "which only the method guidedmix_released has since ssseg 0.2",
    "target=none": "which ssseg 0.2 no longer has",
    "teacher": "which is called use_teacher since ssseg 0.2",
    **dict.fromkeys(
        ("cap", "lambda_per", "mix_space", "space", "rescale", "detach_labeled", "hard_labels"),
        "which ssseg 0.2 no longer has",
    ),
}
"""Options of version 0.1, and what became of them."""


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """All options: those that are not None as they are, the others by the variant.

    What no variant says follows from the rest. With a teacher or cross-entropy, the blend is the
    harder view: it learns from the labels of images as they are (`direct`).

    Args:
        options: Of the method, None where not given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = VARIANTS[options["variant"]] | given
    teacher, squared = known["use_teacher"], known["loss"] == "squared_error"
    follows = {
        "pair": "random" if teacher else "similar",
        "target": "decoupled" if squared and not teacher else "direct",
        "weight": (30.0 if teacher else 0.3) if squared else 1.0,
        "dec_decouple": known["decouple"],
    }
    return follows | known
