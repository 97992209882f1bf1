import shutil

import pytest

import ssseg
from ssseg.cli.main import main
from ssseg.errors import UserError

OPTIONS = [
    *("fit", "--method", "classmix", "--method.threshold", "0", "--method.warmup_steps", "3"),
    *("--data", "street", "--data.train_images", "24", "--data.val_images", "4"),
    *("--data.size", "32", "--data.labeled", "8", "--data.batch_size", "4"),
    *("--trainer.accelerator", "cpu", "--trainer.max_steps", "20"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.val_check_interval", "20", "--checkpoint_every", "5"),
]


def test_replaying_what_is_finished_or_fine(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["debug-nan", str(folder)]) == 2
    assert "holds no unfinished run" in capsys.readouterr().err
    assert main([*OPTIONS, "--out", str(folder)]) == 0
    unfinished = tmp_path / "unfinished"
    shutil.copytree(folder, unfinished)
    (unfinished / "summary.json").unlink()
    (unfinished / "checkpoints" / "last.ckpt").unlink()
    capsys.readouterr()
    assert main(["debug-nan", str(unfinished)]) == 0
    assert "all losses and gradients were finite" in capsys.readouterr().out
    assert ssseg.debug_nan(str(unfinished)).step is None
    with pytest.raises(UserError, match="holds no unfinished run"):
        ssseg.debug_nan(folder)
    assert main(["debug-nan"]) == 2
    assert "usage: ssseg debug-nan FOLDER" in capsys.readouterr().out
