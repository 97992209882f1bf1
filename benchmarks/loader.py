"""Loader speed, compared with a plain PIL + torchvision loop that does the same work, on one core.

Both read the same JPEG images and PNG masks and make the same batch: labeled images with masks
(scale, pad, crop, flip, normalise) and a weak and a strong view of unlabeled images (colour jitter,
grey, blur), with the same ranges and probabilities. They run in turns in one process, without
worker processes, with one thread; the medians over the rounds are compared.

    python benchmarks/loader.py --size 375 500 --crop 321 --json loader.json
    python benchmarks/loader.py --root ../shared/data/camvid --crop 256

It takes about a minute with the defaults. Without --root, random images are made.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ssseg import SegmentationData
from ssseg.data.channel_stats import IMAGENET
from ssseg.data.datasets import Folder
from ssseg.types import IGNORE

SCALE, BATCH = (0.5, 2.0), 4


def draw_photographs(root: Path, size: tuple[int, int], count: int) -> None:
    """Write a folder data set of smooth random images, which decode as slowly as photographs."""
    rng = np.random.default_rng(0)
    height, width = size
    for split, number in (("train", count), ("val", 1)):
        for part in ("images", "masks"):
            (root / split / part).mkdir(parents=True)
        for i in range(number):
            coarse = rng.integers(0, 256, (height // 6, width // 6, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            picture.save(root / split / "images" / f"{i}.jpg", quality=90)
            blocks = rng.integers(0, 4, (height // 40 + 1, width // 40 + 1), np.uint8)
            mask = blocks.repeat(40, 0).repeat(40, 1)[:height, :width]
            Image.fromarray(mask).save(root / split / "masks" / f"{i}.png")
    (root / "classes.json").write_text(json.dumps(["a", "b", "c", "d"]), encoding="utf-8")


class PlainLoop:
    """The loader of a typical script, with torchvision's transforms."""

    def __init__(self, root: Path, crop: int) -> None:
        self.images = sorted((root / "train" / "images").iterdir())
        self.masks = {path.stem: path for path in (root / "train" / "masks").iterdir()}
        self.crop = crop
        self.jitter = v2.RandomApply([v2.ColorJitter(0.5, 0.5, 0.5, 0.25)], p=0.8)
        self.grey = v2.RandomGrayscale(p=0.2)
        self.blur = v2.RandomApply([v2.GaussianBlur(9, (0.1, 2.0))], p=0.5)
        self.normalize = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*IMAGENET)]
        )
        self.rng = np.random.default_rng(0)

    def geometry(self, image: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
        """Scale, pad, crop, flip."""
        factor = self.rng.uniform(*SCALE)
        size = [round(image.height * factor), round(image.width * factor)]
        image = F.resize(image, size, interpolation=v2.InterpolationMode.BILINEAR)
        mask = F.resize(mask, size, interpolation=v2.InterpolationMode.NEAREST)
        more = [0, 0, max(0, self.crop - size[1]), max(0, self.crop - size[0])]
        image, mask = F.pad(image, more), F.pad(mask, more, fill=IGNORE)
        top = int(self.rng.integers(image.height - self.crop + 1))
        left = int(self.rng.integers(image.width - self.crop + 1))
        image, mask = (F.crop(part, top, left, self.crop, self.crop) for part in (image, mask))
        if self.rng.random() < 0.5:
            image, mask = F.hflip(image), F.hflip(mask)
        return image, mask

    def __iter__(self) -> Iterator[list[Tensor]]:
        while True:
            chosen = self.rng.integers(len(self.images), size=2 * BATCH)
            parts: list[list[Tensor]] = [[], [], [], [], []]
            for place, index in enumerate(chosen):
                path = self.images[index]
                image = Image.open(path).convert("RGB")
                labeled = place < BATCH
                mask = Image.open(self.masks[path.stem]) if labeled else Image.new("L", image.size)
                image, mask = self.geometry(image, mask)
                label = torch.from_numpy(np.array(mask))
                if labeled:
                    parts[0].append(self.normalize(image))
                    parts[1].append(label.long())
                else:
                    parts[2].append(self.normalize(image))
                    parts[3].append(self.normalize(self.blur(self.grey(self.jitter(image)))))
                    parts[4].append(label != IGNORE)
            yield [torch.stack(part) for part in parts]


def ours(root: Path, crop: int, cache: str | None = None) -> SegmentationData:
    """The DataModule with the same settings."""
    return SegmentationData(
        Folder(str(root)),
        labeled="1/2",
        batch_size=BATCH,
        crop_size=(crop, crop),
        scale=SCALE,
        num_workers=0,
        num_views=2,
        seed=0,
        cache=cache,
    )


def seconds(batches: Iterator[object], steps: int) -> float:
    """Seconds for a number of steps."""
    started = time.perf_counter()
    for _ in islice(batches, steps):
        pass
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Loader speed, compared with a plain loop.")
    parser.add_argument("--root", type=Path, help="a data set in the folder layout")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(375, 500), help="height and width of random images"
    )
    parser.add_argument("--crop", type=int, default=321)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = args.root
        if root is None:
            root = Path(scratch) / "photos"
            draw_photographs(root, tuple(args.size), 48)
        sides: dict[str, Callable[[], Iterator[object]]] = {
            "PIL + torchvision": lambda: iter(PlainLoop(root, args.crop)),
            "ssseg": lambda: iter(ours(root, args.crop).train_dataloader()),
            "ssseg, cached": lambda: iter(
                ours(root, args.crop, str(Path(scratch) / "cache")).train_dataloader()
            ),
        }
        running = {name: make() for name, make in sides.items()}
        for name, batches in running.items():  # reads every image once, to fill the cache
            seconds(batches, 12 if name != "ssseg, cached" else 60)
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, batches in running.items():
                times[name].append(seconds(batches, args.steps))
    images = 2 * BATCH * args.steps
    rates = {name: images / statistics.median(values) for name, values in times.items()}
    plain = rates["PIL + torchvision"]
    print(f"images per second and core, {platform.machine()}, crop {args.crop}")
    for name, rate in rates.items():
        print(f"  {name:<20}{rate:7.1f}   x {rate / plain:.2f}")
    if args.json:
        args.json.write_text(json.dumps({"images_per_second": rates}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
