import pytest

import ssseg
from ssseg.methods import METHODS, method_class
from ssseg.methods.mean_teacher import MeanTeacher


def test_the_table_and_the_folder_agree():
    from pathlib import Path

    import ssseg.methods

    folder = Path(ssseg.methods.__file__).parent
    files = {
        p.stem for p in [*folder.glob("*.py"), *(q.parent for q in folder.glob("*/__init__.py"))]
    }
    assert files - {"__init__", "base"} == set(METHODS)
    for name, entry in METHODS.items():
        assert entry.class_name.lower() == name.replace("_", "")
        assert method_class(name).__name__ == entry.class_name


def test_methods_are_short():
    """A new method is one file of at most about 60 lines, or 80 if it does without the template.

    The template is an exception, and so are methods with streams of their own.
    """
    from inspect import getsource, getsourcelines

    longer = {
        "mean_teacher",
        "guidedmix",
        "guidedmix_released",
        "unimatch",
        "prevmatch",
        "corrmatch",
    }
    for name in set(METHODS) - longer:
        code = [line for line in getsourcelines(method_class(name))[0] if line.strip()]
        doc = method_class(name).__doc__.splitlines()
        most = 60 if issubclass(method_class(name), MeanTeacher) else 80
        assert len(code) - len(doc) < most, name
        assert "torch.rand(" not in getsource(method_class(name)) or "generator=" in getsource(
            method_class(name)
        )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cutmix", "classmix", "complexmix"])
def test_mixing_beats_supervised_on_street(method, tmp_path):
    """A quarter of the gain that three seeds show at 800 steps (docs/background/results.md)."""
    runs = {
        name: ssseg.fit(name, out=tmp_path / name, max_steps=500) for name in ("supervised", method)
    }
    supervised = runs["supervised"].summary["last"]["student"]["miou"]
    mixed = runs[method].summary["last"]["teacher"]["miou"]
    assert mixed > supervised + 0.01
