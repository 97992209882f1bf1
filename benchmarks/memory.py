"""Peak memory and time of a GuidedMix-Net step, compared with a step of the structure of CCT.

CCT (Ouali et al., CVPR 2020) has a shared encoder of output stride 8 with a PSP module, a main
decoder, and 30 auxiliary decoders that read perturbed features of the unlabeled images; all of them
stay in the graph until the backward pass. Here all 30 perturbations are dropout, which is less work
than the published perturbations (two of them run adversarial passes).
GuidedMix-Net has one decoder and mixes images instead; its paper reports 15 and 24 GB.

    python benchmarks/memory.py --batch 2 --crop 321 --encoder resnet50 --json memory.json

Each method runs in its own process. On a GPU the memory is the peak of the allocator, on a CPU the
growth of the process.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

CONTENDERS = ("cct", "guidedmix", "guidedmix, teacher", "guidedmix, stride 8", "supervised")


def measure(contender: str, given: argparse.Namespace) -> dict[str, float]:
    """Run steps of one contender in this process.

    Returns:
        `memory_mb`, the growth of the peak memory since the first step, and `seconds`, the median
        time of the other steps.
    """
    import torch
    from common import noise

    from ssseg.testing import step as make_step

    torch.manual_seed(0)
    device = torch.device(given.device)
    generator = torch.Generator(device).manual_seed(0)
    method = make(contender, given).to(device).train()
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=1e-3)
    batch = noise(given.batch, given.crop, given.classes, device)
    step = make_step(index=50)
    object.__setattr__(step, "generator", generator)
    before, seconds = held(device), []
    for _ in range(given.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        torch.stack(list(method.losses(batch, step).losses.values())).sum().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {"memory_mb": held(device) - before, "seconds": median(seconds[1:])}


def held(device) -> float:  # type: ignore[no-untyped-def]
    """Peak memory so far, in MB."""
    import resource

    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def make(contender: str, given: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The method of a contender, with its network."""
    from ssseg import Segmenter
    from ssseg.methods import GuidedMix, Supervised

    if contender == "cct":
        return cct(given)
    stride = 8 if contender.endswith("stride 8") else 32
    network = Segmenter(
        given.classes, decoder="guidedmix", encoder=given.encoder, output_stride=stride
    )
    if contender == "supervised":
        method = Supervised()
    else:
        method = GuidedMix(
            variant="paper", use_teacher=contender.endswith("teacher"), warmup_steps=0
        )
    method.setup(network)
    return method


def cct(given: argparse.Namespace):  # type: ignore[no-untyped-def]
    """A method with the structure of CCT."""
    import torch
    import torch.nn.functional as F
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule
    from torch import nn

    from ssseg.losses import cross_entropy
    from ssseg.methods import Method
    from ssseg.models.encoder import create_encoder
    from ssseg.types import StepOutput

    def decoder() -> nn.Module:
        classes = given.classes
        layers = [nn.Conv2d(512, classes, 1)]
        for _ in range(3):
            layers += [nn.Conv2d(classes, 4 * classes, 1), nn.ReLU(), nn.PixelShuffle(2)]
        return nn.Sequential(*layers)

    class CCT(Method):
        def setup(self, model) -> None:  # type: ignore[no-untyped-def]
            self.encoder = create_encoder(
                given.encoder, in_channels=3, depth=5, output_stride=8, weights=None, options={}
            )
            deepest = self.encoder.out_channels[-1]
            self.psp = nn.Sequential(PSPModule(deepest), nn.Conv2d(2 * deepest, 512, 1))
            self.main = decoder()
            self.auxiliary = nn.ModuleList(decoder() for _ in range(given.decoders))

        def losses(self, batch, step) -> StepOutput:  # type: ignore[no-untyped-def]
            def feats(image):  # type: ignore[no-untyped-def]
                padded = F.pad(image, (0, -given.crop % 8, 0, -given.crop % 8), mode="replicate")
                return self.psp(self.encoder(padded)[-1])

            def up(logits):  # type: ignore[no-untyped-def]
                return logits[..., : given.crop, : given.crop]

            image, label = batch.labeled
            sup = cross_entropy(up(self.main(feats(image))), label)
            unlabeled = feats(batch.unlabeled.views[0])
            target = up(self.main(unlabeled)).softmax(1).detach()
            unsup = torch.stack(
                [
                    F.mse_loss(up(aux(F.dropout2d(unlabeled, 0.5))).softmax(1), target)
                    for aux in self.auxiliary
                ]
            ).mean()
            return StepOutput({"sup": sup, "unsup": 30 * unsup})

    method = CCT()
    method.setup(None)
    return method


def main() -> None:
    """Measure every contender in a new process and print ratios to CCT."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--batch", type=int, default=2, help="labeled images; also unlabeled images"
    )
    parser.add_argument("--crop", type=int, default=321)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--decoders", type=int, default=30, help="auxiliary decoders of CCT")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="file for the numbers")
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given)))
        return
    results: dict[str, dict[str, float]] = {}
    print(f"{'':22}{'memory':>10}{'of CCT':>9}{'step':>10}{'of CCT':>9}")
    for name in CONTENDERS:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--only", name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        ours = results[name] = json.loads(done.stdout.splitlines()[-1])
        cct_, memory, seconds = results["cct"], ours["memory_mb"], ours["seconds"]
        print(
            f"{name:22}{memory:7.0f} MB{memory / cct_['memory_mb']:9.2f}{seconds:8.2f} s"
            f"{seconds / cct_['seconds']:9.2f}",
            flush=True,
        )
    if given.json:
        text = json.dumps({"options": vars(given), "results": results}, indent=1)
        Path(given.json).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
