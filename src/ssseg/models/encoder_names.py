"""Encoder names of other libraries and timm's names for the same networks."""

import re
from difflib import get_close_matches

import timm

from ssseg.errors import UserError

PREFIXES = re.compile(r"^(hf[-_]hub:|timm/|tu-|timm-|nvidia/)+")
"""Prefixes of names in segmentation-models-pytorch and on the Hugging Face hub."""
TORCHVISION = {
    r"mobilenetv2": "mobilenetv2_100",
    r"mobilenetv3(large|small)": r"mobilenetv3_\1_100",
    r"swint": "swin_tiny_patch4_window7_224",
    r"swins": "swin_small_patch4_window7_224",
    r"swinb": "swin_base_patch4_window7_224",
    r"swinv2t": "swinv2_tiny_window8_256",
    r"swinv2s": "swinv2_small_window8_256",
    r"swinv2b": "swinv2_base_window8_256",
}
"""Names of torchvision, letters and digits only -> names of timm."""
SIMILAR = {r"(?:mit|segformer)(b[0-5])": (r"pvt_v2_\1", "timm does not have SegFormer's encoder")}
"""Networks that timm does not have -> the most similar one in timm, and the reason to print."""
SHOWN = 5
"""Largest number of suggested names in a message."""


def unknown_encoder(name: str) -> UserError:
    """The error for a name that timm does not know, with the most likely names."""
    text = PREFIXES.sub("", name.lower())
    squeezed = _squeezed(text)
    for pattern, (other, why) in SIMILAR.items():
        if found := re.fullmatch(pattern, squeezed):
            return UserError(
                f"unknown encoder {name!r}: {why}; the most similar one is {found.expand(other)!r}"
            )
    meant = _meant(text, squeezed)
    if not meant:
        hint = "expected one of timm's names, which timm.list_models() lists"
    elif len(meant) == 1:
        hint = f"did you mean {meant[0]!r}?"
    else:
        hint = f"did you mean one of {', '.join(meant)}?"
    return UserError(f"unknown encoder {name!r}; {hint}")


def _meant(text: str, squeezed: str) -> list[str]:
    """Timm's names for a name of another library: equal, translated, longer, then similar names."""
    if timm.is_model(text):
        return [text]
    known: dict[str, str] = {}
    for model in timm.list_models():
        known.setdefault(_squeezed(model), model)
    for pattern, other in TORCHVISION.items():
        if found := re.fullmatch(pattern, squeezed):
            return [found.expand(other)]
    if regnet := re.fullmatch(r"regnet_([xy])_(\d+)_?(\d*)([mg])f", text):
        kind, whole, part, unit = regnet.groups()
        tenths = float(f"{whole}.{part or 0}") * (10 if unit == "g" else 0.01)
        return [f"regnet{kind}_{tenths:03.0f}"]
    if squeezed in known:
        return [known[squeezed]]
    longer = [key for key in known if squeezed and key.startswith(squeezed)]
    if longer:
        return [known[key] for key in sorted(longer, key=lambda key: (len(key), key))[:SHOWN]]
    near = get_close_matches(squeezed, known, n=1, cutoff=0.8)
    return [known[key] for key in near]


def _squeezed(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())
