"""What the documents say is run, not believed."""

import re
import shlex
from pathlib import Path

import pytest

from ssseg.cli.aliases import expand_aliases
from ssseg.methods import METHODS
from ssseg.testing import check_method

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def command_lines():
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                # a run that goes on brings its options itself
                if words[:2] == ["ssseg", "fit"] and "--resume" not in words:
                    yield page.name, line, words[2:]


@pytest.mark.parametrize(("page", "line", "args"), list(command_lines()))
def test_command_lines_have_known_names(page, line, args, tmp_path, monkeypatch):
    if any("stripes." in word or "my_package." in word for word in args):
        pytest.skip("the reader's own class")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "earlier").mkdir(parents=True)
    (tmp_path / "runs" / "earlier" / "config.yaml").write_text("{}")
    assert expand_aliases(args)


def test_every_method_has_a_page_and_a_line():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in METHODS:
        assert f"| `{name}` |" in readme
        assert (ROOT / "docs" / "reference" / "methods" / f"{name}.md").is_file()


def test_links_between_documents_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_method_of_the_tutorial_keeps_the_contract(tmp_path, monkeypatch):
    code = blocks(ROOT / "docs" / "tutorial" / "own-method.md", "python")[0]
    (tmp_path / "stripes.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import stripes

    check_method(stripes.Stripes)


def test_the_notebook_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks(ROOT / "README.md", "python")[1]
    for long, short in (
        ("max_steps=600", 'accelerator="cpu", max_steps=2'),
        ("val_check_interval=200", "val_check_interval=2"),
        ("Street()", "Street(train_images=24, val_images=4, size=32)"),
    ):
        assert long in code
        code = code.replace(long, short)
    names = {}
    exec(code, names)
    assert names["trainer"].global_step == 2
    assert set(names["module"].scores) == {"student", "teacher"}
