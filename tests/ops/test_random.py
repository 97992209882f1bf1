import pytest
import torch

from ssseg.distributed import DistInfo, GlobalBatchGenerator
from ssseg.ops import (
    beta_lambda,
    block_class_mask,
    box_mask,
    class_mask,
    color_jitter,
    cow_mask,
    half_box_mask,
    ratio_box_mask,
)
from ssseg.ops.dropout import complementary_dropout, feature_dropout
from ssseg.ops.random import gamma, normal, subset, uniform
from ssseg.testing import NUM_CLASSES
from tests.spread import IMAGES, seeded

LABEL = torch.randint(0, NUM_CLASSES, (IMAGES, 9, 11), generator=seeded(1))


IMAGE = torch.randn(IMAGES, 3, 9, 11, generator=seeded(2))


NORM = {"mean": (0.5,) * 3, "std": (0.2,) * 3}


DRAWS = {
    "uniform": lambda n, g: uniform((n, 3), g),
    "uniform, images second": lambda n, g: uniform((3, n), g, batch=1).T,
    "normal": lambda n, g: normal((n, 2), g),
    "subset": lambda n, g: subset(n, 0.5, g),
    "gamma": lambda n, g: gamma((2, n), 0.3, g, batch=1).T,
    "box": lambda n, g: box_mask((n, 9, 11), num_boxes=2, generator=g),
    "ranged box": lambda n, g: box_mask((n, 9, 11), (0.2, 0.5), generator=g),
    "ratio box": lambda n, g: ratio_box_mask((n, 9, 11), generator=g),
    "half box": lambda n, g: half_box_mask((n, 9, 11), generator=g),
    "cow": lambda n, g: cow_mask((n, 9, 11), sigma=(1.0, 3.0), generator=g),
    "beta": lambda n, g: beta_lambda(n, 0.4, generator=g),
    "beta, uniform": lambda n, g: beta_lambda(n, generator=g),
}


def streams(part, g):
    """Complementary dropout of two streams, the two streams of an image side by side."""
    feats = complementary_dropout([IMAGE[part].repeat(2, 1, 1, 1)] * 2, generator=g)[1]
    return torch.cat(feats.chunk(2), 1)


OF_A_PART = {
    "feature dropout": lambda part, g: feature_dropout([IMAGE[part]] * 2, generator=g)[1],
    "complementary dropout": streams,
    "class": lambda part, g: class_mask(LABEL[part], NUM_CLASSES, "random", generator=g),
    "blocks": lambda part, g: block_class_mask(LABEL[part], NUM_CLASSES, 4, generator=g),
    "jitter": lambda part, g: color_jitter(IMAGE[part], generator=g, **NORM),
}


@pytest.mark.parametrize("name", [*DRAWS, *OF_A_PART])
@pytest.mark.parametrize("count", [2, 4])
def test_draws_are_those_of_the_places_in_the_whole_batch(name, count):
    """No process is needed: a part of the draws is kept, whoever draws."""
    share = IMAGES // count
    if name in DRAWS:
        expected = DRAWS[name](IMAGES, seeded())
        parts = [
            DRAWS[name](share, GlobalBatchGenerator(seeded(), DistInfo(r, count)))
            for r in range(count)
        ]
    else:
        expected = OF_A_PART[name](slice(None), seeded())
        parts = [
            OF_A_PART[name](
                slice(r * share, (r + 1) * share),
                GlobalBatchGenerator(seeded(), DistInfo(r, count)),
            )
            for r in range(count)
        ]
    assert torch.equal(torch.cat(parts), expected)
