import ssseg
from tests.data.trees import draw_tree
from tests.datacheck.faults import finding, kinds


def test_a_list_that_names_a_broken_image_is_reported_beside_the_cause(tmp_path):
    root = draw_tree(tmp_path / "photos")
    (root / "train" / "masks" / "a2.png").unlink()
    (tmp_path / "few.txt").write_text("a1\na2\n")
    report = ssseg.doctor(root=root, labeled=tmp_path / "few.txt")
    assert {"mask_missing", "split"} <= set(kinds(report))


def test_other_sources_say_their_own_sentence(tmp_path, monkeypatch):
    (tmp_path / "odd_source.py").write_text(
        "import numpy as np\n"
        "from ssseg.data.datasets.base import ClassInfo, Record, Source\n"
        "from ssseg.errors import UserError\n\n\n"
        "class Odd(Source):\n"
        "    name, classes = 'odd', [ClassInfo('a', (0, 0, 0)), ClassInfo('b', (9, 9, 9))]\n\n"
        "    def __init__(self, shut: bool = False) -> None:\n"
        "        if shut:\n"
        "            raise UserError('the drawer is shut; open it')\n\n"
        "    def records(self, split):\n"
        "        if split == 'val':\n"
        "            raise UserError('val is not unpacked; unpack it')\n"
        "        return [Record(f'{split}/{i}', i, i) for i in range(6)]\n\n"
        "    def read_image(self, record):\n"
        "        return np.full((40, 50, 3), record.image + len(record.id), np.uint8)\n\n"
        "    def read_mask(self, record):\n"
        "        if record.id == 'train/3':\n"
        "            raise UserError('mask train/3 is smudged; wash it')\n"
        "        return np.full((40, 50), record.image % 2, np.uint8)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    report = ssseg.doctor("odd_source.Odd", shut=True)
    assert finding(report, "source")["text"] == "the drawer is shut; open it"
    assert report["verdict"]["text"] == "training cannot start: 1 problem"
    report = ssseg.doctor("odd_source.Odd")
    assert finding(report, "source")["text"] == "val is not unpacked; unpack it"
    assert "mask train/3 is smudged" in finding(report, "mask_refused")["text"]
    assert report["sets"]["labeled"]["images"] == report["sets"]["test"]["images"] == 6
    assert report["sets"]["labeled"]["masks"] == 5
