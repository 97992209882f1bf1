"""Tests lie where the paths of their modules suggest: `ssseg.a.b` has `tests/a/test_b.py`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ssseg"
FEW = 25
"""Lines of code, without imports, comments and docstrings, that need no file of their own."""

ELSEWHERE = {
    "ops": "a list of names: tests/ops",
    "cli/training_options": "a list of options: tests/cli/test_help.py and test_lightning_cli.py",
}
"""Longer modules whose tests lie in another file, and why."""


def lines_of_code(path):
    """Lines that do something."""
    text = path.read_text(encoding="utf-8")
    passed = set()
    for node in ast.walk(ast.parse(text)):
        words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or words:
            passed.update(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(map(str.strip, text.splitlines()), 1)
    return sum(n not in passed and line != "" and line[0] != "#" for n, line in lines)


def name_of(path):
    """Of a module or package below `ssseg`, as a path: `data/datasets`, `cli/main`."""
    inside = path.relative_to(PACKAGE).with_suffix("")
    inside = inside.parent if inside.name == "__init__" else inside
    return inside.as_posix() if inside.parts else "ssseg"


def place_of(name):
    inside = Path(name)
    return ROOT / "tests" / inside.parent / f"test_{inside.name}.py"


def test_every_module_of_more_than_a_few_lines_has_its_tests():
    missing = [
        name
        for path in PACKAGE.rglob("*.py")
        if not place_of(name := name_of(path)).is_file()
        and lines_of_code(path) > FEW
        and name not in ELSEWHERE
    ]
    assert not missing, f"no tests at {[str(place_of(n).relative_to(ROOT)) for n in missing]}"


def test_what_has_its_tests_elsewhere_is_there_and_has_none_here():
    names = {name_of(path) for path in PACKAGE.rglob("*.py")}
    assert set(ELSEWHERE) <= names
    assert not [name for name in ELSEWHERE if place_of(name).is_file()]


def test_lines_of_code_are_those_that_do_something(tmp_path):
    (tmp_path / "a.py").write_text(
        '"""Doc."""\n\nimport os\nfrom a import (\n    b,\n)\n\n# why\nx = 1\n"""Of x."""\n\n\n'
        'def f():\n    """Doc\n\n    of two lines.\n    """\n    return "text"  # said\n'
    )
    assert lines_of_code(tmp_path / "a.py") == 3
