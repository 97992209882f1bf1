import numpy as np
import pytest
from PIL import Image

from ssseg.data.random_intensity import CHANGES, random_intensity
from ssseg.data.transforms import TrainTransform


def photo(seed=0):
    return np.random.default_rng(seed).integers(30, 220, (32, 40, 3), np.uint8)


def changed(name, seed=1):
    image = CHANGES[name](Image.fromarray(photo()), np.random.default_rng(seed))
    return np.asarray(image).astype(float)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_gives_an_rgb_image_and_none_but_identity_keeps_it(name):
    found = [np.array_equal(changed(name, seed), photo()) for seed in range(5)]
    assert changed(name).shape == photo().shape
    assert all(found) == any(found) == (name == "identity")


def test_changes_lead_towards_grey_black_and_blurred_and_never_away():
    plain = photo().astype(float)
    for seed in range(20):
        assert changed("brightness", seed).mean() < plain.mean()
        assert changed("contrast", seed).std() < plain.std()
        assert np.ptp(changed("saturation", seed), -1).mean() < np.ptp(plain, -1).mean()
        assert changed("sharpness", seed).std() < plain.std()
        assert changed("blur", seed).std() <= plain.std()


def test_a_turn_of_the_hue_keeps_brightness_and_can_go_anywhere():
    red = Image.new("RGB", (1, 1), (200, 40, 40))
    hues = [CHANGES["hue"](red, np.random.default_rng(seed)) for seed in range(200)]
    pixels = np.concatenate([np.asarray(hue).reshape(1, 3) for hue in hues])
    assert (abs(pixels.max(1).astype(int) - 200) <= 2).all()
    assert set(pixels.argmax(1)) == {0, 1, 2}


def test_one_to_three_changes_are_drawn_with_equal_probability(monkeypatch):
    made = []
    for name in CHANGES:
        monkeypatch.setitem(CHANGES, name, lambda image, rng, name=name: made.append(name) or image)
    numbers = []
    for seed in range(1200):
        before = len(made)
        random_intensity(photo(), np.random.default_rng(seed))
        numbers.append(len(made) - before)
    shares = np.bincount(numbers, minlength=4) / 1200
    assert shares == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.06)
    counts = np.array([made.count(name) for name in CHANGES]) / len(made)
    assert counts == pytest.approx([1 / 11] * 11, abs=0.03)


def test_strong_views_are_drawn_apart_and_the_seed_decides():
    transform = TrainTransform((10, 10), (1, 1), True, 3, strong="random_intensity")
    mask = np.zeros((32, 40), np.uint8)
    (weak, *strong), moved = transform(photo(), mask, 3, 7)
    again, _ = transform(photo(), mask, 3, 7)
    for ours, theirs in zip([weak, *strong], again, strict=True):
        assert np.array_equal(ours, theirs)
    pairs = [transform(photo(), mask, 3, seed)[0] for seed in range(20)]
    assert sum(np.array_equal(one, other) for _, one, other in pairs) < 5
    plain = TrainTransform((10, 10), (1, 1), True, 3)
    (clean, *_), same = plain(photo(), mask, 3, 7)
    assert np.array_equal(clean, weak)
    assert np.array_equal(same, moved)
