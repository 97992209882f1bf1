"""Reading checkpoints of ours; never runs code that a file may hold."""

from pathlib import Path
from typing import Any

import torch

from ssseg.errors import UserError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint of ours; never runs code that a file may hold.

    Raises:
        UserError: For a file that is missing or no such checkpoint.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no checkpoint {path}; expected a file in a run's checkpoints/")
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} is not a checkpoint ({type(error).__name__} while reading it); "
            "expected a file in a run's checkpoints/"
        ) from error
    if not isinstance(saved, dict) or "ssseg" not in saved:
        raise UserError(f"{path} is not a checkpoint of ssseg; expected one that `ssseg fit` wrote")
    return saved
