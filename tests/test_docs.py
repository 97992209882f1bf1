"""What the documents say is run, not believed."""

import re
import shlex
from pathlib import Path

import pytest

from ssseg.cli.aliases import expand_aliases
from ssseg.cli.main import USAGE
from ssseg.methods import METHODS
from ssseg.testing import check_method

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
]
PARTS = ("tutorial", "how-to", "reference", "background")
"""Each page is of one kind and lies in the folder of its kind (https://diataxis.fr)."""
MOST_WORDS = 900


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
        assert (DOCS / "reference" / "methods" / f"{name}.md").is_file()


def links(text):
    """The targets of links and pictures that are files of this repository."""
    return [t for t in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in t]


def test_links_between_documents_lead_somewhere():
    for page in PAGES:
        for target in links(page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"


def test_pages_that_other_files_name_exist():
    named = set()
    for folder, endings in (("src", "py"), ("tests", "py"), ("experiments", "yaml")):
        for path in sorted((ROOT / folder).rglob(f"*.{endings}")):
            found = re.findall(r"\bdocs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
            named |= {(path.relative_to(ROOT), page) for page in found}
    assert len({page for _, page in named}) >= 5
    missing = [(str(path), page) for path, page in named if not (ROOT / page).is_file()]
    assert missing == []


def words(text):
    """What a person reads of a page: no code blocks, no addresses of links, no rulers of tables."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return [word for word in text.split() if re.search(r"\w", word)]


def test_words_are_those_that_a_person_reads():
    text = "# A title\n\n| a | - |\n|---|---|\n\nsee [the page](x.md).\n\n```sh\nssseg fit\n```\n"
    assert words(text) == ["A", "title", "a", "see", "[the", "page]."]


@pytest.mark.parametrize("page", [p for p in PAGES if DOCS in p.parents], ids=lambda p: p.stem)
def test_a_page_is_short(page):
    found = len(words(page.read_text(encoding="utf-8")))
    assert found <= MOST_WORDS, f"{page.name} has {found} words; make two pages of one kind of it"


def test_every_page_belongs_to_one_part_and_is_listed_there():
    pages = {page.relative_to(DOCS) for page in PAGES if DOCS in page.parents}
    assert {page.parts[0] for page in pages} == {"index.md", *PARTS}
    listed = {Path("index.md")}
    for page in sorted(pages):
        for block in re.findall(r"```{toctree}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            names = [line for line in block.splitlines() if line and line[0] != ":"]
            listed |= {page.parent / f"{name}.md" for name in names}
    assert pages == listed


def test_commands_are_verbs_of_ssseg():
    verbs = re.findall(r"^  ([a-z-]+)$|^  ([a-z-]+)  ", USAGE, re.MULTILINE)
    verbs = {short or alone for alone, short in verbs}
    assert {"fit", "find-batch-size"} <= verbs
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                given = shlex.split(line, comments=True)
                assert given[:1] != ["ssseg"] or given[1] in verbs, f"{page.name}: {line}"


def test_python_in_documents_compiles():
    for page in PAGES:
        for code in blocks(page, "python"):
            compile(code, page.name, "exec")


def test_the_method_of_the_tutorial_keeps_the_contract(tmp_path, monkeypatch):
    code = blocks(DOCS / "tutorial" / "own-method.md", "python")[0]
    (tmp_path / "stripes.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import stripes

    check_method(stripes.Stripes)


def test_the_notebook_with_a_trainer_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks(DOCS / "tutorial" / "notebook.md", "python")[-1]
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
