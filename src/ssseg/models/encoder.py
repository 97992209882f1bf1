"""timm encoders as feature pyramids; weight files are checked before they are loaded."""

from pathlib import Path
from typing import Any

import timm
import torch
from segmentation_models_pytorch.encoders import TimmUniversalEncoder
from torch import Tensor

from ssseg.errors import UserError
from ssseg.models.encoder_names import unknown_encoder
from ssseg.models.layers import Encoder
from ssseg.models.vit import converted, create_vit, is_vit
from ssseg.runs.paths import as_path


def create_encoder(
    name: str,
    *,
    in_channels: int,
    depth: int,
    output_stride: int | None,
    weights: str | None,
    options: dict[str, Any],
) -> Encoder:
    """Create a timm encoder: images (B, C, H, W) -> the image and feature maps, finest first.

    Args:
        name: timm's name of the network.
        in_channels: Channels of the images; timm adapts a pretrained first layer.
        depth: Number of stages; for a vision transformer, number of feature maps.
        output_stride: Stride of the deepest features. For a vision transformer None or the side of
            a patch.
        weights: `imagenet`, a file with timm's key names, or None for random weights.
        options: Further arguments of `timm.create_model`.

    Raises:
        UserError: For an unknown encoder, a stride that it does not support, or a file with the
            weights of another network.
    """
    if not timm.is_model(name):
        raise unknown_encoder(name)
    source: dict[str, Any] = {}
    if weights is not None and weights != "imagenet":
        weights = str(as_path(weights))
        _check_weights(name, Path(weights), options)
        source = {"pretrained_cfg_overlay": {"file": weights, "hf_hub_id": None, "url": ""}}
    pretrained = weights is not None
    encoder: Encoder
    try:
        if is_vit(name):
            asked = dict(pretrained=pretrained, **source, **options)
            encoder = create_vit(name, in_channels, depth, asked)
            if output_stride not in (None, encoder.divisor):
                raise ValueError(f"its stride is the side of its patches, {encoder.divisor}")
        else:
            encoder = TimmUniversalEncoder(
                name,
                pretrained=pretrained,
                in_channels=in_channels,
                depth=depth,
                output_stride=output_stride,
                **source,
                **options,
            )
            encoder.divisor = 2**depth
        return encoder
    except OSError as error:
        # of huggingface_hub and urllib alike: no connection, no such file, no permission
        raise UserError(
            f"the pretrained weights of encoder {name!r} cannot be fetched "
            f"({type(error).__name__}); with an internet connection they come from "
            f"{weights_origin(name, weights)}; without one, copy its model.safetensors here and "
            "give --network.weights FILE, or train from --network.weights random"
        ) from error
    except (ValueError, TypeError, RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"encoder {name!r} cannot be built with depth {depth}, output stride "
            f"{output_stride or 'of its patches'} and options {options}: {reason}"
        ) from error


def pretrained_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std per channel with which timm's weights of an encoder were trained, or None."""
    mean, std = (timm.get_pretrained_cfg_value(name, key) for key in ("mean", "std"))
    return None if mean is None or std is None else (tuple(mean), tuple(std))


def has_weights(name: str) -> bool:
    """Whether timm has pretrained weights of an encoder."""
    keys = ("hf_hub_id", "url", "file")
    return any(timm.get_pretrained_cfg_value(name, key) for key in keys)


def weights_origin(name: str, weights: str | None) -> str:
    """Where the weights of an encoder come from, and their licence where timm knows it.

    Args:
        name: timm's name of the network.
        weights: `imagenet`, a file, or None for random weights.
    """
    if weights is None:
        return "random"
    if weights != "imagenet":
        return f"the file {weights}"
    hub, licence, url = (
        timm.get_pretrained_cfg_value(name, key) for key in ("hf_hub_id", "license", "url")
    )
    where = f"huggingface.co/{hub}" if hub else url or "timm"
    return f"{where} ({f'licence {licence}' if licence else 'licence unknown'})"


def _check_weights(name: str, path: Path, options: dict[str, Any]) -> None:
    """Raise `UserError` for a file of another encoder; timm loads the matching keys silently."""
    found = _read_weights(path)
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    wanted = model.state_dict()
    if is_vit(name):
        try:
            found = converted(found, model)
        except Exception as error:  # timm's conversion raises many types of exceptions
            raise UserError(
                f"{path} does not hold the weights of encoder {name!r} ({type(error).__name__} "
                "while timm converts them); give the encoder that the file was made for"
            ) from error
    classifier = timm.get_pretrained_cfg_value(name, "classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
    missing = [k for k in missing if not k.startswith(heads)]
    if missing:
        raise UserError(
            f"{path} does not hold the weights of encoder {name!r}: {len(missing)} of "
            f"{len(wanted)} tensors are missing (the first is {missing[0]}); "
            "give the encoder that the file was made for"
        )
    first = timm.get_pretrained_cfg_value(name, "first_conv") or ()
    adapted = (*heads, *((first,) if isinstance(first, str) else tuple(first)))
    for key, tensor in wanted.items():
        if key in found and found[key].shape != tensor.shape and not key.startswith(adapted):
            raise UserError(
                f"{path} does not fit encoder {name!r}: {key} has shape "
                f"{tuple(found[key].shape)}, expected {tuple(tensor.shape)}"
            )


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"no weight file {path}; give an existing file or `imagenet`")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as a weight file ({type(error).__name__}); "
            "expected a .safetensors file or a plain PyTorch state dict"
        ) from error
