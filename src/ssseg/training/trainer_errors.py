"""Errors of Lightning as one sentence for the user."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer

from ssseg.errors import UserError
from ssseg.training.option_values import precision_of


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Raise what Lightning itself refuses as one sentence.

    Raises:
        UserError: For any complaint of Lightning about options of its Trainer.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"the trainer cannot do this: {_line(error)}") from error
    except RuntimeError as error:
        if "does not have a deterministic implementation" in str(error):
            operation = str(error).split()[0]
            raise UserError(
                f"option trainer.deterministic is true, but {operation} has no deterministic form "
                "on this device; give trainer.deterministic warn"
            ) from error
        if "Early stopping conditioned on metric" in str(error):
            raise UserError(f"option trainer.callbacks: {_line(error)}") from error
        raise


def make_trainer(make: Callable[[], Trainer], precision: Any) -> Trainer:
    """Make a trainer.

    Args:
        make: Makes it.
        precision: That was asked for.

    Raises:
        UserError: Where Lightning refuses an option, or would silently do something else.
    """
    try:
        trainer = make()
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the trainer cannot be made of these options: {_line(error)}") from error
    device: torch.device = trainer.strategy.root_device
    if precision_of(precision) == "16-mixed" and device.type == "cpu":
        raise UserError(
            "option trainer.precision is 16-mixed, which a CPU cannot do; give bf16-mixed"
        )
    return trainer


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
