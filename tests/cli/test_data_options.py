"""Options of a data set, as verbs take them that do not train."""

import pytest

from ssseg.cli.data_options import Parser, describe_source, open_source
from ssseg.data.datasets import Street
from ssseg.data.datasets.folder import Folder
from ssseg.errors import UserError
from tests.data.trees import ids


def parser():
    made = Parser(prog="ssseg look")
    made.add_argument("--deep", action="store_true")
    return made


@pytest.mark.parametrize(
    "args",
    [
        ["{root}"],
        ["--data", "folder", "--data.root", "{root}"],
        ["--data.root={root}", "--data=folder"],
    ],
)
def test_a_folder_alone_is_a_data_set_in_the_folder_layout(tree, args):
    source, others = parser().parse([*(arg.format(root=tree) for arg in args), "--deep"])
    assert isinstance(source, Folder)
    assert ids(source.records("train")) == [f"a{i}" for i in range(8)]
    assert others.deep


def test_values_get_the_types_of_the_data_set():
    source, others = parser().parse(["--data", "street", "--data.size", "33"])
    assert isinstance(source, Street)
    assert source.read_image(source.records("val")[0]).shape == (33, 33, 3)
    assert not others.deep


def test_nothing_is_opened_before_it_is_asked_for(tmp_path):
    make, _ = parser().describe([str(tmp_path / "nowhere")])
    assert (make.func, make.keywords["root"]) == (Folder, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no such folder"):
        make()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give a folder, or --data with one of"),
        (["photos", "--data", "street"], "both given; expected one"),
        (["photos", "--data.root", "others"], "both given; expected one"),
        (["--data", "stret"], "did you mean 'street'"),
        (["--data", "street", "--data.sice", "32"], "did you mean 'size'"),
        (["--data", "street", "--data.size"], "option --data.size needs a value"),
        (["--data", "street", "--data.size", "large"], "large"),
        (["--data", "folder"], "data set folder needs option --data.root"),
        (["--dep"], "ssseg look: unrecognized arguments: --dep"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(args, said):
    with pytest.raises(UserError) as caught:
        parser().parse(args)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class Untyped(Street):
    """Someone's data set without type annotations."""

    def __init__(self, pictures, side=32):
        super().__init__(train_images=pictures, size=side)


class Anything(Street):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)


def test_a_class_without_annotations_is_opened_as_in_training():
    source = open_source(f"{__name__}.Untyped", {"pictures": "5", "side": "33"})
    assert len(source.records("train")) == 5
    assert source.read_image(source.records("val")[0]).shape == (33, 33, 3)
    with pytest.raises(UserError, match=r"needs option --data\.pictures"):
        open_source(f"{__name__}.Untyped", {})
    assert isinstance(open_source(f"{__name__}.Anything", {}), Anything)


def test_by_name():
    assert open_source("street", {"val_images": "3"}).records("val")[-1].id.endswith("2")
    assert describe_source("street", {}).func is Street
