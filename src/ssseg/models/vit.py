"""Plain vision transformers of timm as encoders: DINOv2, DINOv3, CLIP, BEiT, ViT, DeiT and others.

They give several feature maps, all with the side of a patch as stride, for any grid of patches.
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
"""timm's modules of transformers that resample their position embeddings to other grids."""
BEIT = ("beit",)
TAPS = {24: (4, 11, 17, 23)}
"""Number of blocks -> the four blocks that DINOv2's authors chose, which are not evenly spaced."""


def is_vit(name: str) -> bool:
    """Whether timm's network of this name is a plain vision transformer."""
    return bool(is_model_in_modules(name, (*FLEXIBLE, *BEIT)))


def taps_of(blocks: int, count: int) -> tuple[int, ...]:
    """The blocks whose outputs are the feature maps: evenly spaced, up to the last block.

    Args:
        blocks: Number of blocks of the transformer.
        count: Number of feature maps.

    Raises:
        ValueError: For more feature maps than blocks.
    """
    if not 1 <= count <= blocks:
        raise ValueError(f"cannot take {count} feature maps from {blocks} blocks")
    if count == len(TAPS.get(blocks, ())):
        return TAPS[blocks]
    return tuple(round((i + 1) * blocks / count) - 1 for i in range(count))


def create_vit(name: str, in_channels: int, depth: int, options: dict[str, Any]) -> "VitEncoder":
    """A plain vision transformer: images (B, C, H, W) -> the image and `depth` feature maps.

    Args:
        name: timm's name of the network.
        in_channels: Channels of the images; timm adapts a pretrained first layer.
        depth: Number of feature maps.
        options: Further arguments of `timm.create_model`, whose `depth` is the number of blocks.

    Raises:
        ValueError: For more feature maps than blocks, or a BEiT without relative position biases.
    """
    beit = is_model_in_modules(name, BEIT)
    flexible = {} if beit else {"dynamic_img_size": True}
    model = timm.create_model(name, num_classes=0, in_chans=in_channels, **{**flexible, **options})
    return (BeitEncoder if beit else VitEncoder)(model, in_channels, depth)


class VitEncoder(Encoder):
    """A transformer; the tokens of some of its blocks are the feature maps.

    The stride of all feature maps is the side of a patch. If the transformer has a final LayerNorm
    for its tokens (some have one for their mean only), it is applied to every feature map, as in
    UniMatch V2. Pooling and classifier are removed, because they would never get a gradient.

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
        """Image (B, C, H, W), sides multiples of p -> the image and maps (B, D, H / p, W / p)."""
        maps: list[Tensor] = self.model.forward_intermediates(
            image,
            indices=list(self.taps),
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return [image, *maps]


class BeitEncoder(VitEncoder):
    """BEiT, whose attention has relative position biases, for any grid of patches."""

    def __init__(self, model: Any, in_channels: int, depth: int) -> None:
        super().__init__(model, in_channels, depth)
        model.patch_embed.strict_img_size = False
        self.biases = nn.ModuleList()
        for block in model.blocks:
            attention = block.attn
            if attention.relative_position_bias_table is None or model.rel_pos_bias is not None:
                raise ValueError("every block of BEiT needs its own relative position biases")
            self.biases.append(
                RelativeBias(attention.relative_position_bias_table, attention.window_size)
            )
            # without these the attention uses the bias that `forward` passes
            attention.relative_position_bias_table = attention.relative_position_index = None

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, C, H, W), sides multiples of p -> the image and maps (B, D, H / p, W / p)."""
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
    """Relative position bias of the attention between two tokens.

    For another grid than that of the pretraining the table is resampled, as in Ranftl et al.'s DPT
    on BEiT.

    Args:
        table: (distances + 3, heads) float, timm's table: distances of patches row by row, then
            class token to patch, patch to class token, class token to itself.
        window: Rows and columns of the grid that the table belongs to.
    """

    def __init__(self, table: Tensor, window: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (2 * side - 1 for side in window)
        by_head = table.detach().T
        self.patches = nn.Parameter(by_head[:, :-3].reshape(1, -1, rows, columns).clone())
        self.token = nn.Parameter(by_head[:, -3:].clone())

    def forward(self, height: int, width: int) -> Tensor:
        """Biases (1, heads, 1 + height * width, 1 + height * width), the class token first."""
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
        """(side, side) int64: index in the table of the distance between two positions."""
        place = torch.arange(side, device=self.token.device)
        return place[:, None] - place[None, :] + side - 1


def converted(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights of a file after timm's conversion for this transformer.

    timm renames keys of some authors and resamples position embeddings, biases and patches of other
    sizes.
    """
    home: Any = sys.modules[type(model).__module__]
    found: dict[str, Tensor] = home.checkpoint_filter_fn(dict(state), model)
    return found
