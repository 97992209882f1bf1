"""Reads every image and mask of a data set and records its properties and problems."""

import hashlib
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssseg.data.channel_stats import undeclared_nodata
from ssseg.data.datasets.base import Array, Pixels, Record, Source
from ssseg.data.datasets.files import Files
from ssseg.data.image_io import VALUES, ImageInfo, decoding, image_info, open_picture, read_image
from ssseg.datacheck.dataset import Sets
from ssseg.datacheck.findings import ROLES, Role
from ssseg.datacheck.masks import MaskFacts, Refused, facts_of, read_mask
from ssseg.errors import UserError
from ssseg.runs.cpus import allowed_cpus

JPEG = (".jpg", ".jpeg")
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


class ImageFacts(NamedTuple):
    """Properties of an image, as it is displayed."""

    height: int
    width: int
    channels: int
    pixels: Pixels
    """Kind of the values."""
    format: str
    """File format, e.g. `png`; `drawn` for images without a file."""
    orientation: int
    """EXIF orientation; 1 if the image is displayed as it is stored."""
    digest: str
    """Hash of the contents."""


class Problem(NamedTuple):
    """A problem of one image or mask; `kind` is a key of `file_rules.KINDS`."""

    kind: str
    detail: str = ""


class ScannedImage(NamedTuple):
    """A record with the properties of its image and mask; None if a file cannot be read."""

    role: Role
    record: Record
    image: ImageFacts | None
    mask: MaskFacts | None
    problems: tuple[Problem, ...]


def scan_record(source: Source, role: Role, record: Record) -> ScannedImage:
    """Decode the image and, if there is one, the mask of a record."""
    image, problems = scan_image(source, record)
    mask = None
    if record.mask is not None:
        try:
            mask = facts_of(source, record, read_mask(source, record))
        except Refused as refused:
            problems.append(Problem(refused.kind, refused.detail))
    if mask is not None:
        problems += [Problem(kind) for kind in mask.problems]
    if image is not None and mask is not None:
        problems += _compare_sizes(image, mask)
    return ScannedImage(role, record, image, mask, tuple(problems))


def scan_image(source: Source, record: Record) -> tuple[ImageFacts | None, list[Problem]]:
    """Properties of an image, None if it cannot be decoded, and its problems."""
    path = record.image if isinstance(record.image, Path) else None
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        return None, [Problem("image_unreadable")]
    if path is not None and not content:
        return None, [Problem("image_empty")]
    digest = hashlib.blake2b(content, digest_size=16)
    try:
        if path is None or not isinstance(source, Files):
            pixels = source.read_image(record)
            if path is None:
                digest.update(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
            height, width, channels = pixels.shape
            info = ImageInfo(height, width, channels, source.pixels)
            turned, problems = 1, _values(source, pixels)
        else:
            info, turned = image_info(path), _orientation(path)
            problems = _decode(source, record, path, info)
    except UserError as error:
        # an error with a cause comes from a decoder
        if error.__cause__ is not None:
            return None, [Problem("image_unreadable")]
        return None, [Problem("image_refused", str(error))]
    form = "drawn" if path is None else path.suffix.lower().lstrip(".")
    form = {"jpg": "jpeg", "tif": "tiff"}.get(form, form)
    return ImageFacts(*info, form, turned, digest.hexdigest()), problems


def _decode(source: Files, record: Record, path: Path, info: ImageInfo) -> list[Problem]:
    """Decode the whole image and return its problems; raises UserError if decoding fails."""
    expected = source.in_channels
    if info.pixels != source.pixels:
        read_image(path, info.channels, info.pixels)
        return [Problem("image_kind", f"{VALUES[info.pixels]} instead of {VALUES[source.pixels]}")]
    found = f"{info.channels} channel{'s' * (info.channels != 1)} instead of {expected}"
    if info.channels != expected and not {info.channels, expected} <= {1, 3, 4}:
        read_image(path, info.channels, info.pixels)
        return [Problem("image_channels", found)]
    if path.suffix.lower() in JPEG and type(source).read_image is Files.read_image:
        # reads every byte of the file, but decodes at 1/8 of the size, in a third of the time
        with decoding(path), open_picture(path) as image:
            image.draft(image.mode, (1, 1))
            image.load()
        problems = []
    else:
        problems = _values(source, source.read_image(record))
    if {info.channels, expected} == {1, 3}:
        problems.append(Problem("image_converted", found))
    return problems


def _values(source: Source, pixels: Array) -> list[Problem]:
    if np.isinf(pixels).any():  # NaN is "no data"
        return [Problem("image_not_finite")]
    value = undeclared_nodata(source, pixels)
    return [] if value is None else [Problem("image_undeclared", f"{value:g}")]


def _orientation(path: Path) -> int:
    with suppress(UserError), decoding(path), open_picture(path) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _compare_sizes(image: ImageFacts, mask: MaskFacts) -> list[Problem]:
    if (image.height, image.width) == (mask.height, mask.width):
        mirrored = 1 < image.orientation < min(TURNED)
        return [Problem("image_mirrored")] if mirrored else []
    if image.orientation in TURNED and (image.width, image.height) == (mask.height, mask.width):
        return [Problem("mask_rotation")]
    sizes = f"{image.width} x {image.height} with a mask of {mask.width} x {mask.height}"
    return [Problem("mask_size", sizes)]


def read_all(sets: Sets, bar: bool) -> list[ScannedImage]:
    """Scan every record, set by set, in threads (the decoders release Python's lock).

    Args:
        sets: The divided data set.
        bar: Show a progress bar on stderr, if that is a terminal.
    """
    jobs = [(role, record) for role in ROLES for record in sets.records[role]]
    columns = (
        TextColumn("reading"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not (bar and sys.stderr.isatty())
    progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)
    pool = ThreadPoolExecutor(min(4, allowed_cpus()))
    with progress, warnings.catch_warnings():
        # warnings of decoders about unusual files; only files that cannot be decoded are reported
        warnings.simplefilter("ignore")
        try:
            found = pool.map(lambda job: scan_record(sets.source, *job), jobs)
            return list(progress.track(found, total=len(jobs)))
        finally:
            pool.shutdown(cancel_futures=True)
