"""What several tests share: small data, quick trainers, the folder of real photographs."""

import atexit
import os
import shutil
import tempfile
import warnings
from dataclasses import fields
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from filelock import FileLock

from ssseg.data.datasets import Street
from ssseg.data.module import SegmentationData
from ssseg.methods import create_method, method_class
from ssseg.testing import tiny_network
from ssseg.training.module import SegmentationModule

# what the tests and their processes keep of data sets is no part of the user's cache
KEPT = tempfile.mkdtemp()
os.environ["SSSEG_CACHE"] = KEPT
atexit.register(shutil.rmtree, KEPT, ignore_errors=True)
# pretrained weights that a test forgot to give are an error at once, not a download
os.environ["HF_HUB_OFFLINE"] = "1"

warnings.filterwarnings("ignore", ".*does not have many workers")
warnings.filterwarnings("ignore", ".*in eval mode at the start")
warnings.filterwarnings("ignore", ".*mid-epoch")

pytest_plugins = [
    "tests.benchmarking.fixtures",
    "tests.data.fixtures",
    "tests.exporting.fixtures",
    "tests.prediction.fixtures",
]

# the suite runs on two processes; threads of one would fight those of the other
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


@pytest.fixture
def camvid():
    """CamVid in the folder layout; tests that need it are skipped where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "camvid"
    folder = Path(os.environ.get("SSSEG_CAMVID", beside))
    if not (folder / "classes.json").is_file():
        pytest.skip(f"no CamVid at {folder} (SSSEG_CAMVID says where it is)")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder in which commands are given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """`made_once(name, make)`: a folder that `make(folder)` fills once for all processes."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name, make):
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


def make_data(**options):
    source = Street(train_images=24, val_images=6, test_images=4, size=32)
    return SegmentationData(source, **{"labeled": 8, "batch_size": 4, "seed": 0, **options})


def make_module(name="classmix", seed=0, network=None, optim=None, **hparams):
    torch.manual_seed(seed)
    # untrained networks trust nothing: without a threshold of 0 the unlabeled term would be 0
    names = {field.name for field in fields(method_class(name))}
    eager = {key: v for key, v in (("warmup_steps", 2), ("threshold", 0.0)) if key in names}
    method = create_method(name, **{**eager, **hparams})
    options = {} if optim is None else {"optim": optim}
    return SegmentationModule(method, network or tiny_network(8), seed=seed, **options)


def make_trainer(max_steps, folder, **options):
    defaults = {
        "max_epochs": -1,
        "val_check_interval": 1000,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
    }
    return pl.Trainer(max_steps=max_steps, **{**defaults, **options})


def recorded_terms(module):
    """A list that gets the names of the loss terms of every step."""
    terms, losses = [], module.method.losses

    def remember(batch, step):
        out = losses(batch, step)
        terms.append(sorted(out.losses))
        return out

    module.method.losses = remember
    return terms
