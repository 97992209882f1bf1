"""Times of the mask and mix operators, compared with plain loops and other libraries, on the CPU.

The loops are like the published code: for every image (and every block) `torch.unique`, a choice by
NumPy, one comparison per chosen class, and a concatenation of the pieces. Both get the same label
maps, run in turns, and must keep the same number of classes.

    python benchmarks/operators.py --size 512 1024 --batch 2 --json operators.json

It takes about half a minute on one core with the defaults. The ratio should be at least 5 for the
class mask and at least 50 for the block masks.
"""

import argparse
import importlib.util
import json
import math
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import medians
from torch import Tensor

from ssseg.ops import Mixed, block_class_mask, box_mask, class_mask, mix, paste, roll_pairs
from ssseg.ops.masks import block_rows_cols
from ssseg.types import IGNORE

CELLS = 60  # number of segments in a Cityscapes prediction, without very small ones


def voronoi(size: tuple[int, int, int], num_classes: int, cells: int, seed: int = 0) -> Tensor:
    """Random label maps: every cell of a Voronoi diagram has one class.

    Args:
        size: (B, H, W).
        num_classes: Number of classes C.
        cells: Cells per image.
        seed: Seed of positions and classes of the cells.

    Returns:
        (B, H, W) int64.
    """
    batch, height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    label = np.empty(size, dtype=np.int64)
    for b in range(batch):
        nearest = np.full((height, width), np.inf, dtype=np.float32)
        for _ in range(cells):
            distance = (y - rng.uniform(0, height)) ** 2 + (x - rng.uniform(0, width)) ** 2
            closer = distance < nearest
            label[b][closer] = rng.integers(num_classes)
            nearest[closer] = distance[closer]
    return torch.from_numpy(label)


def half_of_classes(label: Tensor, rng: np.random.Generator) -> Tensor:
    """Mask of half of the classes in a label map (h, w), in plain torch: (1, h, w) bool."""
    classes = torch.unique(label)
    classes = classes[classes != IGNORE]
    half = len(classes) // 2
    chosen = torch.from_numpy(rng.choice(len(classes), half, replace=False))
    return (label[None] == classes[chosen][:, None, None]).sum(0, keepdim=True)


def loop_class_mask(label: Tensor, rng: np.random.Generator) -> Tensor:
    """Class masks, made image by image and concatenated."""
    masks = half_of_classes(label[0], rng)[None]
    for image in label[1:]:
        masks = torch.cat((masks, half_of_classes(image, rng)[None]))
    return masks


def loop_block_class_mask(label: Tensor, blocks: int, rng: np.random.Generator) -> Tensor:
    """Block class masks, made block by block and concatenated."""
    _, height, width = label.shape
    # rounded up, because pixel y is in block y * blocks // height
    top = [math.ceil(height * i / blocks) for i in range(blocks + 1)]
    left = [math.ceil(width * i / blocks) for i in range(blocks + 1)]
    images = []
    for image in label:
        rows = []
        for r in range(blocks):
            row = []
            for c in range(blocks):
                block = image[top[r] : top[r + 1], left[c] : left[c + 1]]
                row.append(half_of_classes(block, rng))
            rows.append(torch.cat(row, 2))
        images.append(torch.cat(rows, 1)[None])
    return torch.cat(images)


def loop_mix(image: Tensor, probs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mix images and class probabilities with those of the next sample, one sample at a time."""
    n = len(image)
    mixed = [
        torch.cat([(mask[i] * x[i] + (1 - mask[i]) * x[(i + 1) % n])[None] for i in range(n)])
        for x in (image, probs)
    ]
    return mixed[0], mixed[1]


def kept(label: Tensor, mask: Tensor, num_classes: int, blocks: int) -> int:
    """Number of (image, block, class) triples with a pixel where the mask is True."""
    batch, height, width = label.shape
    y, x = block_rows_cols(height, width, blocks, blocks, label.device)
    block = y[:, None] * blocks + x
    image = torch.arange(batch)[:, None, None]
    triple = (image * blocks**2 + block) * num_classes + label
    return len(torch.unique(triple[mask[:, 0].bool()]))


def compare(args: argparse.Namespace) -> list[dict[str, object]]:
    """One row per operator: time of ssseg, time of the loop, their ratio, time in image copies."""
    height, width = args.size
    classes, batch, repeats = args.classes, args.batch, args.repeats
    label = voronoi((batch, height, width), classes, CELLS)
    image = torch.rand(batch, 3, height, width)
    (copy,) = medians(4 * repeats, [image.clone])

    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    pairs: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], int]] = {
        "class_mask": (
            lambda: class_mask(label, classes, generator=generator),
            lambda: loop_class_mask(label, rng),
            1,
        )
    }
    for p in args.blocks:
        pairs[f"block_class_mask p={p}"] = (
            lambda p=p: block_class_mask(label, classes, p, generator=generator),
            lambda p=p: loop_block_class_mask(label, p, rng),
            p,
        )
    rows = []
    for name, (ours, loop, p) in pairs.items():
        counts = kept(label, ours(), classes, p), kept(label, loop(), classes, p)
        if counts[0] != counts[1]:
            raise RuntimeError(f"{name}: ssseg keeps {counts[0]} classes, the loop {counts[1]}")
        rows.append((name, *medians(repeats, [ours, loop])))

    mask = class_mask(label, classes, generator=generator)
    probs = torch.rand(batch, classes, height, width).softmax(1)
    conf, hard = probs.max(1)
    sample = Mixed(image, hard, conf, torch.ones_like(hard, dtype=torch.bool))
    partner, number = roll_pairs(batch), mask.long()
    if not torch.equal(mix(sample, partner, mask).image, loop_mix(image, probs, number)[0]):
        raise RuntimeError("mix: ssseg and the loop give different images")
    times = medians(
        repeats, [lambda: mix(sample, partner, mask), lambda: loop_mix(image, probs, number)]
    )
    rows.append((f"mix (loop: {classes} channels)", *times))

    from torchvision.transforms import v2

    size, whole = (batch, height, width), torch.zeros(batch, dtype=torch.int64)
    others: dict[str, Callable[[], object]] = {}
    cutmix = v2.CutMix(num_classes=2)
    others["torchvision"] = lambda: cutmix(image, whole)
    if importlib.util.find_spec("kornia"):  # not a dependency of ssseg
        from kornia.augmentation import RandomCutMixV2

        theirs = RandomCutMixV2(p=1.0, data_keys=["input"])
        others["kornia"] = lambda: theirs(image)

    def box_mix() -> Tensor:
        return paste(image, image.roll(-1, 0), box_mask(size, generator=generator))

    for name, run in others.items():
        times = medians(repeats, [box_mix, run])
        rows.append((f"box mix ({name}'s CutMix)", *times))
    return [
        {
            "operator": name,
            "ours_ms": 1e3 * a,
            "loop_ms": 1e3 * b,
            "ratio": b / a,
            "copies": a / copy,
        }
        for name, a, b in rows
    ]


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--blocks", type=int, nargs="*", default=(64, 128), help="blocks per side")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    if max(args.blocks, default=1) > min(args.size):
        parser.error("--blocks must not exceed --size: the loop cannot handle empty blocks")

    torch.set_num_threads(args.threads)
    rows = compare(args)
    about = {
        "size": list(args.size),
        "classes": args.classes,
        "batch": args.batch,
        "repeats": args.repeats,
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'operator':<34}{'ssseg ms':>10}{'loop ms':>11}{'ratio':>9}{'copies':>9}")
    for row in rows:
        print(
            f"{row['operator']:<34}{row['ours_ms']:>10.2f}{row['loop_ms']:>11.2f}"
            f"{row['ratio']:>9.1f}{row['copies']:>9.1f}"
        )
    print("box mix: images only; torchvision cuts one box for the whole batch")
    print("copies: time of ssseg / time of a copy of the image batch, (B, 3, H, W) float32")
    if args.json:
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
