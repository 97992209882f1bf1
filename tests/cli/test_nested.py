"""Options of Python reach LightningCLI as values, and make the configuration of the same words."""

import pytest

from ssseg.cli.lightning_cli import TracelessCLI, training_environment
from ssseg.cli.nested import nested
from ssseg.errors import UserError
from ssseg.runs.command import typed
from ssseg.serialization import flatten

SMALL = {
    **{"method": "classmix", "data": "street", "network": "small", "trainer.accelerator": "cpu"},
    **{"data.train_images": 24, "data.size": 32, "data.labeled": 8, "trainer.max_steps": 5},
}
MORE = [
    {},
    {"network": "unet", "network.weights": "random", "network.decoder_options": {}},
    {"network": "auto", "network.freeze_bn": True},
    {"method": "mean_teacher", "network.decoder_options.decoder_channels": [32, 16, 16, 8]},
    {"method.threshold": 0.8, "optim.lr": 1e-4, "eval.flip": True, "eval.window": [16, 16]},
    {"data.crop_size": 32, "data.scale": [0.5, 1.5], "data.labeled": 0.5, "data.num_workers": None},
    {"trainer.devices": 1, "trainer.precision": "32", "seed_everything": 3, "logger": "csv"},
    {"trainer.max_time": "10:00:00:00", "compute.channels_last": True, "out": "runs/x"},
    {"trainer.callbacks": [{"class_path": "pytorch_lightning.callbacks.LearningRateMonitor"}]},
]


def configuration(args):
    with training_environment():
        return TracelessCLI("fit", args).everything()


@pytest.mark.parametrize("more", MORE)
def test_values_make_the_configuration_of_their_words(more):
    options = {**SMALL, **more}
    found, wanted = (flatten(configuration(args)) for args in (options, typed(options)))
    assert {name: found.get(name) for name in wanted} == wanted


BAD = [
    {"optim.lr": "fast"},
    {"method.threshold": "x"},
    {"data.size": [1, 2]},
    {"data.batch_size": 2.5},
    {"trainer.max_steps": "many"},
    {"trainer.nope": 1},
    {"method.nope": 1},
    {"data.rot": "x"},
    {"network": "unt"},
    {"logger": "no"},
]


@pytest.mark.parametrize("bad", BAD)
def test_mistakes_get_the_sentence_of_the_command_line(bad):
    said = []
    for args in ({**SMALL, **bad}, typed({**SMALL, **bad})):
        with pytest.raises(UserError) as error:
            configuration(args)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]


def test_values_are_not_read_from_text():
    """Texts that YAML takes for something else, and dictionaries that are somebody's own."""
    options = {"channels": [8, 8]}
    given = {**SMALL, "out": "1e3", "reference": "null", "network.decoder_options": options}
    found = nested({**given, "network.decoder_options.mitrans": True})
    assert (found["out"], found["reference"]) == ("1e3", "null")
    network = found["model"]["network"]["init_args"]
    assert network["decoder_options"] == {"channels": [8, 8], "mitrans": True}
    assert options == {"channels": [8, 8]}
    config = configuration({**SMALL, "out": "1e3", "reference": "0x10"})
    assert (config["out"], config["reference"]) == ("1e3", "0x10")
