"""`ssseg predict`: a folder of images in, a folder of class maps out."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ssseg.arguments import VerbParser
from ssseg.data.datasets.files import find_images
from ssseg.errors import UserError
from ssseg.evaluation.inference import SIX_SCALES, Inference
from ssseg.predictor import Prediction

PROG = "ssseg predict"


class Job(NamedTuple):
    """An image, and the path of its results below the output folder, without an ending."""

    image: Path
    name: Path


def predict(args: Sequence[str]) -> int:
    """Carry out the verb.

    Returns:
        0, or 1 where images could not be read; the others were predicted all the same.
    """
    options = _parser().parse_args(args)
    jobs = list(jobs_of([Path(path) for path in options.images]))
    folder = Path(options.out)
    _nothing_in_the_way(jobs, folder)
    infer = Inference(
        options.mode,
        window=None if options.window is None else (options.window[0], options.window[1]),
        scales=SIX_SCALES if options.multi_scale else (1.0,),
        flip=options.flip,
        batch_size=options.batch_size,
    )
    from ssseg.model_file import load, to

    asked = [name for name in ("student", "teacher") if getattr(options, name)]
    model = to(load(options.checkpoint, asked[0] if asked else None), options.device)
    kinds = [kind for kind in ("overlay", "confidence") if getattr(options, kind)]
    failed = []
    for job in _shown(jobs):
        try:
            pixels = model.pixels_of(job.image)
            found = model.predict_with(infer, pixels)
        except UserError as error:
            print(f"{PROG}: {error}", file=sys.stderr)
            failed.append(job)
            continue
        write(found, pixels, folder / job.name, kinds)
    done = len(jobs) - len(failed)
    print(f"{done} of {len(jobs)} images predicted by the {model.name}: {folder}")
    return 1 if failed else 0


def write(found: Prediction, pixels: Any, path: Path, kinds: Sequence[str]) -> None:
    """Write what was found of one image.

    Args:
        found: The prediction.
        pixels: The image, (H, W, C).
        path: Without ending; `_overlay.jpg` and `_confidence.png` are put after it.
        kinds: Of `overlay` and `confidence`, what is wanted besides the class map.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found.image().save(path.with_name(f"{path.name}.png"))
    if "overlay" in kinds:
        found.overlay(displayed(pixels)).save(
            path.with_name(f"{path.name}_overlay.jpg"), quality=90
        )
    if "confidence" in kinds:
        grey = Image.fromarray((found.confidence * np.float16(255)).astype(np.uint8))
        grey.save(path.with_name(f"{path.name}_confidence.png"))


def displayed(pixels: Any) -> Any:
    """Pixels of any kind as (H, W, 3) uint8 to look at; floats are stretched to their range."""
    if pixels.shape[-1] not in (3, 4):
        pixels = pixels[..., :1].repeat(3, -1)
    pixels = pixels[..., :3]
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, (1, 99))
    return (255 * ((pixels - low) / max(high - low, 1e-6)).clip(0, 1)).astype(np.uint8)


def jobs_of(paths: Sequence[Path]) -> Iterator[Job]:
    """The images that paths name; what lies in a folder keeps its place below it.

    Raises:
        UserError: For a path that is not there, a folder without images, two images whose results
            would have one name.
    """
    seen: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found = find_images(path, deep=True)
            if not found:
                raise UserError(f"there are no images in {path}")
            jobs = [Job(image, image.relative_to(path).with_suffix("")) for image in found]
        elif path.is_file():
            jobs = [Job(path, Path(path.stem))]
        else:
            raise UserError(f"there is no image or folder {path}")
        for job in jobs:
            if job.name in seen:
                raise UserError(
                    f"{seen[job.name]} and {job.image} would both become {job.name}.png; predict "
                    "them into different folders (--out)"
                )
            seen[job.name] = job.image
            yield job


def _nothing_in_the_way(jobs: Sequence[Job], folder: Path) -> None:
    sources = {job.image.resolve() for job in jobs}
    for job in jobs:
        target = folder / f"{job.name}.png"
        if target.resolve() in sources:
            raise UserError(
                f"option --out: {target} is one of the images and would be overwritten; give "
                "another folder"
            )


def _shown(jobs: Sequence[Job]) -> Iterator[Job]:
    """The jobs, with a bar where somebody watches."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(jobs, "predicting", console=console, disable=not console.is_terminal)


def _parser() -> VerbParser:
    parser = VerbParser(
        prog=PROG,
        description="Class maps (PNG with a palette) of images, at the images' own size.",
    )
    parser.add_argument("checkpoint", help="a .ckpt of a run, or a .safetensors file")
    parser.add_argument("images", nargs="+", help="images, or folders of images")
    parser.add_argument("--out", default="predictions", help="folder of the results")
    parser.add_argument("--overlay", action="store_true", help="also the colours over the image")
    parser.add_argument("--confidence", action="store_true", help="also the confidence in grey")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--student", action="store_true", help="predict with the student")
    which.add_argument("--teacher", action="store_true", help="predict with the teacher")
    parser.add_argument("--mode", choices=("whole", "slide"), default="whole")
    parser.add_argument("--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--multi-scale", action="store_true", help="average over six scales")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored image")
    parser.add_argument("--batch-size", type=int, default=8, help="windows per pass")
    parser.add_argument("--device", help="cpu, cuda, ...; default: a GPU where there is one")
    return parser
