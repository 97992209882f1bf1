"""The process that checks the runs of a benchmark, see `ssseg.cli.preflight`.

`python -m ssseg.cli.look_ahead PARENT` ends when the process with this id ends. It starts as a run
starts, so that it measures with the threads of a run.
"""

import os
import sys
import time
from threading import Thread

from ssseg.cli.start_up import start_up

PAUSE = 1.0
"""Seconds between two looks for the parent."""


def end_with(parent: int) -> None:
    """End this process when its parent has ended, whatever it is doing.

    Linux sends a signal too (`ends_with_this_process`), which a process may ignore.

    Args:
        parent: Its process id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PAUSE)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def main() -> None:
    """Answer the request on standard input."""
    end_with(int(sys.argv[1]))
    with start_up():
        from ssseg.cli import preflight
    preflight.main()


if __name__ == "__main__":
    main()
