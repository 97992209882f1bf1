"""Stops a run at a loss that is not finite, before a checkpoint is saved after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch import distributed as dist

from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.training.logged_steps import logged_at
from ssseg.training.module import SegmentationModule
from ssseg.types import Batch

FOLDER = "nonfinite"
"""In the run's folder: batches whose loss was not finite."""
WAITS = ("cpu",)
"""Kinds of devices whose loss is read after every step, which costs nothing there."""


class NonFiniteError(UserError):
    """The loss, or a weight, is NaN or infinite."""


class StopAtNaN(Callback):
    """Stops at a loss that is not finite, keeps the checkpoint before it, and saves the batch.

    On a CPU it reads the loss of every step. On a GPU reading would make the host wait, so the
    number of the first bad batch is kept on the device and read where the host waits anyway: where
    numbers are logged, and before anything is saved. Weights are checked before they are saved.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Note whether this batch's loss is finite, and read that where it costs nothing."""
        assert isinstance(module, SegmentationModule)
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        number = module.batches_seen - 1
        before = loss.new_full((), -1, dtype=torch.int64) if self.first is None else self.first
        self.first = torch.where((before < 0) & ~loss.detach().isfinite(), number, before)
        if loss.device.type in WAITS or logged_at(trainer, trainer.global_step):
            self._look(trainer, module, batch)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Check before weights are scored that are not finite."""
        if trainer.state.fn == "fit":
            self._look(trainer, module)

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check that loss and weights are finite before they are saved.

        Raises:
            NonFiniteError: Where a loss or a weight is not.
        """
        self._look(trainer, module)
        weights = [p.detach() for p in module.parameters() if p.is_floating_point()]
        if not torch.stack(list(torch._foreach_norm(weights))).isfinite().all():
            raise NonFiniteError(
                f"step {trainer.global_step}: a weight is not a finite number, though no loss was: "
                f"a gradient must have been. Nothing was saved. {self._advice()}"
            )

    def _look(self, trainer: Trainer, module: LightningModule, batch: Batch | None = None) -> None:
        if self.first is None:
            return
        bad = self._of_all_devices(trainer)
        if bad < 0:
            return
        assert isinstance(module, SegmentationModule)
        data = getattr(trainer, "datamodule", None)
        path = self.folder / FOLDER / f"batch_{bad:06d}.pt"
        if trainer.world_size > 1:
            path = path.with_stem(f"{path.stem}_device{trainer.global_rank}")
        saved = ""
        if isinstance(data, SegmentationData):
            save_batch(path, data, bad, batch if bad == module.batches_seen - 1 else None)
            saved = f" The batch is in {path}."
        step = bad // trainer.accumulate_grad_batches + 1
        raise NonFiniteError(
            f"step {step} of {trainer.max_steps}: the loss is not a finite number.{saved} "
            f"{self._advice()}"
        )

    def _of_all_devices(self, trainer: Trainer) -> int:
        """The first bad batch of any device; -1 where there is none."""
        assert self.first is not None
        first = self.first.clone()
        if trainer.world_size > 1:
            first = torch.where(first < 0, torch.iinfo(torch.int64).max, first)
            dist.all_reduce(first, dist.ReduceOp.MIN)
            first = torch.where(first == torch.iinfo(torch.int64).max, -1, first)
        return int(first)

    def _advice(self) -> str:
        kept = next(iter(sorted((self.folder / "checkpoints").glob("last*.ckpt"))), None)
        what = (
            "There is no checkpoint yet" if kept is None else f"The last good checkpoint is {kept}"
        )
        return f"{what}. `ssseg debug-nan {self.folder}` repeats it and says where it begins"


def save_batch(path: Path, data: SegmentationData, number: int, batch: Batch | None = None) -> None:
    """Keep a training batch in a file of plain tensors and names.

    Args:
        path: The file.
        data: What it was drawn from.
        number: The place of the batch in the run, from 0.
        batch: The batch, where it is known; else it is drawn again from the seed and its number.
    """
    drawn = data.draw(number)
    batch = (drawn.batch if batch is None else batch)._replace(truth=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    labeled, unlabeled = batch.labeled, batch.unlabeled
    contents = {
        "batch": number,
        "labeled": {"images": drawn.labeled, "image": labeled.image, "label": labeled.label},
        "unlabeled": {
            "images": drawn.unlabeled,
            "views": list(unlabeled.views),
            "valid": unlabeled.valid,
        },
    }
    torch.save(_on_host(contents), path)


def _on_host(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _on_host(part) for key, part in value.items()}
    return [_on_host(part) for part in value] if isinstance(value, list) else value
