"""A callback that names the image, layer, loss or gradient that is not finite first."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from ssseg.data.module import data_of
from ssseg.training.module import SegmentationModule
from ssseg.types import Batch, StepOutput


class NonFiniteFound(Exception):  # noqa: N818 (the search succeeded)
    """A value that is not finite was found; `lines` name the earliest such value first."""

    def __init__(self, step: int, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.step, self.lines = step, list(lines)


class NanTracer(Callback):
    """Checks every value of every step; raises `NonFiniteFound` at the first that is not finite."""

    def __init__(self) -> None:
        self.layer: str | None = None
        self.terms: dict[str, float] = {}
        self.images: list[str] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Check the output of every layer, and note the losses of the method."""
        assert isinstance(module, SegmentationModule)
        for name, part in module.method.named_modules():
            if name and not list(part.children()):
                part.register_forward_hook(partial(self._check_layer, name))
        losses = module.method.losses
        module.method.losses = partial(self._note_losses, losses)  # type: ignore[method-assign]

    def _check_layer(self, name: str, layer: nn.Module, given: Any, made: Any) -> None:
        if self.layer is None and not _finite(made):
            where = ""
            if not _finite(given):
                where = ", and so is what goes into it"
            elif not all(_finite(p) for p in layer.parameters()):
                where = ", and so is one of its weights"
            self.layer = f"the output of {name} ({type(layer).__name__}) is not finite{where}"

    def _note_losses(self, losses: Callable[..., StepOutput], *args: Any) -> StepOutput:
        out = losses(*args)
        self.terms = {name: float(term) for name, term in out.losses.items()}
        return out

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Check the images."""
        assert isinstance(module, SegmentationModule)
        self.layer = None
        parts = {"labeled": [batch.labeled.image], "unlabeled": batch.unlabeled.views}
        self.images = []
        if all(_finite(image) for views in parts.values() for image in views):
            return
        drawn = data_of(trainer).draw(module.batches_seen)
        for kind, views in parts.items():
            for place, name in enumerate(getattr(drawn, kind)):
                values = sum(int((~view[place].isfinite()).sum()) for view in views)
                if values:
                    said = f"{values} values that are" if values > 1 else "1 value that is"
                    self.images.append(f"{kind} image {name} holds {said} not finite")

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Any
    ) -> None:
        """Check losses and gradients of this step; stop where something is not finite.

        Raises:
            NonFiniteFound: With everything that is not finite.
        """
        bad = [
            name
            for name, p in module.named_parameters()
            if p.grad is not None and not _finite(p.grad)
        ]
        losses_fine = all(map(math.isfinite, self.terms.values()))
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        # with scaled losses an infinite gradient is usual: the scaler skips the step
        if losses_fine and (not bad or scaled) and not self.images:
            return
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        lines = [*self.images, *([self.layer] if self.layer else []), f"losses: {terms}"]
        if bad and losses_fine:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            lines.append(
                f"all losses are finite; the gradient of {bad[-1]}{more} is not: it became so "
                "in the backward pass"
            )
        raise NonFiniteFound(trainer.global_step + 1, lines)


def _finite(value: Any) -> bool:
    """Whether all tensors in it are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, tuple | list):
        return all(_finite(part) for part in value)
    return True
