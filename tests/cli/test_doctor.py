"""What is counted is true, what is promised is kept: nothing is changed, no mask opened in vain."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import ssseg
from ssseg.cli.main import main
from ssseg.datacheck.file_rules import KINDS
from ssseg.methods import METHODS
from tests.data.trees import draw_tree
from tests.datacheck.faults import examined, finding, read

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def test_python_and_command_line_are_one(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos")
    args = ["--labeled", "1/2", "--method", "cutmix", "--max_steps", "90", "--batch_size", "2"]
    _, report = examined(capsys, root, *args)
    options = {"labeled": "1/2", "method": "cutmix", "max_steps": 90, "batch_size": 2}
    assert json.loads(json.dumps(ssseg.doctor("folder", root=root, **options))) == report
    assert report["estimate"]["exposures"] == {"labeled": 45.0, "unlabeled": 22.5}


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "give a folder"),
        (["no/such/folder"], "no such folder"),
        (["{root}", "--method", "clasmix"], "did you mean 'classmix'"),
        (["{root}", "--network", "unett"], "did you mean 'unet'"),
        (["{root}", "--labeled", "99"], "99 of 8 training images"),
        (["{root}", "--max_steps", "0"], "option max_steps is 0"),
        (["{root}", "--batch_size", "two"], "invalid int value"),
        (["{root}", "--foo"], "unrecognized arguments: --foo"),
        (["{root}", "--data.rot", "x"], "did you mean 'root'"),
        (["{root}", "--data.unlabeled", "no/such"], "no such folder"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, args, complaint):
    root = draw_tree(tmp_path / "photos")
    assert main(["doctor", *(arg.replace("{root}", str(root)) for arg in args)]) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


def keys(value):
    """All keys of a document but those that are themselves data."""
    for key, inside in value.items():
        yield key
        if isinstance(inside, list) and inside and isinstance(inside[0], dict):
            yield from keys(inside[0])
        elif isinstance(inside, dict) and key not in ("channels", "formats"):
            yield from keys(inside)


def test_the_pages_name_every_key_and_every_kind(tmp_path):
    root = draw_tree(tmp_path / "photos")
    found = {"document": keys(ssseg.doctor(root=root, fix=tmp_path / "copy")), "checks": KINDS}
    for name, words in found.items():
        page = (DOCS / f"doctor-{name}.md").read_text(encoding="utf-8")
        for word in words:
            assert f"`{word}`" in page, word


def test_the_page_shows_what_camvid_gives(camvid, capsys):
    page = (DOCS / "doctor.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\n\$ ssseg doctor camvid (.*?)\n(.*?)```", page, re.DOTALL)[0]
    assert main(["doctor", str(camvid), *shown[0].split()]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    # the network's memory is torch's and timm's to change
    assert [line for line in lines if "GB" not in line] == [
        line for line in shown[1].splitlines() if "GB" not in line
    ]


def test_camvid(camvid, capsys):
    """Real photographs; the numbers are those of a plain loop."""
    assert main(["doctor", str(camvid), "--labeled", "1/8", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    report = json.loads(captured.out)
    number = {name: numbers["images"] for name, numbers in report["sets"].items()}
    assert number == {"labeled": 46, "unlabeled": 321, "val": 101, "test": 233}
    assert report["findings"] == []
    masks = np.stack([read(path) for path in sorted((camvid / "val" / "masks").iterdir())])
    valid = (masks != 255).sum()
    for info in report["classes"]:
        assert info["val"]["share"] == pytest.approx((masks == info["id"]).sum() / valid)
    assert report["sets"]["val"]["ignored"] == pytest.approx((masks == 255).mean())
    assert report["proposal"]["crop_size"] == [352, 352]


def test_every_method_can_be_named(tmp_path):
    root = draw_tree(tmp_path / "photos")
    for name in METHODS:
        assert ssseg.doctor(root=root, method=name)["verdict"]["ok"], name


def test_a_finding_says_which_file(tmp_path, capsys):
    """Paths are those inside the data set, for one file as for many."""
    root = draw_tree(tmp_path / "photos", unlabeled=9)
    for i in range(5):
        (root / "unlabeled" / f"u{i}.png").write_bytes(b"")
    _, report = examined(capsys, root)
    found = finding(report, "image_empty")
    assert found["files"] == [f"unlabeled/u{i}.png" for i in range(5)]
    names = "unlabeled/u0.png, unlabeled/u1.png, unlabeled/u2.png and 2 more"
    assert found["text"].startswith(f"5 image files are empty ({names})")
