"""Data: where images come from, which are labeled, how they are augmented and batched."""
