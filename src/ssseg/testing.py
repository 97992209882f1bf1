"""Checks that every method must pass: `check_method(YourMethod)`."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ssseg.evaluation.pseudo_labels import pseudo_label_metrics
from ssseg.methods.base import Method
from ssseg.models.segmenter import Segmenter
from ssseg.types import IGNORE, Batch, Labeled, Step, StepOutput, Unlabeled

NUM_CLASSES = 5
SIDE = 32


def tiny_network(num_classes: int = NUM_CLASSES) -> Segmenter:
    """A small network for tests: 0.2 million parameters, 3 stages."""
    return Segmenter(
        num_classes,
        encoder="test_resnet",
        depth=3,
        # with timm's zero initialisation the first layers of residual branches get no gradient
        encoder_options={"zero_init_last": False},
        decoder_options={"decoder_channels": (16, 16, 8)},
    )


def tiny_batch(
    num_views: int, labeled: int = 3, unlabeled: int = 4, *, valid: bool = True
) -> Batch:
    """A batch of random images whose labels are rectangles; the first two rows are IGNORE.

    Args:
        num_views: Views per unlabeled image.
        labeled: Number of labeled images.
        unlabeled: Number of unlabeled images.
        valid: Whether all unlabeled pixels are valid, or none.
    """
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, NUM_CLASSES, (labeled, 4, 4), generator=generator)
    label = label.repeat_interleave(SIDE // 4, 1).repeat_interleave(SIDE // 4, 2)
    label[:, :2] = IGNORE
    image = torch.randn(labeled, 3, SIDE, SIDE, generator=generator)
    if not num_views:
        nothing = torch.zeros(0, SIDE, SIDE, dtype=torch.bool)
        return Batch(Labeled(image, label), Unlabeled([], nothing))
    views = [torch.randn(unlabeled, 3, SIDE, SIDE, generator=generator) for _ in range(num_views)]
    return Batch(
        Labeled(image, label), Unlabeled(views, torch.full((unlabeled, SIDE, SIDE), valid))
    )


def make_method(method: type[Method], hparams: Mapping[str, Any] | None = None) -> Method:
    """A method with a small network, without warm-up and ramp-up, with a threshold of 0.

    Args:
        method: The class.
        hparams: Hyper-parameters that differ from the defaults.
    """
    eager = {"threshold": 0.0, "warmup_steps": 0.0, "rampup_steps": 0.0}
    names = {field.name for field in fields(method)}
    given = {name: value for name, value in eager.items() if name in names} | dict(hparams or {})
    network = copy.deepcopy(_network())
    torch.manual_seed(0)
    made = method(**given)
    made.setup(network)
    made.train()
    return made


@cache
def _network() -> Segmenter:
    """The network, built once, because building it takes as long as several steps."""
    torch.manual_seed(0)
    return tiny_network()


def step(seed: int = 0, index: int = 50, total: int = 100) -> Step:
    """A step in the middle of a run."""
    return Step(index, total, torch.Generator().manual_seed(seed))


def losses(method: Method, batch: Batch, seed: int = 0) -> StepOutput:
    """Losses of one batch, with all random generators seeded."""
    torch.manual_seed(seed)
    return method.losses(batch, step(seed))


def terms_are_finite_scalars(make: Callable[[], Method]) -> None:
    """Every term is a finite scalar and one of them is `sup`."""
    method = make()
    terms = losses(method, tiny_batch(method.num_views)).losses
    assert "sup" in terms, f"no term named sup among {list(terms)}"
    for name, term in terms.items():
        assert term.ndim == 0, f"term {name} has shape {tuple(term.shape)}, expected a scalar"
        assert term.isfinite(), f"term {name} is {term}"


def half_precision_gives_full_terms(make: Callable[[], Method]) -> None:
    """Networks in bfloat16 (`--trainer.precision bf16-mixed`) give finite terms in float32."""
    method = make()
    with torch.autocast("cpu", torch.bfloat16):
        terms = losses(method, tiny_batch(method.num_views)).losses
    for name, term in terms.items():
        assert term.dtype == torch.float32, f"term {name} has dtype {term.dtype}"
        assert term.isfinite(), f"term {name} is {term} in mixed precision"


def every_parameter_gets_a_gradient(make: Callable[[], Method]) -> None:
    """Every trainable parameter gets a gradient that is not zero."""
    method = make()
    terms = losses(method, tiny_batch(method.num_views)).losses
    torch.autograd.backward(list(terms.values()))
    dead = [
        name
        for name, p in method.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not dead, f"parameters without gradient: {dead}"


def unlabeled_terms_train_the_student(make: Callable[[], Method]) -> None:
    """Every term from unlabeled data gives the student, or the part of its name, a gradient."""
    method = make()
    if not method.num_views:
        return
    terms = _unlabeled_terms(losses(method, tiny_batch(method.num_views)))
    assert terms, "num_views is above 0, but there is no loss term from unlabeled images"
    for name, term in terms.items():
        part = _part_of(method, name) or "student"
        grads = torch.autograd.grad(
            term, list(getattr(method, part).parameters()), retain_graph=True, allow_unused=True
        )
        assert any(g is not None and g.any() for g in grads), (
            f"term {name} gives the {part} no gradient"
        )


def invalid_pixels_add_nothing(make: Callable[[], Method]) -> None:
    """If no pixel is valid, terms from unlabeled data are exactly 0.

    A term of a part may read labeled images too; it is 0 if no pixel is labeled either.
    """
    method = make()
    if not method.num_views:
        return
    batch = tiny_batch(method.num_views, valid=False)
    terms = _unlabeled_terms(losses(method, batch))
    if any(_part_of(method, name) for name in terms):
        batch.labeled.label.fill_(IGNORE)
        without = losses(make(), batch).losses
        terms |= {name: without[name] for name in terms if _part_of(method, name)}
    for name, term in terms.items():
        assert term == 0, f"term {name} is {term} although no pixel is valid"


def ignored_labels_stay_finite(make: Callable[[], Method]) -> None:
    """A batch whose labels are all IGNORE gives finite terms and finite gradients."""
    method = make()
    batch = tiny_batch(method.num_views)
    batch.labeled.label.fill_(IGNORE)
    terms = losses(method, batch).losses
    torch.autograd.backward(list(terms.values()))
    for name, term in terms.items():
        assert term.isfinite(), f"term {name} is {term} for labels that are all ignored"
    for name, p in method.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), f"gradient of {name} is not finite"


def batch_is_not_changed(make: Callable[[], Method]) -> None:
    """The method does not change its input."""
    method = make()
    batch = tiny_batch(method.num_views)
    before = copy.deepcopy(batch)
    losses(method, batch)
    for ours, theirs in zip(_leaves(batch), _leaves(before), strict=True):
        assert torch.equal(ours, theirs), "the batch was changed in place"


def same_generator_same_losses(make: Callable[[], Method]) -> None:
    """Two runs with the same state of the step's generator and of torch's have equal losses."""
    method, twin = make(), make()
    batch = tiny_batch(method.num_views)
    first, second = losses(method, batch).losses, losses(twin, batch).losses
    for name, term in first.items():
        assert torch.equal(term, second[name]), f"term {name} differs for one generator state"


def batch_sizes_may_differ(make: Callable[[], Method]) -> None:
    """Terms are finite for fewer and for more labeled than unlabeled images, and for one."""
    for labeled, unlabeled in ((2, 5), (5, 2), (2, 1)):
        method = make()
        out = losses(method, tiny_batch(method.num_views, labeled, unlabeled))
        for name, term in out.losses.items():
            assert term.isfinite(), f"term {name} is {term} for batches {labeled} + {unlabeled}"


def teacher_is_frozen_and_updated(make: Callable[[], Method]) -> None:
    """Networks that are not trained stay in eval mode, and `after_step` updates them."""
    method = make()
    method.train()
    for name, network in method.networks.items():
        params = list(network.parameters())
        if any(p.requires_grad for p in params):
            continue
        assert not network.training, f"{name} is in train mode"
        before = [p.clone() for p in params]
        with torch.no_grad():
            for p in method.student.parameters():
                p.add_(1)
        method.after_step(step())
        moved = any(not torch.equal(a, b) for a, b in zip(before, params, strict=True))
        assert moved, f"after_step does not update {name}"


def labeling_keeps_buffers(make: Callable[[], Method]) -> None:
    """Computing the losses changes no buffer of a network that is not trained."""
    method = make()
    frozen = {
        name: network
        for name, network in method.networks.items()
        if not any(p.requires_grad for p in network.parameters())
    }
    before = {name: [b.clone() for b in n.buffers()] for name, n in frozen.items()}
    losses(method, tiny_batch(method.num_views))
    for name, network in frozen.items():
        for ours, theirs in zip(network.buffers(), before[name], strict=True):
            assert torch.equal(ours, theirs), f"labeling changed a buffer of {name}"


def state_round_trips(make: Callable[[], Method]) -> None:
    """A method made from `hparams` with the state dict of another one has the same losses."""
    method = make()
    twin = type(method)(**method.hparams)
    assert twin.hparams == method.hparams, "hparams differ after making a method from hparams"
    torch.manual_seed(1)
    twin.setup(tiny_network())
    twin.train()
    twin.load_state_dict(method.state_dict())
    batch = tiny_batch(method.num_views)
    first, second = losses(method, batch).losses, losses(twin, batch).losses
    for name, term in first.items():
        assert torch.equal(term, second[name]), f"term {name} differs after loading the state"


def pictures_fit_the_batch(make: Callable[[], Method]) -> None:
    """Sample pictures have the size of the images, and making them changes no state."""
    method = make()
    batch = tiny_batch(method.num_views)
    before = copy.deepcopy(method.state_dict())
    with torch.no_grad():
        pictures = method.pictures(batch, step())
    for picture in pictures:
        wanted = 4 if picture.kind == "image" else 3
        assert picture.tensor.dim() == wanted, (
            f"picture {picture.title!r} has {picture.tensor.dim()} axes, expected {wanted}"
        )
        assert picture.tensor.shape[-2:] == (SIDE, SIDE), (
            f"picture {picture.title!r} has size {tuple(picture.tensor.shape[-2:])}, expected "
            f"{(SIDE, SIDE)}"
        )
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, before[name]), f"pictures() changed {name}"


def pseudo_label_metrics_are_shares(make: Callable[[], Method]) -> None:
    """Metrics of `StepOutput.pseudo` are scalars in [0, 1] without gradient."""
    method = make()
    batch = tiny_batch(method.num_views)
    pseudo = losses(method, batch).pseudo
    if pseudo is None:
        return
    truth = torch.zeros_like(batch.unlabeled.valid, dtype=torch.int64)
    found = pseudo_label_metrics(
        pseudo, truth, [1] * NUM_CLASSES, [str(i) for i in range(NUM_CLASSES)]
    )
    for name, value in found.items():
        assert value.ndim == 0, f"metric {name} has shape {tuple(value.shape)}"
        assert not value.requires_grad, f"metric {name} has a gradient"
        whole = name.startswith("train/")
        assert not whole or 0 <= value <= 1, f"metric {name} is {value}, expected a share"


CONTRACT: tuple[Callable[[Callable[[], Method]], None], ...] = (
    terms_are_finite_scalars,
    half_precision_gives_full_terms,
    every_parameter_gets_a_gradient,
    unlabeled_terms_train_the_student,
    invalid_pixels_add_nothing,
    ignored_labels_stay_finite,
    batch_is_not_changed,
    same_generator_same_losses,
    batch_sizes_may_differ,
    teacher_is_frozen_and_updated,
    labeling_keeps_buffers,
    state_round_trips,
    pictures_fit_the_batch,
    pseudo_label_metrics_are_shares,
)
"""Checks; each takes a function that makes a new method and raises AssertionError if it fails."""


def check_method(method: type[Method], **hparams: Any) -> None:
    """Run all checks of `CONTRACT` on a method.

    Args:
        method: The class.
        **hparams: Hyper-parameters that differ from the defaults.

    Raises:
        AssertionError: For the first check that fails, with the reason.
    """
    for check in CONTRACT:
        check(lambda: make_method(method, hparams))


def _unlabeled_terms(out: StepOutput) -> dict[str, Tensor]:
    return {name: term for name, term in out.losses.items() if not name.startswith("sup")}


def _part_of(method: Method, term: str) -> str | None:
    """The part of the method that a term is named after."""
    return next((p for p in method.parts if term == p or term.startswith(f"{p}_")), None)


def _leaves(batch: Batch) -> list[Tensor]:
    return [*batch.labeled, *batch.unlabeled.views, batch.unlabeled.valid]
