"""Which steps are logged: there, and only there, instruments and callbacks read numbers."""

from pytorch_lightning import Trainer


def logged_at(trainer: Trainer, step: int) -> bool:
    """Whether the numbers of a step are logged; to do so the host waits for the device.

    Those of the last step are: Lightning logs whatever it has when a run stops.

    Args:
        trainer: Of the run.
        step: Optimiser steps done after it.
    """
    every = int(getattr(trainer, "log_every_n_steps", 0))
    return every > 0 and (step % every == 0 or step == trainer.max_steps)
