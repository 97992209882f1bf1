"""A batch on several devices gives what it gives on one: draws, partners, means, gradients.

Two real processes (gloo) against one that sees the whole batch, in float64.
"""

from dataclasses import fields

import numpy as np
import pytest
import torch

from ssseg.distributed import SINGLE
from ssseg.losses import class_presence_loss, confidence_weight, cross_entropy, weighted_mean
from ssseg.methods import create_method, method_class
from ssseg.ops import Mixed, next_in_ring
from ssseg.testing import NUM_CLASSES, SIDE, tiny_network
from ssseg.types import IGNORE, Batch, Labeled, Step, Unlabeled
from tests.spread import IMAGES, on_devices, seeded

NAMES = ["supervised", "mean_teacher", "mixup", "cutmix", "cowmix", "classmix", "complexmix"]
NAMES += ["fixmatch", "unimatch", "unimatch_v2", "augseg", "dacs", "corrmatch", "contrast"]


def mine(devices, value):
    """A device's part of a batch."""
    share = len(value) // devices.world_size
    return value[devices.rank * share : (devices.rank + 1) * share]


def whole_batch():
    """Labels and validity are spread unevenly over the images, so over devices."""
    generator = seeded(5)
    image, other = torch.randn(2, IMAGES, 3, SIDE, SIDE, generator=generator).double()
    label = torch.randint(0, NUM_CLASSES, (IMAGES, SIDE, SIDE), generator=generator)
    label[0], label[1, : SIDE // 2] = IGNORE, IGNORE
    valid = torch.rand(IMAGES, SIDE, SIDE, generator=generator) < torch.linspace(0.2, 1, IMAGES)[
        :, None, None
    ]  # fmt: skip
    return Batch(Labeled(image, label), Unlabeled([other, other.flip(2), other.flip(1)], valid))


def part_of(batch, devices):
    labeled, unlabeled = batch.labeled, batch.unlabeled
    views = [mine(devices, view) for view in unlabeled.views]
    return Batch(
        Labeled(mine(devices, labeled.image), mine(devices, labeled.label)),
        Unlabeled(views, mine(devices, unlabeled.valid)),
    )


def gradients(devices, name, hparams):
    """What an optimiser would see of the whole batch: the mean of the devices' gradients."""
    torch.manual_seed(0)
    options = {"warmup_steps": 0, "teacher_norm": "running", "threshold": 0.25}
    options |= {"rampup_steps": 0} if name == "guidedmix" else {}
    known = {field.name for field in fields(method_class(name))}
    options = {key: value for key, value in options.items() if key in known}
    method = create_method(name, **{**options, **hparams})
    network = tiny_network()
    network.freeze_bn = True  # statistics of a batch are each device's own
    method.setup(network)
    method.double().train()
    for part in method.modules():
        if isinstance(part, torch.nn.Dropout2d):  # each device draws its own
            part.p = 0.0
    common = seeded(9) if devices.world_size > 1 else None
    step = Step(50, 100, seeded(9 if devices.rank == 0 else 77), devices, common)
    batch = part_of(whole_batch(), devices)
    if "recent" in hparams:  # images of an earlier step, on which the partners may be found
        image, label = batch.labeled
        method.losses(batch._replace(labeled=Labeled(-image, label)), step)
    terms = method.losses(batch, step).losses
    torch.stack(list(terms.values())).sum().backward()
    return (
        {n: float(devices.total(t.detach())) / devices.world_size for n, t in terms.items()},
        [
            (devices.total(p.grad) / devices.world_size).numpy()
            for p in method.parameters()
            if p.grad is not None
        ],
    )


CASES = [
    *((name, {}) for name in NAMES),
    ("classmix", {"conf_weight": "batch"}),
    ("classmix", {"denominator": "trusted", "extra_augmentation": True}),
    ("complexmix", {"gate": "pixel_before"}),
    ("mixup", {"denominator": "all"}),
    ("guidedmix", {"variant": "paper"}),
    ("guidedmix", {"variant": "teacher", "pair": "assigned"}),
    ("guidedmix", {"variant": "teacher", "pair": "similar", "recent": IMAGES + 2}),
    ("guidedmix", {"use_teacher": True, "pair": "random"}),
    ("cps", {}),
    ("cps", {"cutmix": True}),
    ("cct", {}),
    ("vat", {}),
    ("advsemiseg", {}),
    ("s4gan", {}),
    ("s4l", {}),
    ("dst_cbc", {}),
    ("gct", {"threshold": 0.6}),
]


def all_gradients(devices):
    return [gradients(devices, name, hparams) for name, hparams in CASES]


@pytest.fixture(scope="module")
def spread():
    return on_devices(2, all_gradients)


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{n}-{h}" for n, h in CASES])
def test_terms_and_gradients_are_those_of_one_device(spread, case):
    terms, grads = gradients(SINGLE, *CASES[case])
    assert all(terms.values())
    for answers in spread:
        there, others = answers[case]
        assert there == pytest.approx(terms, abs=1e-12)
        for ours, theirs in zip(grads, others, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-12)


def gathered(devices):
    values = torch.arange(6).view(6, 1)
    kinds = (values, values % 2 == 0, values.float().requires_grad_())
    ours = [devices.gather(mine(devices, value)) for value in kinds]
    mark = torch.full((2,), float(devices.rank))
    devices.take_from_first([mark])
    return [(part.tolist(), part.dtype, part.requires_grad) for part in ours], mark.tolist()


def test_what_all_devices_hold_is_gathered_in_their_order():
    alone = gathered(SINGLE)
    assert [dtype for _, dtype, _ in alone[0]] == [torch.int64, torch.bool, torch.float32]
    assert not any(gradient for *_, gradient in alone[0])
    assert on_devices(2, gathered) == [alone, alone]


def ring_and_sums(devices):
    values = torch.arange(6).view(6, 1).expand(6, 2)
    sample = Mixed(values.double(), values, values.float(), values % 2 == 0)
    ours = Mixed(*(mine(devices, part) for part in sample))
    return (
        [part.tolist() for part in next_in_ring(ours, devices)],
        devices.total(torch.tensor(devices.rank + 1)).item(),
        devices.denominator(torch.tensor(3 * devices.rank)).item(),
        devices.denominator(torch.tensor(0)).item(),
    )


def test_the_ring_runs_over_all_devices():
    count = 3
    parts = on_devices(count, ring_and_sums)
    follower = [1, 2, 3, 4, 5, 0]
    for part in range(4):
        rows = [row for answer in parts for row in answer[0][part]]
        kind = (float, int, float, lambda v: v % 2 == 0)[part]
        assert rows == [[kind(v)] * 2 for v in follower]
    total, amount = sum(range(1, count + 1)), 3 * sum(range(count))
    assert [answer[1] for answer in parts] == [total] * count
    assert [answer[2] for answer in parts] == [pytest.approx(amount / count)] * count
    # at least one in all, so that the mean of nothing is 0 and not infinite
    assert [answer[3] for answer in parts] == [pytest.approx(1 / count)] * count


def test_alone_nobody_is_asked():
    value = torch.tensor([3, 1, 2])
    assert SINGLE.total(value) is value
    assert SINGLE.next_in_ring(value).tolist() == [1, 2, 3]
    assert SINGLE.denominator(torch.tensor(0)) == 1


def losses_of(devices):
    """Of everything that is counted, with counts that differ between devices."""
    batch = part_of(whole_batch(), devices)
    image, label = batch.labeled
    valid = batch.unlabeled.valid
    logits = image.mean(1, keepdim=True) * torch.arange(1.0, NUM_CLASSES + 1).view(1, -1, 1, 1)
    error, trusted = image.square().mean(1), (image.mean(1) > 0.2).double()
    share = confidence_weight(trusted, valid, "batch", devices)
    found = {
        "cross-entropy": cross_entropy(logits, label, devices),
        "presence": class_presence_loss(logits.mean((2, 3)), label, devices),
        **{
            f"mean, {kind}": weighted_mean(error, trusted, valid, kind, devices)
            for kind in ("valid", "all", "trusted")
        },
    }
    mean = {name: float(devices.total(value)) / devices.world_size for name, value in found.items()}
    return {**mean, "share": float(share.flatten()[0])}


def test_means_and_shares_are_those_of_the_whole_batch():
    expected = losses_of(SINGLE)
    for answer in on_devices(2, losses_of):
        assert answer == pytest.approx(expected, rel=1e-7)
