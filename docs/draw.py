"""Draw the picture of what the methods do, from the code itself: `python docs/draw.py`."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ssseg.data.datasets import Street
from ssseg.methods import create_method
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.ops import Mixed, roll_pairs
from ssseg.testing import tiny_network
from ssseg.types import Labeled, Step
from ssseg.viz import colorize

SIDE = 160
HEADINGS = ("image", "partner", "mask", "what the student sees", "what it must say")


def main() -> None:
    """Write docs/images/methods.png."""
    source = Street(train_images=12, size=SIDE)
    records = [source.records("train")[i] for i in (4, 10)]
    images = np.stack([source.read_image(r) for r in records])
    labels = torch.from_numpy(np.stack([source.read_mask(r) for r in records]).astype(np.int64))
    image = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    probs = torch.nn.functional.one_hot(labels, source.num_classes).movedim(-1, 1).float()
    ones = torch.ones_like(labels, dtype=torch.float32)

    names = ("cutmix", "cowmix", "classmix", "complexmix", "mixup", "fixmatch", "dacs")
    figure = Figure(figsize=(8.2, 1.62 * len(names) + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(names), len(HEADINGS))
    for row, name in enumerate(names):
        options = {
            "complexmix": {"blocks": (16,)},
            "mixup": {"alpha": 8.0},
            "fixmatch": {"box_probability": 1.0},
            "dacs": {"augment": False},
        }
        method = create_method(name, **options.get(name, {}))
        assert isinstance(method, MeanTeacher)
        method.setup(tiny_network(source.num_classes))
        soft = method.loss == "squared_error"
        sample = Mixed(image, probs if soft else labels, ones, ones.bool())
        step = Step(0, 1, torch.Generator().manual_seed(2))
        labeled = Labeled(image.flip(0), labels.flip(0))
        target, mask = method.combine(sample, labels, step, labeled)[:2]
        partner = int(roll_pairs(2)[0])
        cells = [
            images[0],
            images[partner],
            np.full((SIDE, SIDE), 0.5) if mask is None else mask[0, 0].numpy(),
            target.image[0].permute(1, 2, 0).clamp(0, 1).numpy(),
            _answer(target, source.classes),
        ]
        for column, (axis, cell) in enumerate(zip(axes[row], cells, strict=True)):
            axis.imshow(cell, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(HEADINGS[column], fontsize=8)
        axes[row, 0].set_ylabel(name, fontsize=9)
    path = Path(__file__).parent / "images" / "methods.png"
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(200).save(path, optimize=True)
    print(path)


def _answer(target: Mixed, classes: tuple) -> np.ndarray:
    """The mixed label in colours; soft labels blend their colours."""
    if target.label.dim() == 3:
        return colorize(target.label[0].numpy(), classes)
    palette = torch.tensor([c.color for c in classes]).float() / 255
    return torch.einsum("chw,ck->hwk", target.label[0], palette).numpy()


if __name__ == "__main__":
    main()
