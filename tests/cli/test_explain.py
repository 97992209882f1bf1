"""`ssseg methods NAME`: read from the source, and equal to what the class says."""

import re

import pytest

from ssseg.cli import explain as module
from ssseg.cli.explain import UnclearError, explain, imported, read, table
from ssseg.errors import UserError
from ssseg.methods import METHODS
from tests.cli.small_runs import fresh


@pytest.mark.parametrize("name", METHODS)
def test_the_source_says_what_the_class_says(name):
    assert read(name) == imported(name)


def test_no_method_is_imported_to_be_explained():
    code = (
        "import sys\n"
        "from ssseg.cli.main import main\n"
        "from ssseg.methods import METHODS\n"
        "for name in METHODS:\n"
        "    assert main(['methods', name]) == 0\n"
        "print({'torch', 'numpy', 'timm', 'wandb', 'rich', 'yaml'} & set(sys.modules))\n"
    )
    assert fresh(code).splitlines()[-1] == "set()"


def test_the_text_has_docstrings_and_options():
    text = explain("classmix")
    assert text.startswith("Pastes half of the classes that the teacher predicts")
    assert "The student's prediction on a strong view must match" in text
    assert re.search(r"^  --method\.threshold +0\.968$", text, re.MULTILINE)
    assert explain("supervised").rstrip().endswith("unlabeled images are not read.")


def test_classes_elsewhere_are_imported():
    path = "ssseg.methods.cutmix.CutMix"
    assert explain(path) == explain("cutmix")
    with pytest.raises(UserError, match="did you mean 'cutmix'"):
        explain("cutmx")


@pytest.mark.parametrize(
    "source",
    [
        "class A(Method, Other):\n    'Doc.'\n",
        "@dataclass\nclass A(Method):\n    'Doc.'\n    x: float = 2 * 3\n",
        "@dataclass\nclass A(Method):\n    'Doc.'\n    x: InitVar[int] = 1\n",
        "@dataclass\nclass A(Method):\n    x: int = 1\n",
        "@other\nclass A(Method):\n    'Doc.'\n    x: int = 1\n",
        "class A(elsewhere.Method):\n    'Doc.'\n",
        "A = make_class()\n",
    ],
)
def test_what_must_be_run_to_be_known_is_not_guessed(source, tmp_path, monkeypatch):
    head = "from ssseg.methods.base import Method\n"
    (tmp_path / "a.py").write_text(head + source)
    monkeypatch.setattr(module.methods, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setitem(METHODS, "a", METHODS["mixup"]._replace(class_name="A"))
    with pytest.raises(UnclearError):
        read("a")


def test_a_method_that_cannot_be_read_is_imported(tmp_path, monkeypatch):
    whole = explain("cutmix")
    monkeypatch.setattr(module.methods, "__file__", str(tmp_path / "__init__.py"))
    assert explain("cutmix") == whole


def test_required_options(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(
        "from ssseg.methods.base import Method\n"
        "@dataclass(eq=False)\nclass A(Method):\n    'Doc.'\n"
        "    views: ClassVar[int] = 1\n    x: int\n    y: float = -1e-3\n"
    )
    monkeypatch.setattr(module.methods, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setitem(METHODS, "a", METHODS["mixup"]._replace(class_name="A"))
    assert explain("a").splitlines() == [
        *("Doc.", "", "", "", "Defaults:"),
        *("  --method.x  required", "  --method.y  -0.001"),
    ]


def test_columns_are_as_wide_as_their_widest_text():
    assert table([("a", "bcd", "e"), ("fgh", "i", "")]) == "a    bcd  e\nfgh  i"
