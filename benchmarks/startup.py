"""Start-up time of the command line, compared with the interpreter and `import torch`.

Each command runs in its own process. The commands run in turns; the first turn is not counted.

    python benchmarks/startup.py --json startup.json

`ssseg --help` should take at most 0.5 s and `import ssseg` at most 0.1 s more than Python itself.
"""

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

from common import medians, save

PYTHON = [sys.executable, "-c"]
COMMANDS = {
    "python": [*PYTHON, "pass"],
    "import ssseg": [*PYTHON, "import ssseg"],
    "ssseg --help": [sys.executable, "-m", "ssseg", "--help"],
    "ssseg methods": [sys.executable, "-m", "ssseg", "methods"],
    "import torch": [*PYTHON, "import torch"],
    "import pytorch_lightning": [*PYTHON, "import pytorch_lightning"],
    "ssseg fit --help": [sys.executable, "-m", "ssseg", "fit", "--help"],
}


def start(command: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seconds = medians(given.rounds, [partial(start, command) for command in COMMANDS.values()])
    found = dict(zip(COMMANDS, seconds, strict=True))
    for name, value in found.items():
        print(f"{name:<26}{value:7.3f} s{value - found['python']:+9.3f} s to Python")
    save(given, seconds=found)


if __name__ == "__main__":
    main()
