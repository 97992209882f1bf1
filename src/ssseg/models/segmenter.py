"""A segmentation network whose encoder and decoder can be called separately by methods."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssseg.errors import UserError, one_of
from ssseg.models.decoders import create_decoder
from ssseg.models.dpt import LEVELS
from ssseg.models.encoder import create_encoder, has_weights, pretrained_normalisation
from ssseg.models.layers import Decoder
from ssseg.models.networks import DECODERS
from ssseg.models.vit import VitEncoder, is_vit
from ssseg.types import IGNORE

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLOSE = 0.005
"""Differences of mean and std below this value cause no notice."""


class Segmenter(nn.Module):
    """A timm encoder and a decoder: images (B, C, H, W) -> logits (B, num_classes, H, W).

    The decoders are those of segmentation-models-pytorch and of ssseg. `decoder(encode(image))`
    gives logits at the stride of the decoder, before the upsampling.

    Args:
        num_classes: Channels of the logits.
        in_channels: Channels of the images.
        decoder: One of `DECODERS`.
        encoder: Any timm model that gives feature maps, including plain vision transformers.
        weights: Encoder weights: `imagenet` (timm's default weights, from its hub), a local file
            (`.safetensors` or `.pth`, timm's key names), `random` or None for random weights, or
            `auto`: `imagenet` for images of three channels, else random.
        depth: Number of encoder stages; None for the default of the decoder. Fewer stages are
            better for small images. For a vision transformer: number of feature maps, usually four.
        output_stride: Stride of the deepest features; None for the default of the decoder. For a
            vision transformer it is the side of a patch.
        freeze_bn: Keep BatchNorm in eval mode in training: in the whole network (True), in the
            `encoder`, or nowhere (False). None: the training decides by its batch, see
            `ssseg.training.batchnorm_rule`; nowhere until then.
        freeze_encoder: Train the decoder only; the encoder does not change and is in eval mode.
        encoder_options: Further arguments of `timm.create_model`, e.g. `{"pad_type": "same"}`.
        decoder_options: Further arguments of the decoder, e.g. `{"aspp_branches": 2}`.
        mean: Mean per channel with which the images are normalised; saved for prediction.
        std: Standard deviation per channel with which the images are normalised; saved for
            prediction.

    Raises:
        UserError: For an unknown decoder or encoder, or weights of another network.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        decoder: str = "unet",
        encoder: str = "resnet18",
        weights: str | None = None,
        depth: int | None = None,
        output_stride: int | None = None,
        freeze_bn: bool | Literal["encoder"] | None = None,
        freeze_encoder: bool = False,
        encoder_options: dict[str, Any] | None = None,
        decoder_options: dict[str, Any] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise one_of("decoder", decoder, list(DECODERS))
        if not 1 <= num_classes <= IGNORE:
            raise UserError(f"num_classes is {num_classes}; expected 1 to {IGNORE}")
        usual_stride: int | None
        usual_stride, usual_depth = DECODERS[decoder]
        if is_vit(encoder):
            usual_stride, usual_depth = None, LEVELS
        self.hparams: dict[str, Any] = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "decoder": decoder,
            "encoder": encoder,
            "depth": depth or usual_depth,
            "output_stride": output_stride or usual_stride,
            "freeze_bn": freeze_bn or False,
            "freeze_encoder": freeze_encoder,
            "encoder_options": dict(encoder_options or {}),
            "decoder_options": dict(decoder_options or {}),
            "mean": list(mean),
            "std": list(std),
        }
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.mean, self.std = tuple(mean), tuple(std)
        if weights == "auto":
            weights = "imagenet" if in_channels == 3 and has_weights(encoder) else None
        elif weights == "random":
            weights = None
        self.weights, self.pretrained = weights, weights is not None
        self.freeze_bn: bool | Literal["encoder"] = freeze_bn or False
        self.freeze_bn_by_rule = freeze_bn is None
        self.freeze_encoder = freeze_encoder
        self.encoder = create_encoder(
            encoder,
            in_channels=in_channels,
            depth=self.hparams["depth"],
            output_stride=self.hparams["output_stride"],
            weights=weights,
            options=self.hparams["encoder_options"],
        )
        self.divisor = self.encoder.divisor
        if isinstance(self.encoder, VitEncoder):
            self.hparams["output_stride"] = self.divisor
        self.encoder.requires_grad_(not freeze_encoder)
        self.decoder = self.new_decoder()
        self.train()  # sets the mode of frozen layers, which Lightning's trainer does not change

    def new_decoder(self) -> Decoder:
        """A newly initialised decoder with the options of this network's decoder."""
        recipe = self.hparams
        return create_decoder(recipe["decoder"], self.encoder, recipe, recipe["decoder_options"])

    def new(self) -> "Segmenter":
        """A copy of this network: the same encoder weights, a newly initialised decoder."""
        other = copy.deepcopy(self)
        other.decoder = other.new_decoder()
        return other

    def encode(self, image: Tensor) -> list[Tensor]:
        """Feature maps of images (B, C, H, W) of any height and width, finest first.

        Images are padded at the bottom and right (edge values) to multiples of `divisor`.
        """
        (height, width), padded = image.shape[-2:], self.padded(image)
        # an exported program always pads, possibly by 0, because it has one path for all sizes
        if torch.compiler.is_compiling() or padded != (height, width):
            bottom, right = padded[0] - height, padded[1] - width
            image = F.pad(image, (0, right, 0, bottom), mode="replicate")
        feats: list[Tensor] = self.encoder(image)
        return feats

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of images (B, C, H, W)."""
        return self.upsample(self.decoder(self.encode(image)), image)

    def hidden(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features in front of the last convolution of the decoder, and the logits.

        Args:
            image: (B, C, H, W) float, normalised.

        Returns:
            (B, D, h, w) float, D being `decoder.hidden_channels`, and (B, num_classes, H, W).
        """
        hidden = self.decoder.hidden(self.encode(image))
        return hidden, self.upsample(self.decoder.classify(hidden), image)

    def upsample(self, logits: Tensor, image: Tensor) -> Tensor:
        """Resize logits of the decoder to height and width of the image; at least float32.

        Args:
            logits: (B, num_classes, h, w) float.
            image: (B, C, H, W), the input of `encode`.

        Returns:
            (B, num_classes, H, W), float32 for logits of half precision.
        """
        height, width = image.shape[-2:]
        size = self.padded(image)
        if logits.dtype in (torch.float16, torch.bfloat16):
            # losses, confidences and masks need float32; converted before the upsampling, so that
            # its result is not rounded
            logits = logits.float()
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]

    def padded(self, image: Tensor) -> tuple[int, int]:
        """Height and width of an image after padding to multiples of `divisor`."""
        # exporters need this form: they do not simplify remainders, and the floor division of
        # negative numbers differs between them
        unit = self.divisor
        height, width = ((side + unit - 1) // unit * unit for side in image.shape[-2:])
        return height, width

    def notices(self) -> list[str]:
        """Messages about the network that are printed before training, one line each."""
        name = self.hparams["encoder"]
        if self.freeze_encoder and not self.pretrained:
            return [
                f"encoder {name} is frozen, but its weights are random and stay so; give "
                "--network.weights, or leave out --network.freeze_encoder"
            ]
        usual = None if self.weights is None else pretrained_normalisation(name)
        if usual is None or len(usual[0]) != len(self.mean):
            return []
        pairs = zip((*usual[0], *usual[1]), (*self.mean, *self.std), strict=True)
        if all(abs(ours - theirs) < CLOSE for ours, theirs in pairs):
            return []
        here, there = (
            f"mean {_short(mean)} and std {_short(std)}"
            for mean, std in ((self.mean, self.std), usual)
        )
        return [
            f"encoder {name} was pretrained on images normalised with {there}, this run uses "
            f'{here}; give --data.mean "{_short(usual[0])}" --data.std "{_short(usual[1])}"'
        ]

    @property
    def independent(self) -> bool:
        """Whether the logits of an image do not depend on the batch: no trained BatchNorm."""
        frozen = self.freeze_encoder or self.freeze_bn == "encoder"
        trained = self.decoder if frozen else self
        layers = any(isinstance(m, _BatchNorm) for m in trained.modules())
        return self.freeze_bn is True or not layers

    def train(self, mode: bool = True) -> "Segmenter":
        """Set train mode, except for a frozen encoder and frozen BatchNorm layers."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        if self.freeze_bn:
            freeze_batchnorm(self.encoder if self.freeze_bn == "encoder" else self)
        return self

    def set_freeze_bn(self, value: bool | Literal["encoder"]) -> None:
        """Decide which BatchNorm layers are in eval mode in training, see `freeze_bn`."""
        self.freeze_bn = self.hparams["freeze_bn"] = value
        self.train(self.training)


def _short(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def freeze_batchnorm(module: nn.Module) -> None:
    """Set every BatchNorm layer to eval mode, until the next call of `train()`."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside the block; the previous mode is restored after it."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)
