"""Two streams of images, one batch: the DataModule that every method trains on."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate

from ssseg.data.datasets.base import ClassInfo, Record, Source, Split
from ssseg.data.sampling import Draw, StepSampler, Stream
from ssseg.data.splits import LabeledSplit, content_hash, split_labeled
from ssseg.data.transforms import Normalize, TrainTransform
from ssseg.errors import UserError
from ssseg.randomness import run_seed, seed_of
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DataInfo(NamedTuple):
    """What a trained network must remember of its data; plain values only."""

    name: str
    classes: Sequence[ClassInfo]
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class SegmentationData(LightningDataModule):
    """Labeled and unlabeled images in one batch, infinite and step-based.

    Batch sizes are global: with several devices each gets its share. Every random choice is a
    function of (seed, stream, step, slot), so the number of workers changes nothing.

    Args:
        source: Where images and masks come from.
        labeled: How many training images are labeled: a count (`30`), a fraction (`1/8`), a file
            with one id per line, or `all`. None: the source's own default. The masks of the other
            training images are not opened; they join the unlabeled images.
        batch_size: Labeled images per step. None: the source's own default.
        unlabeled_batch_size: Unlabeled images per step. None: as many as labeled ones.
        val_batch_size: Images per validation step.
        crop_size: Height and width of training crops. None: the source's own default.
        image_size: Height and width that images are resized to when read, for training and
            validation; scores are still computed at the masks' own resolution. None: as they are.
        scale: Smallest and largest factor of the random scale. None: the source's own default.
        flip: Mirror half of the training images.
        reuse_labeled: Let the labeled images also come as unlabeled ones (as in French et al.).
        split_seed: Of the choice of labeled images.
        num_workers: Processes that read images. None: 0 for data in memory, else up to 4.
        mean: Normalisation per channel, of images in [0, 1]. None: ImageNet's, or 0.5.
        std: Normalisation per channel. None: ImageNet's, or 0.25.
        seed: Of order and augmentation. None: the run's.
        num_views: Views per unlabeled image. None: what the module being trained asks for.
    """

    def __init__(
        self,
        source: Source,
        labeled: str | int | float | None = None,
        batch_size: int | None = None,
        unlabeled_batch_size: int | None = None,
        val_batch_size: int = 8,
        crop_size: tuple[int, int] | None = None,
        image_size: tuple[int, int] | None = None,
        scale: tuple[float, float] | None = None,
        flip: bool = True,
        reuse_labeled: bool = False,
        split_seed: int = 0,
        num_workers: int | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        seed: int | None = None,
        num_views: int | None = None,
    ) -> None:
        super().__init__()
        _at_least(1, "batch_size", batch_size)
        _at_least(1, "unlabeled_batch_size", unlabeled_batch_size)
        _at_least(1, "val_batch_size", val_batch_size)
        _at_least(1, "crop_size", crop_size)
        _at_least(1, "image_size", image_size)
        _at_least(0, "num_workers", num_workers)
        if scale is not None and not 0 < scale[0] <= scale[1]:
            raise UserError(
                f"option data.scale is {list(scale)}; expected the smallest and the largest "
                "factor, both above 0"
            )
        self.source = source
        self.wanted = source.labeled if labeled is None else str(labeled)
        self.batch_size = batch_size or source.batch_size
        self.unlabeled_batch_size = unlabeled_batch_size or self.batch_size
        self.val_batch_size = val_batch_size
        self.crop_size = crop_size or source.crop_size
        self.image_size = image_size
        self.scale = scale or source.scale
        self.flip = flip
        self.reuse_labeled, self.split_seed = reuse_labeled, split_seed
        if num_workers is None:
            num_workers = 0 if source.in_memory else min(4, os.cpu_count() or 1)
        self.num_workers = num_workers
        rgb = source.in_channels == 3
        self.mean = mean or (IMAGENET[0] if rgb else (0.5,) * source.in_channels)
        self.std = std or (IMAGENET[1] if rgb else (0.25,) * source.in_channels)
        for name, given in (("mean", self.mean), ("std", self.std)):
            if len(given) != source.in_channels:
                raise UserError(
                    f"option data.{name} has {len(given)} values, but the images have "
                    f"{source.in_channels} channels; give one value per channel"
                )
        if min(self.std) <= 0:
            raise UserError(f"option data.std is {list(self.std)}; expected values above 0")
        self.seed, self.num_views = seed, num_views
        self.num_classes = source.num_classes
        self.in_channels = source.in_channels
        self._split: LabeledSplit | None = None
        self._unlabeled: list[Record] | None = None
        self._checked: set[str] = set()

    @property
    def info(self) -> DataInfo:
        """What the checkpoint remembers."""
        source = self.source
        return DataInfo(source.name, source.classes, source.in_channels, self.mean, self.std)

    @property
    def split(self) -> LabeledSplit:
        """The labeled training images and the rest."""
        if self._split is None:
            records = self.source.records("train")
            if not records:
                raise UserError(f"data set {self.source.name!r} has no training images with masks")
            wanted = None if self.wanted == "all" else self.wanted
            self._split = split_labeled(records, wanted, self.split_seed)
        return self._split

    @property
    def unlabeled(self) -> list[Record]:
        """The images that come without labels: their masks are never opened."""
        if self._unlabeled is None:
            records = [*self.split.rest, *self.source.unlabeled()]
            if self.reuse_labeled:
                records = [*self.split.labeled, *records]
            self._unlabeled = [record._replace(mask=None) for record in records]
        return self._unlabeled

    def describe(self) -> dict[str, Any]:
        """Name, hash and sizes of the split, for the summary of a run."""
        return {
            "name": self.source.name,
            "split": self.split.name,
            "split_hash": content_hash(self.source, self.split.labeled),
            "labeled": len(self.split.labeled),
            "unlabeled": len(self.unlabeled),
            "val": len(self.source.records("val")),
            "classes": [{"name": c.name, "color": list(c.color)} for c in self.source.classes],
            "image_size": self.image_size,
            "crop_size": self.crop_size,
            "batch_size": self.batch_size,
            "unlabeled_batch_size": self.unlabeled_batch_size,
        }

    def exposures(self, steps: int, num_views: int) -> dict[str, float]:
        """How often each set will be seen in this many batches."""
        seen = {"labeled": steps * self.batch_size / len(self.split.labeled)}
        if num_views and self.unlabeled:
            seen["unlabeled"] = steps * self.unlabeled_batch_size / len(self.unlabeled)
        return seen

    def setup(self, stage: str) -> None:
        """Look at what is there before training time is spent; raises UserError."""
        self.prepare(stage, self._views() if stage == "fit" else 0)

    def prepare(self, stage: str, num_views: int) -> None:
        """Check the images of a stage, once.

        Args:
            stage: `fit`, `validate` or `test`.
            num_views: Views per unlabeled image; 0 where unlabeled images play no part.

        Raises:
            UserError: For the first thing that would not work.
        """
        if stage in self._checked:
            return
        split: Split = "test" if stage == "test" else "val"
        records = self.source.records(split)
        if stage == "fit":
            self._check_training(num_views)
            self.source.check(self.split.labeled)
            self.source.check(self.unlabeled if num_views else [])
        elif not records:
            raise UserError(
                f"data set {self.source.name!r} has no {split} images with masks; expected some "
                "to score"
            )
        self.source.check(records)
        self._checked.add(stage)

    def _views(self) -> int:
        if self.num_views is not None:
            return self.num_views
        module = getattr(self.trainer, "lightning_module", None)
        return int(getattr(module, "num_views", 0))

    def _check_training(self, num_views: int) -> None:
        labeled, unlabeled = len(self.split.labeled), len(self.unlabeled)
        if labeled < self.batch_size:
            raise UserError(
                f"option data.batch_size is {self.batch_size}, but there are only {labeled} "
                f"labeled images; lower it to at most {labeled}, or label more"
            )
        if not num_views:
            return
        if not unlabeled:
            raise UserError(
                "this method needs unlabeled images, but every training image is labeled; "
                "leave some unlabeled (option data.labeled), or add images without masks"
            )
        if unlabeled < self.unlabeled_batch_size:
            raise UserError(
                f"option data.unlabeled_batch_size is {self.unlabeled_batch_size}, but there are "
                f"only {unlabeled} unlabeled images; lower it to at most {unlabeled}, or add some"
            )

    def train_dataloader(self) -> Iterable[Batch]:
        """Endless `Batch`es, from the step at which the module stands."""
        trainer = self.trainer
        world_size = trainer.world_size if trainer else 1
        streams = [Stream("labeled", len(self.split.labeled), self.batch_size)]
        num_views = self._views()
        if num_views:
            streams.append(Stream("unlabeled", len(self.unlabeled), self.unlabeled_batch_size))
        for stream in streams:
            if stream.batch_size % world_size:
                raise UserError(
                    f"the {stream.name} batch of {stream.batch_size} cannot be divided among "
                    f"{world_size} devices; give a multiple of {world_size}"
                )
        module = trainer.lightning_module if trainer else None
        sampler = StepSampler(
            streams,
            self.run_seed,
            start=int(getattr(module, "batches_seen", 0)),
            rank=trainer.global_rank if trainer else 0,
            world_size=world_size,
        )
        dataset = _TrainImages(self, num_views)
        return self._loader(dataset, dataset.collate, batch_sampler=sampler)

    def val_dataloader(self) -> Iterable[list[Labeled]]:
        """Validation images, each once for any number of devices; nothing where there are none."""
        return self._evaluation("val") if self.source.records("val") else []

    def examples(self, count: int = 4) -> Labeled | None:
        """A few validation images to look at, evenly spaced (neighbors in a video are alike).

        Returns:
            Images and labels of one size, at most `count`; None without validation images.
        """
        records = self.source.records("val")
        if not records:
            return None
        count = min(count, len(records))
        chosen = [records[i * len(records) // count] for i in range(count)]
        dataset = _EvalImages(self, chosen)
        return collate_by_size([dataset[i] for i in range(len(chosen))])[0]

    def test_dataloader(self) -> Iterable[list[Labeled]]:
        """Test images, each once for any number of devices."""
        return self._evaluation("test")

    @property
    def run_seed(self) -> int:
        """The seed of order and augmentation."""
        return run_seed() if self.seed is None else self.seed

    def _evaluation(self, split: Split) -> Iterable[list[Labeled]]:
        records = self.source.records(split)
        if self.trainer is not None:
            records = records[self.trainer.global_rank :: self.trainer.world_size]
        dataset = _EvalImages(self, records)
        return self._loader(dataset, collate_by_size, batch_size=self.val_batch_size)

    def _loader(self, dataset: Dataset[Any], collate: Any, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            # a generator of its own: the loader draws a base seed, which must not move the global
            # random state
            generator=torch.Generator().manual_seed(0),
            **options,
        )


def _at_least(least: int, option: str, given: int | tuple[int, int] | None) -> None:
    if given is None:
        return
    if min((given,) if isinstance(given, int) else given) < least:
        raise UserError(f"option data.{option} is {given}; expected at least {least}")


class _TrainImages(Dataset[Any]):
    """Both streams behind one index."""

    def __init__(self, data: SegmentationData, num_views: int) -> None:
        self.source, self.num_views = data.source, num_views
        self.seed, self.image_size = data.run_seed, data.image_size
        self.labeled, self.unlabeled = data.split.labeled, data.unlabeled
        self.transform = TrainTransform(
            data.crop_size, data.scale, data.flip, data.source.in_channels
        )
        self.normalize = Normalize(data.mean, data.std)

    def __getitem__(self, draw: Draw) -> Labeled | Unlabeled:
        labeled = draw.stream == "labeled"
        record = (self.labeled if labeled else self.unlabeled)[draw.record]
        image = read_resized(self.source, record, self.image_size)
        if labeled:
            mask = resize_mask(self.source.read_mask(record), image.shape[:2])
        else:
            mask = np.zeros(image.shape[:2], np.uint8)
        seed = seed_of(self.seed, draw.stream, draw.step, draw.slot)
        views, mask = self.transform(image, mask, 1 if labeled else self.num_views, seed)
        tensors = [self.normalize(view) for view in views]
        if labeled:
            return Labeled(tensors[0], torch.from_numpy(mask.astype(np.int64)))
        return Unlabeled(tensors, torch.from_numpy(mask != IGNORE))

    def collate(self, samples: list[Labeled | Unlabeled]) -> Batch:
        """One batch of both streams."""
        labeled = default_collate([s for s in samples if isinstance(s, Labeled)])
        unlabeled = [s for s in samples if isinstance(s, Unlabeled)]
        if unlabeled:
            return Batch(labeled, default_collate(unlabeled))
        nothing = torch.zeros((0, *labeled.label.shape[1:]), dtype=torch.bool)
        return Batch(labeled, Unlabeled([], nothing))


class _EvalImages(Dataset[Labeled]):
    """Images as they are (or resized), masks always at their own resolution."""

    def __init__(self, data: SegmentationData, records: list[Record]) -> None:
        self.source, self.records, self.image_size = data.source, records, data.image_size
        self.normalize = Normalize(data.mean, data.std)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Labeled:
        record = self.records[index]
        image = self.normalize(read_resized(self.source, record, self.image_size))
        mask = self.source.read_mask(record).astype(np.int64)
        return Labeled(image, torch.from_numpy(mask))


def collate_by_size(samples: list[Labeled]) -> list[Labeled]:
    """Stack what has the same size; images of other sizes form further, smaller batches."""
    groups: dict[tuple[torch.Size, torch.Size], list[Labeled]] = {}
    for sample in samples:
        groups.setdefault((sample.image.shape, sample.label.shape), []).append(sample)
    return [default_collate(group) for group in groups.values()]


def read_resized(source: Source, record: Record, size: tuple[int, int] | None) -> Any:
    """The image of a record at the wanted height and width, (H, W, C) uint8."""
    image = source.read_image(record)
    if size is None or image.shape[:2] == tuple(size):
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(image, (size[1], size[0]), interpolation=how)
    return resized.reshape(*resized.shape[:2], -1)


def resize_mask(mask: Any, size: tuple[int, int]) -> Any:
    """A mask at the height and width of its (resized) image, nearest neighbour."""
    if mask.shape == tuple(size):
        return mask
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
