"""A step never waits for the device: nothing in it asks for a value on the host."""

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from ssseg.distributed import sum_dtype
from ssseg.evaluation.pseudo_labels import pseudo_label_metrics, to_floats
from ssseg.methods import METHODS, method_class
from ssseg.testing import NUM_CLASSES, make_method, step, tiny_batch
from ssseg.training.optimizer import OptimizerConfig
from tests.conftest import make_data, make_module, make_trainer

WAITING = {
    "_local_scalar_dense",  # .item(), float(tensor), if tensor:
    "nonzero",  # also torch.where(mask)
    "masked_select",
    "unique_dim",
    "_unique",
    "_unique2",
    "unique_consecutive",
    "bincount",
    "equal",
    "is_nonzero",
}
"""ATen operators whose result has to be known on the host: on a GPU, it waits for them."""

OPTIONS = [
    *((name, {}) for name in METHODS),
    ("classmix", {"extra_augmentation": True, "conf_weight": "batch", "denominator": "all"}),
    ("complexmix", {"gate": "pixel_before", "rounding": "random"}),
    ("mean_teacher", {"loss": "soft_cross_entropy", "rampup_steps": 90.0}),
    ("guidedmix", {"variant": "paper"}),
    ("guidedmix", {"variant": "paper", "use_teacher": True}),
    ("guidedmix", {"pair": "similar_unlabeled", "labeled_side": "truth", "alpha": 0.4}),
]


class Waits(TorchDispatchMode):
    """Counts the operators that make the host wait, those of the backward pass included."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        copied = name == "_to_copy" and (kwargs or {}).get("device") not in (None, args[0].device)
        masks = [
            index
            for index in (args[1] if name in ("index", "index_put", "index_put_") else ())
            if index is not None and index.dtype in (torch.bool, torch.uint8)
        ]
        if name in WAITING or copied or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def watched_step(mode, name, options):
    """What a mode found in a step of a method and its readings, and what would be logged of it."""
    method = make_method(method_class(name), options)
    batch, now = tiny_batch(method.num_views), step()
    truth = torch.zeros_like(batch.unlabeled.valid, dtype=torch.int64)
    with mode:
        out = method.losses(batch, now)
        torch.autograd.backward(torch.stack(list(out.losses.values())).sum())
        method.after_step(now)
        logs = dict(out.logs)
        if out.pseudo is not None:
            names = [str(i) for i in range(NUM_CLASSES)]
            logs |= pseudo_label_metrics(out.pseudo, truth, [1] * NUM_CLASSES, names)
    return mode.found, logs


@pytest.mark.parametrize("ask", [
    lambda x: x.sum().item(),
    lambda x: x[x > 0],
    lambda x: bool(x.any()),
    lambda x: torch.unique(x),
    lambda x: torch.nn.functional.one_hot(x.long().abs(), 9),  # it looks at the largest
])  # fmt: skip
def test_the_counter_can_count(ask):
    with Waits() as waits:
        ask(torch.randn(7))
    assert waits.found
    with Widths() as widths:
        torch.ones(2).double()
    assert widths.found


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value))
def test_no_method_waits(name, options):
    assert watched_step(Waits(), name, options)[0] == []


class Widths(TorchDispatchMode):
    """Notes the operators whose results are in float64."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        parts = out if isinstance(out, tuple | list) else [out]
        if any(isinstance(part, torch.Tensor) and part.dtype == torch.float64 for part in parts):
            self.found.append(func.overloadpacket.__name__)
        return out


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value))
def test_a_device_without_float64_is_asked_for_none(name, options, monkeypatch):
    """Apple's GPUs have none; here the CPU stands for one."""
    monkeypatch.setattr("ssseg.distributed.WITHOUT_FLOAT64", ("cpu",))
    found, logs = watched_step(Widths(), name, options)
    with Widths() as widths:
        to_floats(logs)
    assert (found, widths.found) == ([], [])


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_sums_are_as_wide_as_a_device_can(device):
    assert sum_dtype(device) == (torch.float32 if device == "mps" else torch.float64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value))
def test_no_method_waits_on_a_gpu(name, options):
    method = make_method(method_class(name), options).cuda()
    batch = tiny_batch(method.num_views)
    module = make_module(name)
    batch = module._apply_batch_transfer_handler(batch, torch.device("cuda"))
    now = step()
    object.__setattr__(now, "generator", torch.Generator("cuda").manual_seed(0))
    for mode in ("default", "error"):  # the first pass allocates and chooses algorithms
        torch.cuda.set_sync_debug_mode(mode)
        try:
            out = method.losses(batch, now)
            torch.autograd.backward(torch.stack(list(out.losses.values())).sum())
            method.after_step(now)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_whole_step_waits_only_where_numbers_are_logged(tmp_path):
    """Trainer, logging, callbacks and the optimiser included."""

    class Count(Callback):
        def __init__(self):
            self.waits, self.found = None, {}

        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            self.waits = Waits()
            self.waits.__enter__()

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.waits.__exit__(None, None, None)
            self.found[trainer.global_step] = self.waits.found

    count = Count()
    # AdamW keeps its step counts on the host, from where it reads them
    module = make_module("classmix", optim=OptimizerConfig(name="sgd"))
    make_trainer(9, tmp_path, callbacks=[count], log_every_n_steps=4).fit(module, make_data())
    assert {number: found for number, found in count.found.items() if found} == {}
    assert len(count.found) == 9
