import numpy as np
import pytest

import ssseg
from ssseg.data.datasets import Street
from ssseg.runs.run import Run
from tests.prediction.models import TINY


def _train(folder):
    ssseg.fit("classmix", out=folder, max_steps=3, trainer={"accelerator": "cpu"}, **TINY)


@pytest.fixture(scope="session")
def street_run(made_once):
    """A run of three steps on small streets."""
    return Run(made_once("street_run", _train))


@pytest.fixture(scope="session")
def street_model(street_run):
    """Its teacher."""
    return ssseg.load(street_run.checkpoint())


@pytest.fixture(scope="session")
def street_photo():
    """A street larger than those of training, of odd size."""
    scene = Street(size=96).read_image(Street(size=96).records("val")[0])
    return np.ascontiguousarray(scene[:61, :87])
