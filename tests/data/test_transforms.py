from itertools import combinations

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from scipy.stats.contingency import crosstab

from ssseg.data.transforms import Normalize, TrainTransform
from ssseg.seeding import seed_of
from ssseg.types import IGNORE
from tests.data.trees import GRAY, draw_mask, paint

SEEDS = range(40)


def picture(size=(48, 40), seed=0):
    mask = draw_mask(np.random.default_rng(seed), size)
    return paint(mask), mask


def coordinates(height, width):
    """An image whose first two channels say where a pixel comes from."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


def same(a, b):
    return len(a[0]) == len(b[0]) and all(
        np.array_equal(x, y) for x, y in zip([*a[0], a[1]], [*b[0], b[1]], strict=True)
    )


@pytest.mark.parametrize("crop", [(16, 24), (48, 40), (7, 9), (64, 56), (20, 60)])
def test_image_and_mask_move_together_exactly_without_scaling(crop):
    image, mask = picture()
    transform = TrainTransform(crop, (1, 1), True, 3)
    for seed in SEEDS:
        (view,), moved = transform(image, mask, 1, seed)
        assert view.shape == (*crop, 3)
        assert moved.shape == crop
        inside = moved != IGNORE
        np.testing.assert_array_equal(view[inside], paint(moved.clip(max=2))[inside])
        # no drawn class is black, so black pixels are the padding and nothing else is
        assert not view[~inside].any()


def test_padding_is_what_the_crop_exceeds_the_image_by():
    image, mask = picture((20, 30))
    for seed in SEEDS:
        _, moved = TrainTransform((32, 32), (1, 1), True, 3)(image, mask, 1, seed)
        inside = moved != IGNORE
        assert inside.sum() == 20 * 30
        assert inside.any(1).sum() == 20
        assert inside.any(0).sum() == 30
        expected = mask if np.array_equal(moved[inside], mask.ravel()) else mask[:, ::-1]
        np.testing.assert_array_equal(moved[inside], expected.ravel())


def test_a_crop_is_a_window_of_the_image_mirrored_or_not():
    image, mask = coordinates(60, 80), np.zeros((60, 80), np.uint8)
    transform = TrainTransform((20, 30), (1, 1), True, 3)
    places, mirrored = set(), 0
    for seed in range(200):
        (view,), _ = transform(image, mask, 1, seed)
        rows, columns = view[:, 0, 0].astype(int), view[0, :, 1].astype(int)
        assert (np.diff(rows) == 1).all()
        assert set(np.diff(columns)) in ({1}, {-1})
        mirrored += columns[0] > columns[1]
        places.add((rows[0], columns.min()))
    tops, lefts = (np.array(values) for values in zip(*places, strict=True))
    # 41 x 51 places: both borders come near, and hardly a place comes twice
    assert tops.min() <= 3
    assert tops.max() >= 37
    assert lefts.min() <= 3
    assert lefts.max() >= 47
    assert len(places) > 150
    assert 70 < mirrored < 130


def test_nothing_is_mirrored_without_flip():
    image, mask = coordinates(20, 20), np.zeros((20, 20), np.uint8)
    for seed in SEEDS:
        (view,), _ = TrainTransform((20, 20), (1, 1), False, 3)(image, mask, 1, seed)
        np.testing.assert_array_equal(view, image)


@pytest.mark.parametrize("scale", [(0.5, 2.0), (0.5, 0.5), (2.0, 2.0)])
def test_image_and_mask_move_together_when_scaled(scale):
    image, mask = picture((96, 96))
    mask[40:56, 40:56] = IGNORE
    transform = TrainTransform((64, 64), scale, True, 3)
    for seed in SEEDS:
        (view,), moved = transform(image, mask, 1, seed)
        assert set(np.unique(moved)) <= {0, 1, 2, IGNORE}
        # where all neighbors have the class, no interpolation can have touched the image
        windows = np.lib.stride_tricks.sliding_window_view(moved, (5, 5))
        calm = (windows == windows[..., 2:3, 2:3]).all((2, 3)) & (windows[..., 2, 2] != IGNORE)
        assert calm.sum() > 100
        seen, ids = view[2:-2, 2:-2, 0][calm], moved[2:-2, 2:-2][calm]
        np.testing.assert_array_equal(seen, GRAY[ids])


def test_the_mask_is_not_shifted_against_the_image():
    """Plain nearest neighbor of OpenCV would move the edge by half a pixel, always to one side."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 1
    image = np.repeat((mask * 200)[..., None], 3, 2)
    offsets = []
    for seed in range(60):
        transform = TrainTransform((32, 32), (0.5, 2.0), False, 3)
        (view,), moved = transform(image, mask, 1, seed)
        valid = moved[16] != IGNORE
        row, ids = view[16, valid, 0], moved[16, valid]
        if {0, 1} <= set(ids):  # the edge is in the crop
            dark = ((200 - row.astype(float)) / 200).sum()  # the edge to a fraction of a pixel
            offsets.append(dark - (ids == 0).sum())
    assert len(offsets) > 30
    assert abs(np.mean(offsets)) < 0.15
    assert np.abs(offsets).max() <= 0.51


def test_factors_lie_in_the_range_and_fill_it():
    image, mask = coordinates(120, 120), np.zeros((120, 120), np.uint8)
    image[..., 1] *= 2
    factors = []
    for seed in range(60):
        (view,), moved = TrainTransform((60, 60), (0.5, 2.0), False, 3)(image, mask, 1, seed)
        assert (moved == 0).any()
        columns = view[30, moved[30] == 0, 1].astype(float)
        factors.append(2 * (len(columns) - 5) / (columns[-3] - columns[2]))
    assert 0.45 < min(factors) < 0.8
    assert 1.5 < max(factors) < 2.2


def test_an_ignored_region_stays_ignored():
    image, mask = picture()
    mask[:] = IGNORE
    _, moved = TrainTransform((32, 32), (0.5, 2.0), True, 3)(image, mask, 1, 0)
    assert (moved == IGNORE).all()


@pytest.mark.parametrize("num_views", [1, 2, 3, 4])
def test_the_number_of_views(num_views):
    image, mask = picture()
    transform = TrainTransform((16, 24), (0.5, 1.5), True, 3)
    views, _ = transform(image, mask, num_views, 0)
    assert len(views) == num_views
    assert all(view.shape == (16, 24, 3) and view.dtype == np.uint8 for view in views)
    # more views do not change the ones before
    more, _ = transform(image, mask, num_views + 1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(views, more, strict=False))


@pytest.mark.parametrize("channels", [1, 3])
def test_all_views_share_their_geometry(channels):
    image = np.full((40, 60, channels), 70, np.uint8)
    image[:, 25:] = 180
    mask = (image[..., 0] == 180).astype(np.uint8)
    transform = TrainTransform((40, 40), (1, 1), True, channels)
    checked = 0
    for seed in SEEDS:
        views, moved = transform(image, mask, 3, seed)
        edges = np.flatnonzero(np.diff(moved[20].astype(int)))
        for view in views[1:]:
            steps = np.abs(np.diff(view[20].astype(float).mean(1)))
            if steps.max() > 5:  # a strong change of contrast may leave nothing to see
                assert len(edges) == 1
                assert abs(int(steps.argmax()) - edges[0]) <= 1
                checked += 1
    assert checked > 50


def test_strong_views_differ_from_the_weak_one_and_from_each_other():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    transform = TrainTransform((32, 32), (1, 1), False, 3)
    changed = distinct = gray = 0
    for seed in range(100):
        (weak, one, two), _ = transform(image, mask, 3, seed)
        np.testing.assert_array_equal(weak, image)
        changed += not np.array_equal(weak, one)
        distinct += not np.array_equal(one, two)
        gray += int((one[..., 0] == one[..., 1]).all() and (one[..., 0] == one[..., 2]).all())
    assert changed > 80
    assert distinct > 90
    assert 5 < gray < 40  # 20 expected


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    image, mask = picture()
    transform = TrainTransform((24, 24), (0.5, 2.0), True, 3)
    first = [transform(image, mask, 3, seed) for seed in SEEDS]
    # a second object, asked in another order: nothing is left over from one image to the next
    other = TrainTransform((24, 24), (0.5, 2.0), True, 3)
    second = [other(image, mask, 3, seed) for seed in reversed(SEEDS)][::-1]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    results = {b"".join(view.tobytes() for view in views) for views, _ in first}
    assert len(results) == len(SEEDS)


def test_large_seeds():
    image, mask = picture()
    transform = TrainTransform((24, 24), (0.5, 2.0), True, 3)
    assert same(transform(image, mask, 2, 2**63 - 1), transform(image, mask, 2, 2**63 - 1))


def test_global_random_states_are_left_alone(global_states):
    image, mask = picture()
    for seed in range(10):
        TrainTransform((24, 24), (0.5, 2.0), True, 3)(image, mask, 3, seed)
    assert global_states()


def test_inputs_are_not_changed():
    image, mask = picture()
    copies = image.copy(), mask.copy()
    for seed in SEEDS:
        views, moved = TrainTransform((48, 40), (1, 1), True, 3)(image, mask, 3, seed)
        views[0][:], moved[:] = views[0], moved
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(mask, copies[1])


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_any_number_of_channels(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 30, channels), dtype=np.uint8)
    mask = draw_mask(rng, (40, 30))
    for scale in ((1, 1), (0.5, 2.0)):
        transform = TrainTransform((24, 32), scale, True, channels)
        changed = 0
        for seed in range(10):
            views, moved = transform(image, mask, 3, seed)
            assert [view.shape for view in views] == [(24, 32, channels)] * 3
            assert {view.dtype for view in views} == {np.dtype("uint8")}
            assert moved.shape == (24, 32)
            changed += not np.array_equal(views[0], views[1])
        assert changed > 5


def test_normalize():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1] = (255, 51, 102)
    tensor = Normalize((0.5, 0.2, 0.4), (0.25, 0.5, 0.1))(image)
    assert tensor.shape == (3, 2, 3)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    torch.testing.assert_close(tensor[:, 0, 1], torch.tensor([2.0, 0.0, 0.0]))
    torch.testing.assert_close(tensor[:, 1, 2], torch.tensor([-2.0, -0.4, -4.0]))


def test_normalize_makes_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    mean, std = image.mean((0, 1)) / 255, image.std((0, 1)) / 255
    tensor = Normalize(mean.tolist(), std.tolist())(image)
    torch.testing.assert_close(tensor.mean((1, 2)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(tensor.std((1, 2)), torch.ones(4), atol=1e-3, rtol=0)


def turned(height=60, width=80, rotation=30.0, seeds=SEEDS):
    """Views of a picture of blocks under rotation alone, uncropped."""
    image, mask = picture((height, width))
    transform = TrainTransform((height, width), (1, 1), False, 3, rotation=rotation)
    return [transform(image, mask, 1, seed) for seed in seeds], image, mask


def test_rotation_moves_image_and_mask_together():
    views, *_ = turned()
    for (view,), mask in views:
        inside = mask != IGNORE
        flat = np.abs(view[..., 0].astype(int) - GRAY[mask.clip(max=2)].astype(int))
        # only where blocks meet are colours between those of the classes
        assert (flat[inside] < 8).mean() > 0.75
        assert flat[inside].mean() < 15


def test_rotation_leaves_the_outside_unknown():
    views, *_ = turned()
    shares = [float((mask == IGNORE).mean()) for _, mask in views]
    assert max(shares) > 0.1
    assert max(shares) < 0.5
    for (view,), mask in views:
        # the image's own border is blended with the outside
        outside = cv2.erode((mask == IGNORE).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        outside[[0, -1]] = outside[:, [0, -1]] = False
        assert not view[outside].any()


def test_rotation_is_bounded_and_goes_both_ways():
    image, mask = coordinates(61, 61), np.zeros((61, 61), np.uint8)
    transform = TrainTransform((61, 61), (1, 1), False, 3, rotation=20.0)
    angles = []
    for seed in range(100):
        (view,), _ = transform(image, mask, 1, seed)
        # along the middle row the row that a pixel came from falls or rises with the angle
        slope = np.polyfit(np.arange(20, 41), view[30, 20:41, 0].astype(float), 1)[0]
        angles.append(np.degrees(np.arcsin(np.clip(slope, -1, 1))))
    assert max(np.abs(angles)) < 21.5
    assert max(angles) > 15
    assert min(angles) < -15


def test_jitter_changes_the_weak_view_and_not_the_geometry():
    image, mask = picture()
    plain = TrainTransform((32, 32), (0.8, 1.2), True, 3)
    jittered = TrainTransform((32, 32), (0.8, 1.2), True, 3, jitter=0.4)
    changed = 0
    for seed in SEEDS:
        (clean,), moved = plain(image, mask, 1, seed)
        (view,), same_mask = jittered(image, mask, 1, seed)
        np.testing.assert_array_equal(moved, same_mask)
        changed += not np.array_equal(clean, view)
    assert changed > 30


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("pixels", ["uint8", "uint16", "float"])
def test_every_kind_of_image_is_augmented(channels, pixels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, channels), np.uint8)
    if pixels != "uint8":
        image = image.astype(np.float32) / 255
    if pixels == "float":
        image = image * 900 - 450  # metres, say
    mask = draw_mask(rng, (40, 50))
    transform = TrainTransform(
        (48, 44), (0.5, 2), True, channels, rotation=10, jitter=0.2, pixels=pixels
    )
    for seed in range(8):
        views, moved = transform(image, mask, 3, seed)
        for view in views:
            assert view.shape == (48, 44, channels)
            assert view.dtype == image.dtype
            assert np.isfinite(view).all()
        if pixels == "float":  # nothing was clipped to the range of pictures
            inside = moved != IGNORE
            assert views[0][inside].std() > 80


def test_colours_of_floats_are_left_alone():
    """What has no known range has no brightness: strong views are blurred at most."""
    flat = np.full((20, 20, 3), 321.5, np.float32)
    mask = np.zeros((20, 20), np.uint8)
    transform = TrainTransform((20, 20), (1, 1), True, 3, jitter=0.5, pixels="float")
    for seed in SEEDS:
        for view in transform(flat, mask, 3, seed)[0]:
            np.testing.assert_allclose(view, flat, rtol=1e-6)


def choices(transform, seed, height=20, width=30, side=4):
    """What a transform chooses for one image, by name."""
    image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    transform(image, mask, 2, seed)
    scaled, turned, _, cropped, mirrored = (t.params for t in transform.geometry.transforms)
    left, top = cropped["crop_coords"][:2]
    places = [round(whole * scaled["scale"]) - side + 1 for whole in (height, width)]
    chosen = {
        "scale": scaled["scale"],
        "angle": turned["matrix"][0][1],
        "top": (top + 0.5) / places[0],
        "left": (left + 0.5) / places[1],
        "mirrored": float(bool(mirrored)),
    }
    for name in ("weak", "strong"):
        for made in getattr(transform, name).transforms:
            kind = f"{name} {type(made).__name__}"
            if made.p < 1:
                chosen[kind] = float(bool(made.params))
            for key in ("brightness", "contrast", "saturation", "hue", "order"):
                if key in made.params:
                    chosen[f"{kind} {key}"] = np.ravel(made.params[key])[0]
            if "kernel" in made.params:
                chosen[f"{kind} sigma"] = made.params["kernel"].max()
    return chosen


def test_no_random_choice_depends_on_another():
    transform = TrainTransform((4, 4), (1.0, 3.0), True, 3, rotation=45, jitter=0.4)
    seeds = [seed_of(0, "labeled", step, 0) for step in range(2000)]
    drawn = [choices(transform, seed) for seed in seeds]
    names = sorted({name for chosen in drawn for name in chosen})
    assert len(names) == 19
    values = {name: np.array([chosen.get(name, np.nan) for chosen in drawn]) for name in names}
    for one, other in combinations(names, 2):
        if other.startswith(f"{one} "):  # strength of a change that is not always made
            continue
        known = ~np.isnan(values[one]) & ~np.isnan(values[other])
        pair = values[one][known], values[other][known]
        assert abs(np.corrcoef(pair)[0, 1]) < 4.5 / np.sqrt(known.sum()), (one, other)
        # dependence of any other form
        assert chi2_contingency(crosstab(*map(quarters, pair)).count).pvalue > 1e-5, (one, other)


def quarters(values):
    """Which quarter of the values each is in; where there are few, which value it is."""
    few = np.unique(values)
    return np.searchsorted(few if len(few) <= 4 else np.quantile(values, (0.25, 0.5, 0.75)), values)
