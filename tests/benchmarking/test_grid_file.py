from pathlib import Path

import pytest
import yaml

from ssseg.benchmarking.grid import Grid, plan
from ssseg.benchmarking.grid_file import grid_of, read_grid
from ssseg.cli.aliases import expand_aliases
from ssseg.errors import UserError
from tests.benchmarking.grids import planned


def read(path, options=(), **more):
    """A grid without the supervised row that is added where there is none."""
    return read_grid(path, options, supervised=False, **more)


@pytest.fixture
def write(tmp_path):
    """Writes a grid file, from text or from what is to be in it."""

    def written(content):
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (tmp_path / "study.yaml").write_text(text)
        return tmp_path / "study.yaml"

    return written


def flags(run):
    """The options of a run, in the order in which the last of each name counts."""
    words = [word for word in run.args if word.startswith("--") and "=" in word]
    return dict(word[2:].split("=", 1) for word in words)


def test_a_grid_is_rows_by_columns_by_seeds(write):
    grid = read(
        write(
            "rows:\n"
            "  supervised: {method: supervised}\n"
            "  '< 0.1': {method: guidedmix, method.lambda_max: 0.1}\n"
            "columns:\n"
            "  1/8 labels: {data.labeled: 1/8}\n"
            "  40: {data.labeled: 40}\n"
            "seeds: [3, 5]\n"
            "options: {network: unet}\n"
        )
    )
    runs = plan(grid, Path("out"))
    assert [(run.seed, run.column, run.row) for run in runs] == [
        (seed, column, row)
        for seed in (3, 5)
        for column in ("1/8 labels", "40")
        for row in ("supervised", "< 0.1")
    ]
    assert [run.folder.name for run in runs[:4]] == [
        "supervised-1-8-labels-seed3",
        "0.1-1-8-labels-seed3",
        "supervised-40-seed3",
        "0.1-40-seed3",
    ]
    assert len({run.folder for run in runs}) == 8
    assert all(run.folder.parent == Path("out") for run in runs)
    assert runs[1].name == "< 0.1 1/8 labels seed 3"
    assert runs[1].args == [
        *("fit", "--method", "guidedmix", "--seed_everything", "3"),
        *("--out", "out/0.1-1-8-labels-seed3", "--network=unet"),
        *("--data.labeled=1/8", "--method.lambda_max=0.1"),
    ]
    assert plan(grid, Path("out")) == runs


def test_folders_do_not_depend_on_what_else_is_in_the_grid(write):
    """What is finished stays finished when a study grows."""
    rows = {"a": {"method": "supervised"}, "b": {"method": "cutmix"}}
    columns = {"few": {"data.labeled": 8}, "many": {"data.labeled": 64}}
    small = plan(read(write({"rows": {"b": rows["b"]}, "columns": columns})), Path("out"))
    large = plan(read(write({"rows": rows, "columns": columns, "seeds": 3})), Path("out"))
    assert [run for run in large if run.row == "b" and run.seed == 0] == small


@pytest.mark.parametrize(("seeds", "expected"), [(None, [0]), (3, [0, 1, 2]), ([7], [7])])
def test_seeds_are_a_count_or_a_list(write, seeds, expected):
    given = {} if seeds is None else {"seeds": seeds}
    grid = read(write({"rows": {"a": {"method": "supervised"}}, **given}))
    runs = plan(grid, Path())
    assert [run.seed for run in runs] == expected
    assert [run.folder.name for run in runs] == [f"a-seed{seed}" for seed in expected]


def test_a_row_overrides_its_column_and_both_what_is_shared(write):
    file = write(
        {
            "rows": {"a": {"method": "cutmix"}, "b": {"method": "cutmix", "data.labeled": 9}},
            "columns": {"c": {"data.labeled": 8, "optim.lr": 0.2}},
            "options": {"data.labeled": 7, "optim.lr": 0.1, "trainer.max_steps": 6},
        }
    )
    a, b = plan(read(file, ["--trainer.max_steps=5", "--optim.lr=0.3"]), Path())
    shared = ["--data.labeled=7", "--optim.lr=0.1", "--trainer.max_steps=6"]
    assert a.args[-7:-2] == b.args[-7:-2] == [*shared, "--trainer.max_steps=5", "--optim.lr=0.3"]
    assert a.args[-2:] == ["--data.labeled=8", "--optim.lr=0.2"]
    assert b.args[-2:] == ["--data.labeled=9", "--optim.lr=0.2"]
    assert flags(b) == {"data.labeled": "9", "optim.lr": "0.2", "trainer.max_steps": "5"}


def test_shared_options_of_one_method_go_to_its_rows_alone(write):
    file = write(
        {
            "rows": {
                "a": {"method": "cutmix"},
                "b": {"method": "classmix"},
                "c": {"method": "cutmix", "method.area": 0.1},
            },
            "options": {"cutmix.area": 0.3},
        }
    )
    a, b, c = plan(read(file, ["--classmix.threshold", "0.5"]), Path())
    assert a.args[-1] == "--method.area=0.3"
    assert b.args[-2:] == ["--method.threshold", "0.5"]
    assert not any("area" in word for word in b.args)
    assert c.args[-2:] == ["--method.area=0.3", "--method.area=0.1"]


def methods_options(runs):
    return {run.row: [word for word in run.args if word.startswith("--method.")] for run in runs}


def test_shared_options_of_methods_go_to_those_that_have_them(write):
    """Also beside the supervised row that a benchmark adds by itself."""
    options = ["--method.threshold", "0.5", "--method.area=0.3", "-c", "x.yaml"]
    runs = plan(grid_of(["cutmix", "classmix"], [0], options), Path())
    assert methods_options(runs) == {
        "supervised": [],
        "cutmix": ["--method.threshold", "--method.area=0.3"],
        "classmix": ["--method.threshold"],
    }
    for run in runs:
        assert run.args[-2:] == ["-c", "x.yaml"]
    file = write(
        {
            "rows": {"a": {"method": "supervised"}, "b": {"method": "cutmix"}},
            "columns": {"c": {"method.threshold": 0.5}},
        }
    )
    assert methods_options(plan(read(file), Path())) == {"a": [], "b": ["--method.threshold=0.5"]}


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--method.treshold=1", "unknown option of the methods compared 'treshold'.*'threshold'"),
        ("--method.blocks=[4]", "unknown option of the methods compared 'blocks'"),
        ("--complexmix.blocks=[4]", "option --complexmix.blocks is for rows of complexmix, but"),
    ],
)
def test_an_option_that_no_method_gets_is_refused(write, option, complaint):
    with pytest.raises(UserError, match=complaint):
        grid_of(["cutmix", "classmix"], [0], [option])
    name, value = option.removeprefix("--").split("=")
    rows = {"a": {"method": "cutmix"}, "b": {"method": "classmix"}}
    skipping = {"rows": {**rows, "c": {"method": "complexmix"}}, "skip": {"c": ["one"]}}
    with pytest.raises(UserError, match=complaint):
        read(write({**skipping, "columns": {"one": {name: yaml.safe_load(value)}, "two": {}}}))


def test_the_recipe_and_a_configuration_are_both_read(write, tmp_path, monkeypatch):
    (tmp_path / "recipe.yaml").write_text("{}")
    (tmp_path / "mine.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    file = write({"recipe": "recipe.yaml", "rows": {"a": {"method": "cutmix"}}})
    (run,) = plan(read(Path(file.name), ["--config", "mine.yaml"]), Path())
    assert expand_aliases(run.args[1:])[:2] == ["--config=recipe.yaml", "--config=mine.yaml"]


def test_the_recipe_lies_beside_the_grid(write, tmp_path, monkeypatch):
    (tmp_path / "recipe.yaml").write_text("{}")
    file = write({"recipe": "recipe.yaml", "rows": {"a": {"method": "cutmix"}}})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (run,) = plan(read(Path("..") / file.name), Path())
    assert run.args[-1] == f"--config={Path('..') / 'recipe.yaml'}"
    assert expand_aliases(run.args[1:])[0] == f"--config={Path('..') / 'recipe.yaml'}"


def test_a_row_may_skip_columns(write):
    content = {
        "rows": {"a": {"method": "supervised"}, "b": {"method": "cutmix"}},
        "columns": {"some": {"data.labeled": 8}, "all": {"data.labeled": "all"}},
        "skip": {"b": ["all"]},
    }
    runs = plan(read(write(content)), Path())
    assert [(run.column, run.row) for run in runs] == [("some", "a"), ("some", "b"), ("all", "a")]


def test_published_numbers_are_found_by_label(write):
    text = (
        "rows: {500: {method: supervised}}\n"
        "columns: {0.1: {}, b: {}}\n"
        "published: {500: {0.1: 65.4, b: 70}}\n"
    )
    assert read(write(text)).published == {"500": {"0.1": 65.4, "b": 70}}


def test_the_grids_of_the_repository_can_be_planned():
    grids = sorted(Path(__file__).parents[2].glob("experiments/*/table*.yaml"))
    assert grids
    for file in grids:
        grid = read(file, ["--data.root", "DIR"])
        runs = plan(grid, Path("out"))
        skipped = sum(len(columns) for columns in grid.skip.values())
        assert len(runs) == (len(grid.rows) * len(grid.columns) - skipped) * len(grid.seeds)
        for run in runs:
            expand_aliases(run.args[1:])


SUPERVISED = "rows: {a: {method: supervised}}\n"
BAD = [
    ("", "a YAML mapping with `rows` or `methods`"),
    ("[supervised, cutmix]", "a YAML mapping with `rows` or `methods`"),
    ("columns: {a: {}}", "a YAML mapping with `rows` or `methods`"),
    ("rows: {a: [}", "is not YAML"),
    ("rows: {}", "at least one method"),
    (SUPERVISED + "columns: {}", "the key columns is empty"),
    (SUPERVISED + "seeds: 0", "one seed"),
    (SUPERVISED + "seeds: []", "one seed"),
    (SUPERVISED + "option: {data.labeled: 8}", "'option'; did you mean 'options'?"),
    (SUPERVISED + "colums: {a: {}}", "did you mean 'columns'?"),
    ("rows: {a: {data.labeled: 8}}", "row 'a' has no method"),
    ("rows: {a: {}}", "row 'a' has no method"),
    ("rows: {a: supervised}", "rows: 'a' is 'supervised'; expected options"),
    ("rows: {a: }", "rows: 'a' is None; expected options"),
    (SUPERVISED + "columns: {few: 8}", "columns: 'few' is 8; expected options"),
    (SUPERVISED + "columns: {few: [8]}", "columns: 'few' is [8]; expected options"),
    (SUPERVISED + "published: {b: {'': 70}}", "published: there is no row 'b'"),
    (SUPERVISED + "columns: {c: {}}\npublished: {a: {d: 70}}", "with a column 'd'"),
    (SUPERVISED + "columns: {c: {}}\nskip: {a: [d]}", "skip: there is no row 'a' with a column"),
    (SUPERVISED + "columns: {c: {}}\nskip: {b: [c]}", "skip: there is no row 'b'"),
]


@pytest.mark.parametrize(("text", "complaint"), BAD, ids=lambda value: value[:40])
def test_a_bad_grid_is_one_sentence_that_names_the_file(write, text, complaint):
    file = write(text)
    with pytest.raises(UserError) as error:
        plan(read(file), Path("out"))
    assert complaint in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_grid_must_be_a_file(tmp_path):
    for path in (tmp_path / "no.yaml", tmp_path):
        with pytest.raises(UserError, match="there is no grid") as error:
            read(path)
        assert str(path) in str(error.value)


def test_an_unknown_method_in_a_grid_gets_a_suggestion(write):
    with pytest.raises(UserError, match="'clasmix'; did you mean 'classmix'"):
        read(write("rows: {a: {method: supervised}, b: {method: clasmix}}"))


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (["a b", "a-b"], [""]),
        (["a"], ["< 0.1", "> 0.1"]),
        (["a", "a b"], ["b c", "c"]),
    ],
)
def test_two_runs_never_share_a_folder(rows, columns):
    grid = Grid(
        {row: {"method": "supervised"} for row in rows}, {column: {} for column in columns}, [0]
    )
    with pytest.raises(UserError, match="label them differently"):
        plan(grid, Path("out"))


MORE_SLIPS = [
    ("rows:", "rows"),
    ("rows: [supervised]", "rows"),
    ("rows: {a: {method: 5}}", "method"),
    ("rows: {a: {method: [cutmix]}}", "method"),
    ("rows: {a: {method: supervised, data.x: 2020-01-01}}", "data.x"),
    (SUPERVISED + "columns:", "columns"),
    (SUPERVISED + "columns: [few]", "columns"),
    (SUPERVISED + "options:", "options"),
    (SUPERVISED + "options: [--data.labeled=8]", "options"),
    (SUPERVISED + "seeds: 1.5", "seeds"),
    (SUPERVISED + "recipe:", "recipe"),
    (SUPERVISED + "recipe: [x.yaml]", "recipe"),
    (SUPERVISED + "published:", "published"),
    (SUPERVISED + "published: {a: 70}", "published"),
    (SUPERVISED + "skip:", "skip"),
    (SUPERVISED + "skip: {a: }", "skip"),
    (SUPERVISED + "seeds: true", "seeds"),
    (SUPERVISED + "seeds: [a, b]", "seeds"),
    (SUPERVISED + "seeds: 3,4", "seeds"),
    (SUPERVISED + "recipe: nowhere.yaml", "nowhere.yaml"),
    (SUPERVISED + "columns: {c: {}}\npublished: {a: {c: high}}", "'high'"),
    (SUPERVISED + "columns: {c: {}}\npublished: {b: {}}", "'b'"),
    (SUPERVISED + "columns: {c: {}}\nskip: {a: [c]}", "'c'"),
    (SUPERVISED + "columns: {c: {method: cutmix}}", "method"),
    (SUPERVISED + "options: {method: cutmix}", "method"),
    (SUPERVISED + "options: {out: x}", "out"),
    (SUPERVISED + "columns: {c: {seed_everything: 3}}", "seed_everything"),
    ("rows: {a: {method: clasmix}}", "did you mean 'classmix'"),
    ("rows: {a b: {method: cutmix}, a-b: {method: cutmix}}", "label them differently"),
    (SUPERVISED + "seeds: [1, 1]", "seed"),
    ("\udcff", "YAML"),
]


@pytest.mark.parametrize(("text", "complaint"), MORE_SLIPS, ids=lambda value: ascii(value)[:60])
def test_more_bad_grids(tmp_path, text, complaint):
    file = tmp_path / "study.yaml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError) as error:
        plan(read(file), Path("out"))
    assert complaint in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("option", ["network", "data"])
def test_a_network_or_data_set_can_be_overridden(write, option):
    first, second, third = {
        "network": ("unet", "fpn", "pan"),
        "data": ("street", "objects", "street"),
    }[option]
    file = write(
        {
            "rows": {"a": {"method": "supervised"}},
            "columns": {"c": {}, "d": {option: third}},
            "options": {option: first},
        }
    )
    c, d = plan(read(file, [f"--{option}", second]), Path())
    plain = ["--method", "supervised"]
    for run, name in ((c, second), (d, third)):
        spelled = expand_aliases(run.args[1:])
        for word in expand_aliases([*plain, f"--{option}", name]):
            assert word in spelled


def test_rows_of_a_grid_file_share_the_network_unless_one_is_named(write):
    rows = {method: {"method": method} for method in ("cutmix", "guidedmix")}
    runs = plan(read(write({"rows": rows})), Path())
    networks = [
        [w for w in expand_aliases(run.args[1:]) if w in ("unet", "guidedmix")] for run in runs
    ]
    assert networks[0] == networks[1]


def test_a_column_may_have_options_of_one_method(write):
    file = write(
        {
            "rows": {"a": {"method": "supervised"}, "b": {"method": "cutmix"}},
            "columns": {"c": {"cutmix.area": 0.3}},
        }
    )
    a, b = plan(read(file), Path())
    assert not any("area" in word for word in a.args)
    assert b.args[-1] == "--method.area=0.3"


class TestAxes:
    """Splits and networks make columns of their own."""

    def test_every_combination_is_a_column(self, write):
        file = write(
            "methods: [supervised, cutmix]\n"
            "columns: {small: {data.size: 32}, large: {data.size: 64}}\n"
            "splits: [1/8, 30]\n"
            "networks: [unet, fpn]\n"
        )
        runs = plan(read_grid(file), Path("out"))
        assert len(runs) == 2 * 2 * 2 * 2
        assert [run.column for run in runs[::2]] == [
            f"{column}, {split}, {network}"
            for column in ("small", "large")
            for split in ("1/8", "30")
            for network in ("unet", "fpn")
        ]
        last = flags(runs[-1])
        assert (last["data.size"], last["data.labeled"], last["network"]) == ("64", "30", "fpn")
        assert runs[-1].folder.name == "cutmix-large-30-fpn-seed0"

    def test_the_same_from_the_command_line(self):
        runs = planned(["cutmix"], [0], [], splits=["1/8", "1/4"], networks=["unet", "fpn"])
        assert [run.column for run in runs] == ["1/8, unet", "1/8, fpn", "1/4, unet", "1/4, fpn"]
        assert [flags(run)["data.labeled"] for run in runs] == ["1/8", "1/8", "1/4", "1/4"]

    def test_methods_come_before_rows(self, write):
        file = write("methods: [cutmix]\nrows: {half: {method: cutmix, method.area: 0.5}}")
        assert list(read(file).rows) == ["cutmix", "half"]


class TestReference:
    """A supervised run of the same budget is there unless it is refused."""

    def test_it_is_added_in_front_and_has_no_options_of_its_own(self, write):
        file = write("rows: {a: {method: cutmix, method.area: 0.3}}\ncolumns: {c: {data: street}}")
        reference, other = plan(read_grid(file), Path("out"))
        assert (reference.row, reference.column) == ("supervised", "c")
        assert "--method.area=0.3" in other.args
        assert flags(reference).items() <= flags(other).items()
        assert [run.row for run in planned(["cutmix"], [0], [], supervised=True)] == [
            "supervised",
            "cutmix",
        ]

    def test_it_is_not_added_twice(self, write):
        rows = "rows: {baseline: {method: supervised}, a: {method: cutmix}}"
        assert list(read_grid(write(rows)).rows) == ["baseline", "a"]
        assert [r.row for r in planned(["supervised"], [0], [], supervised=True)] == ["supervised"]

    def test_it_can_be_refused(self, write):
        rows = "rows: {a: {method: cutmix}}\n"
        assert list(read_grid(write(rows + "supervised: false")).rows) == ["a"]
        assert list(read_grid(write(rows), supervised=False).rows) == ["a"]


class TestMiniature:
    """The rows of a study in small."""

    GRID = (
        "recipe: recipe.yaml\n"
        "options: {trainer.max_steps: 40000}\n"
        "rows: {a: {method: cutmix}, b: {method: cutmix, method.area: 0.3}}\n"
        "columns: {large: {data: voc}}\n"
        "seeds: 3\n"
        "published: {a: {large: 70}}\n"
        "smoke:\n"
        "  options: {trainer.max_steps: 8}\n"
        "  columns: {street: {data: street}}\n"
    )

    def test_it_has_the_rows_and_nothing_else(self, write, tmp_path):
        (tmp_path / "recipe.yaml").write_text("{}")
        file = write(self.GRID)
        large, small = read_grid(file), read_grid(file, smoke=True)
        assert small.rows == large.rows
        assert len(large.seeds) == 3
        assert len(small.seeds) == 1
        assert not small.published
        for run in plan(small, Path("out")):
            assert flags(run)["trainer.max_steps"] == "8"
            assert "config" not in flags(run)
            assert flags(run)["data"] == "street"

    def test_rows_of_its_own_replace_those_of_the_same_label(self, write, tmp_path):
        (tmp_path / "recipe.yaml").write_text("{}")
        file = write(self.GRID + "  rows: {a: , b: {method: classmix}, c: {method: cowmix}}\n")
        assert read_grid(file, smoke=True).rows == {
            "supervised": {"method": "supervised"},
            "b": {"method": "classmix"},
            "c": {"method": "cowmix"},
        }

    def test_slips(self, write):
        with pytest.raises(UserError, match="has no smoke form"):
            read_grid(write(SUPERVISED), smoke=True)
        with pytest.raises(UserError, match="did you mean 'columns'"):
            read_grid(write(SUPERVISED + "smoke: {colums: {}}"), smoke=True)
        with pytest.raises(UserError, match=r"smoke is \[1\]; expected keys of a grid"):
            read_grid(write(SUPERVISED + "smoke: [1]"), smoke=True)
