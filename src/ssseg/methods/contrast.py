"""Pixel contrast with a bank of labeled features, on UniMatch V2.

The part of U2PL (Wang et al., "Semi-supervised semantic segmentation using unreliable
pseudo-labels", CVPR 2022) that PixCon (2026) keeps: features of labeled pixels alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssseg.errors import UserError
from ssseg.losses import class_info_nce
from ssseg.methods.unimatch_v2 import UniMatchV2
from ssseg.models.class_bank import ClassBank
from ssseg.models.layers import full
from ssseg.models.segmenter import Segmenter
from ssseg.ops.random import uniform
from ssseg.ops.sampling import at_grid, first_per_class
from ssseg.types import IGNORE, Labeled, Step

WIDTH = 256
"""Channels of the projected features."""
MOST = 1024
"""Largest number of anchors of all classes together."""


@dataclass(eq=False, repr=False)
class Contrast(UniMatchV2):
    """UniMatch V2, with labeled pixels of one class pulled together and those of others apart.

    The features in front of the last convolution are projected to 256 channels and normalised.
    Labeled pixels that are predicted correctly are anchors; they enter a bank, and each is compared
    with all keys of the bank (`sup_contrast`, see `ssseg.losses.class_info_nce`).

    Args:
        contrast_weight: Weight of `sup_contrast`.
        temperature: Of the softmax over keys.
        anchors: Largest number of anchors of a class in a step; together at most 1,024.
        bank: Keys that the bank holds of each class; at least `anchors`.

    Raises:
        UserError: For a bank smaller than the anchors of a step.
    """

    replicated: ClassVar[Sequence[str]] = ("memory",)

    contrast_weight: float = 0.1
    temperature: float = 0.1
    anchors: int = 64
    bank: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.anchors <= self.bank:
            raise UserError(
                f"option anchors of contrast is {self.anchors}; expected 1 to bank ({self.bank})"
            )

    def setup(self, model: Segmenter) -> None:
        """Set student and teacher; add the projection and the bank."""
        super().setup(model)
        width = model.decoder.hidden_channels
        layers = nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
        self.projection = nn.Sequential(*layers)
        self.memory = ClassBank(model.num_classes, self.bank, WIDTH)

    def supervised(self, labeled: Labeled, step: Step) -> dict[str, Tensor]:
        """`sup` and `sup_contrast` of labeled images."""
        hidden, logits = self.student.hidden(labeled.image)
        right = labeled.label.where(logits.argmax(1) == labeled.label, IGNORE)
        contrast = self.contrast(hidden, right, self.student.padded(labeled.image), step)
        return {
            "sup": self.labeled_loss(logits, labeled.label, step),
            "sup_contrast": self.contrast_weight * contrast,
        }

    def contrast(
        self, hidden: Tensor, label: Tensor, padded: tuple[int, int], step: Step
    ) -> Tensor:
        """Contrast of random pixels of every class, a scalar.

        Every device takes its first pixels by their draws; of these, the first of all devices enter
        the bank. This is the choice of one device that sees the whole batch.

        Args:
            hidden: (B, D, h, w) float, features.
            label: (B, H, W) int64; IGNORE for pixels that cannot be anchors.
            padded: Height and width that the features cover.
            step: The step with its generator.
        """
        classes, grid = self.student.num_classes, (hidden.shape[2], hidden.shape[3])
        most = min(self.anchors, max(1, MOST // classes))
        group = at_grid(label, padded, grid, IGNORE).clamp_max(classes)
        draw = uniform(group.shape, step.draws, device=group.device).flatten()
        index, found = first_per_class(group.flatten(), draw, classes, most)
        cells = grid[0] * grid[1]
        # only the pixels that are taken are projected
        projected = full(self.projection(hidden.flatten(2)[index // cells, :, index % cells]))
        anchors = F.normalize(projected, dim=2)

        order = draw[index].masked_fill(~found, torch.inf)
        everyone, place = step.devices.gather(order[None]).movedim(0, 1).flatten(1).sort(1)
        first, place = everyone[:, :most], place[:, :most, None].expand(-1, -1, WIDTH)
        keys = step.devices.gather(anchors[None]).movedim(0, 1).flatten(1, 2).gather(1, place)
        slots = self.memory.append(keys, first.isfinite())
        rank = (first[:, None] < order[..., None]).sum(2)
        own, used = slots.gather(1, rank.clamp_max(most - 1)), found & (rank < most)
        bank, filled = self.memory.keys, self.memory.filled
        return class_info_nce(anchors, used, bank, filled, own, self.temperature, step.devices)
