"""Pure tensor operators: masks, mixing, pairing, decoupling, dropout, photometric augmentation.

They need no Lightning and keep no state. Every random choice comes from the `generator` that the
caller passes. No operator uses a global random state, copies to the host or works in place.
"""

from ssseg.ops.decouple import as_distribution, decouple_prediction, one_hot
from ssseg.ops.dropout import complementary_dropout, feature_dropout
from ssseg.ops.masks import (
    block_class_mask,
    box_mask,
    class_mask,
    cow_mask,
    half_box_mask,
    ratio_box_mask,
)
from ssseg.ops.mix import (
    Mixed,
    beta_lambda,
    blend,
    labeled_samples,
    mix,
    most_similar,
    next_in_ring,
    paste,
    paste_all,
    permutation_pairs,
    random_candidates,
    roll_pairs,
)
from ssseg.ops.photometric import color_jitter, gaussian_blur

__all__ = [
    "Mixed",
    "as_distribution",
    "beta_lambda",
    "blend",
    "block_class_mask",
    "box_mask",
    "class_mask",
    "color_jitter",
    "complementary_dropout",
    "cow_mask",
    "decouple_prediction",
    "feature_dropout",
    "gaussian_blur",
    "half_box_mask",
    "labeled_samples",
    "mix",
    "most_similar",
    "next_in_ring",
    "one_hot",
    "paste",
    "paste_all",
    "permutation_pairs",
    "random_candidates",
    "ratio_box_mask",
    "roll_pairs",
]
