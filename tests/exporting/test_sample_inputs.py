import json
import sys

import ssseg
from ssseg.cli.main import main
from ssseg.exporting.sample_inputs import sample_inputs


def test_without_the_run_images_are_random_and_that_is_said(bare_checkpoint, capsys):
    assert main(["export", str(bare_checkpoint), "--format", "safetensors"]) == 0
    assert "on 4 random images, for the run's own cannot be opened" in capsys.readouterr().out


def test_what_a_configuration_names_is_not_run_unless_it_is_a_data_set(bare_checkpoint, capsys):
    checkpoint = bare_checkpoint.parent / "run" / "checkpoints" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    bare_checkpoint.rename(checkpoint)
    touched = bare_checkpoint.parent / "touched"
    source = f"{{class_path: subprocess.Popen, init_args: {{args: [touch, '{touched}']}}}}"
    (bare_checkpoint.parent / "run" / "config.yaml").write_text(f"data:\n  source: {source}\n")
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 0
    assert "subprocess.Popen" in capsys.readouterr().out
    assert not touched.exists()


def test_no_module_that_a_neighbour_names_is_imported(
    small_run, bare_checkpoint, tmp_path, monkeypatch, capsys
):
    """A checkpoint comes with a config.yaml beside it, from anywhere."""
    folder = tmp_path / "theirs" / "checkpoints"
    folder.mkdir(parents=True)
    bare_checkpoint.rename(folder / "last.ckpt")
    trap = f"open({str(tmp_path / 'it ran')!r}, 'w')\nclass Data: pass\n"
    (tmp_path / "trap.py").write_text(trap)
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("trap.Data", "ssseg.__main__.Data"):
        named = {"data": {"source": {"class_path": path, "init_args": {}}}}
        (folder.parent / "config.yaml").write_text(json.dumps(named))
        model = ssseg.load(folder / "last.ckpt")
        trial = sample_inputs(model, folder / "last.ckpt", [])
        assert "random images, for the run's own cannot be opened" in trial.words
    assert not (tmp_path / "it ran").exists()
    assert "trap" not in sys.modules
