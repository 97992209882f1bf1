"""Of a source tree that is not installed, as on a cluster with PYTHONPATH alone."""

from importlib import metadata
from types import SimpleNamespace

import pytest

import ssseg
from ssseg.data.info import DataInfo
from ssseg.exporting.metadata import about
from ssseg.runs.environment import versions
from tests.conftest import make_module


@pytest.fixture
def not_installed(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    monkeypatch.setattr(metadata, "version", missing)


@pytest.mark.usefixtures("not_installed")
def test_the_version_is_known_without_an_installation():
    found = versions()
    assert found["ssseg"] == ssseg.__version__
    assert found["timm"] == "not installed"


@pytest.mark.usefixtures("not_installed")
def test_a_checkpoint_can_be_written():
    module, checkpoint = make_module("supervised"), {}
    trainer = SimpleNamespace(datamodule=None)
    module._trainer = trainer
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["ssseg"]["version"] == ssseg.__version__


@pytest.mark.usefixtures("not_installed")
def test_an_export_says_its_version():
    data = DataInfo("x", [], 3, "uint8", (0.5,), (0.5,), None, (32, 32), "all", "abc")
    trained = {"network": {}, "method": {}}
    said = about(SimpleNamespace(data=data, about=trained, name="student"))
    assert said["versions"]["exported_by"] == ssseg.__version__
