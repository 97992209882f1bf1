import itertools
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssseg.ops import (
    block_class_mask,
    box_mask,
    class_mask,
    cow_mask,
    half_box_mask,
    ratio_box_mask,
)
from ssseg.ops.masks import block_rows_cols, grid_shape
from tests.reference import masks as reference

NUM_CLASSES = 5
IGNORE = 255
SIZES = [(1, 1, 1), (2, 1, 7), (3, 5, 1), (2, 2, 2), (2, 13, 17), (3, 32, 21)]
few = settings(max_examples=30, deadline=None)
side = st.integers(1, 24)
seeds = st.integers(0, 2**31)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def global_randomness():
    _, words, *rest = np.random.get_state()  # noqa: NPY002 - it must stay as it is
    return torch.get_rng_state().tolist(), words.tolist(), rest, random.getstate()


def regions(size, num_classes=NUM_CLASSES, cell=4, seed=0):
    """Label maps of square patches, so that a class has more than one pixel."""
    batch, height, width = size
    rows, cols = math.ceil(height / cell), math.ceil(width / cell)
    coarse = torch.randint(num_classes, (batch, rows, cols), generator=seeded(seed))
    fine = coarse.repeat_interleave(cell, 1).repeat_interleave(cell, 2)
    return fine[:, :height, :width].contiguous()


def by_class(**options):
    return lambda size, g: class_mask(regions(size), NUM_CLASSES, **options, generator=g)


def by_block(blocks, **options):
    return lambda size, g: block_class_mask(
        regions(size), NUM_CLASSES, blocks, **options, generator=g
    )


GENERATORS = {
    "box": lambda size, g: box_mask(size, generator=g),
    "boxes": lambda size, g: box_mask(size, 0.3, 3, generator=g),
    "ranged boxes": lambda size, g: box_mask(size, (0.2, 0.5), 3, generator=g),
    "ratio_box": lambda size, g: ratio_box_mask(size, 1.0, generator=g),
    "half_box": lambda size, g: half_box_mask(size, generator=g),
    "cow": lambda size, g: cow_mask(size, 0.4, (1.0, 3.0), generator=g),
    "class": by_class(),
    "class ceil": by_class(rounding="ceil"),
    "block": by_block(3),
    "block all": by_block(4, class_pool="all", rounding="random"),
    "block total": by_block(6, grid="total", rounding="random"),
}
every_generator = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS.keys())


def block_map(height, width, rows, cols):
    """The number of the block of every pixel."""
    y, x = block_rows_cols(height, width, rows, cols, torch.device("cpu"))
    return y[:, None] * cols + x


class TestEveryGenerator:
    @every_generator
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_gives_one_bool_per_pixel_at_any_size(self, make, size):
        mask = make(size, seeded(0))

        assert mask.shape == (size[0], 1, *size[1:])
        assert mask.dtype == torch.bool
        assert mask.device.type == "cpu"

    @every_generator
    def test_depends_on_the_seed_alone(self, make):
        size = (4, 24, 20)

        assert torch.equal(make(size, seeded(7)), make(size, seeded(7)))
        assert not torch.equal(make(size, seeded(7)), make(size, seeded(8)))

    @every_generator
    def test_draws_every_image_anew(self, make):
        first, second = make((1, 24, 20), g := seeded(7)), make((1, 24, 20), g)

        assert not torch.equal(first, second)

    @every_generator
    def test_leaves_global_randomness_alone(self, make):
        before = global_randomness()
        make((2, 9, 8), seeded(0))

        assert global_randomness() == before

    @every_generator
    def test_takes_the_default_generator_where_none_is_given(self, make):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            mask = make((2, 9, 8), None)

        assert torch.equal(mask, make((2, 9, 8), seeded(7)))

    @pytest.mark.parametrize("name", ["class", "block", "block all"])
    def test_does_not_change_the_labels(self, name):
        label = regions((2, 13, 17))
        label[0, 0] = IGNORE
        before = label.clone()
        block_class_mask(label, NUM_CLASSES, 3, generator=seeded(0))

        assert torch.equal(label, before)


def selected(label, mask, num_classes):
    """The classes that each image keeps; fails where a class is kept in part."""
    kept = []
    for image, ours in zip(label, mask[:, 0], strict=True):
        kept.append(frozenset(c for c in range(num_classes) if ours[image == c].any()))
        for c in kept[-1]:
            assert ours[image == c].all()
    return kept


def assert_uniform(outcomes, possible):
    """Every possible outcome occurs, equally often as far as a chi-square test can tell."""
    counts = [outcomes.count(one) for one in possible]
    assert sum(counts) == len(outcomes), "an outcome that must not occur"
    assert min(counts) > 0
    assert stats.chisquare(counts).pvalue > 1e-3


class TestClassMask:
    @few
    @given(st.integers(1, 4), side, side, st.integers(1, 8), st.integers(1, 5), seeds)
    def test_keeps_half_of_the_classes_whole(self, batch, height, width, num_classes, cell, seed):
        label = regions((batch, height, width), num_classes, cell, seed)
        mask = class_mask(label, num_classes, generator=seeded(seed))

        for image, kept in zip(label, selected(label, mask, num_classes), strict=True):
            present = set(image.unique().tolist())
            assert kept <= present
            assert len(kept) == len(present) // 2

    @pytest.mark.parametrize("rounding", ["floor", "ceil"])
    @pytest.mark.parametrize("seed", range(5))
    def test_agrees_with_the_loop(self, rounding, seed):
        label = torch.randint(-2, 9, (3, 6, 7), generator=seeded(seed))
        keys = torch.rand(3, 1, 7, generator=seeded(seed))[:, 0]
        expected = reference.class_mask(label.numpy(), 7, keys.numpy(), rounding)

        mask = class_mask(label, 7, rounding, generator=seeded(seed))
        assert np.array_equal(mask, expected)

    @pytest.mark.parametrize(
        ("count", "floor", "ceil"), [(1, 0, 1), (2, 1, 1), (3, 1, 2), (4, 2, 2), (5, 2, 3)]
    )
    def test_rounds_half_of_an_odd_number(self, count, floor, ceil):
        label = torch.arange(count).view(1, 1, count)  # one pixel per class

        assert class_mask(label, 19, generator=seeded(0)).sum() == floor
        assert class_mask(label, 19, "ceil", generator=seeded(0)).sum() == ceil

    @pytest.mark.parametrize("ids", [(0, 1, 2, 3, 4), (18, 3, 7, 0, 11)], ids=str)
    def test_draws_every_subset_equally_often_whatever_the_ids(self, ids):
        label = torch.tensor(ids).expand(3000, 1, 5)
        outcomes = selected(label, class_mask(label, 19, generator=seeded(1)), 19)

        # equal images of one batch draw independently, or these counts could not be uniform
        assert_uniform(outcomes, [frozenset(pair) for pair in itertools.combinations(ids, 2)])
        frequency = [sum(c in kept for kept in outcomes) / 3000 for c in ids]
        assert frequency == pytest.approx([2 / 5] * 5, abs=0.04)

    @pytest.mark.parametrize("foreign", [IGNORE, -1, 4, 2**40])
    def test_never_selects_or_counts_ids_outside_the_range(self, foreign):
        label = torch.tensor([0, 1, foreign]).expand(200, 2, 3)
        mask = class_mask(label, 4, generator=seeded(0))
        ceil = class_mask(label, 4, "ceil", generator=seeded(0))

        assert not mask[..., 2].any()
        assert (mask.sum((1, 2, 3)) == 2).all()  # one class of two pixels
        assert torch.equal(mask, ceil)  # half of two, not of three

    def test_keeps_nothing_of_an_image_without_labels(self):
        label = torch.full((2, 3, 3), IGNORE)

        assert not class_mask(label, 4, "ceil", generator=seeded(0)).any()

    def test_does_not_look_at_the_other_images(self):
        label = regions((4, 16, 16))
        mask = class_mask(label, NUM_CLASSES, generator=seeded(0))
        others = label.clone()
        others[2:] = 0

        alone = class_mask(label[:2], NUM_CLASSES, generator=seeded(0))
        changed = class_mask(others, NUM_CLASSES, generator=seeded(0))
        assert torch.equal(mask[:2], alone)
        assert torch.equal(mask[:2], changed[:2])


class TestBlockClassMask:
    @few
    @given(
        size=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
        num_classes=st.integers(1, 6),
        blocks=st.integers(1, 15),
        class_pool=st.sampled_from(["present", "all"]),
        rounding=st.sampled_from(["floor", "ceil", "random"]),
        grid=st.sampled_from(["per_side", "total"]),
        seed=seeds,
    )
    def test_agrees_with_the_loop(
        self, size, num_classes, blocks, class_pool, rounding, grid, seed
    ):
        label = torch.randint(-1, num_classes + 1, size, generator=seeded(seed))
        rows, cols = grid_shape(blocks, *size[1:], grid)
        g = seeded(seed)
        keys = torch.rand(size[0], rows * cols, num_classes, generator=g)
        coins = torch.rand(size[0], rows * cols, generator=g) < 0.5
        expected = reference.block_class_mask(
            label.numpy(), num_classes, keys.numpy(), rows, cols, class_pool, rounding, coins
        )

        mask = block_class_mask(
            label, num_classes, blocks, class_pool, rounding, grid, generator=seeded(seed)
        )
        assert np.array_equal(mask, expected)

    @pytest.mark.parametrize("rounding", ["floor", "ceil"])
    def test_of_one_block_is_the_class_mask(self, rounding):
        label = regions((3, 16, 20))
        whole = class_mask(label, NUM_CLASSES, rounding, generator=seeded(5))
        block = block_class_mask(label, NUM_CLASSES, 1, rounding=rounding, generator=seeded(5))

        assert torch.equal(whole, block)

    def test_has_edges_only_at_labels_and_block_borders(self):
        label = regions((4, 30, 41), cell=6)
        mask = block_class_mask(label, NUM_CLASSES, 4, generator=seeded(0))[:, 0]
        block = block_map(30, 41, 4, 4).expand(4, 30, 41)

        inside = 0
        for axis in (1, 2):
            length = label.shape[axis]
            near, far = (
                [part.narrow(axis, start, length - 1) for part in (label, block, mask)]
                for start in (0, 1)
            )
            same = (near[0] == far[0]) & (near[1] == far[1])
            assert torch.equal(near[2][same], far[2][same])
            inside += ((near[0] == far[0]) & (near[2] != far[2])).sum()
        assert inside > 0, "no class was kept in one block and dropped in its neighbor"

    def test_draws_blocks_independently(self):
        label = torch.tensor([0, 1, 0, 1]).expand(2000, 1, 4)
        mask = block_class_mask(label, 2, 2, grid="total", generator=seeded(0))[:, 0, 0]
        outcomes = [(bool(left), bool(right)) for left, right in mask[:, [0, 2]]]

        assert_uniform(outcomes, list(itertools.product((False, True), repeat=2)))

    @pytest.mark.parametrize(("rounding", "share"), [("floor", 2 / 5), ("ceil", 3 / 5)])
    def test_of_all_classes_keeps_a_uniform_block_as_often_as_any_class(self, rounding, share):
        label = torch.full((500, 4, 4), 3)
        mask = block_class_mask(label, 5, 2, "all", rounding, generator=seeded(0))[:, 0, ::2, ::2]

        assert stats.binomtest(int(mask.sum()), mask.numel(), share).pvalue > 1e-3

    def test_of_present_classes_never_keeps_a_uniform_block(self):
        label = torch.full((50, 4, 4), 3)

        assert not block_class_mask(label, 5, 2, generator=seeded(0)).any()
        assert block_class_mask(label, 5, 2, rounding="ceil", generator=seeded(0)).all()

    def test_rounds_at_random_by_a_fair_coin(self):
        label = torch.arange(3).expand(2000, 1, 3)
        mask = block_class_mask(label, 3, 1, rounding="random", generator=seeded(0))
        kept = mask.sum((1, 2, 3)).tolist()

        assert_uniform(kept, [1, 2])
        even = block_class_mask(label[..., :2], 3, 1, rounding="random", generator=seeded(0))
        assert (even.sum((1, 2, 3)) == 1).all()

    @pytest.mark.parametrize("foreign", [IGNORE, -1, 5])
    @pytest.mark.parametrize("pool", ["present", "all"])
    def test_never_selects_ids_outside_the_range(self, pool, foreign):
        label = regions((20, 12, 12), cell=2)
        label[:, ::2] = foreign
        mask = block_class_mask(label, NUM_CLASSES, 4, pool, "ceil", generator=seeded(0))[:, 0]

        assert not mask[label == foreign].any()
        assert mask.any()

    def test_may_have_more_blocks_than_pixels(self):
        label = regions((2, 3, 5), cell=1)

        assert not block_class_mask(label, NUM_CLASSES, 64, generator=seeded(0)).any()
        assert block_class_mask(label, NUM_CLASSES, 64, rounding="ceil", generator=seeded(0)).all()


class TestGrid:
    @few
    @given(side, side, st.integers(1, 24), st.integers(1, 24))
    def test_tiles_the_image_with_blocks_of_nearly_one_size(self, height, width, rows, cols):
        index = block_map(height, width, rows, cols).numpy()
        top, left = reference.edges(height, rows), reference.edges(width, cols)
        covered = np.zeros((height, width), dtype=int)
        for r, c in itertools.product(range(rows), range(cols)):
            area = np.s_[top[r] : top[r + 1], left[c] : left[c + 1]]
            covered[area] += 1
            assert (index[area] == r * cols + c).all()

        assert (covered == 1).all()
        assert max(np.diff(top)) - min(np.diff(top)) <= 1
        assert max(np.diff(left)) - min(np.diff(left)) <= 1

    @pytest.mark.parametrize(
        ("blocks", "height", "width", "expected"),
        [
            (16, 64, 64, (4, 4)),
            (8, 512, 1024, (2, 4)),
            (8, 1024, 512, (4, 2)),
            (7, 64, 64, (1, 7)),
            (12, 300, 100, (6, 2)),
        ],
    )
    def test_of_a_total_has_the_squarest_blocks(self, blocks, height, width, expected):
        assert grid_shape(blocks, height, width, "total") == expected
        assert grid_shape(blocks, height, width, "per_side") == (blocks, blocks)

    def test_needs_a_block(self):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            grid_shape(0, 4, 4)


def rectangle(pixels):
    """Top, left, height and width of the one rectangle that the pixels fill; fails otherwise."""
    rows, cols = pixels.any(1).nonzero()[:, 0], pixels.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return 0, 0, 0, 0
    top, left = int(rows[0]), int(cols[0])
    height, width = int(rows[-1]) - top + 1, int(cols[-1]) - left + 1
    assert pixels.sum() == height * width
    return top, left, height, width


class TestHalfBox:
    @few
    @given(side, side, seeds)
    def test_cuts_one_rectangle_of_half_the_image(self, height, width, seed):
        for mask in half_box_mask((4, height, width), generator=seeded(seed)):
            _, _, rows, cols = rectangle(~mask[0])
            if rows == 0:  # half of a row of pixels rounds to no row
                assert height == 1
                continue
            assert max(1, width // 2) <= cols <= width
            assert rows == min(height, round(height * width / 2 / cols))
            if rows < height:
                assert abs(rows * cols - height * width / 2) <= cols / 2

    def test_draws_width_and_place_uniformly(self):
        found = [rectangle(~mask[0]) for mask in half_box_mask((4000, 8, 8), generator=seeded(0))]

        assert_uniform([cols for *_, cols in found], range(4, 9))
        assert_uniform([left for _, left, _, cols in found if cols == 4], range(5))
        assert_uniform([top for top, _, _, cols in found if cols == 8], range(5))


class TestBox:
    @few
    @given(side, side, st.floats(0.05, 1), seeds)
    def test_covers_its_area_up_to_rounding(self, height, width, area, seed):
        for mask in box_mask((4, height, width), area, generator=seeded(seed)):
            _, _, rows, cols = rectangle(mask[0])
            if rows == 0:  # a side of less than half a pixel
                assert area * height * width <= max(height, width) / 2
                continue
            # (h + e)(w + f) with both errors at most half a pixel
            assert abs(rows * cols - area * height * width) <= (rows + cols) / 2 + 0.25 + 1e-9
            assert area * height - 0.5 <= rows <= height

    @pytest.mark.parametrize("num_boxes", [1, 2, 3])
    def test_agrees_with_the_loop(self, num_boxes):
        draw = torch.rand(3, 5, num_boxes, generator=seeded(3), dtype=torch.float64)
        expected = reference.box_mask(draw.numpy(), 23, 31, 0.4)

        mask = box_mask((5, 23, 31), 0.4, num_boxes, generator=seeded(3))
        assert np.array_equal(mask, expected)

    def test_draws_its_height_log_uniformly(self):
        found = [rectangle(m[0]) for m in box_mask((1000, 200, 40), 0.25, generator=seeded(0))]
        exponent = [math.log(rows / 200) / math.log(0.25) for _, _, rows, _ in found]

        assert stats.kstest(exponent, "uniform").pvalue > 1e-3

    def test_lies_anywhere_inside(self):
        found = [rectangle(m[0]) for m in box_mask((1000, 200, 40), 0.25, generator=seeded(0))]
        down = [top / (200 - rows) for top, _, rows, _ in found if rows < 150]

        assert stats.kstest(down, "uniform").pvalue > 1e-3
        assert min(left for _, left, _, _ in found) == 0
        assert max(left + cols for _, left, _, cols in found) == 40

    def test_boxes_toggle_where_they_overlap(self):
        two = box_mask((50, 21, 21), 1.0, 2, generator=seeded(0))
        three = box_mask((50, 21, 21), 1.0, 3, generator=seeded(0))

        # boxes of more than half of each side all cover the center
        assert not two[:, 0, 10, 10].any()
        assert three[:, 0, 10, 10].all()
        assert two.any()

    def test_of_the_whole_image_is_full(self):
        assert box_mask((3, 7, 5), 1.0, generator=seeded(0)).all()

    def test_draws_the_share_of_every_box_from_a_range(self):
        boxes = box_mask((400, 100, 100), (0.2, 0.6), generator=seeded(0))
        share = (boxes.double().mean((1, 2, 3)) - 0.2) / 0.4

        assert stats.kstest(share, "uniform").pvalue > 1e-3

    @pytest.mark.parametrize("area", [0.0, -0.1, 1.1, (0.0, 0.5), (0.5, 0.4), (0.5, 1.1)])
    def test_needs_an_area(self, area):
        with pytest.raises(ValueError, match="area must lie in"):
            box_mask((1, 4, 4), area)


class TestRatioBox:
    SIZE = (1000, 40, 60)

    @few
    @given(side, side, seeds)
    def test_is_a_rectangle_of_an_area_in_its_range(self, height, width, seed):
        for mask in ratio_box_mask((4, height, width), 1.0, generator=seeded(seed)):
            _, _, rows, cols = rectangle(mask[0])
            assert rows * cols <= 0.4 * height * width
            if rows:  # both sides are rounded down
                assert (rows + 1) * (cols + 1) > 0.02 * height * width
                assert rows / (cols + 1) < 1 / 0.3
                assert (rows + 1) / cols > 0.3

    def test_has_the_law_of_drawing_until_the_box_lies_inside(self):
        ours = [rectangle(m[0]) for m in ratio_box_mask(self.SIZE, 1.0, generator=seeded(0))]
        loop = reference.ratio_boxes(
            np.random.default_rng(0), *self.SIZE, (0.02, 0.4), (0.3, 1 / 0.3)
        )

        for of in (0, 1, 2, 3):  # top, left, rows, cols
            assert stats.ks_2samp([box[of] for box in ours], [b[of] for b in loop]).pvalue > 1e-3
        down = [top / (40 - rows) for top, _, rows, _ in ours if rows < 36]
        expected = [top / (40 - rows) for top, _, rows, _ in loop if rows < 36]
        assert stats.ks_2samp(down, expected).pvalue > 1e-3
        tall = np.mean([rows * 60 > cols * 40 for *_, rows, cols in ours])
        assert tall == pytest.approx(np.mean([r * 60 > c * 40 for *_, r, c in loop]), abs=0.06)

    @pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
    def test_gives_a_box_to_its_share_of_the_images(self, probability):
        boxes = ratio_box_mask((4000, 12, 12), probability, generator=seeded(0))

        assert abs(boxes.flatten(1).any(1).float().mean() - probability) < 0.03

    def test_gives_no_box_where_none_fits(self):
        # the lowest box of this area has four rows
        assert not ratio_box_mask((9, 1, 200), 1.0, (0.4, 0.4), generator=seeded(0)).any()

    @pytest.mark.parametrize(
        ("option", "value"),
        [("probability", 1.1), ("area", (0.0, 0.4)), ("area", (0.4, 0.2)), ("ratio", (2.0, 1.0))],
    )
    def test_needs_values_in_their_range(self, option, value):
        with pytest.raises(ValueError, match=f"{option} must"):
            ratio_box_mask((1, 4, 4), **{option: value})


class TestCow:
    def test_agrees_with_scipy(self):
        size, g = (4, 40, 53), seeded(2)
        noise = torch.randn(size, generator=g)
        sigma = (math.log(2) + math.log(8 / 2) * torch.rand(4, generator=g)).exp()
        expected = reference.cow_mask(noise.double().numpy(), sigma.double().numpy(), 0.4, 32)

        mask = cow_mask(size, 0.4, (2, 8), generator=seeded(2))
        assert (mask.numpy() != expected).mean() < 1e-3  # single precision at the threshold

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
    def test_keeps_its_share(self, share):
        mask = cow_mask((64, 96, 96), share, (2.0, 4.0), generator=seeded(0)).float()
        shares = mask.mean((1, 2, 3))

        assert (shares - share).abs().max() < 0.1
        assert abs(shares.mean() - share) < 0.01

    @pytest.mark.parametrize("size", [(2, 1, 1), (3, 9, 14)], ids=str)
    def test_keeps_nothing_or_all_at_the_ends(self, size):
        assert not cow_mask(size, 0, generator=seeded(0)).any()
        assert not cow_mask(size, 0.0, generator=seeded(0)).any()
        assert cow_mask(size, 1, generator=seeded(0)).all()

    def test_grows_its_spots_with_sigma(self):
        changes = []
        for sigma in (1.0, 2.0, 4.0, 8.0):
            mask = cow_mask((16, 64, 64), 0.5, (sigma, sigma), generator=seeded(0))
            changes.append(int((mask[..., 1:] != mask[..., :-1]).sum()))

        # the number of level crossings goes with 1 / sigma
        ratios = [many / few for many, few in itertools.pairwise(changes)]
        assert ratios == pytest.approx([2] * 3, rel=0.2)

    def test_draws_sigma_per_image_and_log_uniformly(self):
        fine = cow_mask((200, 48, 48), 0.5, (1.0, 1.0), generator=seeded(0))
        coarse = cow_mask((200, 48, 48), 0.5, (4.0, 4.0), generator=seeded(0))
        both = cow_mask((200, 48, 48), 0.5, (1.0, 4.0), generator=seeded(0))

        def changes(mask):
            return (mask[..., 1:] != mask[..., :-1]).sum((1, 2, 3)).double()

        middle = cow_mask((200, 48, 48), 0.5, (2.0, 2.0), generator=seeded(0))
        assert changes(both).median() == pytest.approx(float(changes(middle).median()), rel=0.15)
        assert changes(both).quantile(0.1) < 1.3 * changes(coarse).median()
        assert changes(both).quantile(0.9) > 0.7 * changes(fine).median()

    def test_is_as_likely_at_the_border_as_inside(self):
        often = cow_mask((4000, 16, 16), 0.5, (1.0, 2.0), generator=seeded(0)).float().mean((0, 1))

        # 256 dependent frequencies, each with a standard error of 0.008
        assert (often - 0.5).abs().max() < 5 * 0.008

    @pytest.mark.parametrize("share", [-0.1, 1.1])
    def test_needs_a_share(self, share):
        with pytest.raises(ValueError, match="share must lie in"):
            cow_mask((1, 4, 4), share)
