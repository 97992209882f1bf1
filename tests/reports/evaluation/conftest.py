import pytest
import torch

from ssseg.cli.main import main
from tests.reports.evaluation.documents import SIZES


@pytest.fixture(scope="session")
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
    """Its last one."""
    return run / "checkpoints" / "last.ckpt"
