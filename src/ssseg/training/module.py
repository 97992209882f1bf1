"""The LightningModule: one for all methods, with a branch for none."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.plugins import TorchSyncBatchNorm
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR

from ssseg.data.datasets.base import Split
from ssseg.data.module import SegmentationData
from ssseg.distributed import DistInfo
from ssseg.errors import UserError
from ssseg.evaluation.inference import Inference
from ssseg.evaluation.metrics import BoundaryIoU, MissingClasses, Scores, SegmentationScores
from ssseg.evaluation.pseudo_labels import gradient_norm, pseudo_label_metrics
from ssseg.methods.base import Method
from ssseg.models.segmenter import Segmenter
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.seeding import run_seed, seed_of
from ssseg.serialization import from_config, to_config, to_plain
from ssseg.training.compute import Compute
from ssseg.training.optimizer import OptimizerConfig, create_optimizer, rates
from ssseg.training.shape_check import check_evaluation, check_training
from ssseg.types import Batch, Labeled, Step
from ssseg.version import __version__

SMALL = 8
"""Images on a device, below which its statistics alone are too noisy to normalise by."""
FORMAT = 2
"""Of what a checkpoint says of itself; 2 tells split, scores, kind of images, names of weights."""


class SegmentationModule(LightningModule):
    """Trains a network with a method and evaluates every network that the method keeps.

    Args:
        method: The strategy; it receives the network and adds its own parts.
        network: The network to train.
        optim: Optimiser and schedule.
        inference: How networks are applied to the images that they are scored on.
        missing_classes: What a class without pixels counts in the mIoU: nothing, or 0 (older
            protocols).
        boundary: Score the neighbourhood of boundaries as well (Boundary IoU).
        seed: Of mixing and dropout. None: the run's, as set by `seed_everything`.
        compute: How a step is computed.
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
    ) -> None:
        super().__init__()
        method.setup(network)
        self.method = method
        self.optim = optim
        self.seed = seed
        self.compute = compute
        self._prepared = self._checked = False
        self.batches_seen = 0
        self.notes: list[str] = []
        """What a person should know of this run before it trains, a line each."""
        self.scores: dict[str, Scores] = {}
        self.inference, self.missing_classes = inference, missing_classes
        classes = network.num_classes
        self.confusion = nn.ModuleDict(
            {n: SegmentationScores(classes, missing_classes) for n in method.networks}
        )
        edges = method.networks if boundary else ()
        self.boundary = nn.ModuleDict({name: BoundaryIoU(classes) for name in edges})
        self._step: Step | None = None
        self._told_to_stop = False

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = "cpu", **options: Any
    ) -> "SegmentationModule":
        """The module that a checkpoint holds, with its weights.

        Method and network are made as the checkpoint describes them; code in it is never run. What
        it does not describe (`optim`, `inference`, ...) is as usual.

        Args:
            checkpoint_path: A checkpoint of ours.
            map_location: The device that it is put on.
            **options: Of this class, to be otherwise; a given `method` or `network` is used.

        Raises:
            UserError: For a file that is no such checkpoint, or a method or network that it does
                not fit.
        """
        saved = read_checkpoint(checkpoint_path)
        kinds: dict[str, type[Any]] = {"method": Method, "network": Segmenter}
        for part, kind in kinds.items():
            if part not in options:
                options[part] = from_config(saved["ssseg"][part], kind)
        module = cls(**options)
        module.on_load_checkpoint(saved)
        module.load_state_dict(saved["state_dict"])
        return module.to(map_location)

    def setup(self, stage: str) -> None:
        """Make the networks ready; tell DDP what it need not find out, before it wraps them."""
        self._fits_data()
        strategy, data = self.trainer.strategy, self._data
        if stage != "fit":
            if isinstance(data, SegmentationData):
                split: Split = "test" if stage == "test" else "val"
                check_evaluation(self.method, self.inference, data, split)
            return
        self._told_to_stop = False
        if isinstance(data, SegmentationData):
            self.check_shapes(data, self.trainer.world_size)
        if not self._prepared:
            self.compute.prepare(self.method)
            self._prepared = True
        if not isinstance(strategy, DDPStrategy):
            return
        strategy._ddp_kwargs.setdefault("gradient_as_bucket_view", True)
        if self.shares_statistics:
            strategy._layer_sync = TorchSyncBatchNorm()

    def _fits_data(self) -> None:
        """Refuse data of other classes or channels than the network has.

        Raises:
            UserError: Where they differ.
        """
        network = self.method.student
        for name, what in (("num_classes", "classes"), ("in_channels", "channels")):
            theirs, ours = getattr(self._data, name, None), getattr(network, name)
            if theirs is not None and theirs != ours:
                whose = getattr(getattr(self._data, "source", None), "name", "of the data module")
                raise UserError(
                    f"the network has {ours} {what}, but data set {whose!r} has {theirs}; make it "
                    f"with {name}={theirs}"
                )

    @property
    def shares_statistics(self) -> bool:
        """Whether BatchNorm normalises over all devices.

        Where nobody has said so: on GPUs (elsewhere PyTorch cannot), if BatchNorm is trained and a
        device sees fewer than `SMALL` images of a kind in a step.
        """
        if self.compute.sync_batchnorm is not None:
            return self.compute.sync_batchnorm
        sizes = [
            getattr(self._data, name, SMALL) for name in ("batch_size", "unlabeled_batch_size")
        ]
        few = min(sizes) // self.trainer.world_size < SMALL
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return few and on_gpu and not self.method.student.independent

    def on_train_start(self) -> None:
        """The learning rate is the schedule's, also where a checkpoint is of another length."""
        for config in self.trainer.lr_scheduler_configs:
            schedule: Any = config.scheduler
            if isinstance(schedule, LambdaLR):
                groups = schedule.optimizer.param_groups
                for group, rate in zip(groups, rates(schedule), strict=True):
                    group["lr"] = rate

    def on_validation_start(self) -> None:
        """All devices score the same networks.

        Running statistics are those of the first device, as DDP sends them before every training
        step; it would send them during the validation too, where devices may have seen different
        numbers of batches and would wait for each other for ever.
        """
        wrapped = self.trainer.strategy.model
        if self.trainer.world_size > 1 and isinstance(wrapped, DistributedDataParallel):
            for buffer in self.buffers():
                dist.broadcast(buffer, 0)
            wrapped.require_forward_param_sync = False

    @property
    def num_views(self) -> int:
        """What the data side must know of the method."""
        return self.method.num_views

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C, H, W) of the method's predictor."""
        logits: Tensor = self.method.networks[self.method.predictor](image)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the method's terms; every term and diagnostic is logged."""
        self._step = self.make_step()
        truth, batch = batch.truth, self.compute.arrange(batch._replace(truth=None))
        out = self.method.losses(batch, self._step)
        loss = torch.stack(list(out.losses.values())).sum()
        found = {"loss": loss.detach()}
        found |= {f"loss/{name}": term.detach() for name, term in out.losses.items()}
        found |= {f"train/{name}": value for name, value in out.logs.items()}
        if self.watched:
            if out.pseudo is not None:
                found |= pseudo_label_metrics(out.pseudo, truth, *self.classes)
            found = self._step.devices.means(found)
        self.log_dict(found)
        self.batches_seen += 1
        # DDP waits for a gradient of every parameter
        return loss + sum(0.0 * p.sum() for p in self.method.idle(self._step))

    @property
    def watched(self) -> bool:
        """Whether the instruments are read at this step: those whose numbers are logged."""
        return logged_at(self.trainer, self.global_step + 1)

    @property
    def classes(self) -> tuple[Sequence[int] | None, list[str]]:
        """Pixels of each class in the labeled set, and the classes' names."""
        contents = getattr(self._data, "contents", None)
        if contents is None:
            return None, [f"class {i}" for i in range(self.method.student.num_classes)]
        return contents.pixels, [c.name for c in self._data.source.classes]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Read the gradient before it is clipped; take idle parameters out of the step.

        An optimiser skips a parameter without a gradient, but decays one whose gradient is 0.
        """
        if self._step is not None:
            for p in self.method.idle(self._step):
                p.grad = None
        if self.watched:
            self.log("train/gradient_norm", gradient_norm(list(self.method.parameters())))

    def make_step(self) -> Step:
        """This batch's place in the run, with its own random state.

        Dropout draws from torch's global state, so that is seeded per step too: a resumed run then
        sees the same draws as one that was never interrupted.
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
            raise UserError(
                f"option trainer.max_steps is {total}; training is counted in steps here, "
                "so give a positive number"
            )
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One optimiser step, then the method's own clock (not per batch under accumulation)."""
        super().optimizer_step(*args, **kwargs)
        if self._step is not None:
            self.method.after_step(self._step)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """A run that is told to stop, by its time or a callback, finishes its optimiser step.

        The gradients that accumulate are in no checkpoint.
        """
        self._told_to_stop |= self.trainer.should_stop
        whole = self.batches_seen % self.trainer.accumulate_grad_batches == 0
        self.trainer.should_stop = self._told_to_stop and whole

    def configure_optimizers(self) -> Any:
        """Two parameter groups and a polynomial schedule."""
        optimizer, schedule = create_optimizer(self.method, self.optim, self.total_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

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
                found = [self._count(name, infer(network, some), truth) for some, truth in parts]
                if name == self.method.predictor:
                    kept.append(torch.cat(found))
        return {"predicted": kept}

    def _count(self, name: str, scores: Tensor, label: Tensor) -> Tensor:
        """Count what a network says of some images, and give its classes back."""
        predicted = cast(SegmentationScores, self.confusion[name]).add(scores, label)
        if name in self.boundary:
            cast(BoundaryIoU, self.boundary[name]).update(predicted, label)
        return predicted

    def check_shapes(self, data: SegmentationData, devices: int = 1) -> None:
        """Take the networks through the shapes of training and validation, once.

        Raises:
            UserError: For images that they cannot take.
        """
        if not self._checked:
            check_training(self.method, data, devices)
            check_evaluation(self.method, self.inference, data)
            self._checked = True

    @property
    def _data(self) -> Any:
        return getattr(self.trainer, "datamodule", None)

    def on_validation_epoch_end(self) -> None:
        """Score the whole set, once, for every network."""
        self._score("val")

    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Score the whole set, once, for every network."""
        self._score("test")

    def _score(self, stage: str) -> None:
        for name, confusion in self.confusion.items():
            scores = cast(SegmentationScores, confusion).scores()
            cast(SegmentationScores, confusion).reset()
            if name in self.boundary:
                edge = cast(BoundaryIoU, self.boundary[name])
                scores = scores._replace(boundary_iou=edge.per_class())
                edge.reset()
            self.scores[name] = scores
            self.log(f"{stage}/miou_{name}", scores.miou)
        self.log(f"{stage}/miou", self.scores[self.method.predictor].miou)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to continue, and to predict without this run's configuration."""
        info = getattr(self._data, "info", None)
        names = [c.name for c in info.classes] if info else []
        checkpoint["ssseg"] = {
            "format": FORMAT,
            "version": __version__,
            "method": to_config(self.method),
            "network": to_config(self.method.student),
            "networks": {name: self._prefix(name) for name in self.method.networks},
            "predictor": self.method.predictor,
            "data": None if info is None else to_plain(info),
            "scores": {name: score.as_dict(names) for name, score in self.scores.items() if names},
            "batches_seen": self.batches_seen,
        }

    def _prefix(self, name: str) -> str:
        """What the weights of a network are called in the checkpoint, up to their own names."""
        network = self.method.networks[name]
        network = getattr(network, "module", network)  # an averaged copy keeps it inside
        return next(f"{path}." for path, part in self.named_modules() if part is network)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network or method in one sentence."""
        saved = checkpoint.get("ssseg")
        if saved is None:
            raise UserError("this checkpoint was not written by ssseg")
        for part, mine in (("method", self.method), ("network", self.method.student)):
            ours, theirs = to_config(mine), saved[part]
            # an option that is younger than the checkpoint had its default then
            usual = {name: p.default for name, p in signature(type(mine)).parameters.items()}
            theirs = {**theirs, "init_args": {**usual, **theirs["init_args"]}}
            if (found := _first_difference(theirs, ours)) is not None:
                raise UserError(
                    f"the checkpoint's {part} has {found[0]} = {found[1]!r}, but this run's has "
                    f"{found[2]!r}; start from the configuration that the checkpoint was made with"
                )
        self.batches_seen = saved["batches_seen"]


def logged_at(trainer: Trainer, step: int) -> bool:
    """Whether the numbers of a step are logged, for which the host waits for the device.

    Args:
        trainer: Of the run.
        step: Optimiser steps done after it.
    """
    every = int(getattr(trainer, "log_every_n_steps", 0))
    return every > 0 and step % every == 0


def _first_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[str, Any, Any] | None:
    if theirs["class_path"] != ours["class_path"]:
        return "class", theirs["class_path"], ours["class_path"]
    for key, value in ours["init_args"].items():
        if (given := theirs["init_args"].get(key)) != value:
            return key, given, value
    return None
