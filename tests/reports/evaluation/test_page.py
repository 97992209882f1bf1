"""The page of an evaluation against the same numbers recomputed plainly."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets import Street
from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.module import SegmentationData
from ssseg.evaluation.metrics import scores
from ssseg.prediction.model_file import load
from ssseg.reports.evaluation.callback import EvaluationPage, page_name
from ssseg.reports.evaluation.images import Shown, Tiles, image_scores, worst_and_best
from ssseg.reports.evaluation.page import evaluation_page
from ssseg.reports.evaluation.results import EvaluationResults, protocol
from ssseg.reports.html import matrix
from ssseg.runs.checkpoint import read_checkpoint
from tests.conftest import make_module, make_trainer

SIZES = {"train_images": 24, "val_images": 4, "test_images": 13, "size": 32}
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three steps and, of its last checkpoint, a test with everything at its default."""
    folder = tmp_path_factory.mktemp("page") / "run"
    torch.set_num_threads(1)
    args = [f"--data.{name}={value}" for name, value in SIZES.items()]
    args += ["--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"]
    args += ["--method", "mean_teacher", "--trainer.max_steps", "3", "--optim.lr", "0.01"]
    assert main(["fit", *args, "--out", str(folder)]) == 0
    assert main(["test", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]) == 0
    return folder


@pytest.fixture
def checkpoint(run):
    return run / "checkpoints" / "last.ckpt"


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


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_the_numbers_are_those_of_a_plain_recomputation(run, checkpoint, network):
    found = predictions(checkpoint, network)
    truth, guess = (np.stack([pair[i] for pair in found.values()]) for i in (0, 1))
    names = [c.name for c in Street().classes]
    iou = dict(zip(names, plain_iou(truth, guess, len(names)), strict=True))
    known = {name: value for name, value in iou.items() if value == value}
    got = document_of(run / "test-test-whole")["networks"][network]
    assert got["iou"] == pytest.approx(known)
    assert got["miou"] == pytest.approx(np.mean(list(known.values())))
    assert got["pixel_accuracy"] == pytest.approx((truth == guess).mean())
    assert got["missing_classes"] == [name for name in names if name not in known]
    assert 0 < got["boundary_miou"] < 1
    html = page(run / "test-test-whole")
    card = html.partition(f"</i>{network}<small>")[2].partition("</section>")[0]
    for key in ("miou", "boundary_miou", "pixel_accuracy", "mean_accuracy", "weighted_iou"):
        assert f">{100 * got[key]:.2f}" in card
    rows = csv.DictReader(io.StringIO((run / "test-test-whole" / "scores.csv").read_text()))
    rows = {row["class"]: row for row in rows if row["network"] == network}
    assert list(rows) == names
    for c, name in enumerate(names):
        row = rows[name]
        assert row["iou"] == (str(got["iou"][name]) if name in known else "")
        assert int(row["true_pixels"]) == (truth == c).sum()
        if row["recall"]:
            assert float(row["recall"]) == pytest.approx((guess[truth == c] == c).mean())
        if row["precision"]:
            assert float(row["precision"]) == pytest.approx((truth[guess == c] == c).mean())


def test_the_json_says_where_the_numbers_come_from(run, checkpoint):
    doc = document_of(run / "test-test-whole")
    assert set(doc) == {
        *("data", "checkpoint", "step", "method", "training", "command", "predictor", "networks"),
        *("evaluation", "worst", "best", "device", "versions", "commit"),
    }
    assert set(doc["networks"]) == {"student", "teacher"}
    assert doc["data"]["split"] == "test"
    assert doc["data"]["images"] == 13
    assert doc["step"] == 3
    assert doc["predictor"] == "teacher"
    assert (run / "test-test-whole" / doc["checkpoint"]).resolve() == checkpoint.resolve()
    summary = ssseg.Run(run).summary
    assert doc["training"]["split_hash"] == summary["data"]["split_hash"]
    assert doc["training"] == {
        **{key: read_checkpoint(checkpoint)["ssseg"]["data"][key] for key in ("name", "split")},
        "split_hash": summary["data"]["split_hash"],
    }
    assert doc["command"].startswith("ssseg test --ckpt_path")
    assert doc["evaluation"]["protocol"] == "whole"
    assert summary["evaluation"].items() <= doc["evaluation"].items()
    said = page(run / "test-test-whole")
    for text in (doc["training"]["split_hash"], *doc["evaluation"]["words"], "step 3"):
        assert text.replace("'", "&#x27;") in said


def test_worst_and_best_images_are_those_of_a_plain_recomputation(run, checkpoint):
    found = predictions(checkpoint, "teacher")
    mious = {key: np.nanmean(plain_iou(*pair, 8)) for key, pair in found.items()}
    order = sorted(mious, key=mious.get)
    doc = document_of(run / "test-test-whole")
    assert [entry["id"] for entry in doc["worst"]] == order[:6]
    assert [entry["id"] for entry in doc["best"]] == order[::-1][:6]
    for entry in [*doc["worst"], *doc["best"]]:
        truth, guess = found[entry["id"]]
        assert entry["miou"] == pytest.approx(mious[entry["id"]], rel=1e-5)
        assert entry["pixel_accuracy"] == pytest.approx((truth == guess).mean(), rel=1e-5)
    html = page(run / "test-test-whole")
    places = [html.index(f"<figcaption>{e['id']} ") for e in [*doc["worst"], *doc["best"]]]
    assert places == sorted(places)


def test_every_row_of_the_confusion_matrix_sums_to_100_percent(run, checkpoint):
    table = page(run / "test-test-whole").partition('class="matrix"')[2].partition("</table>")[0]
    rows = [
        re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)
    ]
    rows = [row for row in rows if row]
    found = predictions(checkpoint, "teacher")
    truth, guess = (np.stack([pair[i] for pair in found.values()]) for i in (0, 1))
    assert len(rows) == 8
    for c, row in enumerate(rows):
        if not (truth == c).any():
            assert row == ["-"] * 8
            continue
        assert sum(float(cell or 0) for cell in row) == pytest.approx(100, abs=0.05 * 8)
        shares = [100 * (guess[truth == c] == k).mean() for k in range(8)]
        assert [float(cell or 0) for cell in row] == pytest.approx(shares, abs=0.0501)


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


def test_the_page_is_whole_and_loads_nothing(run):
    folder = run / "test-test-whole"
    html = page(folder)
    assert html.startswith("<!doctype html>")
    assert not re.search(r"https?://|@import|url\(", html)
    walk = Walk(html)
    assert len(walk.loaded) == 12 * 4
    assert all(uri.startswith("data:image/") for uri in walk.loaded)
    assert sorted(walk.links) == sorted(f.name for f in folder.iterdir() if f.suffix != ".html")


def test_names_are_escaped(run):
    name = '<b>&"x"'
    doc = document_of(run / "test-test-whole")
    old = doc["data"]["classes"][1]["name"]
    doc = json.loads(json.dumps(doc).replace(json.dumps(old), json.dumps(name)))
    doc["worst"][0]["id"] = name
    counts = np.arange(64).reshape(8, 8).tolist()
    tiles = [Tiles(*[np.zeros((4, 6, 3), np.uint8)] * 4)] * 6
    html = evaluation_page(doc, counts, tiles, tiles)
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;&quot;x&quot;") > 10
    assert "".join(Walk(html).text).count(name) >= 4  # bars, matrix twice, legend, caption


def test_every_mode_has_a_folder_of_its_own(run, checkpoint, capsys):
    modes = {
        "test-val-slide": ["--eval.mode", "slide", "--eval.window", "[16, 24]"],
        "test-val-whole-2scales-flip": ["--eval.scales", "[0.5, 1.0]", "--eval.flip", "true"],
        "test-val-whole": ["--eval.boundary", "false"],
        "test-val-whole-2": ["--eval.missing_classes", "zero"],
    }
    for name, args in modes.items():
        assert main(["validate", "--ckpt_path", str(checkpoint), *args]) == 0
        out = capsys.readouterr().out
        assert f"page     {run / name / 'index.html'}" in out
        doc = document_of(run / name)
        for network, found in doc["networks"].items():
            line = next(s for s in out.splitlines() if s.startswith(f"{network}: "))
            assert f"mIoU {100 * found['miou']:.2f}, " in line
            assert f"pixel accuracy {100 * found['pixel_accuracy']:.2f}" in line
    docs = {name: document_of(run / name) for name in modes}
    assert docs["test-val-slide"]["evaluation"]["protocol"] == "slide 16 x 24"
    said = {name: " ".join(doc["evaluation"]["words"]) for name, doc in docs.items()}
    assert "16 x 24 pixels" in said["test-val-slide"]
    assert "11 pixels down and 16 right" in said["test-val-slide"]
    assert (
        "resized by 0.5, 1, and over the image and its mirror"
        in said["test-val-whole-2scales-flip"]
    )
    assert "boundary_iou" not in docs["test-val-whole"]["networks"]["teacher"]
    last = ssseg.Run(run).summary["last"]
    assert docs["test-val-whole"]["networks"]["teacher"]["iou"] == last["teacher"]["iou"]


def test_validation_images_can_be_tested(run, checkpoint, tmp_path):
    args = ["test", "--ckpt_path", str(checkpoint), "--split", "val"]
    assert main([*args, "--out", str(tmp_path / "page")]) == 0
    doc = document_of(tmp_path / "page")
    assert doc["data"]["split"] == "val"
    assert len(doc["worst"]) == len(doc["best"]) == 2
    last = ssseg.Run(run).summary["last"]
    for network in ("student", "teacher"):
        assert doc["networks"][network]["miou"] == last[network]["miou"]


def test_only_known_splits_and_free_folders(run, checkpoint, capfd):
    before = sorted(run.iterdir())
    for args, complaint in (
        (["test", "--split", "tset"], "option split is 'tset'; expected one of 'test', 'val'"),
        (["validate", "--split", "test"], "unrecognized arguments"),
        (["test", "--out", str(run)], "is not empty"),
        (["test", "--data.test_images", "0"], "has no test images with masks"),
    ):
        assert main([*args, "--ckpt_path", str(checkpoint)]) == 2
        assert complaint in capfd.readouterr().err
    assert sorted(run.iterdir()) == before


def test_from_python(run, checkpoint, tmp_path):
    before = sorted(run.iterdir())
    first = ssseg.test(checkpoint, page=False)
    assert sorted(run.iterdir()) == before
    options = {"mode": "slide", "window": [32, 32]}  # one window: the same as the whole image
    second = ssseg.test(checkpoint, out=tmp_path / "page", eval_options=options)
    assert set(first) == {"test/miou", "test/miou_student", "test/miou_teacher"}
    assert second == pytest.approx(first)
    assert document_of(tmp_path / "page")["evaluation"]["protocol"] == "slide 32 x 32"
    third = ssseg.test(checkpoint, split="val", page=False)
    assert third == ssseg.validate(checkpoint, page=False)


def test_image_scores_are_plain_ones_and_need_no_values_on_the_host():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 5, (4, 9, 7), generator=generator)
    predicted = torch.randint(0, 6, (4, 9, 7), generator=generator)
    label[torch.rand((4, 9, 7), generator=generator) < 0.3] = 255
    label[2] = 255
    found = image_scores(predicted, label, 6)
    for row, truth, guess in zip(found.tolist(), label.numpy(), predicted.numpy(), strict=True):
        if (truth == 255).all():
            assert all(math.isnan(value) for value in row)
            continue
        right = (truth == guess)[truth != 255].mean()
        assert row == pytest.approx([np.nanmean(plain_iou(truth, guess, 6)), right], rel=1e-5)
    # tensors without values: whatever looked at one would fail
    nothing = image_scores(predicted.to("meta"), label.to("meta"), 6)
    assert nothing.shape == (4, 2)


def test_no_image_is_both_among_the_worst_and_the_best():
    found = [Shown(i, value, 0.0) for i, value in enumerate([0.5, float("nan"), 0.1, 0.9, 0.2])]
    worst, best = worst_and_best(found, 6)
    assert [one.place for one in worst] == [2, 4]
    assert [one.place for one in best] == [3, 0]
    worst, best = worst_and_best(found[:1], 6)
    assert (len(worst), len(best)) == (1, 0)
    assert worst_and_best([], 6) == ([], [])


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


class First(torch.nn.Module):
    """Predicts the first class everywhere: the more of it, the better."""

    training = False
    num_classes, in_channels = 8, 3

    def forward(self, image):
        scores = torch.zeros((len(image), 8, *image.shape[-2:]))
        scores[:, 0] = 1
        return scores


@pytest.mark.parametrize("part", [1.0, 2])
def test_images_of_several_sizes_are_told_apart(tmp_path, part):
    """A trainer of one's own, and a source that knows no sizes: batches hold several."""
    data = SegmentationData(TwoSizes(), labeled=4, batch_size=2, val_batch_size=4)
    module = make_module("supervised")
    module.method._modules["student"] = First()
    about = {"step": 0, "method": "none", "training": None, "command": "none"}
    callback = EvaluationPage(str(tmp_path / "page"), Path("x.ckpt"), about)
    trainer = make_trainer(1, tmp_path, callbacks=[callback], limit_test_batches=part)
    trainer.test(module, data, verbose=False)
    doc = document_of(tmp_path / "page")
    shown = [entry["id"] for entry in [*doc["worst"], *doc["best"][::-1]]]
    source = data.source
    share = {r.id: (source.read_mask(r) == 0).mean() for r in source.records("test")}
    assert shown == sorted(share, key=share.get)
    for entry in doc["worst"]:
        assert entry["pixel_accuracy"] == pytest.approx(share[entry["id"]])


def test_what_is_absent_is_named():
    data = SegmentationData(TwoSizes(), labeled=4, batch_size=2)
    module = make_module("mean_teacher")
    counts = {"student": torch.zeros(8, 8), "teacher": torch.zeros(8, 8)}
    for matrix_of in counts.values():
        matrix_of[:6, :6] = 1
    found = EvaluationResults("test", 7, 7, {n: scores(m) for n, m in counts.items()}, {})
    said = " ".join(protocol(module, data, found))
    assert "neither in the truth nor in any prediction is not in the mean: g, h." in said
    counts["teacher"][0, 6] = 1
    module.missing_classes = "zero"
    found = found._replace(scores={n: scores(m) for n, m in counts.items()}, images=5)
    said = " ".join(protocol(module, data, found))
    assert "prediction of the student counts as 0 in the mean, as in older protocols: g, h." in said
    assert "prediction of the teacher counts as 0 in the mean, as in older protocols: h." in said
    assert "5 of the test split of two sizes, a part of 7." in said
    data.eval_masks, data.eval_crop = "resized", (20, 24)
    said = " ".join(protocol(module, data, found))
    assert "the masks are resized too" in said
    assert "Only the centre of 20 x 24 pixels" in said


def test_a_matrix_of_many_classes_stays_short():
    names = [f"class {i}" for i in range(60)]
    html = matrix(names, (1000 * np.eye(60) + 1).astype(int).tolist())
    assert html.count("<td") == 3600
    assert ">94</td>" in html
    Walk(html)


def test_folders_are_named_by_what_was_done():
    from ssseg.evaluation import Inference

    assert page_name("val", Inference("slide", (3, 3), flip=True)) == "test-val-slide-flip"
    assert page_name("test", Inference(scales=(0.5,))) == "test-test-whole-scale0.5"
