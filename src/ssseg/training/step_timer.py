"""A run's steps outside of its run, to see how long they take and how much they hold."""

import time
from collections.abc import Iterator

import torch
from pytorch_lightning import Trainer

from ssseg.data.module import SegmentationData
from ssseg.training.module import SegmentationModule
from ssseg.training.optimizer import create_optimizer
from ssseg.types import Batch, Step


class StepTimer:
    """Computes steps and validations as a trainer would: on its device, in its precision.

    Args:
        trainer: That would train; it is not started.
        module: To be trained. Its weights change.
        data: Of the run.
    """

    def __init__(
        self, trainer: Trainer, module: SegmentationModule, data: SegmentationData
    ) -> None:
        self.device = trainer.strategy.root_device
        self.plugin = trainer.precision_plugin
        self.steps, self.devices = trainer.max_steps, trainer.world_size
        self.batches_per_step = trainer.accumulate_grad_batches
        module.compute.prepare(module.method)
        self.plugin.convert_module(module)
        self.module = module.to(self.device)
        self.data = data
        data.num_views = module.num_views
        self.optimizer, _ = create_optimizer(module.method, module.optim, self.steps)

    def batches(self) -> Iterator[Batch]:
        """Of the run, from its beginning."""
        return iter(self.data.train_dataloader())

    def step(self, batches: Iterator[Batch], index: int) -> float:
        """One step.

        Args:
            batches: Where its batch comes from.
            index: Its place in the run: a method may do other things early than late.

        Returns:
            Seconds that it took, with its batch.
        """
        started, module = self._now(), self.module
        batch = module.transfer_batch_to_device(next(batches), self.device, 0)
        batch = self.plugin.convert_input(module.compute.arrange(batch)._replace(truth=None))
        step = Step(index, self.steps, torch.Generator(self.device).manual_seed(index))
        module.train()
        with self.plugin.train_step_context():
            losses = module.method.losses(batch, step).losses
        self.optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        self.optimizer.step()
        module.method.after_step(step)
        return self._now() - started

    def validation(self) -> float:
        """Seconds of one validation, reckoned from its first batch."""
        data, module = self.data, self.module
        records = data.source.records("val")
        if not records:
            return 0.0
        images = data.eval_images(records)
        count = min(data.val_batch_size, len(records))
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
