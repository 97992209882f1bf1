"""How long the command line takes to answer, beside the interpreter and `import torch`.

Each command runs in a process of its own; they take turns, a first turn is not counted.

    python benchmarks/startup.py --json startup.json

`ssseg --help` should take at most 0.5 s and `import ssseg` at most 0.1 s more than Python itself.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def seconds(command: list[str]) -> float:
    """Of one process from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, float]:
    """Median seconds of every command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, command in COMMANDS.items():
            took = seconds(command)
            if turn:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.rounds)
    for name, value in found.items():
        print(f"{name:<26}{value:7.3f} s{value - found['python']:+9.3f} s to Python")
    if given.json:
        given.json.write_text(json.dumps({"seconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
