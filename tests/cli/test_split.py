import subprocess
import sys

import numpy as np
import pytest

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets.folder import Folder
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.splits.labeled_split import split_labeled
from ssseg.errors import UserError
from tests.data.trees import data_of, draw_tree, ids, save


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder beside a data set with a class that one image shows."""
    root = draw_tree(tmp_path / "photos")
    for path in (root / "train" / "masks").glob("*.png"):
        save(np.array([[0, 1]] * 2, np.uint8).repeat(12, 0).repeat(16, 1), path)
    save(np.array([[0, 2]] * 2, np.uint8).repeat(12, 0).repeat(16, 1), root / "train/masks/a5.png")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_in_a_process_of_its_own(here):
    command = [sys.executable, "-m", "ssseg", "split", "../photos", "--labeled", "1/2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1/2 seed 0, of photos" in done.stdout
    assert (here / "photos_1-2_seed0.txt").is_file()


def test_the_options_are_listed_without_torch():
    code = (
        "import sys; from ssseg.cli.main import main\n"
        "try: main(['split', '--help'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "--select" in done.stdout


def test_what_it_says_and_writes(here, capsys):
    assert main(["split", "../photos", "--labeled", "1/2", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    source = Folder("../photos")
    split = split_labeled(source.records("train"), "1/2", 1)
    digest = content_hash(source, split.labeled)
    assert f"hash     {digest}" in out
    assert "labeled  4 of 8 training images" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    holds = "a5" in ids(split.labeled)
    assert rows["sky"] == ["4", "8", "50%"]
    assert rows["road"] == [str(4 - holds), "7", f"{(4 - holds) / 7:.0%}"]
    assert rows["car"] == [str(int(holds)), "1", f"{int(holds):.0%}"]
    warned = "warning: class 'car' occurs in 1 training image, but in no labeled one" in out
    assert warned != holds
    head, about, hashed, *names = lines(here / "photos_1-2_seed1.txt")
    assert head == "# ssseg split photos --labeled 1/2 --seed 1"
    assert about == "# 1/2 seed 1: 4 of 8 training images"
    assert hashed == f"# hash {digest}"
    assert names == ids(split.labeled)


def test_a_warning_for_a_class_without_labels(here, capsys):
    seed = next(
        seed
        for seed in range(20)
        if "a5" not in ids(split_labeled(Folder("../photos").records("train"), "2", seed).labeled)
    )
    assert main(["split", "../photos", "--labeled", "2", "--seed", str(seed)]) == 0
    assert "warning: class 'car' occurs in 1 training image" in capsys.readouterr().out
    stratified = ["--labeled", "2", "--select", "stratified", "--seed", str(seed)]
    assert main(["split", "../photos", *stratified]) == 0
    assert "warning" not in capsys.readouterr().out
    assert "a5" in lines(here / f"photos_2_stratified_seed{seed}.txt")


def test_a_class_that_no_training_image_shows(here, capsys):
    save(np.zeros((24, 32), np.uint8), here.parent / "photos/train/masks/a5.png")
    assert main(["split", "../photos", "--labeled", "1/class"]) == 0
    assert "warning: class 'car' occurs in no training image" in capsys.readouterr().out


def test_a_written_list_gives_the_same_split_again(here):
    main(["split", "../photos", "--labeled", "3"])
    by_list = data_of(here.parent / "photos", labeled="photos_3_seed0.txt")
    by_count = data_of(here.parent / "photos", labeled="3")
    assert by_list.split.labeled == by_count.split.labeled
    assert by_list.describe()["split_hash"] == by_count.describe()["split_hash"]
    assert by_list.describe()["split"] == "photos_3_seed0"


def test_masks_that_change_afterwards_are_noticed(here, capsys):
    main(["split", "../photos", "--labeled", "all", "--out", "all.txt"])
    save(np.zeros((24, 32), np.uint8), here.parent / "photos/train/masks/a5.png")
    with pytest.raises(UserError, match="the masks or the list have changed"):
        data_of(here.parent / "photos", labeled="all.txt").prepare("fit", 0)
    assert main(["split", "../photos", "--labeled", "all.txt"]) == 2
    assert "have changed" in capsys.readouterr().err


def test_a_file_is_not_overwritten(here, capsys):
    args = ["split", "../photos", "--labeled", "3"]
    assert main(args) == 0
    assert "wrote" in capsys.readouterr().out
    before = (here / "photos_3_seed0.txt").stat().st_mtime_ns
    assert main(args) == 0
    assert "unchanged" in capsys.readouterr().out
    assert (here / "photos_3_seed0.txt").stat().st_mtime_ns == before
    (here / "photos_3_seed0.txt").write_text("mine")
    assert main(args) == 2
    assert "photos_3_seed0.txt exists with another list; remove it" in capsys.readouterr().err
    assert (here / "photos_3_seed0.txt").read_text() == "mine"


def test_a_list_is_described_and_written_only_when_asked(here, capsys):
    (here / "mine.txt").write_text("a1\na0\na1\n")
    assert main(["split", "../photos", "--labeled", "mine.txt"]) == 0
    out = capsys.readouterr().out
    assert "split    mine, of photos" in out
    assert "warning: mine names 1 image twice ('a1' again in line 3 of mine.txt)" in out
    assert "warning: class 'car'" in out
    assert [path.name for path in here.iterdir()] == ["mine.txt"]
    assert main(["split", "../photos", "--labeled", "mine.txt", "--out", "new/list.txt"]) == 0
    assert lines(here / "new" / "list.txt")[0] == "# ssseg split photos --labeled mine.txt"
    assert lines(here / "new" / "list.txt")[3:] == ["a0", "a1"]
    assert main(["split", "../photos", "--labeled", "all"]) == 0
    assert len(list(here.glob("*"))) == 2


def test_options_can_be_pasted_from_fit(here):
    fit = ["--data", "folder", "--data.root", "../photos", "--data.labeled", "1/2"]
    assert main(["split", *fit, "--data.select=stratified", "--data.split_seed", "4"]) == 0
    assert (here / "photos_1-2_stratified_seed4.txt").is_file()


def test_a_data_set_may_have_its_own_default(here, capsys):
    small = ["--data.train_images", "20", "--data.val_images", "2", "--data.size", "32"]
    assert main(["split", "--data", "street", *small]) == 0
    assert "labeled  16 of 20 training images" in capsys.readouterr().out
    assert (here / "street_16_seed0.txt").is_file()


BAD = [
    (["../photos"], "option --labeled is missing; give a count, a fraction such as 1/8"),
    (["--labeled", "3"], "give a folder, or --data with one of"),
    (["no", "--labeled", "3"], "data.root is no, but there is no such folder"),
    (["../photos", "--labeled", "9"], "9 of 8 training images"),
    (["../photos", "--labeled", "no.txt"], "neither a number nor a readable list file"),
    (["../photos", "--labeled", "3", "--select", "even"], "data.select 'even' (known: random, str"),
    (["../photos", "--labeled", "3", "--seed", "-1"], "option data.split_seed is -1; expected"),
    (["../photos", "--labeled", "3", "--seed", "x"], "invalid int value: 'x'"),
    (["../photos", "--labeled", "3", "--out", "."], ". cannot be written"),
    (["../photos", "--labeled", "3", "--out", "../photos/classes.json/x"], "cannot be written"),
    (["../photos", "--labelled", "3"], "unrecognized arguments: --labelled 3"),
    (["../photos", "--labeled", "3", "--data.lable", "x"], "unknown option of data set folder"),
]


@pytest.mark.parametrize(("args", "said"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_sentence_and_leaves_nothing(here, capsys, args, said):
    assert main(["split", *args]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert said in err
    assert list(here.iterdir()) == []


def test_from_python(here):
    made = ssseg.split("folder", "1/2", root="../photos", select="stratified", seed=2)
    assert made.name == "1/2 stratified seed 2"
    assert (len(made.labeled), len(made.rest)) == (4, 4)
    assert list(here.iterdir()) == []
    same = ssseg.split(
        "folder", "1/2", root="../photos", select="stratified", seed=2, out="list.txt"
    )
    assert same == made
    assert ssseg.split("folder", "list.txt", root="../photos").labeled == made.labeled
    assert len(ssseg.split(labeled=3, train_images=9, size=32).labeled) == 3
    with pytest.raises(UserError, match="option --labeled is missing"):
        ssseg.split("folder", root="../photos")
