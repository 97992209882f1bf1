"""`ssseg find-batch-size`: the largest batch that fits into memory."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ssseg.cli.preflight import prepared
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.runs.command import pairs
from ssseg.training.batch_size_finder import BatchSizeFinder, TriedBatch, search
from ssseg.training.module import SegmentationModule


class BatchSizes(NamedTuple):
    """Which batches fit the memory."""

    tried: Sequence[TriedBatch]
    """Those that fit, growing; labeled images on one device."""
    devices: int
    most: int
    """Labeled images on one device that a batch may have at all: each image comes once."""
    room_mb: float
    """Memory that this process may hold, in MB."""
    device: str

    @property
    def largest(self) -> int:
        """The largest `data.batch_size`: labeled images per step over all devices."""
        return self.tried[-1].batch_size * self.devices

    @property
    def fastest(self) -> int:
        """The `data.batch_size` of which most images per second are computed."""
        best = max(self.tried, key=lambda tried: tried.images_per_second)
        return best.batch_size * self.devices


def find_batch_size(
    args: Sequence[str] | Mapping[str, Any],
) -> tuple[BatchSizeFinder, BatchSizes]:
    """Try batch sizes for a run.

    Args:
        args: Options of `ssseg fit` as they are typed, or as plain values by name.

    Returns:
        The batch size finder, and the sizes that fit.

    Raises:
        UserError: For options that cannot work, or if no batch fits.
    """
    cli = prepared(args)
    data, module = cli.datamodule, cli.model
    assert isinstance(data, SegmentationData)
    assert isinstance(module, SegmentationModule)
    bench = BatchSizeFinder(cli.trainer, module, data)
    first = min(2, bench.most)  # BatchNorm cannot train on a single value
    fits = search(bench.attempt, first, bench.most, bench.room)
    if not fits:
        raise UserError(
            f"{first} images do not fit into {bench.room / 1024:.1f} GB; lower data.crop_size, or "
            "give --compute.checkpoint_activations true"
        )
    devices, device = bench.steps.devices, str(bench.device)
    return bench, BatchSizes(fits, devices, bench.most, bench.room, device)


def find_batch_size_verb(args: Sequence[str]) -> int:
    """`ssseg find-batch-size` with the options of `fit`."""
    if {"-h", "--help"} & set(args):
        print(
            "usage: ssseg find-batch-size [options of ssseg fit]\n\n"
            "Find the largest batch that fits into memory."
        )
        return 0
    bench, found = find_batch_size(args)
    print(f"{'batch':>7}{'memory':>12}{'images/s':>11}")
    for tried in found.tried:
        memory = tried.memory_mb / 1024
        print(f"{tried.batch_size:>7}{memory:>9.2f} GB{tried.images_per_second:>11.1f}")
    per = " per device" * (found.devices > 1)
    print(f"of {found.room_mb / 1024:.1f} GB on {found.device}{per}")
    largest, fastest = found.tried[-1], max(found.tried, key=lambda one: one.images_per_second)
    if largest.batch_size == found.most:
        print(f"{found.most} is the number of images, so larger batches are not possible")
    options = f"--data.batch_size {found.largest}"
    if dict(pairs(args)).get("--data.unlabeled_batch_size"):
        options += f" --data.unlabeled_batch_size {round(bench.ratio * found.largest)}"
    print(f"largest  {options}")
    if fastest.images_per_second > 1.05 * largest.images_per_second:
        print(f"fastest  --data.batch_size {found.fastest}")
    return 0
