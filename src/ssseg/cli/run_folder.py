"""The folder that a command writes into."""

import os
from contextlib import ExitStack
from pathlib import Path

from ssseg.errors import UserError
from ssseg.runs.lock import first_free, names
from ssseg.training.resume import leads

CHOSEN = "SSSEG_RUN_FOLDER"
"""In the environment of the processes that the first one of a run starts: the folder it chose."""


def run_folder(out: str | None, resumed: Path | None, stem: str, held: ExitStack) -> Path:
    """The folder of the run that goes on, the one that is asked for, or a free one in runs/.

    Args:
        out: What `--out` says.
        resumed: The checkpoint that a run goes on from in its own folder.
        stem: What the name of a free folder begins with.
        held: Keeps the lock of a free folder until it is closed.

    Raises:
        UserError: If the folder that is asked for is not empty.
    """
    if resumed is not None:
        return resumed.parent.parent
    if out is not None:
        refuse_used(out)
        return Path(out)
    usual = Path("runs") / stem
    if leads():
        lock = first_free(usual)
        held.callback(lock.release)
        held.callback(os.environ.pop, CHOSEN, None)
        os.environ[CHOSEN] = str(lock.folder)
        return lock.folder
    told = os.environ.get(CHOSEN)
    return Path(told) if told else next(p for p in names(usual) if not p.exists())


def refuse_used(out: str) -> None:
    """Refuse a folder that holds anything.

    Raises:
        UserError: If it does.
    """
    if any(Path(out).glob("*")):
        raise UserError(f"option out: the folder {out} is not empty; give a new one, or remove it")
