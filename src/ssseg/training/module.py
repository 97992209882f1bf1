"""The LightningModule: one for all methods, without a branch for any of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR

from ssseg.data.datasets.base import Split
from ssseg.data.module import SegmentationData
from ssseg.distributed import DistInfo
from ssseg.errors import UserError
from ssseg.evaluation.inference import Inference
from ssseg.evaluation.metrics import MissingClasses, Scores
from ssseg.evaluation.pseudo_labels import gradient_norm, pseudo_label_metrics
from ssseg.losses import LabeledLoss
from ssseg.methods.base import Method, replicated_buffers
from ssseg.models.segmenter import Segmenter
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.seeding import run_seed, seed_of
from ssseg.serialization import from_config
from ssseg.training.batchnorm_rule import freeze_by_rule
from ssseg.training.checkpoint_contents import contents_of, prepare_for
from ssseg.training.compute import Compute
from ssseg.training.labeled_loss import check_labeled_loss, set_labeled_loss
from ssseg.training.logged_steps import logged_at
from ssseg.training.network_metrics import NetworkMetrics
from ssseg.training.optimizer import OptimizerConfig, create_optimizer, set_rates
from ssseg.training.shape_check import check_evaluation, check_labels, check_training
from ssseg.training.sync_batchnorm import Replaced, restore, synchronise, wants_sync
from ssseg.types import Batch, Labeled, Step, StepOutput


class SegmentationModule(LightningModule):
    """Trains a network with a method and evaluates every network that the method keeps.

    Args:
        method: The training strategy; it receives the network and adds its own parts.
        network: The network to train.
        optim: Optimiser and schedule.
        inference: How networks are applied to the images that they are scored on.
        missing_classes: Whether a class without pixels is left out of the mIoU, or counts as 0 (as
            in older protocols).
        boundary: Score the neighbourhood of boundaries as well (Boundary IoU).
        seed: Of mixing and dropout. None: the run's, as set by `seed_everything`.
        compute: How a step is computed.
        loss: The loss of labeled images.
    """

    def __init__(
        self,
        method: Method,
        network: Segmenter,
        optim: OptimizerConfig = OptimizerConfig(),  # noqa: B008 (frozen)
        inference: Inference = Inference(),  # noqa: B008 (frozen)
        missing_classes: MissingClasses = "skip",
        boundary: bool = False,
        seed: int | None = None,
        compute: Compute = Compute(),  # noqa: B008 (frozen)
        loss: LabeledLoss = LabeledLoss(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        method.setup(network)
        self.method = method
        self.optim = optim
        self.inference, self.missing_classes = inference, missing_classes
        self.compute, self.loss, self.seed = compute, loss, seed
        self.metrics = NetworkMetrics(
            list(method.networks), network.num_classes, missing_classes, boundary=boundary
        )
        self.scores: dict[str, Scores] = {}
        """Of each network, from the last validation."""
        self.batches_seen = 0
        self.notes: list[str] = []
        """Lines about this run that are printed before it trains."""
        self._step: Step | None = None
        self._stop_requested = False
        self._prepared = self._checked = False
        self._replaced: list[Replaced] = []

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C, H, W) of the network that predicts."""
        logits: Tensor = self.method.networks[self.method.predictor](image)
        return logits

    @property
    def num_views(self) -> int:
        """Views of each unlabeled image that the method asks for."""
        return self.method.num_views

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch; the method's terms and diagnostics are logged."""
        step = self.make_step()
        loss, out = self.compute_loss(batch, step)
        self._log_step(loss, out, batch.truth, step)
        self.batches_seen += 1
        return loss

    def compute_loss(self, batch: Batch, step: Step) -> tuple[Tensor, StepOutput]:
        """The sum of the method's loss terms, and what the method returned.

        The method never sees the labels of unlabeled images (`truth`).
        """
        self._step = step
        out = self.method.losses(self.compute.arrange(batch._replace(truth=None)), step)
        check_labeled_loss(self.method, self.loss)
        # DDP waits for a gradient of every parameter
        idle = sum(0.0 * p.sum() for p in self.method.idle(step))
        return out.total + idle, out

    def make_step(self) -> Step:
        """The place of the next batch in the run, with its own random state.

        Dropout draws from torch's global state, so that is seeded per batch too: a resumed run then
        draws the same as one that was never interrupted.
        """
        seed = run_seed() if self.seed is None else self.seed
        batch, devices = self.batches_seen, DistInfo(self.global_rank, self.trainer.world_size)

        def source(rank: int) -> torch.Generator:
            return torch.Generator(self.device).manual_seed(seed_of(seed, "mix", batch, rank))

        torch.manual_seed(seed_of(seed, "net", batch, devices.rank))
        common = source(0) if devices.world_size > 1 else None
        return Step(self.global_step, self.total_steps, source(devices.rank), devices, common)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        total = self.trainer.max_steps
        if total < 1:
            raise UserError(f"option trainer.max_steps is {total}; expected a number of steps")
        return total

    def _log_step(self, loss: Tensor, out: StepOutput, truth: Tensor | None, step: Step) -> None:
        values = {"loss": loss.detach()}
        values |= {f"loss/{name}": term.detach() for name, term in out.losses.items()}
        values |= {f"train/{name}": value for name, value in out.logs.items()}
        if self.is_logged:
            if out.pseudo is not None:
                values |= pseudo_label_metrics(out.pseudo, truth, *self.classes)
            values = step.devices.means(values)
        self.log_dict(values)

    @property
    def is_logged(self) -> bool:
        """Whether the trainer logs the numbers of this step; others need not be complete."""
        return self.trainer.training and logged_at(self.trainer, self.global_step + 1)

    @property
    def classes(self) -> tuple[Sequence[int] | None, list[str]]:
        """Pixels of each class in the labeled images (None: unknown), and the classes' names."""
        contents = getattr(self._data, "contents", None)
        if contents is None:
            return None, [f"class {i}" for i in range(self.method.student.num_classes)]
        return contents.pixels, [c.name for c in self._data.source.classes]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave idle parameters out of the step, and log the norm of the gradient before clipping.

        An optimiser skips a parameter without a gradient, but decays one whose gradient is 0.
        """
        if self._step is not None:
            for p in self.method.idle(self._step):
                p.grad = None
        if self.is_logged:
            self.log("train/gradient_norm", gradient_norm(list(self.method.parameters())))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One optimiser step, then that of the method: the teacher follows the student.

        Under accumulation of gradients this is called once for several batches.
        """
        super().optimizer_step(*args, **kwargs)
        if self._step is not None:
            self.method.after_step(self._step)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Let a run that a callback stops finish its step: accumulated gradients are not saved."""
        self._stop_requested |= self.trainer.should_stop
        complete = self.batches_seen % self.trainer.accumulate_grad_batches == 0
        self.trainer.should_stop = self._stop_requested and complete

    def configure_optimizers(self) -> Any:
        """Parameter groups with their learning rates, and a polynomial schedule."""
        optimizer, schedule = create_optimizer(self.method, self.optim, self.total_steps)
        by_step = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": by_step}

    def on_train_start(self) -> None:
        """Set the learning rate by the schedule: a checkpoint may be of a run of another length."""
        for config in self.trainer.lr_scheduler_configs:
            schedule: Any = config.scheduler
            if isinstance(schedule, LambdaLR):
                set_rates(schedule)

    def setup(self, stage: str) -> None:
        """Check that network and data fit, and prepare the networks for training.

        Raises:
            UserError: Where they do not fit.
        """
        data = self._data
        check_labels(self.method.student, data)
        if stage == "fit":
            self._stop_requested = False
            set_labeled_loss(self.method, self.loss, data)
            self.notes += freeze_by_rule(self.method, data, self.trainer.world_size)
            if isinstance(data, SegmentationData):
                self.check_shapes(data, self.trainer.world_size)
            if not self._prepared:
                device = self.trainer.strategy.root_device
                self.compute = self.compute.prepare(self.method, device)
                self._prepared = True
        elif isinstance(data, SegmentationData):
            split: Split = "test" if stage == "test" else "val"
            check_evaluation(self.method, self.inference, data, split)

    def check_shapes(self, data: SegmentationData, devices: int = 1) -> None:
        """Take the networks through the shapes of training and validation, once.

        Raises:
            UserError: For images that they cannot take.
        """
        if not self._checked:
            check_training(self.method, data, devices)
            check_evaluation(self.method, self.inference, data)
            self._checked = True

    def configure_model(self) -> None:
        """Synchronise BatchNorm over devices where that is wanted, before DDP wraps the networks.

        Undone by `teardown`: synchronised layers train on GPUs only.
        """
        # weights of 64 bits are restored before Lightning converts the networks to that precision
        self.trainer.precision_plugin.convert_module(self)
        restore(self._replaced)
        # read by DDP when it wraps this module
        ours = [f"method.{name}" for name in replicated_buffers(self.method)]
        self._ddp_params_and_buffers_to_ignore = ours
        trains = self.trainer.state.fn == "fit" and isinstance(self.trainer.strategy, DDPStrategy)
        if trains and self.shares_statistics:
            self._replaced = synchronise(self.method)

    def teardown(self, stage: str) -> None:
        """Give the networks back as they were made."""
        restore(self._replaced)

    @property
    def shares_statistics(self) -> bool:
        """Whether BatchNorm normalises over all devices."""
        asked = self.compute.sync_batchnorm
        return wants_sync(asked, self.method.student, self.trainer, self._data)

    @property
    def _data(self) -> Any:
        return getattr(self.trainer, "datamodule", None)

    def on_validation_start(self) -> None:
        """Let all devices score the same networks.

        Running statistics are those of the first device, which DDP sends before every training
        step. It would send them before validation batches too; there may be fewer of these on one
        device than on another, which would wait for ever.
        """
        wrapped = self.trainer.strategy.model
        if self.trainer.world_size > 1 and isinstance(wrapped, DistributedDataParallel):
            DistInfo(self.global_rank, self.trainer.world_size).take_from_first(self.buffers())
            wrapped.require_forward_param_sync = False

    def validation_step(self, batch: list[Labeled], batch_idx: int) -> dict[str, list[Tensor]]:
        """Count every network's predictions at the labels' resolution.

        Returns:
            `predicted`: the predictor's classes (B, H, W) of each part of the batch, for callbacks.
        """
        kept = []
        infer = self.inference.within(getattr(self._data, "crop_size", None))
        for image, label in batch:
            few = infer.images_at_once((image.shape[-2], image.shape[-1]))
            parts = list(zip(torch.split(image, few), torch.split(label, few), strict=True))
            for name, network in self.method.networks.items():
                found = [self.metrics.add(name, infer(network, i), truth) for i, truth in parts]
                if name == self.method.predictor:
                    kept.append(torch.cat(found))
        return {"predicted": kept}

    def on_validation_epoch_end(self) -> None:
        """Score every network on all images together."""
        self._score("val")

    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Score every network on all images together."""
        self._score("test")

    def _score(self, stage: str) -> None:
        self.scores = self.metrics.scores()
        for name, scores in self.scores.items():
            self.log(f"{stage}/miou_{name}", scores.miou)
        self.log(f"{stage}/miou", self.scores[self.method.predictor].miou)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to go on, and to predict without this run's configuration."""
        info = getattr(self._data, "info", None)
        contents = contents_of(self, self.method, info, self.scores)
        checkpoint["ssseg"] = {**contents, "batches_seen": self.batches_seen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same method and network.

        Raises:
            UserError: For any other checkpoint.
        """
        prepare_for(checkpoint, self.method)
        self.batches_seen = checkpoint["ssseg"]["batches_seen"]

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = "cpu", **options: Any
    ) -> "SegmentationModule":
        """The module that a checkpoint holds, with its weights.

        Method and network are made as the checkpoint describes them; code in it is never run. What
        it does not describe (`optim`, `inference`, ...) has its default.

        Args:
            checkpoint_path: A checkpoint of ours.
            map_location: The device that the module is put on.
            **options: Arguments of this class that replace those above, `method` and `network`
                included.

        Raises:
            UserError: For another kind of file, or a given method or network that it does not fit.
        """
        saved = read_checkpoint(checkpoint_path)
        kinds: dict[str, type[Any]] = {"method": Method, "network": Segmenter}
        described = {k: from_config(saved["ssseg"][k], kinds[k]) for k in kinds.keys() - options}
        module = cls(**described, **options)
        module.on_load_checkpoint(saved)
        module.load_state_dict(saved["state_dict"])
        return module.to(map_location)
