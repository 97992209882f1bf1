"""Small data, and what an evaluation writes."""

import json
from html.parser import HTMLParser

import numpy as np
import torch

from ssseg.data.datasets import Street
from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.module import SegmentationData
from ssseg.prediction.model_file import load

SIZES = {"train_images": 24, "val_images": 4, "test_images": 13, "size": 32}
VOID = {"meta", "img", "br", "link", "input", "hr"}


def page(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


def document_of(folder):
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def plain_iou(truth, guess, classes):
    """Per class; NaN where neither has it."""
    out = np.full(classes, np.nan)
    for c in range(classes):
        union = ((truth == c) | (guess == c)) & (truth != 255)
        if union.any():
            out[c] = ((truth == c) & (guess == c)).sum() / union.sum()
    return out


def predictions(checkpoint, network, split="test"):
    """Truth and prediction of every image of the split, by id."""
    source, model = Street(**SIZES), load(checkpoint, network)
    data = SegmentationData(source, labeled=8)
    records = source.records(split)
    images = torch.stack([data.normalize(source.read_image(record)) for record in records])
    with torch.no_grad():  # in the batches of the run: others round differently
        guesses = torch.cat([model(batch).argmax(1) for batch in images.split(8)])
    return {
        record.id: (source.read_mask(record), guess)
        for record, guess in zip(records, guesses.numpy(), strict=True)
    }


class Walk(HTMLParser):
    """Complains about tags that are not closed in order; collects what would be loaded."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.links, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def note(self, tag, attrs):
        assert tag not in ("script", "link", "iframe")
        assert not any(name.startswith("on") for name in attrs)
        self.loaded += [attrs[name] for name in ("src", "srcset", "xlink:href") if name in attrs]
        self.links += [attrs["href"]] if "href" in attrs else []


class TwoSizes(Source):
    """Every other image is wider; nobody knows before it is read. The last class never occurs."""

    name = "two sizes"
    classes = tuple(ClassInfo(name, (9 * i, 0, 0)) for i, name in enumerate("abcdefgh"))
    in_memory = True
    crop_size = (32, 32)

    def records(self, split):
        return [Record(f"{split}/{i}", i, i) for i in range(7)]

    def read_image(self, record):
        size = (32, 32 + 16 * (record.image % 2), 3)
        return np.random.default_rng(record.image).integers(0, 255, size, np.uint8)

    def read_mask(self, record):
        image = self.read_image(record)
        # as many pixels of the first class as the image's number says
        mask = np.full(image.shape[:2], 1, np.uint8)
        mask[:, : 3 * record.image] = 0
        return mask
