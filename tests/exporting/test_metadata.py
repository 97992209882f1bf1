import json

import pytest

import ssseg
from ssseg.data.datasets import Street
from tests.exporting.files import metadata


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_the_metadata_are_all_that_is_needed(small_run, exported_files, name):
    found = json.loads(metadata(name, exported_files[name]))
    source, summary, data = Street(), small_run.summary, found["data"]
    assert data["classes"] == [{"name": c.name, "color": list(c.color)} for c in source.classes]
    assert data["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert data["std"] == pytest.approx([0.229, 0.224, 0.225])
    assert (data["in_channels"], found["order"], data["pixels"]) == (3, "RGB", "uint8")
    assert (found["divisor"], data["image_size"], data["crop_size"]) == (255, None, [32, 32])
    assert found["saved"] == "teacher"
    assert found["network"]["init_args"]["encoder"] == "test_resnet"
    assert found["method"]["class_path"].endswith("ClassMix")
    assert data["name"] == "street"
    assert data["split_hash"] == summary["data"]["split_hash"]
    assert found["scores"]["teacher"]["miou"] == pytest.approx(summary["last"]["teacher"]["miou"])
    assert found["versions"]["ssseg"] == found["versions"]["exported_by"] == ssseg.__version__
