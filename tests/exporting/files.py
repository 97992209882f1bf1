"""Images of many sizes, and what exported files say of themselves."""

import torch
from safetensors import safe_open

SIZES = [(1, 32, 32), (2, 33, 47), (3, 97, 64), (1, 5, 130), (1, 1, 1)]


def images(sizes=SIZES, channels=3):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, channels, height, width, generator=generator)
        for batch, height, width in sizes
    ]


def metadata(name, path):
    if name == "onnx":
        import onnx

        return {each.key: each.value for each in onnx.load(str(path)).metadata_props}["ssseg"]
    if name == "safetensors":
        with safe_open(path, framework="pt") as file:
            return file.metadata()["ssseg"]
    extra = {"ssseg.json": ""}
    torch.export.load(path, extra_files=extra)
    return extra["ssseg.json"]
