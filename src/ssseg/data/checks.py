"""What is looked at before training time is spent: options, numbers of images, overlaps, labels."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ssseg.data.datasets.base import Record, Source, Split
from ssseg.data.labels import count_masks, problems_of_labels
from ssseg.data.overlap import overlaps, remarks_on
from ssseg.data.sampler import Stream
from ssseg.errors import UserError


def check_at_least(least: int, **options: int | tuple[int, int] | None) -> None:
    """Refuse an option of the data that is too small; None is the default."""
    for option, given in options.items():
        if given is not None and min((given,) if isinstance(given, int) else given) < least:
            raise UserError(f"option data.{option} is {given}; expected at least {least}")


def check_augmentation(
    scale: tuple[float, float] | None, rotation: float | None, jitter: float
) -> None:
    """Refuse what no image can be scaled, turned or changed in colour by; None is the default."""
    if scale is not None and not 0 < scale[0] <= scale[1]:
        raise UserError(
            f"option data.scale is {list(scale)}; expected the smallest and the largest "
            "factor, both above 0"
        )
    if jitter < 0 or (rotation is not None and not 0 <= rotation <= 180):
        raise UserError(
            f"option data.jitter is {jitter} and data.rotation {rotation}; expected a strength "
            "of at least 0 and an angle from 0 to 180 degrees"
        )


def check_strong(strong: str, source: Source) -> None:
    """Refuse the changes of 8-bit RGB images for other images."""
    channels, pixels = source.in_channels, source.pixels
    if strong == "random_intensity" and (channels != 3 or pixels != "uint8"):
        raise UserError(
            f"option data.strong is random_intensity, but the images have {channels} channels of "
            f"{pixels}; expected three channels of 8 bits, leave the option out"
        )


def check_classes(source: Source) -> None:
    """Refuse a data set of one class."""
    if source.num_classes == 1:
        raise UserError(
            f"data set {source.name!r} has one class, {source.classes[0].name!r}, which cannot "
            "be told from anything; name what else there is as a class of its own"
        )


def check_counts(streams: Sequence[Stream]) -> None:
    """Refuse fewer images than a step needs.

    Args:
        streams: The labeled one and, where unlabeled images play a part, the unlabeled one.
    """
    for name, images, batch_size in streams:
        if name == "unlabeled" and not images:
            raise UserError(
                "this method needs unlabeled images, but every training image is labeled; "
                "leave some unlabeled (option data.labeled), add images without masks, or give "
                "--method supervised"
            )
        if images < batch_size:
            option = "batch_size" if name == "labeled" else "unlabeled_batch_size"
            more = "label more" if name == "labeled" else "add some"
            raise UserError(
                f"option data.{option} is {batch_size}, but there are only {images} {name} "
                f"images; lower it to at most {images}, or {more}"
            )


def check_records(
    source: Source, sets: Mapping[str, list[Record]], *, reused: bool, allowed: bool
) -> list[str]:
    """Look at all that a training reads.

    Args:
        source: Of the records.
        sets: Records of `labeled`, `unlabeled` and `val`.
        reused: Whether labeled images are meant to come as unlabeled ones too.
        allowed: Whether labeled images may be scored on.

    Returns:
        What is to be said of images in two sets, and what the doctor would warn of.

    Raises:
        UserError: For a labeled image that is scored on, unless it is allowed; for a mask that
            cannot be read; and for what the doctor would call an error.
    """
    scored = {}
    # test images that cannot be listed hinder tests, not training
    with suppress(UserError):
        scored["test"] = source.records("test")
    said = remarks_on(overlaps({**sets, **scored}), reused=reused, allowed=allowed)
    for records in sets.values():
        source.check(records)
    masks = {role: count_masks(source, sets[role]) for role in ("labeled", "val")}
    found = problems_of_labels(source, masks)
    for finding in found:
        if finding.severity == "error":
            raise UserError(finding.text)
    return [*said, *(finding.text for finding in found)]


def check_evaluation(source: Source, split: Split) -> None:
    """Refuse a split without images, or with masks that cannot be read."""
    records = source.records(split)
    if not records:
        raise UserError(
            f"data set {source.name!r} has no {split} images with masks; expected some to score"
            + " (ssseg test --split val scores those of validation)" * (split == "test")
        )
    source.check(records)
