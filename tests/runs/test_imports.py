"""What a command imports, in a process of its own."""

import gc
import subprocess
import sys

import pytest

from ssseg.runs.imports import quick_imports
from tests.cli.small_runs import SMALL, fresh

UNUSED = ("wandb", "tensorboard", "onnx", "onnxruntime", "ray", "pandas")


def test_a_run_imports_nothing_that_it_does_not_use(tmp_path):
    args = ["fit", "--method", "classmix", *SMALL, "--trainer.max_steps", "1"]
    args += ["--network", "small", "--out", str(tmp_path / "run")]
    code = (
        "import gc, sys\n"
        "from ssseg.cli.main import main\n"
        f"assert main({args!r}) == 0\n"
        "assert 'torch' in sys.modules and gc.isenabled() and gc.get_freeze_count() > 100_000\n"
        f"print('found', *(name for name in {UNUSED!r} if name in sys.modules))"
    )
    assert fresh(code).splitlines()[-1] == "found"


def test_the_end_of_a_process_is_silent():
    """Libraries look for objects that nobody freed."""
    code = (
        "from ssseg.runs.imports import quick_imports as q\nwith q():\n    import ssseg.cli.train"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_what_is_not_needed_can_be_imported_afterwards():
    code = (
        "from ssseg.runs.imports import quick_imports\n"
        "with quick_imports():\n"
        "    import timm.utils.summary\n"
        "import wandb, sys\n"
        "print(hasattr(timm.utils.summary, 'wandb'), wandb.__version__ != '')\n"
    )
    assert fresh(code) == "False True\n"


def test_a_module_that_a_program_has_imported_stays():
    code = (
        "import sys, wandb\n"
        "from ssseg.runs.imports import quick_imports\n"
        "with quick_imports():\n"
        "    import wandb as again\n"
        "print(again is wandb is sys.modules['wandb'])\n"
    )
    assert fresh(code) == "True\n"


def test_collection_is_on_again_after_an_import_that_failed():
    code = (
        "import gc, sys\n"
        "from ssseg.runs.imports import quick_imports\n"
        "try:\n"
        "    with quick_imports():\n"
        "        assert not gc.isenabled()\n"
        "        import no_such_module\n"
        "except ImportError:\n"
        "    print(gc.isenabled(), 'wandb' in sys.modules)\n"
    )
    assert fresh(code) == "True False\n"


def test_a_program_that_has_imported_torch_is_left_as_it_is():
    """Its objects would be set apart together with the modules, and never be freed."""
    assert "torch" in sys.modules
    frozen = gc.get_freeze_count()
    with quick_imports():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("enabled", [True, False])
def test_a_program_without_collection_stays_without(enabled):
    code = (
        "import gc\n"
        f"gc.enable() if {enabled} else gc.disable()\n"
        "from ssseg.runs.imports import quick_imports\n"
        "with quick_imports():\n"
        "    pass\n"
        "print(gc.isenabled())\n"
    )
    assert fresh(code) == f"{enabled}\n"
