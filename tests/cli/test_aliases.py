"""What is typed, before anything is made of it: configurations, short names, own methods."""

from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

import pytest

from ssseg.cli.aliases import expand_aliases
from ssseg.cli.lightning_cli import TrainingCLI
from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.methods.base import Method, defaults
from ssseg.runs.command import pairs
from ssseg.types import StepOutput

FIRST = """
trainer: {max_steps: 3}
model:
  method: {class_path: ssseg.methods.classmix.ClassMix, init_args: {threshold: 0.5}}
data: {batch_size: 3, crop_size: [32, 48]}
"""
SECOND = """
trainer: {precision: 32-true}
model:
  method: {class_path: ssseg.methods.classmix.ClassMix, init_args: {decay: 0.7}}
data: {batch_size: 5, cache: ~/cache}
"""


class Kind(Enum):
    HARD = 1


@dataclass(eq=False, repr=False)
class Own(Method):
    """A method with fields as dataclasses have them."""

    scales: list[float] = field(default_factory=lambda: [0.5, 2.0])
    kind: Kind = Kind.HARD
    threshold: float = 0.25

    def losses(self, batch, step):
        return StepOutput({})


@dataclass(eq=False, repr=False)
class Needy(Own):
    """One that cannot be made without a value."""

    strength: float = field(kw_only=True)


class Parsed(TrainingCLI):
    """Options as they are understood; nothing is made of them."""

    def instantiate_classes(self):
        pass


def parsed(*args):
    return Parsed("fit", args).config


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(FIRST)
    (tmp_path / "b.yaml").write_text(SECOND)
    return tmp_path


@pytest.mark.parametrize(
    "args",
    [
        ["--config", "a.yaml", "--config", "b.yaml"],
        ["-c", "a.yaml", "--config=b.yaml"],
        ["--seed_everything", "0", "-ca.yaml", "-c=b.yaml"],
    ],
)
def test_configurations_are_merged_in_their_order(here, args):
    found = parsed(*args)
    method = found.model.method.init_args
    assert (method.threshold, method.decay) == (0.5, 0.7)
    assert (found.trainer.max_steps, found.trainer.precision) == (3, "32-true")
    assert (found.data.batch_size, tuple(found.data.crop_size)) == (5, (32, 48))


def test_a_later_configuration_wins_and_what_is_typed_over_all(here):
    assert parsed("-c", "b.yaml", "-c", "a.yaml").data.batch_size == 3
    typed = parsed("-c", "a.yaml", "--data.batch_size", "7", "-c", "b.yaml")
    assert typed.data.batch_size == 7
    assert typed.trainer.max_steps == 3


def test_paths_in_configurations_begin_at_home(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    assert parsed("-c", "a.yaml", "-c", "b.yaml").data.cache == str(here / "home" / "cache")


def test_a_short_name_ends_the_values_before_it(here):
    assert list(pairs(["--method", "cutmix", "-c", "a.yaml", "-h"])) == [
        ("--method", ["cutmix"]),
        ("--config", ["a.yaml"]),
        ("--help", []),
    ]
    assert list(pairs(["--x", "-1", "-.5", "-cb"])) == [("--x", ["-1", "-.5"]), ("--config", ["b"])]
    out = expand_aliases(["--method", "cutmix", "-c", "a.yaml"])
    assert out[0] == "--config=a.yaml"
    assert "ssseg.methods.cutmix.CutMix" in out[2]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "c.yaml is empty"),
        ("# nothing\n", "c.yaml is empty"),
        ("3", "c.yaml contains a int"),
        ("[a, b]", "c.yaml contains a list"),
        ("model:\n\tmethod: 3\n", "c.yaml is not YAML"),
    ],
)
def test_a_configuration_that_is_none_is_one_sentence(here, capfd, content, complaint):
    (here / "c.yaml").write_text(content)
    assert main(["fit", "--config", "a.yaml", "--config", "c.yaml"]) == 2
    err = capfd.readouterr().err
    assert f"option --config: {complaint}" in err
    assert "expected options" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("data: {lend_truth: true}", "data.lend_truth, which is called data.unlabeled_truth"),
        ("model:\n  absent: skip\n", "model.absent, which is called model.missing_classes"),
    ],
)
def test_a_configuration_of_version_0_1_says_which_version_reads_it(here, capfd, content, named):
    (here / "c.yaml").write_text(content)
    assert main(["fit", "--config", "c.yaml"]) == 2
    err = capfd.readouterr().err
    assert (
        f"c.yaml has the option {named} since ssseg 0.2; rename it in the file, or use ssseg 0.1"
        in err
    )
    assert err.count("\n") == 1


RELEASED_BEFORE = "variant=released of GuidedMix, which is the method guidedmix_released since"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"teacher": "true"}, "teacher of GuidedMix, which is called use_teacher since ssseg 0.2"),
        ({"variant": "released", "teacher": "false"}, RELEASED_BEFORE),
        ({"space": "logits"}, "space of GuidedMix, which ssseg 0.2 no longer has"),
    ],
)
@pytest.mark.parametrize("typed", [False, True])
def test_options_of_a_method_that_went_say_what_became_of_them(here, capfd, options, named, typed):
    given = "\n".join(f"      {name}: {value}" for name, value in options.items())
    (here / "c.yaml").write_text(
        "model:\n  method:\n    class_path: ssseg.methods.GuidedMix\n    init_args:\n" + given
    )
    words = [f"--method.{name}={value}" for name, value in options.items()]
    args = ["--method", "guidedmix", *words] if typed else ["--config", "c.yaml"]
    assert main(["fit", *args]) == 2
    err = capfd.readouterr().err
    assert f"has option {named}" in err
    assert err.count("\n") == 1


def test_a_method_with_made_defaults_goes_with_a_configuration(here):
    found = parsed("--method", f"{__name__}.Own", "--config", "a.yaml").model.method
    assert found.class_path.endswith("Own")
    assert found.init_args.scales == [0.5, 2.0]
    assert found.init_args.threshold == 0.25, "an option of the other method stayed"


def test_a_method_that_needs_a_value_asks_for_it(here, capsys):
    name = f"{__name__}.Needy"
    for given in ([], ["--config", "a.yaml"]):
        with pytest.raises(UserError, match=r"strength"):
            parsed("--method", name, *given)
        found = parsed("--method", name, *given, "--method.strength", "0.5")
        assert found.model.method.init_args.strength == 0.5
    assert "strength" in defaults(Needy)
    assert main(["methods", name]) == 0
    out = capsys.readouterr().out
    assert "--method.strength   required" in out
    assert "--method.scales     [0.5, 2.0]" in out


def test_short_names_are_spelled_out():
    out = expand_aliases(
        ["--method.threshold=0.5", "--method", "classmix", "--data.labeled", "1/8"]
    )
    at = out.index("--model.method")
    assert out[at + 1] == "ssseg.methods.classmix.ClassMix"
    assert out.index("--model.method.threshold") > at
    assert out[-2:] == ["--data.labeled", "1/8"]
    folder = expand_aliases(["--method", "cutmix", "--data", "folder", "--data.root", "x"])
    assert folder[folder.index("--data.source") + 1] == "ssseg.data.datasets.folder.Folder"
    assert folder[folder.index("--data.source.root") + 1] == "x"


def network_of(args):
    """The network's options after all overriding, by name."""
    spelled = expand_aliases(args)
    options = [
        (flag.removeprefix("--model.network."), value)
        for flag, value in pairwise(spelled)
        if flag.startswith("--model.network.")
    ]
    return dict(options)


def test_a_method_may_bring_a_decoder_of_its_own():
    own = network_of(["--method", "guidedmix"])
    common = network_of(["--method", "supervised"])
    assert own.pop("decoder") == "guidedmix"
    assert common.pop("decoder") == "unet"
    assert own == common
    assert own["encoder"] == "resnet18"
    assert own["depth"] == "4"
    named = {"decoder": "unet", "weights": "auto"}
    assert network_of(["--method", "guidedmix", "--network", "unet"]) == named
    assert network_of(["--network=unet", "--method=guidedmix"]) == named
    part = network_of(["--method", "guidedmix", "--network.encoder", "resnet34"])
    assert (part["decoder"], part["encoder"]) == ("guidedmix", "resnet34")
    part = network_of(["--network.decoder", "fpn", "--method", "guidedmix"])
    assert (part["decoder"], part["depth"]) == ("fpn", "4")
    folder = ["--method", "guidedmix", "--data", "folder", "--data.root", "x"]
    network = network_of(folder)
    assert (network["decoder"], network["weights"]) == ("guidedmix", "auto")


def test_the_network_auto_is_that_of_the_data_set_whatever_the_method():
    auto = ["--network", "auto"]
    for data in ([], ["--data", "objects"], ["--data", "folder", "--data.root", "x"]):
        usual = network_of(["--method", "supervised", *data])
        for method in ("supervised", "classmix", "guidedmix"):
            assert network_of(["--method", method, *data, *auto]) == usual
            assert network_of([*auto, *data, "--method", method]) == usual
    part = network_of(["--method", "guidedmix", *auto, "--network.decoder", "fpn"])
    assert (part["decoder"], part["depth"]) == ("fpn", "4")


def test_a_configuration_keeps_its_network(here):
    (here / "x.yaml").write_text("{}")
    for more in ([], ["--method", "guidedmix"], ["--method", "guidedmix", "--data", "street"]):
        assert network_of(["--config", "x.yaml", *more]) == {}
    street = ["--config", "x.yaml", "--data", "street", "--network", "auto"]
    assert network_of(street) == network_of(["--method", "supervised"])


def test_the_network_auto_needs_a_data_set(here):
    (here / "x.yaml").write_text("{}")
    with pytest.raises(UserError, match="--data"):
        expand_aliases(["--config", "x.yaml", "--network", "auto"])


def test_the_loss_of_labeled_images_is_named_like_a_method():
    out = expand_aliases(["--method", "supervised", "--loss", "ohem", "--loss.min_kept", "0.1"])
    assert out[-4:] == ["--model.loss.name", "ohem", "--model.loss.min_kept", "0.1"]
    with pytest.raises(UserError, match="did you mean 'gamma'"):
        expand_aliases(["--method", "supervised", "--loss.gama", "1"])


def test_networks_of_photographs_are_pretrained_and_those_of_drawn_scenes_are_not():
    folder = ["--method", "supervised", "--data", "folder", "--data.root", "x"]
    scenes = ["--method", "supervised"]
    for args, weights in ((folder, "auto"), (scenes, "random")):
        out = expand_aliases(args)
        assert out[out.index("--model.network.weights") + 1] == weights
    named = expand_aliases([*folder, "--network", "dinov2-s", "--network.weights", "random"])
    given = dict(zip(named[::2], named[1::2], strict=True))
    assert given["--model.network.encoder"] == "vit_small_patch14_dinov2"
    assert given["--model.optim.encoder_lr_scale"] == "0.025"
    assert given["--model.network.weights"] == "random"
