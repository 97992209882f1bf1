import pytest

import ssseg
from ssseg.exporting.formats import FORMATS
from ssseg.runs.run import Run


def _train(folder):
    ssseg.fit(
        "classmix",
        out=folder,
        max_steps=2,
        network="unet",
        network_options={"weights": "random", "encoder": "test_resnet", "depth": 3},
        optim={"lr": 0.01},
        trainer={"accelerator": "cpu"},
        **{"train_images": 8, "val_images": 2, "size": 32, "labeled": 4, "batch_size": 2},
    )


@pytest.fixture(scope="session")
def small_run(made_once):
    """A run of two steps on an encoder of a few layers."""
    return Run(made_once("exporting_run", _train))


@pytest.fixture(scope="session")
def exported_files(small_run, made_once):
    """The teacher in every format."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    names = {name: f"model{each.ending}" for name, each in FORMATS.items()}

    def export(folder):
        folder.mkdir()
        for name in names.values():
            ssseg.export(small_run.checkpoint(), out=folder / name)

    folder = made_once("exported", export)
    return {name: folder / file for name, file in names.items()}


@pytest.fixture
def bare_checkpoint(small_run, tmp_path):
    """The checkpoint alone, without its run."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(small_run.checkpoint().read_bytes())
    return path
