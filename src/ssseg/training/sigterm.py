"""What a training process does when it is told to end by SIGTERM."""

import signal
import threading
from types import FrameType

from pytorch_lightning import Trainer


class SigtermHandler:
    """Notes a SIGTERM, for the run to end where it can be saved, and forwards it.

    Lightning's own handler, whose place it takes until training ends, would end a run between any
    two batches, those of a validation or of one optimiser step included.

    Args:
        trainer: Of the run; processes that it launched get the signal as well.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.received = trainer.received_sigterm

    def install(self) -> None:
        """Handle SIGTERM from now on; when training ends, Lightning puts the handler before back.

        Python lets only the main thread do so.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        launcher = self.trainer.strategy.launcher
        if launcher is not None and not self.received:
            launcher.kill(signum)
        self.received = True

    def received_by_any(self) -> bool:
        """Whether any process of the run has been told to end; all processes must ask."""
        return self.trainer.strategy.reduce_boolean_decision(self.received, all=False)
