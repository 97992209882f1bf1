"""Images per second of training steps in several precisions, compared with a plain loop.

The loop is like published scripts: float32, two unlabeled batches per step, one mask per image made
with `torch.unique`, losses copied to the host at every step. The other rows are methods of the
library in fp32, bf16, bf16 with channels_last, and also compiled. Batches are already on the
device. The contenders run one after the other; the loop runs at the start and at the end, which
shows whether the speed of the device has changed.

    python benchmarks/throughput.py --device cuda --encoder resnet50 --crop 513 --batch 8
    python benchmarks/throughput.py --encoder test_resnet --crop 64 --batch 2 --steps 3    (CPU)
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import noise, save
from torch import Tensor

from ssseg.methods import PrevMatch, create_method, method_class
from ssseg.methods.base import defaults
from ssseg.models import Segmenter
from ssseg.training.compute import Compute
from ssseg.types import IGNORE, Batch, Step

METHODS = {"classmix": "deeplabv3plus", "guidedmix": "deeplabv3plus"}
WAYS: dict[str, tuple[bool, Compute]] = {
    "fp32": (False, Compute(channels_last=False)),
    "bf16": (True, Compute(channels_last=False)),
    "bf16, channels_last": (True, Compute(channels_last=True)),
    "bf16, channels_last, compile": (True, Compute(channels_last=True, compile=True)),
}


def published_loop(network: Segmenter, batch: Batch) -> Callable[[], None]:
    """A function that does one ClassMix step, as in published scripts."""
    student = copy.deepcopy(network).train()
    teacher = copy.deepcopy(network).requires_grad_(False).train()
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3, momentum=0.9)
    (image, label), first = batch.labeled, batch.unlabeled.views[0]
    second = first.flip(0)  # the second unlabeled batch

    def masks(hard: Tensor) -> Tensor:
        parts = []
        for one in hard:
            classes = torch.unique(one)
            chosen = classes[torch.randperm(len(classes), device=one.device)][: len(classes) // 2]
            parts.append((one[None] == chosen[:, None, None]).sum(0)[None])
        return torch.stack(parts).float()

    def step() -> None:
        logits = student(image)
        supervised = F.cross_entropy(logits, label, ignore_index=IGNORE)
        with torch.no_grad():
            ours, theirs = (teacher(part).softmax(1) for part in (first, second))
        mask = masks(ours.argmax(1))
        mixed = mask * first + (1 - mask) * second
        confidence, target = (mask * ours + (1 - mask) * theirs).max(1)
        weight = float((confidence >= 0.968).sum()) / confidence.numel()
        error = F.cross_entropy(student(mixed), target)
        optimizer.zero_grad()
        torch.autograd.backward(supervised + weight * error)
        optimizer.step()
        for average, value in zip(teacher.parameters(), student.parameters(), strict=True):
            average.data = 0.99 * average.data + 0.01 * value.data
        supervised.item(), error.item()

    return step


def ours(
    name: str, network: Segmenter, batch: Batch, way: str, **hparams: Any
) -> Callable[[], None]:
    """A function that does one step of a method of the library, in the middle of its run."""
    half, compute = WAYS[way]
    device = batch.labeled.image.device
    eager = {"warmup_steps": 0.0} if "warmup_steps" in defaults(method_class(name)) else {}
    method = create_method(name, **eager, **hparams)
    method.setup(copy.deepcopy(network))
    if isinstance(method, PrevMatch):
        for _ in range(method.snapshots):
            method.earlier.take(method.student)
    method.to(device).train()
    compute = compute.prepare(method, device)
    batch = compute.arrange(batch)
    optimizer = torch.optim.SGD(
        [p for p in method.parameters() if p.requires_grad], lr=1e-3, momentum=0.9
    )
    step = Step(500, 1000, torch.Generator(device).manual_seed(0))

    def run() -> None:
        context: Any = torch.autocast(device.type, torch.bfloat16) if half else nullcontext()
        with context:
            losses = method.losses(batch, step).losses
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        optimizer.step()
        method.after_step(step)

    return run


def rate(
    step: Callable[[], None],
    device: torch.device,
    steps: int,
    images: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Images per second, from the median time of a step; two first steps are not counted."""
    seconds = []
    for turn in range(steps + 2):
        started = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if turn >= 2:
            seconds.append(clock() - started)
    return images / statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--crop", type=int, default=513)
    parser.add_argument("--batch", type=int, default=8, help="labeled images; also unlabeled ones")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.manual_seed(0)
    batch = noise(given.batch, given.crop, given.classes, device)
    rows: list[dict[str, Any]] = []

    def note(name: str, step: Callable[[], None]) -> None:
        found = rate(step, device, given.steps, 2 * given.batch)
        rows.append({"contender": name, "images_per_second": found})
        ratio = found / rows[0]["images_per_second"]
        print(f"{name:<42}{found:9.2f} images/s   x {ratio:.2f}", flush=True)

    networks = {
        decoder: Segmenter(given.classes, encoder=given.encoder, decoder=decoder).to(device)
        for decoder in set(METHODS.values())
    }
    plain = networks[METHODS["classmix"]]
    note("published loop, fp32", published_loop(plain, batch))
    for name, decoder in METHODS.items():
        for way in given.ways:
            note(f"{name}, {way}", ours(name, networks[decoder], batch, way))
    note("published loop, fp32, once more", published_loop(plain, batch))
    save(given, rows=rows)


if __name__ == "__main__":
    main()
