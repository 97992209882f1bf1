from pathlib import Path

from ssseg.benchmarking.grid import plan
from ssseg.benchmarking.grid_file import grid_of


def planned(methods, seeds, options, out=Path("out"), **more):
    return plan(grid_of(methods, seeds, options, **{"supervised": False, **more}), out)
