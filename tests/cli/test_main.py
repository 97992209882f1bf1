import os
import re
import subprocess
import sys

import pytest

from ssseg.cli import main as cli
from ssseg.cli.main import main
from ssseg.data.datasets import DATASETS
from ssseg.methods import METHODS
from tests.cli.small_runs import fresh


@pytest.mark.parametrize(
    "args",
    [
        *(["--help"], [], ["--version"], ["methods"], ["datasets"], ["benchmark", "--help"]),
        pytest.param(["benchmark", "--methods", "guidedmix", "--dry-run"], marks=pytest.mark.slow),
    ],
)
def test_fast_verbs_answer_without_torch(args):
    code = (
        f"import sys; from ssseg.cli.main import main\n"
        f"try: main({args!r})\n"
        f"except SystemExit: pass\n"
        f"print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert fresh(code).splitlines()[-1] == "False False"


def test_methods_and_data_sets_are_listed(capsys):
    assert main(["methods"]) == 0
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    for name in [*METHODS, *DATASETS]:
        assert f"\n{name} " in f"\n{out}"


def test_columns_of_lists_are_apart(capsys, monkeypatch):
    long = ("a_method_with_a_long_name", METHODS["mixup"]._replace(summary="s" * 80))
    monkeypatch.setitem(METHODS, *long)
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, (name, entry) in zip(lines, METHODS.items(), strict=True):
        assert re.split(" {2,}", line) == [name, entry.summary, entry.source]
    starts = [line.index(e.source, 40) for line, e in zip(lines, METHODS.values(), strict=True)]
    assert len(set(starts)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("args", [["methods"], ["benchmark", "--help"], ["fti"]])
def test_a_reader_that_leaves_ends_a_command_quietly(args, buffered):
    """As of `ssseg methods | head -1`: nothing is read, nothing is complained of."""
    reader, writer = os.pipe()
    os.close(reader)
    errors = args == ["fti"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    streams["stderr" if errors else "stdout"] = writer
    done = subprocess.run(
        [sys.executable, "-m", "ssseg", *args],
        env={**os.environ, "PYTHONUNBUFFERED": buffered},
        text=True,
        check=False,
        **streams,
    )
    os.close(writer)
    # argparse passes over it where its help is not buffered
    assert done.returncode == 141 or (buffered and "--help" in args)
    assert not (done.stdout if errors else done.stderr)


def test_a_pipe_that_broke_elsewhere_is_no_reader_that_left(monkeypatch):
    def broken(args):
        raise BrokenPipeError("of a worker")

    monkeypatch.setattr(cli, "_verb", broken)
    with open(os.devnull, "w") as out, open(os.devnull, "w") as err:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(BrokenPipeError, match="of a worker"):
            main(["methods"])


def test_a_method_explains_itself(capsys):
    assert main(["methods", "classmix"]) == 0
    out = capsys.readouterr().out
    assert "--method.threshold" in out
    assert "0.968" in out
    assert "warmup_steps:" in out


def test_other_verbs_complain_alike(here, capfd):
    for args, complaint in (
        (["fti"], "did you mean 'fit'"),
        (["test"], "--ckpt_path is missing"),
        (["validate", "--ckpt_path", "no.ckpt"], "there is no checkpoint no.ckpt"),
        (["methods", "clasmix"], "did you mean 'classmix'"),
    ):
        assert main(args) == 2
        assert complaint in capfd.readouterr().err
