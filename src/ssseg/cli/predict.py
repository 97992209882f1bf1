"""`ssseg predict`: writes class maps of images."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssseg.cli.parsing import VerbParser
from ssseg.data.datasets.files import find_images, found_instead, left_out
from ssseg.errors import UserError
from ssseg.evaluation.inference import SIX_SCALES, Inference
from ssseg.prediction.predictor import Prediction
from ssseg.runs.paths import as_path

PROG = "ssseg predict"


MARK = "ssseg predict"
"""Text in the metadata of every written file, by which a later call recognises results."""
ENDINGS = {"": ".png", "overlay": "_overlay.jpg", "confidence": "_confidence.png"}
"""Kind of result -> suffix; "" is the class map."""


class Job(NamedTuple):
    """An image, and the path of its results inside the output folder, without suffix."""

    image: Path
    name: Path

    def target(self, folder: Path, kind: str = "") -> Path:
        """The path of a result."""
        return folder / self.name.with_name(self.name.name + ENDINGS[kind])


def predict(args: Sequence[str]) -> int:
    """Run `ssseg predict`.

    Returns:
        0, or 1 if some images could not be read; all others are predicted.
    """
    options = _parser().parse_args(args)
    folder = as_path(options.out)
    kinds = [kind for kind in ("overlay", "confidence") if getattr(options, kind)]
    paths = [as_path(path) for path in options.images]
    jobs = list(jobs_of(paths, folder))
    for remark in left_out((path for path in paths if path.is_dir()), deep=True):
        print(f"{PROG}: {remark}", file=sys.stderr)
    _nothing_in_the_way(jobs, folder, ["", *kinds])
    infer = Inference(
        options.mode,
        window=None if options.window is None else (options.window[0], options.window[1]),
        scales=SIX_SCALES if options.multi_scale else (1.0,),
        flip=options.flip,
        batch_size=options.batch_size,
    )
    from ssseg.prediction.model_file import load, to

    asked = [name for name in ("student", "teacher") if getattr(options, name)]
    model = to(load(options.checkpoint, asked[0] if asked else None), options.device)
    failed = []
    for job in _shown(jobs):
        try:
            pixels = model.pixels_of(job.image)
            found = model.predict_with(infer, pixels)
        except UserError as error:
            print(f"{PROG}: {error}", file=sys.stderr)
            failed.append(job)
            continue
        write(found, pixels, job, folder, kinds)
    done = len(jobs) - len(failed)
    print(f"{done} of {len(jobs)} images predicted by the {model.name}: {folder}")
    return 1 if failed else 0


def write(
    found: Prediction, pixels: Any, job: Job, folder: Path, kinds: Sequence[str] = ()
) -> None:
    """Write the results of one image.

    Args:
        found: The prediction.
        pixels: The image, (H, W, C).
        job: The image and its path in the output folder.
        folder: The output folder.
        kinds: Results besides the class map: `overlay`, `confidence`.

    Raises:
        UserError: If a file cannot be written.
    """
    note = PngInfo()
    note.add_text("Software", MARK)
    try:
        job.target(folder).parent.mkdir(parents=True, exist_ok=True)
        found.image().save(job.target(folder), pnginfo=note)
        if "overlay" in kinds:
            path = job.target(folder, "overlay")
            found.overlay(displayed(pixels)).save(path, quality=90, comment=MARK.encode())
        if "confidence" in kinds:
            grey = Image.fromarray((found.confidence * np.float16(255)).astype(np.uint8))
            grey.save(job.target(folder, "confidence"), pnginfo=note)
    except OSError as error:
        raise UserError(
            f"the results of {job.image} cannot be written to {folder} ({error}); give another "
            "folder with --out"
        ) from error


def is_result(path: Path) -> bool:
    """Whether a file is a result of an earlier call."""
    with suppress(OSError, SyntaxError, ValueError), Image.open(path) as image:
        said = image.info.get("Software"), image.info.get("comment")  # of PNG and JPEG
        return said[0] == MARK or said[1] == MARK.encode()
    return False


def displayed(pixels: Any) -> Any:
    """An image (H, W, C) as (H, W, 3) uint8 for display; floats are scaled to their range."""
    if pixels.shape[-1] not in (3, 4):
        pixels = pixels[..., :1].repeat(3, -1)
    pixels = pixels[..., :3]
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, (1, 99))
    return (255 * ((pixels - low) / max(high - low, 1e-6)).clip(0, 1)).astype(np.uint8)


def jobs_of(paths: Sequence[Path], out: Path) -> Iterator[Job]:
    """The images to predict; results of a folder keep its subfolders.

    Results of an earlier call in the output folder are skipped.

    Args:
        paths: Images and folders of images.
        out: The output folder.

    Raises:
        UserError: For a path that does not exist, and a folder without images.
    """
    results = out.resolve()
    for path in paths:
        if path.is_dir():
            found = [
                image
                for image in find_images(path, deep=True)
                if not (image.resolve().is_relative_to(results) and is_result(image))
            ]
            if not found:
                instead = found_instead(path, deep=True)
                raise UserError(f"there are no images in {path}{instead}")
            yield from (Job(image, image.relative_to(path).with_suffix("")) for image in found)
        elif path.is_file():
            yield Job(path, Path(path.stem))
        else:
            raise UserError(f"there is no image or folder {path}")


def _nothing_in_the_way(jobs: Sequence[Job], folder: Path, kinds: Sequence[str]) -> None:
    """Check that output paths are all different and only overwrite results of earlier calls.

    Raises:
        UserError: For the first path for which this is not so.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"option --out: {folder} is a file; give a folder")
    sources = {job.image.resolve() for job in jobs}
    seen: dict[Path, Path] = {}
    for job in jobs:
        for kind in kinds:
            target = job.target(folder, kind)
            if target in seen:
                raise UserError(
                    f"{seen[target]} and {job.image} would both be written to "
                    f"{target.relative_to(folder)}; predict them into different folders (--out)"
                )
            seen[target] = job.image
            if target.resolve() in sources:
                raise UserError(
                    f"option --out: {target} is one of the images and would be overwritten; give "
                    "another folder"
                )
            if target.exists() and not is_result(target):
                raise UserError(
                    f"option --out: {target} exists and is not a result of {PROG}; remove it, or "
                    "give another folder"
                )


def _shown(jobs: Sequence[Job]) -> Iterator[Job]:
    """The jobs, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(jobs, "predicting", console=console, disable=not console.is_terminal)


def _parser() -> VerbParser:
    parser = VerbParser(
        prog=PROG,
        description="Write class maps (PNG with a palette) of images, at the size of the image.",
    )
    parser.add_argument("checkpoint", help="a .ckpt of a run, or a .safetensors file")
    parser.add_argument("images", nargs="+", help="images, or folders of images")
    parser.add_argument("--out", default="predictions", help="output folder")
    parser.add_argument("--overlay", action="store_true", help="also write the image with colours")
    parser.add_argument("--confidence", action="store_true", help="also write the confidence")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--student", action="store_true", help="predict with the student")
    which.add_argument("--teacher", action="store_true", help="predict with the teacher")
    parser.add_argument("--mode", choices=("whole", "slide"), default="whole")
    parser.add_argument("--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--multi-scale", action="store_true", help="average over six scales")
    parser.add_argument("--flip", action="store_true", help="average with the flipped image")
    parser.add_argument("--batch-size", type=int, default=8, help="windows per forward pass")
    parser.add_argument("--device", help="cpu, cuda, ...; default: a GPU if there is one")
    return parser
