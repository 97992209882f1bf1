"""The programs in benchmarks/ run, at sizes at which their numbers mean nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SMALL = {
    "costs": ["--encoder", "test_resnet", "--crop", "48", "--batch", "2", "--steps", "1"],
    "loader": ["--size", "60", "80", "--crop", "48", "--steps", "1", "--rounds", "1"],
    "memory": ["--encoder", "test_resnet", "--crop", "64", "--batch", "1", "--steps", "2"],
    "operators": ["--size", "32", "64", "--repeats", "1", "--blocks", "4"],
    "startup": ["--rounds", "1"],
    "step": ["--encoder", "test_resnet", "--crop", "48", "--steps", "4", "--warmup", "1"],
    "throughput": ["--encoder", "test_resnet", "--crop", "48", "--batch", "2", "--steps", "1"],
    "validation": ["--size", "32", "64", "--images", "4", "--rounds", "1"],
}
SMALL["costs"] += ["--methods", "cps", "prevmatch"]
SMALL["throughput"] += ["--ways", "fp32", "bf16", "bf16, channels_last"]


def test_every_program_is_tried():
    assert sorted(SMALL) == sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_runs_and_writes_its_numbers(name, tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, FOLDER / f"{name}.py", *SMALL[name], "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    numbers = json.loads(out.read_text(encoding="utf-8"))
    found = [value for value in _leaves(numbers) if isinstance(value, float)]
    assert found
    assert all(value == value for value in found)


def _leaves(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value
