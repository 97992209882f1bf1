"""`ssseg replay FOLDER`: the end of a run once more, to see where it stopped being numbers.

A run is a function of its options and seed, so the steps after its newest checkpoint can be
repeated. This time every layer, every loss and every gradient is looked at.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from ssseg.arguments import without
from ssseg.data.module import data_of
from ssseg.errors import UserError
from ssseg.module import SegmentationModule, read_checkpoint
from ssseg.options import Traceless, command_line
from ssseg.resuming import newest_checkpoint
from ssseg.types import Batch, StepOutput
from ssseg.unfinished import command_of


class Found(Exception):  # noqa: N818 (what was looked for)
    """What was looked for: sentences, the first thing that is no number first."""

    def __init__(self, step: int, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.step, self.lines = step, list(lines)


class Look(Callback):
    """Looks at everything in every step, and ends with `Found` at the first that is no number."""

    def __init__(self) -> None:
        self.layer: str | None = None
        self.terms: dict[str, float] = {}
        self.images: list[str] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Listen to every layer, and to what the method hands back."""
        assert isinstance(module, SegmentationModule)
        for name, part in module.method.named_modules():
            if name and not list(part.children()):
                part.register_forward_hook(partial(self._hear, name))
        losses = module.method.losses
        module.method.losses = partial(self._keep, losses)  # type: ignore[method-assign]

    def _hear(self, name: str, layer: nn.Module, given: Any, made: Any) -> None:
        if self.layer is None and not _finite(made):
            where = ""
            if not _finite(given):
                where = ", and so is what goes into it"
            elif not all(_finite(p) for p in layer.parameters()):
                where = ", and so is one of its weights"
            self.layer = f"the output of {name} ({type(layer).__name__}) is not finite{where}"

    def _keep(self, losses: Callable[..., StepOutput], *args: Any) -> StepOutput:
        out = losses(*args)
        self.terms = {name: float(term) for name, term in out.losses.items()}
        return out

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Look at the images."""
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
        """Look at what this step made; end where something is wrong.

        Raises:
            Found: With everything that is wrong.
        """
        bad = [
            name
            for name, p in module.named_parameters()
            if p.grad is not None and not _finite(p.grad)
        ]
        losses_fine = all(map(math.isfinite, self.terms.values()))
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        # with scaled losses an infinite gradient is nothing unusual: the step is left out
        if losses_fine and (not bad or scaled) and not self.images:
            return
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        lines = [*self.images, *([self.layer] if self.layer else []), f"losses: {terms}"]
        if bad and losses_fine:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            lines.append(
                f"all losses are finite; the gradient of {bad[-1]}{more} is not: it was lost on "
                "the way back"
            )
        raise Found(trainer.global_step + 1, lines)


class Replay(Traceless):
    """Trains from a checkpoint, looks at everything and writes nothing."""

    checkpoint: Path | None = None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that looks, and does not validate."""
        return super().instantiate_trainer(callbacks=[Look()], limit_val_batches=0, **kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        checkpoint = None if self.checkpoint is None else str(self.checkpoint)
        if checkpoint is None:
            self.take_weights()
        self.trainer.fit(self.model, self.datamodule, ckpt_path=checkpoint)


def replay(folder: Path) -> tuple[int, Found | None]:
    """Repeat a run from its newest checkpoint until something is not a finite number.

    Args:
        folder: Of a run that is not finished.

    Returns:
        The step it began after, and what was found; None where the run went through to its end.

    Raises:
        UserError: For a folder without an unfinished run.
    """
    args = command_of(folder)
    if args is None:
        raise UserError(f"{folder} holds no unfinished run; expected one that stopped at a NaN")
    Replay.checkpoint = newest_checkpoint(folder)
    step = 0
    if Replay.checkpoint is not None:
        step = read_checkpoint(Replay.checkpoint)["global_step"]
    try:
        command_line(Replay, "fit", without(without(args, "--out"), "--ckpt_path"))
    except Found as found:
        return step, found
    return step, None


def replay_verb(args: Sequence[str]) -> int:
    """`ssseg replay FOLDER`: print what was found."""
    if len(args) != 1 or args[0].startswith("-"):
        print("usage: ssseg replay FOLDER\n\nFOLDER is of a run that stopped at a NaN.")
        return 0 if set(args) & {"-h", "--help"} else 2
    begun, found = replay(Path(args[0]))
    if found is None:
        print(f"from step {begun} to the end every loss and every gradient was finite this time")
        return 0
    print(f"step {found.step}, repeated from step {begun}:")
    for line in found.lines:
        print(f"  {line}")
    return 0


def _finite(value: Any) -> bool:
    """Whether all tensors in it are."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, tuple | list):
        return all(_finite(part) for part in value)
    return True
