"""What cannot work is one sentence, and nothing is left behind."""

import pytest

from ssseg.cli.main import main
from tests.cli.small_runs import fit

BAD = [
    ([], "option --method is missing"),
    (["--method"], "--method needs one value"),
    (["--method", "classmix", "-c", "no.yaml"], "there is no file no.yaml"),
    (["--method", "clasmix"], "did you mean 'classmix'"),
    (["--method", "cutmix", "--method", "cowmix"], "given twice: cutmix and cowmix"),
    (["--method", "nowhere.Thing"], "no method at 'nowhere.Thing'"),
    (["--method", "ssseg.Segmenter"], "'ssseg.Segmenter' is not a method"),
    (["--method", "classmix", "--method.treshold", "1"], "did you mean 'threshold'"),
    (["--method", "classmix", "--method.threshold", "high"], "is 'high'; expected a number"),
    (["--method", "classmix", "--method.rounding", "up"], "'floor', 'ceil', 'random'"),
    (["--method", "mixup", "--method.loss", "cross_entropy"], "loss of mixup"),
    (["--method", "classmix", "--data", "foldr"], "did you mean 'folder'"),
    (["--method", "classmix", "--data", "folder"], "needs option --data.root"),
    (["--method", "classmix", "--data", "folder", "--data.root", "no"], "no such folder"),
    (["--method", "classmix", "--data.lable", "8"], "unknown option of data set street"),
    (["--method", "classmix", "--data.labeled", "9/8"], "576 of 512 training images"),
    (["--method", "classmix", "--data.labeled", "all"], "needs unlabeled images"),
    (["--method", "classmix", "--data.batch_size", "64"], "only 16 labeled images"),
    (["--method", "classmix", "--data.crop_size", "[64]"], "option data.crop_size"),
    (["--method", "classmix", "--network", "unett"], "did you mean 'unet'"),
    (["--method", "classmix", "--network", "atuo"], "did you mean 'auto'"),
    (["--method", "classmix", "--network", "auto", "--network", "fpn"], "twice: auto and fpn"),
    (["--method", "classmix", "--network.encoder", "resnet81"], "did you mean 'resnet18'"),
    (["--method", "classmix", "--network.encoder", "mobilenet_v2"], "'mobilenetv2_100'"),
    (["--method", "classmix", "--network.weights", "no.pth"], "no weight file no.pth"),
    (["--method", "classmix", "--optim.lrr", "1"], "did you mean 'lr'"),
    (["--method", "classmix", "--optim.name", "adam"], "'adamw', 'sgd'"),
    (["--method", "classmix", "--logger", "mlflow"], "unknown logger 'mlflow'"),
    (["--method", "classmix", "--trainer.max_step", "5"], "did you mean 'max_steps'"),
    (["--method", "classmix", "--trainer.max_steps", "five"], "expected a whole number"),
    (["--method", "classmix", "--trainer.max_steps", "0"], "trainer.max_steps is 0"),
    (["--method", "classmix", "--config", "no.yaml"], "there is no file no.yaml"),
    (["--method", "classmix", "--foo", "1"], "unknown option 'foo'"),
]


@pytest.mark.parametrize(("args", "complaint"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_sentence_and_leaves_nothing(here, capfd, args, complaint):
    assert main(["fit", *args]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if "ssseg: error" in line]
    assert len(err) == 1
    assert complaint in err[0]
    assert "Traceback" not in err[0]
    assert not list(here.iterdir())


def test_a_used_folder_is_not_written_to(here, capfd):
    (here / "run").mkdir()
    (here / "run" / "thesis.txt").write_text("precious")
    assert fit("--method", "supervised", "--out", "run") == 2
    assert "the folder run is not empty" in capfd.readouterr().err
    assert [p.name for p in (here / "run").iterdir()] == ["thesis.txt"]
