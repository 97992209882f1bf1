"""Real processes: scores, weights and logs are the same for any number of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import ssseg
from ssseg.runs.run import Run
from tests.spread import free_port

TINY = {
    "train_images": 12,
    "val_images": 4,
    "test_images": 7,  # neither 2 processes nor batches of 2 divide it
    "size": 32,
    "labeled": 8,
    "batch_size": 4,
}
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def ssseg_process(*args, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "ssseg", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def done(process):
    """What it printed; it must have worked."""
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def scores_of(checkpoint, out, *args):
    """What `ssseg test` writes, in a process of its own."""
    args = ["--ckpt_path", str(checkpoint), "--out", str(out), *args]
    said = done(ssseg_process("test", *args, "--trainer.accelerator", "cpu"))
    assert said.count("student: mIoU") == 1, "every process reports"
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))["networks"]


@pytest.mark.slow
def test_one_process_and_two_agree_for_any_batch_size(tmp_path):
    trainer = {"accelerator": "cpu"}
    run = ssseg.fit("classmix", out=tmp_path / "run", max_steps=2, trainer=trainer, **TINY)
    checkpoint = run.checkpoint()
    one = scores_of(checkpoint, tmp_path / "one", "--data.val_batch_size", "1")
    two = scores_of(checkpoint, tmp_path / "two", "--data.val_batch_size", "2", *TWO)
    assert one == two
    assert set(one) == {"student", "teacher"}


EXACT = [
    *("fit", "--trainer.accelerator", "cpu"),
    *("--trainer.precision", "64-true", "--network.freeze_bn", "true"),
    *("--data.train_images", "24", "--data.val_images", "7", "--data.val_batch_size", "2"),
    *("--data.size", "32", "--data.labeled", "8", "--data.batch_size", "4"),
    *("--trainer.max_steps", "50", "--trainer.val_check_interval", "25"),
    *("--trainer.log_every_n_steps", "5"),
]
METHOD = {
    "supervised": [],
    "classmix": ["--method.threshold", "0.15", "--method.teacher_norm", "running"],
}


def assert_same_run(first, second):
    """Weights to 1e-9, scores alike, and in the logs the numbers of the whole batch."""
    states = [torch.load(r.checkpoint(), weights_only=True)["state_dict"] for r in (first, second)]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=0, atol=1e-9)
    assert first.history == second.history
    own = ("pseudo", "class", "seconds/")  # shares of classes are means of those of the devices
    ours, theirs = (
        [{k: v for k, v in row.items() if not any(part in k for part in own)} for row in rows]
        for rows in (first.metrics, second.metrics)
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["supervised", "classmix"])
def test_two_processes_train_as_one(tmp_path, name):
    """In float64, without batch statistics, which are each device's own."""
    options = [*EXACT, "--method", name, *METHOD[name]]
    one = ssseg_process(*options, "--out", str(tmp_path / "one"))
    two = ssseg_process(*options, "--out", str(tmp_path / "two"), *TWO)
    assert "(2 on each of 2 devices)" not in done(one)
    said = done(two)
    assert said.count("(2 on each of 2 devices)") == (1 if name == "supervised" else 2)
    assert said.count("step    25/50") == 1, "every process reports"
    assert_same_run(Run(tmp_path / "one"), Run(tmp_path / "two"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["nodes", "torchrun"])
def test_four_processes_on_two_nodes_train_as_one(tmp_path, how):
    options = [*EXACT, "--method", "classmix", *METHOD["classmix"]]
    done(ssseg_process(*options, "--out", str(tmp_path / "one")))
    options += ["--out", str(tmp_path / "four"), "--trainer.num_nodes", "2", *TWO]
    port = free_port()
    if how == "nodes":
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        nodes = [ssseg_process(*options, NODE_RANK=str(rank), **where) for rank in (0, 1)]
    else:
        run = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        run += ["--nproc_per_node", "2", "--master_addr", "127.0.0.1", "--master_port", str(port)]
        nodes = [
            subprocess.Popen(
                [*run, "--node_rank", str(rank), "-m", "ssseg", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for rank in (0, 1)
        ]
    said = "".join(map(done, nodes))
    assert said.count("classmix on street: mIoU") == 1
    assert_same_run(Run(tmp_path / "one"), Run(tmp_path / "four"))


@pytest.mark.slow
def test_sigterm_to_the_first_process_ends_all_and_the_run_goes_on(tmp_path):
    """The signal is forwarded to the process that was launched; both stop after the same step."""
    options = [*EXACT, "--method", "supervised", "--checkpoint_every", "2"]
    options += ["--trainer.max_steps", "150", "--trainer.val_check_interval", "75"]
    done(ssseg_process(*options, "--out", str(tmp_path / "one")))
    two = [*options, "--out", str(tmp_path / "two"), *TWO]
    process = ssseg_process(*two)
    last = tmp_path / "two" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 200
    while not last.is_file():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    # the output ends when both processes have; Lightning kills the first one if it ends later
    said = process.communicate(timeout=200)[0]
    assert process.returncode in (128 + signal.SIGTERM, -signal.SIGKILL), said
    assert not (tmp_path / "two" / "summary.json").exists()
    assert torch.load(last, weights_only=True)["global_step"] < 150
    done(ssseg_process(*two))
    assert_same_run(Run(tmp_path / "one"), Run(tmp_path / "two"))


SCRIPT = """
import sys
import pytorch_lightning as pl
import torch
from ssseg.methods import create_method
from ssseg.training.module import SegmentationModule
from ssseg.testing import tiny_network
from tests.conftest import make_data, make_trainer

name, hparams, out = sys.argv[1], eval(sys.argv[2]), sys.argv[3]


class Compare(pl.Callback):
    def on_train_batch_end(self, trainer, module, *_):
        parts = {name: getattr(module.method, name) for name in module.method.replicated}
        for name, part in parts.items():  # nobody has sent these yet
            alike.extend((name, t.clone()) for t in part.buffers())

    def on_validation_end(self, trainer, module):
        found[trainer.global_step] = {n: t.clone() for n, t in module.method.state_dict().items()}
        unused.append(trainer.strategy.model.find_unused_parameters)


found, unused, alike = {}, [], []
torch.manual_seed(0)
module = SegmentationModule(create_method(name, **hparams), tiny_network(8), seed=0)
options = {"devices": 2, "strategy": "ddp", "val_check_interval": 2, "callbacks": [Compare()]}
trainer = make_trainer(6, out, **options)
data = make_data(val_batch_size=1)
data.source.sizes["val"] = int(sys.argv[4])
trainer.fit(module, data)
torch.save([found, unused[0], alike], f"{out}/rank{trainer.global_rank}.pt")
"""


@pytest.mark.parametrize(
    ("name", "hparams", "val"),
    [
        ("classmix", {"warmup_steps": 2, "threshold": 0.0}, 5),
        pytest.param(
            *("guidedmix", {"warmup_steps": 2, "threshold": 0.0}, 1), marks=pytest.mark.slow
        ),
        pytest.param(
            *("guidedmix", {"warmup_steps": 2, "variant": "paper"}, 2), marks=pytest.mark.slow
        ),
        pytest.param(*("guidedmix_released", {"warmup_steps": 2}, 2), marks=pytest.mark.slow),
        pytest.param(
            *("prevmatch", {"warmup_steps": 2, "snapshots": 2}, 2), marks=pytest.mark.slow
        ),
        pytest.param(*("contrast", {"warmup_steps": 2}, 2), marks=pytest.mark.slow),
    ],
    ids=["classmix", "guidedmix", "guidedmix (paper)", "released", "snapshots", "bank"],
)
def test_all_processes_hold_the_same_networks(tmp_path, name, hparams, val):
    """With BatchNorm as it is; student, teacher, heads; fewer validation images than devices."""
    (tmp_path / "script.py").write_text(SCRIPT)
    here = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "script.py", name, repr(hparams), str(tmp_path), str(val)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": here},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    (first, looks_for_unused, ours), (second, _, theirs) = (
        torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert (
        looks_for_unused is False
    )  # a second decoder that waits for its turn is kept in the graph
    assert list(first) == [2, 4, 6]
    for step, states in first.items():
        for part, tensor in states.items():
            assert torch.equal(tensor, second[step][part]), (step, part)
    assert all(torch.equal(t, other[1]) for (_, t), other in zip(ours, theirs, strict=True))
    assert bool(ours) == (name in ("prevmatch", "contrast"))
