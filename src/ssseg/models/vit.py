"""Plain vision transformers of timm as encoders: DINOv2, DINOv3, CLIP, BEiT, ViT, DeiT and others.

They give several feature maps, all at the stride of a patch, and take any grid of patches.
"""

import sys
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import is_model_in_modules
from torch import Tensor, nn

from ssseg.models.layers import Encoder

FLEXIBLE = ("deit", "eva", "vision_transformer", "vision_transformer_hybrid")
"""timm's modules of transformers that resample their own positions to other grids."""
BEIT = ("beit",)
TAPS = {24: (4, 11, 17, 23)}
"""Of transformers whose four blocks are not evenly spaced, as DINOv2's authors chose them."""


def is_vit(name: str) -> bool:
    """Whether timm's network of this name is a plain vision transformer."""
    return bool(is_model_in_modules(name, (*FLEXIBLE, *BEIT)))


def taps_of(blocks: int, count: int) -> tuple[int, ...]:
    """The blocks whose outputs are taken, evenly spaced, with the last one among them.

    Args:
        blocks: Of the transformer.
        count: Feature maps that are wanted.

    Raises:
        ValueError: For more feature maps than blocks.
    """
    if not 1 <= count <= blocks:
        raise ValueError(f"{count} feature maps are wanted of {blocks} blocks")
    if count == len(TAPS.get(blocks, ())):
        return TAPS[blocks]
    return tuple(round((i + 1) * blocks / count) - 1 for i in range(count))


def create_vit(name: str, in_channels: int, depth: int, options: dict[str, Any]) -> "VitEncoder":
    """A plain vision transformer: images (B, C, H, W) -> the image, `depth` feature maps.

    Args:
        name: timm's name of the network.
        in_channels: Channels of the images; pretrained first layers are adapted by timm.
        depth: Number of feature maps.
        options: Further arguments of `timm.create_model`, whose `depth` is the number of blocks.

    Raises:
        ValueError: For more feature maps than blocks, or a BEiT without its own biases.
    """
    beit = is_model_in_modules(name, BEIT)
    flexible = {} if beit else {"dynamic_img_size": True}
    model = timm.create_model(name, num_classes=0, in_chans=in_channels, **{**flexible, **options})
    return (BeitEncoder if beit else VitEncoder)(model, in_channels, depth)


class VitEncoder(Encoder):
    """A transformer and the blocks whose tokens are its feature maps.

    The stride of all feature maps is that of a patch. Every one goes through the transformer's
    final LayerNorm, as in UniMatch V2, where it has one for its tokens (some have one for their
    mean only). Pooling and classifier are removed: they would never get a gradient.

    Args:
        model: timm's network.
        in_channels: Channels of the images.
        depth: Number of feature maps.
    """

    def __init__(self, model: Any, in_channels: int, depth: int) -> None:
        super().__init__()
        self.taps = taps_of(len(model.blocks), depth)
        model.prune_intermediate_layers(list(self.taps))
        self.model = model
        self.out_channels = [in_channels] + [model.embed_dim] * depth
        self.divisor = int(model.patch_embed.feat_ratio())

    def forward(self, image: Tensor) -> list[Tensor]:
        """Sides are multiples of the patch: (B, C, H, W) -> itself, (B, D, H / p, W / p) each."""
        maps: list[Tensor] = self.model.forward_intermediates(
            image,
            indices=list(self.taps),
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return [image, *maps]


class BeitEncoder(VitEncoder):
    """BEiT, whose attention adds a bias by how far tokens are apart, for any grid of patches."""

    def __init__(self, model: Any, in_channels: int, depth: int) -> None:
        super().__init__(model, in_channels, depth)
        model.patch_embed.strict_img_size = False
        self.biases = nn.ModuleList()
        for block in model.blocks:
            attention = block.attn
            if attention.relative_position_bias_table is None or model.rel_pos_bias is not None:
                raise ValueError("every block of BEiT needs relative position biases of its own")
            self.biases.append(
                RelativeBias(attention.relative_position_bias_table, attention.window_size)
            )
            # the attention then takes the one that it is given
            attention.relative_position_bias_table = attention.relative_position_index = None

    def forward(self, image: Tensor) -> list[Tensor]:
        """Sides are multiples of the patch: (B, C, H, W) -> itself, (B, D, H / p, W / p) each."""
        model = self.model
        height, width = (side // self.divisor for side in image.shape[-2:])
        tokens = model.patch_embed(image)
        tokens = torch.cat((model.cls_token.expand(image.shape[0], -1, -1), tokens), 1)
        if model.pos_embed is not None:
            grid = model.patch_embed.grid_size
            tokens = tokens + resample_abs_pos_embed(model.pos_embed, [height, width], grid)
        tokens = model.pos_drop(tokens)
        feats = [image]
        for index, (block, bias) in enumerate(zip(model.blocks, self.biases, strict=True)):
            tokens = block(tokens, shared_rel_pos_bias=bias(height, width))
            if index in self.taps:
                patches = model.norm(tokens)[:, 1:].transpose(1, 2)
                feats.append(patches.unflatten(2, (height, width)))
        return feats


class RelativeBias(nn.Module):
    """What is added to the attention between two tokens, by how far their patches are apart.

    Distances in other grids than that of the pretraining are distances in the whole image, as for
    the positions of other transformers: the table is resampled (as in Ranftl et al.'s DPT on BEiT).

    Args:
        table: timm's, (distances + 3, heads): of patches row by row, of the class token to patches,
            of patches to it, of it to itself.
        window: Rows and columns of the grid that the table is for.
    """

    def __init__(self, table: Tensor, window: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (2 * side - 1 for side in window)
        by_head = table.detach().T
        self.patches = nn.Parameter(by_head[:, :-3].reshape(1, -1, rows, columns).clone())
        self.token = nn.Parameter(by_head[:, -3:].clone())

    def forward(self, height: int, width: int) -> Tensor:
        """(1, heads, 1 + height * width, 1 + height * width), the class token first."""
        size = (2 * height - 1, 2 * width - 1)
        table = F.interpolate(self.patches, size, mode="bilinear", align_corners=False)[0]
        rows, columns = self._distances(height), self._distances(width)
        inner = table[:, rows[:, None, :, None], columns[None, :, None, :]]
        inner = inner.flatten(3).flatten(1, 2)
        outwards, inwards, itself = self.token[:, :, None, None].unbind(1)
        count = height * width
        top = torch.cat((itself, outwards.expand(-1, 1, count)), 2)
        rest = torch.cat((inwards.expand(-1, count, 1), inner), 2)
        return torch.cat((top, rest), 1)[None]

    def _distances(self, side: int) -> Tensor:
        """(side, side): place in the table of what lies between two places."""
        place = torch.arange(side, device=self.token.device)
        return place[:, None] - place[None, :] + side - 1


def converted(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A file's weights as timm would load them into this transformer.

    timm renames what the authors of some networks call otherwise, and resamples positions, biases
    and patches of other sizes.
    """
    home: Any = sys.modules[type(model).__module__]
    found: dict[str, Tensor] = home.checkpoint_filter_fn(dict(state), model)
    return found
