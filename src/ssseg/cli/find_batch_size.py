"""`ssseg find-batch-size`: the largest batch that fits into memory."""

from collections.abc import Sequence

from ssseg.cli.preflight import prepared
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.runs.command import pairs
from ssseg.training.batch_size_finder import BatchSizeFinder, TriedBatch, search
from ssseg.training.module import SegmentationModule


def find_batch_size(args: Sequence[str]) -> tuple[BatchSizeFinder, list[TriedBatch]]:
    """Try batch sizes for a run.

    Args:
        args: Options of `ssseg fit`.

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
    return bench, fits


def find_batch_size_verb(args: Sequence[str]) -> int:
    """`ssseg find-batch-size` with the options of `fit`."""
    if {"-h", "--help"} & set(args):
        print(
            "usage: ssseg find-batch-size [options of ssseg fit]\n\n"
            "Find the largest batch that fits into memory."
        )
        return 0
    bench, fits = find_batch_size(args)
    print(f"{'batch':>7}{'memory':>12}{'images/s':>11}")
    for tried in fits:
        memory = tried.memory_mb / 1024
        print(f"{tried.batch_size:>7}{memory:>9.2f} GB{tried.images_per_second:>11.1f}")
    largest, fastest = fits[-1], max(fits, key=lambda tried: tried.images_per_second)
    devices = bench.steps.devices
    print(f"of {bench.room / 1024:.1f} GB on {bench.device}" + " per device" * (devices > 1))
    if largest.batch_size == bench.most:
        print(f"{bench.most} is the number of images, so larger batches are not possible")
    size = largest.batch_size * devices
    options = f"--data.batch_size {size}"
    if dict(pairs(args)).get("--data.unlabeled_batch_size"):
        options += f" --data.unlabeled_batch_size {round(bench.ratio * size)}"
    print(f"largest  {options}")
    if fastest.images_per_second > 1.05 * largest.images_per_second:
        print(f"fastest  --data.batch_size {fastest.batch_size * devices}")
    return 0
