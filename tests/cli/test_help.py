"""The short help names options that exist; slips are answered with the nearest name."""

import re

import pytest

from ssseg.cli.aliases import expand_aliases
from ssseg.cli.help import GROUPS
from ssseg.cli.main import main
from ssseg.data.datasets import Street
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError

BY_HAND = {
    "--method.OPTION",
    "--data.OPTION",
    "--resume",
    "--versus",
    "--method",
    "--data",
    "--network",
    "--loss",
}
"""Short names and placeholders, which the full list has under other names."""


@pytest.fixture(scope="module")
def everything():
    """Options of each verb in the full help, as they are typed."""
    import contextlib
    import io

    found = {}
    for verb in GROUPS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
            main([verb, "--help_all"])
        assert ended.value.code == 0
        names = set(re.findall(r"--[\w.]+", out.getvalue()))
        short = {
            "model.optim": "optim",
            "model.loss": "loss",
            "model.inference": "eval",
            "data.source": "data",
        }
        for long, name in short.items():
            names |= {n.replace(f"--{long}.", f"--{name}.") for n in names}
        found[verb] = names
    return found


@pytest.mark.parametrize("verb", GROUPS)
def test_every_option_of_the_short_help_exists(verb, everything, capsys):
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 60
    assert max(map(len, said.splitlines())) <= 100
    named = [n.split()[-2 if " " in n else 0] for g in GROUPS[verb] for n in g.options]
    for name in named:
        if name in BY_HAND or name.startswith("--network."):
            continue
        # of other data sets than the default
        known = everything[verb] | {"--data.root", "--data.folds"}
        assert name in known, name


def test_the_network_s_options_exist():
    from ssseg.cli.aliases import _parameters
    from ssseg.models import Segmenter

    named = [n.split()[0] for g in GROUPS["fit"] for n in g.options]
    networks = [n.removeprefix("--network.") for n in named if n.startswith("--network.")]
    assert networks
    assert set(networks) <= set(_parameters(Segmenter))


@pytest.mark.parametrize("option", ["data.crop_size", "data.image_size", "eval.window"])
def test_one_number_is_height_and_width(option):
    args = ["--method", "supervised", f"--{option}", "64"]
    assert "[64, 64]" in expand_aliases(args)
    both = expand_aliases(["--method", "supervised", f"--{option}", "[64, 32]"])
    assert "[64, 32]" in both


def test_one_number_is_height_and_width_in_python():
    source = Street(train_images=8, val_images=2, test_images=2, size=32)
    data = SegmentationData(source, labeled=4, crop_size=16, image_size=24, eval_crop=12)
    assert (data.crop_size, data.image_size, data.eval_crop) == ((16, 16), (24, 24), (12, 12))
    with pytest.raises(UserError, match="crop_size is 0"):
        SegmentationData(source, labeled=4, crop_size=0)


@pytest.mark.parametrize(
    ("args", "nearest"),
    [
        (["--data", "folder", "--data.rot", "x"], "'root'"),
        (["--data", "folder", "--data.rooot", "x"], "'root'"),
        (["--optm.lr", "3"], "'optim'"),
        (["--ouut", "x"], "'out'"),
        (["--trainer.max_step", "3"], "'max_steps'"),
        (["--network.encodr", "x"], "'encoder'"),
        (["--eval.mod", "slide"], "'mode'"),
        (["--compute.compil", "true"], "'compile'"),
    ],
)
def test_a_slip_gets_the_nearest_name(args, nearest):
    with pytest.raises(UserError, match=f"did you mean {nearest}"):
        expand_aliases(["--method", "classmix", *args])
