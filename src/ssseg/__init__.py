"""Mixing-based semi-supervised semantic segmentation with PyTorch Lightning.

Names are imported when they are first used, so that `import ssseg` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssseg.version import __version__ as __version__

if TYPE_CHECKING:
    from ssseg.api import debug_nan as debug_nan
    from ssseg.api import doctor as doctor
    from ssseg.api import export as export
    from ssseg.api import find_batch_size as find_batch_size
    from ssseg.api import fit as fit
    from ssseg.api import load as load
    from ssseg.api import split as split
    from ssseg.api import test as test
    from ssseg.api import validate as validate
    from ssseg.benchmarking.api import benchmark as benchmark
    from ssseg.benchmarking.api import reproduce as reproduce
    from ssseg.cli.cross_validation import cross_validate as cross_validate
    from ssseg.data.module import SegmentationData as SegmentationData
    from ssseg.errors import UserError as UserError
    from ssseg.methods.base import Method as Method
    from ssseg.models import Segmenter as Segmenter
    from ssseg.reports.comparison.report import report as report
    from ssseg.runs.run import Run as Run
    from ssseg.training.module import SegmentationModule as SegmentationModule
    from ssseg.training.optimizer import OptimizerConfig as OptimizerConfig

_HOMES = {
    "Method": "ssseg.methods.base",
    "OptimizerConfig": "ssseg.training.optimizer",
    "Run": "ssseg.runs.run",
    "SegmentationData": "ssseg.data.module",
    "SegmentationModule": "ssseg.training.module",
    "Segmenter": "ssseg.models",
    "UserError": "ssseg.errors",
    "benchmark": "ssseg.benchmarking.api",
    "cross_validate": "ssseg.cli.cross_validation",
    "debug_nan": "ssseg.api",
    "doctor": "ssseg.api",
    "export": "ssseg.api",
    "find_batch_size": "ssseg.api",
    "fit": "ssseg.api",
    "load": "ssseg.api",
    "report": "ssseg.reports.comparison.report",
    "reproduce": "ssseg.benchmarking.api",
    "split": "ssseg.api",
    "test": "ssseg.api",
    "validate": "ssseg.api",
}
__all__ = sorted(["__version__", *_HOMES])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
