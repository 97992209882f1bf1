"""A trained model on images as people have them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import ssseg
import ssseg.prediction.predictor as predictor
from ssseg.data.torch_datasets import resize_image
from ssseg.data.transforms import Normalize
from ssseg.errors import UserError
from tests.prediction.models import TINY


def expected(model, pixels):
    """Class ids by the network itself."""
    image = Normalize(model.data.mean, model.data.std)(pixels)[None]
    return model(image)[0].argmax(0).numpy()


def test_a_path_a_picture_an_array_and_a_tensor_are_one(street_model, street_photo, tmp_path):
    Image.fromarray(street_photo).save(tmp_path / "a.png")
    chw = torch.from_numpy(street_photo).movedim(-1, 0)
    answers = [
        street_model.predict(image)
        for image in (
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            Image.fromarray(street_photo),
            street_photo,
            chw,
            chw.float() / 255,
        )
    ]
    for found in answers:
        assert found.label.dtype == np.uint8
        np.testing.assert_array_equal(found.label, expected(street_model, street_photo))
    probs = street_model(
        Normalize(street_model.data.mean, street_model.data.std)(street_photo)[None]
    ).softmax(1)[0]
    np.testing.assert_allclose(answers[0].confidence, probs.amax(0), atol=1e-3)


def test_modes(street_model, street_photo):
    whole = street_model.predict(street_photo)
    same = street_model.predict(street_photo, "slide", window=street_photo.shape[:2])
    np.testing.assert_array_equal(whole.label, same.label)
    for options in ({"flip": True}, {"scales": (0.5, 1, 1.5)}, {"window": (32, 32)}):
        mode = "slide" if "window" in options else "whole"
        found = street_model.predict(street_photo, mode, **options)
        assert found.label.shape == street_photo.shape[:2]
        assert found.confidence.min() >= 0
        assert found.confidence.max() <= 1


def test_the_size_of_training_is_kept_and_answers_have_the_image_s_own(
    tmp_path, street_photo, monkeypatch
):
    run = ssseg.fit(
        "supervised",
        out=tmp_path / "run",
        max_steps=1,
        trainer={"accelerator": "cpu"},
        image_size=[24, 24],
        crop_size=[24, 24],
        **TINY,
    )
    small = ssseg.load(run.checkpoint())
    seen = []
    forward = small.network.forward
    small.network.forward = lambda image: seen.append(image.shape) or forward(image)
    found = small.predict(street_photo)
    assert seen == [(1, 3, 24, 24)]
    image = Normalize(small.data.mean, small.data.std)(resize_image(street_photo, (24, 24)))[None]
    size = street_photo.shape[:2]
    probs = F.interpolate(small(image).softmax(1), size, mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(found.label, probs[0].argmax(0))
    monkeypatch.setattr(predictor, "TILE", 40)  # a large image: close to the same
    large = small.predict(street_photo)
    assert (large.label == found.label).mean() > 0.85
    np.testing.assert_allclose(large.confidence, found.confidence, atol=0.05)


def test_what_a_model_says_of_itself(street_model, street_run):
    about = street_model.about
    assert [c.name for c in street_model.classes][:3] == ["sky", "building", "road"]
    assert street_model.classes[0].color == (70, 130, 180)
    assert about["data"]["split_hash"] == street_run.summary["data"]["split_hash"]
    assert about["data"]["split"] == street_run.summary["data"]["split"]
    assert about["scores"]["teacher"]["miou"] == street_run.summary["last"]["teacher"]["miou"]
    assert about["method"]["class_path"] == "ssseg.methods.classmix.ClassMix"
    assert about["version"] == ssseg.__version__


def test_parts_cover_an_image_once_and_see_around_themselves(monkeypatch):
    monkeypatch.setattr(predictor, "TILE", 40)
    monkeypatch.setattr(predictor, "MARGIN", 8)
    for height, width in ((100, 90), (41, 41), (5, 2000), (39, 40)):
        seen = np.zeros((height, width), int)
        for core, around in predictor.parts_of(height, width):
            seen[core] += 1
            if height * width > 1600:
                assert all(s.stop - s.start <= 40 for s in around)
            for inner, outer, side in zip(core, around, (height, width), strict=True):
                assert inner.start - outer.start == min(8, inner.start) or height * width <= 1600
                assert outer.stop - inner.stop == min(8, side - inner.stop)
        assert (seen == 1).all()


def test_a_large_image_in_parts_is_the_whole_where_the_network_sees_less_than_the_margin(
    street_model, monkeypatch
):
    kernel = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    network = torch.nn.Conv2d(3, 8, 5, padding=2)
    network.weight.data = kernel
    street_model = predictor.Predictor(network, street_model.data, "student")
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), np.uint8)
    whole = street_model.predict(image)
    monkeypatch.setattr(predictor, "TILE", 40)
    monkeypatch.setattr(predictor, "MARGIN", 8)
    parts = street_model.predict(image)
    np.testing.assert_array_equal(whole.label, parts.label)
    np.testing.assert_allclose(whole.confidence, parts.confidence, atol=2e-3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("no/such.png", r"there is no image no/such\.png"),
        (np.zeros((5, 5, 2), np.uint8), r"shape \(5, 5, 2\); expected .* 3 channels"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((5, 5, 3), np.int64), r"holds int64, but the model was trained on uint8"),
        (torch.zeros(7, 5, 5), r"shape \(5, 5, 7\)"),
    ],
)
def test_images_of_another_kind(street_model, image, words):
    with pytest.raises(UserError, match=words):
        street_model.predict(image)
