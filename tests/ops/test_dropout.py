import pytest
import torch

from ssseg.ops import complementary_dropout, feature_dropout
from ssseg.ops.random import subset


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pyramid(batch, widths=(6, 6, 4, 0), dtype=torch.float32):
    """The image, then feature maps of ones: a factor is what has become of a one."""
    image = torch.randn(batch, 3, 8, 8, generator=seeded(1))
    return [image, *(torch.ones(batch, w, 4, 4, dtype=dtype) for w in widths)]


def factors(level):
    """(B, D) float; fails where a channel has several."""
    assert (level == level[:, :, :1, :1]).all()
    return level[:, :, 0, 0]


class TestFeatureDropout:
    def test_drops_whole_channels_and_keeps_their_mean(self):
        feats = pyramid(400)
        image, *levels = feature_dropout(feats, 0.25, generator=seeded())

        assert image is feats[0]
        for level in levels[:3]:
            found = factors(level)
            assert found.unique().tolist() == pytest.approx([0, 4 / 3])
            assert found.mean() == pytest.approx(1, abs=0.05)
        assert not torch.equal(levels[0], levels[1])  # levels of one width differ
        assert levels[3].shape[1] == 0

    def test_of_nothing_changes_nothing(self):
        feats = pyramid(2)
        for ours, theirs in zip(feature_dropout(feats, 0.0), feats, strict=True):
            assert torch.equal(ours, theirs)

    @pytest.mark.parametrize("p", [-0.1, 1.0])
    def test_needs_a_probability(self, p):
        with pytest.raises(ValueError, match="p must lie in"):
            feature_dropout(pyramid(1), p)


class TestComplementaryDropout:
    @pytest.mark.parametrize(("keep", "whole"), [(0.0, 0), (0.5, 3), (0.7, 4), (1.0, 7)])
    def test_the_streams_of_an_image_complete_each_other(self, keep, whole):
        feats = pyramid(14)
        image, *levels = complementary_dropout(feats, keep, generator=seeded())

        assert image is feats[0]
        kept = []
        for level in levels[:3]:
            first, second = factors(level).chunk(2)
            assert torch.equal(first + second, torch.full_like(first, 2))
            kept.append((first == 1).all(1))
            assert set(first[~kept[-1]].unique().tolist()) <= {0.0, 2.0}
            assert kept[-1].sum() == whole
        assert torch.equal(kept[0], kept[2])

    def test_keeps_the_mean_of_the_features(self):
        level = complementary_dropout(pyramid(400), 0.5, generator=seeded())[1]
        assert factors(level)[:200].mean() == pytest.approx(1, abs=0.1)

    def test_levels_of_one_width_lose_the_same_channels(self):
        _, first, same, narrow, _ = complementary_dropout(pyramid(8), 0.0, generator=seeded())
        assert torch.equal(first, same)
        assert not torch.equal(first[:, :4], narrow)

    @pytest.mark.parametrize("keep", [-0.1, 1.1])
    def test_needs_a_share(self, keep):
        with pytest.raises(ValueError, match="keep must lie in"):
            complementary_dropout(pyramid(2), keep)


@pytest.mark.parametrize("make", [feature_dropout, complementary_dropout])
def test_the_seed_alone_decides_and_the_dtype_stays(make):
    first, again, other = (
        make(pyramid(4, dtype=torch.bfloat16), generator=seeded(s)) for s in (3, 3, 4)
    )
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    assert first[1].dtype == torch.bfloat16


def test_a_subset_has_its_number_of_images_and_any_of_them():
    seen = torch.stack([subset(5, 0.5, seeded(s)) for s in range(300)])
    assert (seen.sum(1) == 2).all()
    assert (seen.float().mean(0) - 0.4).abs().max() < 0.1
