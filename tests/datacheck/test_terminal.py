import os
import re
import subprocess
import sys

import numpy as np

from ssseg.cli.main import main
from tests.data.trees import draw_tree, save
from tests.datacheck.faults import examined, truncate


def test_text_and_document_agree(tmp_path, capsys):
    root = draw_tree(tmp_path / "photos", train=9)
    (root / "unlabeled" / "u1.png").write_bytes(b"")
    truncate(root / "val" / "masks" / "a1.png")
    save(np.full((24, 32), 9, np.uint8), root / "train" / "masks" / "a2.png")
    code, report = examined(capsys, root)
    assert main(["doctor", str(root)]) == code == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    lines = captured.out.splitlines()
    assert max(map(len, lines)) <= 80
    flowing = " ".join(captured.out.split())
    assert len(report["findings"]) >= 3
    for found in report["findings"]:
        assert found["text"] in flowing
    for name, numbers in report["sets"].items():
        assert re.search(rf"^{name} +{numbers['images']} ", captured.out, re.MULTILINE)
    for info in report["classes"]:
        share = f"{info['labeled']['share']:.1%}"
        assert re.search(rf"^ *{info['id']}  {info['name']} +{share} ", captured.out, re.MULTILINE)
    assert report["proposal"]["option"] in flowing
    assert f"about {report['estimate']['memory']['bytes'] / 2**30:.1f} GB" in flowing
    assert lines[-1] == report["verdict"]["text"] == "training cannot start: 3 problems"
    order = ["error", "warning", "note"]
    severities = [order.index(found["severity"]) for found in report["findings"]]
    assert severities == sorted(severities)


def test_no_progress_and_no_colour_where_nobody_looks(tmp_path):
    root = draw_tree(tmp_path / "photos")
    (root / "val" / "images" / "a0.png").write_bytes(b"no image")
    done = subprocess.run(
        [sys.executable, "-m", "ssseg", "doctor", "photos"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "(val/images/a0.png)" in " ".join(done.stdout.split())
    assert done.stdout.endswith("training cannot start: 1 problem\n")
    assert "\x1b" not in done.stdout
