"""Names of encoders that people know from elsewhere, and what timm calls them."""

import re
from difflib import get_close_matches

import timm

from ssseg.errors import UserError

PREFIXES = re.compile(r"^(hf[-_]hub:|timm/|tu-|timm-|nvidia/)+")
"""Of names in segmentation-models-pytorch and on the Hugging Face hub."""
ELSEWHERE = {
    r"mobilenetv2": "mobilenetv2_100",
    r"mobilenetv3(large|small)": r"mobilenetv3_\1_100",
    r"swint": "swin_tiny_patch4_window7_224",
    r"swins": "swin_small_patch4_window7_224",
    r"swinb": "swin_base_patch4_window7_224",
    r"swinv2t": "swinv2_tiny_window8_256",
    r"swinv2s": "swinv2_small_window8_256",
    r"swinv2b": "swinv2_base_window8_256",
}
"""Names of torchvision, without what is no letter or digit."""
SIMILAR = {r"(?:mit|segformer)(b[0-5])": (r"pvt_v2_\1", "SegFormer's encoder is not one of timm's")}
"""Networks that timm does not have: the most like them that it has, and what to say."""
SHOWN = 5
"""Names in a sentence, of those that begin as the given one."""


def unknown_encoder(name: str) -> UserError:
    """The error for a name that timm does not know, with the name that was meant."""
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
    """Timm's names for it, the most certain way of finding them first."""
    if timm.is_model(text):
        return [text]
    known: dict[str, str] = {}
    for model in timm.list_models():
        known.setdefault(_squeezed(model), model)
    for pattern, other in ELSEWHERE.items():
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
