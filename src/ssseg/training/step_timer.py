"""The time and memory of a run's steps, measured outside of the run."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from ssseg.data.module import SegmentationData
from ssseg.distributed import SINGLE
from ssseg.training.module import SegmentationModule
from ssseg.training.optimizer import create_optimizer
from ssseg.types import Batch, Step


class StepTimer:
    """Computes steps and validations as a trainer would, on one device.

    The trainer's own strategy does the optimiser step, so that precision, gradient scaler and
    clipping are those of the run.

    Args:
        trainer: That would train; it is not started.
        module: To be trained. Its weights change.
        data: Of the run.
    """

    def __init__(
        self, trainer: Trainer, module: SegmentationModule, data: SegmentationData
    ) -> None:
        self.strategy, self.plugin = trainer.strategy, trainer.precision_plugin
        self.device = self.strategy.root_device
        self.steps, self.devices = trainer.max_steps, trainer.world_size
        self.batches_per_step = trainer.accumulate_grad_batches
        module.trainer = trainer
        self.strategy.connect(module)
        module.compute = module.compute.prepare(module.method, self.device)
        self.plugin.convert_module(module)
        self.module = module.to(self.device)
        self.data = data
        data.num_views = module.num_views
        self.optimizer, _ = create_optimizer(module.method, module.optim, self.steps)

    def batches(self) -> Iterator[Batch]:
        """The batches of the run, from its beginning."""
        return iter(self.data.train_dataloader())

    def step(self, batches: Iterator[Batch], index: int) -> float:
        """One step on one batch.

        Args:
            batches: Where its batch comes from.
            index: Its place in the run: a method may do other things early than late.

        Returns:
            Seconds that it took, with reading its batch.
        """
        started, module = self._now(), self.module
        module.train()
        batch = self.plugin.convert_input(next(batches))
        batch = module.transfer_batch_to_device(batch, self.device, 0)
        step = replace(module.make_step(), index=index, devices=SINGLE, common=None)
        self.strategy.optimizer_step(self.optimizer, partial(self._backward, batch, step))
        module.method.after_step(step)
        return self._now() - started

    def _backward(self, batch: Batch, step: Step) -> Tensor:
        with self.plugin.train_step_context():
            loss, _ = self.module.compute_loss(batch, step)
        self.optimizer.zero_grad()
        return self.strategy.backward(loss, self.optimizer)

    def validation(self, most: int | None = None) -> float:
        """Seconds of one validation, estimated from its first images.

        Args:
            most: Number of images to compute; None: a batch.
        """
        data, module = self.data, self.module
        records = data.source.records("val")
        if not records:
            return 0.0
        images = data.eval_images(records)
        count = min(most or data.val_batch_size, len(records))
        started = self._now()
        module.eval()
        infer = module.inference.within(data.crop_size)
        with torch.inference_mode(), self.plugin.val_step_context():
            for place in range(count):
                image = self.plugin.convert_input(images[place].image[None].to(self.device))
                for network in module.method.networks.values():
                    infer(network, image)
        return (self._now() - started) * len(records) / count

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
