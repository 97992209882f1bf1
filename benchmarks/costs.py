"""Time and memory of a step of every method, as ratios to a supervised step.

Beside them is the number of image-forwards in the method's specification: how often a network sees
an image in a step, counted once per image of each kind; a pass with gradient counts 3, one without
counts 1. A supervised step has 3. All methods train the same network on the same number of labeled
images, with as many unlabeled images; the parts of a step that are no passes (masks, pasting,
losses of more pixels) make a method dearer than this count. The last column is time divided by
count; above 1.15 it is marked.

    python benchmarks/costs.py --device cuda --encoder resnet50 --crop 321 --batch 8 --way bf16
    python benchmarks/costs.py --encoder resnet18 --crop 96 --batch 2 --steps 3     (CPU)

Each method runs in its own process. On a GPU the memory is the peak of the allocator; on a CPU it
is the growth of the process, and the time is that of the processor, which other load affects less.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ssseg.methods import METHODS

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in METHODS},
    "cps, CutMix": ("cps", {"cutmix": True}),
}
FORWARDS = {
    "supervised": 3.0,
    **dict.fromkeys(("mean_teacher", "mixup", "cutmix", "cowmix", "classmix", "complexmix"), 7.0),
    **dict.fromkeys(("fixmatch", "augseg", "dacs"), 7.0),
    "unimatch": 13.0,
    "unimatch_v2": 10.0,
    "prevmatch": 15.0,
    "corrmatch": 12.0,
    "contrast": 10.5,
    "cps": 12.0,
    "cps, CutMix": 14.0,
    "cct": 6.0,
    "vat": 11.0,
    "advsemiseg": 6.0,
    "s4gan": 6.0,
    "s4l": 12.0,
    "dst_cbc": 7.0,
    "gct": 14.0,
}
"""Image-forwards of a step; GuidedMix-Net's depend on its options and are not given."""
MOST = 1.15
"""Time over count, above which a row is marked."""


def measure(row: str, given: argparse.Namespace) -> dict[str, float]:
    """Steps of one method in this process.

    Returns:
        `images_per_second`, labeled and unlabeled images; `seconds` of a step; `memory_mb`, the
        growth of the peak memory.
    """
    import torch
    from common import noise
    from memory import held
    from throughput import ours, rate

    from ssseg.methods import method_class
    from ssseg.models import Segmenter

    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    device, (name, hparams) = torch.device(given.device), VARIANTS[row]
    views = method_class(name).num_views
    images = given.batch * (2 if views else 1)
    batch = noise(given.batch, given.crop, given.classes, device, views)
    network = Segmenter(given.classes, encoder=given.encoder, decoder=given.decoder).to(device)
    before = held(device)
    step = ours(name, network, batch, given.way, **hparams)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    speed = rate(step, device, given.steps, images, clock)
    memory = held(device) - before
    return {"images_per_second": speed, "seconds": images / speed, "memory_mb": memory}


def line(row: str, found: dict[str, float], supervised: dict[str, float]) -> str:
    """A row of the table."""
    time = found["seconds"] / supervised["seconds"]
    memory = found["memory_mb"] / max(supervised["memory_mb"], 1e-9)
    start = f"{row:<20}{found['images_per_second']:>10.2f}{time:>9.2f}{memory:>9.2f}"
    if row not in FORWARDS:
        return f"{start}{'-':>9}{'-':>9}"
    count = FORWARDS[row] / FORWARDS["supervised"]
    mark = "  *" * (time / count > MOST)
    return f"{start}{count:>9.2f}{time / count:>9.2f}{mark}"


def main() -> None:
    """Measure every method in a new process and print ratios to `supervised`."""
    from throughput import WAYS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--decoder", default="deeplabv3plus")
    parser.add_argument("--crop", type=int, default=321)
    parser.add_argument("--batch", type=int, default=8, help="labeled images; also unlabeled ones")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", default="fp32", choices=list(WAYS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=list(VARIANTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given)))
        return
    from common import save

    print(f"{'':<20}{'images/s':>10}{'time':>9}{'memory':>9}{'count':>9}{'of count':>9}")
    rows: dict[str, dict[str, float]] = {}
    for row in dict.fromkeys(["supervised", *given.methods]):
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--only", row],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows[row] = json.loads(done.stdout.splitlines()[-1])
        print(line(row, rows[row], rows["supervised"]), flush=True)
    save(given, rows=rows)


if __name__ == "__main__":
    main()
