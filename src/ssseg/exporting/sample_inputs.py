"""The images for the comparison: given ones, validation images of the run, or random ones."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor

from ssseg.data.datasets.base import Array, Source
from ssseg.data.datasets.files import find_images, found_instead
from ssseg.data.info import DataInfo
from ssseg.data.torch_datasets import centre, read_resized, resize_image
from ssseg.data.transforms import Normalize
from ssseg.errors import UserError
from ssseg.prediction.predictor import Predictor
from ssseg.serialization import from_config

MOST = 16
"""Of the run's own images, evenly spaced; given ones are all taken."""
CENTRE = (1024, 1024)
"""What is run of larger images: both networks see the same, in bounded time and memory."""


class SampleInputs(NamedTuple):
    """Images to run, and what they are."""

    images: Iterable[Tensor]
    """Normalised, (1, C, H, W) each."""
    number: int
    words: str
    """After the number, e.g. `of 101 validation images of camvid`."""


def sample_inputs(model: Predictor, checkpoint: Path, paths: Sequence[Path]) -> SampleInputs:
    """The images given, else the validation images of the checkpoint's run, else random ones.

    Raises:
        UserError: For a path that is not there, a folder without images.
    """
    if paths:
        files = [file for path in paths for file in _files(path)]
        names = ", ".join(str(path) for path in paths[:3]) + ", ..." * (len(paths) > 3)
        return SampleInputs(_read(model, files), len(files), f"images ({names})")
    config = checkpoint.parent.parent / "config.yaml"
    try:
        return _validation(model.data, config)
    # the data may have been moved since; the export works without them
    except (UserError, OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
    size = model.data.image_size or model.data.crop_size
    random = torch.Generator().manual_seed(0)
    images = [torch.randn((1, model.data.in_channels, *size), generator=random) for _ in range(4)]
    words = f"random images, for the run's own cannot be opened ({why}); --images takes others"
    return SampleInputs(images, len(images), words)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"option --images: there is no image or folder {path}")
    found = find_images(path, deep=True)
    if not found:
        instead = found_instead(path, deep=True)
        raise UserError(f"option --images: there are no images in {path}{instead}")
    return found


def _read(model: Predictor, files: Sequence[Path]) -> Iterator[Tensor]:
    size = model.data.image_size
    for file in files:
        pixels = model.pixels_of(file)
        yield _tensor(model.data, pixels if size is None else resize_image(pixels, size))


def _tensor(data: DataInfo, pixels: Array) -> Tensor:
    return Normalize(data.mean, data.std)(centre(pixels, CENTRE))[None]


def _validation(data: DataInfo, config: Path) -> SampleInputs:
    if not config.is_file():
        raise UserError(f"there is no {config}")
    described: Any = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]["source"]
    source: Source = from_config(described, Source)  # type: ignore[type-abstract]
    if (source.in_channels, source.pixels) != (data.in_channels, data.pixels):
        raise UserError(f"the images in {config} are of another kind than the model's")
    records = source.records("val")
    if not records:
        raise UserError(f"data set {source.name!r} has no validation images")
    count = min(MOST, len(records))
    chosen = [records[place * len(records) // count] for place in range(count)]
    pixels = (read_resized(source, each, data.image_size, data.mean)[0] for each in chosen)
    images = [_tensor(data, each) for each in pixels]
    words = f"of {len(records)} validation images of {source.name}"
    return SampleInputs(images, count, words)
