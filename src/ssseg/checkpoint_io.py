"""Checkpoints are written whole or not at all, and the one before stays until then."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ssseg.files import written_whole
from ssseg.unfinished import LAST, PREVIOUS


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint, in the same file system, and renames.

    Lightning's own writes in the system's temporary folder and moves: where that is another file
    system, the move is a copy onto the old checkpoint, and a kill in its middle costs both.

    The checkpoint that last.ckpt was is kept as previous.ckpt, for a disk that loses what it was
    given.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; addresses such as s3://... are left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        whole = Path(path)
        whole.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(whole) as draft:
            with draft.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if whole.name == LAST:
                _keep(whole)


def _keep(last: Path) -> None:
    """A second name for a file, so that the first is never missing."""
    # there may be no such file yet, or a file system without second names
    with suppress(OSError), written_whole(last.with_name(PREVIOUS)) as again:
        again.unlink(missing_ok=True)
        again.hardlink_to(last)
