"""Two streams of images, one batch: the DataModule that every method trains on."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from ssseg.data.channel_stats import IMAGENET, Statistics, remark_on, statistics_of
from ssseg.data.datasets.base import Record, Source, Split
from ssseg.data.info import DataInfo, DrawnBatch
from ssseg.data.labels import count_masks, problems_of_labels
from ssseg.data.overlap import overlaps, remarks_on
from ssseg.data.sampler import StepSampler, Stream
from ssseg.data.splits.content_hash import Contents, contents
from ssseg.data.splits.labeled_split import LabeledSplit, Select, split_labeled
from ssseg.data.timed_loader import Waiting, WatchedLoader
from ssseg.data.torch_datasets import EvalImages, TrainImages, batches_of_like_size, collate_by_size
from ssseg.data.transforms import Normalize, TrainTransform
from ssseg.errors import UserError
from ssseg.runs.paths import as_path
from ssseg.seeding import run_seed
from ssseg.types import Batch, Labeled


class SegmentationData(LightningDataModule):
    """Labeled and unlabeled images in one batch, infinite and step-based.

    Batch sizes are global: with several devices each gets its share. Every random choice is a
    function of (seed, stream, step, slot), so the number of workers changes nothing.

    Args:
        source: Where images and masks come from.
        labeled: Which training images are labeled: a count (`30`), a fraction (`1/8`), a coverage
            (`3/class`), a published protocol of the source, a list file, or `all`; see
            `split_labeled`. None: the source's own default. The other training images join the
            unlabeled images; their masks are not opened in training.
        batch_size: Labeled images per step. None: the source's own default.
        unlabeled_batch_size: Unlabeled images per step. None: as many as labeled ones.
        val_batch_size: Images per validation step.
        crop_size: Height and width of training crops, or one number for both. None: the source's
            own default.
        image_size: Height and width that images are resized to when read, for training and
            validation; scores are still computed at the masks' own resolution. None: as they are.
        scale: Smallest and largest factor of the random scale. None: the source's own default.
        eval_masks: Score at the masks' `original` resolution, or `resized` to the images' as older
            code does.
        eval_crop: Height and width of the centre that is scored, in pixels of the (resized) image,
            as older code does; None: all.
        flip: Mirror half of the training images.
        rotation: Largest angle of the random rotation, in degrees. None: the source's own default.
        jitter: Strength of changes of brightness, contrast, saturation and hue in labeled images
            and weak views; the strong views have their own.
        reuse_labeled: Let the labeled images also come as unlabeled ones (as in French et al.).
        split_seed: Of the choice of labeled images.
        select: How counts and fractions choose: `random`, or `stratified` by the classes in the
            images, for which the masks of all training images are read.
        allow_overlap: Train although labeled images are also among those that are scored on.
        unlabeled_truth: Read the masks that unlabeled images have after all, for the
            instruments alone:
            the accuracy of pseudo-labels. No loss ever sees them. None: where it costs nothing, on
            drawn scenes.
        num_workers: Processes that read images. None: 0 for data in memory, else up to 4.
        mean: Normalisation per channel: of 8-bit and 16-bit images in [0, 1], of images in float in
            their own unit. None: by `statistics`.
        std: The same.
        statistics: Where mean and std come from: `imagenet`, or the training images themselves
            (`data`). `auto`: ImageNet's for 8-bit colour, else the images'.
        cache: Folder for decoded images and masks, which later steps and runs map into memory
            instead of decoding again; about three bytes per pixel of colour images.
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
        crop_size: int | tuple[int, int] | None = None,
        image_size: int | tuple[int, int] | None = None,
        eval_masks: Literal["original", "resized"] = "original",
        eval_crop: int | tuple[int, int] | None = None,
        scale: tuple[float, float] | None = None,
        flip: bool = True,
        rotation: float | None = None,
        jitter: float = 0.0,
        reuse_labeled: bool = False,
        split_seed: int = 0,
        select: Select = "random",
        allow_overlap: bool = False,
        unlabeled_truth: bool | None = None,
        num_workers: int | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        statistics: Literal["auto", "imagenet", "data"] = "auto",
        cache: str | None = None,
        seed: int | None = None,
        num_views: int | None = None,
    ) -> None:
        super().__init__()
        _at_least(1, "batch_size", batch_size)
        _at_least(1, "unlabeled_batch_size", unlabeled_batch_size)
        _at_least(1, "val_batch_size", val_batch_size)
        _at_least(1, "crop_size", crop_size)
        _at_least(1, "image_size", image_size)
        _at_least(1, "eval_crop", eval_crop)
        _at_least(0, "num_workers", num_workers)
        if scale is not None and not 0 < scale[0] <= scale[1]:
            raise UserError(
                f"option data.scale is {list(scale)}; expected the smallest and the largest "
                "factor, both above 0"
            )
        if jitter < 0 or (rotation is not None and not 0 <= rotation <= 180):
            raise UserError(
                f"option data.jitter is {jitter} and data.rotation {rotation}; expected a strength "
                "of at least 0 and an angle from 0 to 180 degrees"
            )
        self.source = source
        if cache is not None:
            source.use_cache(as_path(cache))
        self.wanted = source.labeled if labeled is None else str(labeled)
        self.batch_size = batch_size or source.batch_size
        self.unlabeled_batch_size = unlabeled_batch_size or self.batch_size
        self.val_batch_size = val_batch_size
        self.crop_size = _pair(crop_size) or source.crop_size
        self.image_size = _pair(image_size)
        self.eval_masks, self.eval_crop = eval_masks, _pair(eval_crop)
        self.scale = scale or source.scale
        self.flip, self.jitter = flip, jitter
        self.rotation = source.rotation if rotation is None else rotation
        self.reuse_labeled, self.split_seed = reuse_labeled, split_seed
        self.select: Select = select
        self.allow_overlap = allow_overlap
        self.unlabeled_truth = source.in_memory if unlabeled_truth is None else unlabeled_truth
        if num_workers is None:
            num_workers = 0 if source.in_memory else min(4, os.cpu_count() or 1)
        self.num_workers = num_workers
        self._suspects: list[tuple[str, float]] = []
        self.mean, self.std = self._statistics(statistics, mean, std)
        for name, given in (("mean", self.mean), ("std", self.std)):
            if len(given) != source.in_channels:
                raise UserError(
                    f"option data.{name} has {len(given)} values, but the images have "
                    f"{source.in_channels} channels; give one value per channel"
                )
        if min(self.std) <= 0:
            raise UserError(f"option data.std is {list(self.std)}; expected values above 0")
        self.seed, self.num_views = seed, num_views
        if source.num_classes == 1:
            raise UserError(
                f"data set {source.name!r} has one class, {source.classes[0].name!r}, which cannot "
                "be told from anything; name what else there is as a class of its own"
            )
        self.num_classes = source.num_classes
        self.in_channels = source.in_channels
        self._split: LabeledSplit | None = None
        self._unlabeled: list[Record] | None = None
        self._checked: set[str] = set()
        self._overlaps: list[str] = []
        self._labels: list[str] = []
        self.waiting = Waiting()

    def _statistics(
        self,
        kind: str,
        mean: tuple[float, ...] | None,
        std: tuple[float, ...] | None,
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        source = self.source
        if mean is not None and std is not None:
            return mean, std
        usual = source.in_channels == 3 and source.pixels == "uint8"
        if kind == "imagenet" and not usual:
            raise UserError(
                f"option data.statistics is imagenet, but the images have {source.in_channels} "
                f"channels of {source.pixels}; expected 3 of uint8, or data"
            )
        if kind == "data" or not usual:
            found = statistics_of(source, [*source.records("train"), *source.unlabeled()])
        else:
            found = Statistics(*IMAGENET, [])
        self._suspects = found.suspects
        return mean or found.mean, std or found.std

    @property
    def info(self) -> DataInfo:
        """What the checkpoint remembers."""
        source = self.source
        return DataInfo(
            source.name,
            source.classes,
            source.in_channels,
            source.pixels,
            self.mean,
            self.std,
            self.image_size,
            self.crop_size,
            self.split.name,
            self.split_hash,
        )

    @cached_property
    def contents(self) -> Contents:
        """What the labeled images hold: a hash of ids and masks, and pixels of each class."""
        return contents(self.source, self.split.labeled)

    @property
    def split_hash(self) -> str:
        """Of the ids and masks of the labeled images."""
        return self.contents.hash

    @property
    def split(self) -> LabeledSplit:
        """The labeled training images and the rest."""
        if self._split is None:
            records = self.source.records("train")
            if not records:
                raise UserError(f"data set {self.source.name!r} has no training images with masks")
            self._split = split_labeled(
                records, self.wanted, self.split_seed, self.select, self.source
            )
        return self._split

    @property
    def unlabeled(self) -> list[Record]:
        """The images without labels; masks are not opened, unless `unlabeled_truth`."""
        if self._unlabeled is None:
            records = [*self.split.rest, *self.source.unlabeled()]
            if self.reuse_labeled:
                records = [*self.split.labeled, *records]
            if not self.unlabeled_truth:
                records = [record._replace(mask=None) for record in records]
            self._unlabeled = records
        return self._unlabeled

    def describe(self) -> dict[str, Any]:
        """Name, hash and sizes of the split, for the summary of a run."""
        return {
            "name": self.source.name,
            "split": self.split.name,
            "split_hash": self.split_hash,
            "labeled": len(self.split.labeled),
            "unlabeled": len(self.unlabeled),
            "val": len(self.source.records("val")),
            "classes": [{"name": c.name, "color": list(c.color)} for c in self.source.classes],
            "labeled_pixels": self.contents.pixels,
            "image_size": self.image_size,
            "crop_size": self.crop_size,
            "batch_size": self.batch_size,
            "unlabeled_batch_size": self.unlabeled_batch_size,
            "augmentation": {
                "scale": list(self.scale),
                "flip": self.flip,
                "rotation": self.rotation,
                "jitter": self.jitter,
            },
            "mean": list(self.mean),
            "std": list(self.std),
            "reuse_labeled": self.reuse_labeled,
        }

    def notices(self) -> list[str]:
        """What a person should know of these images before training; asked after `prepare`."""
        return [
            *self.source.notices(),
            *self.split.notices,
            *self._overlaps,
            *self._labels,
            *remark_on(self._suspects),
        ]

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
            self._check_overlap(num_views)
            self.source.check(self.split.labeled)
            self.source.check(self.unlabeled if num_views else [])
        elif not records:
            raise UserError(
                f"data set {self.source.name!r} has no {split} images with masks; expected some "
                "to score"
            )
        self.source.check(records)
        if stage == "fit":
            self._check_labels(records)
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

    def _check_overlap(self, num_views: int) -> None:
        sets = {
            "labeled": self.split.labeled,
            "unlabeled": self.unlabeled if num_views else [],
            "val": self.source.records("val"),
        }
        # test images that cannot be listed hinder tests, not training
        with suppress(UserError):
            sets["test"] = self.source.records("test")
        self._overlaps = remarks_on(
            overlaps(sets), reused=self.reuse_labeled, allowed=self.allow_overlap
        )

    def _check_labels(self, val: list[Record]) -> None:
        """What the doctor says of masks: its errors are refused, its warnings are notices."""
        sets = {"labeled": count_masks(self.source, self.split.labeled)}
        found = problems_of_labels(self.source, {**sets, "val": count_masks(self.source, val)})
        for finding in found:
            if finding.severity == "error":
                raise UserError(finding.text)
        self._labels = [finding.text for finding in found]

    def train_dataloader(self) -> Iterable[Batch]:
        """Endless `Batch`es, from the step at which the module stands."""
        module = self.trainer.lightning_module if self.trainer else None
        dataset, sampler = self._training(int(getattr(module, "batches_seen", 0)))
        return self._loader(dataset, dataset.collate, watch=self.waiting, batch_sampler=sampler)

    def draw(self, number: int) -> DrawnBatch:
        """This device's part of a training batch, as training sees it.

        Args:
            number: Its place in the run, from 0.
        """
        dataset, sampler = self._training(number)
        draws = next(iter(sampler))
        ids: dict[str, list[str]] = {"labeled": [], "unlabeled": []}
        for draw in draws:
            records = dataset.labeled if draw.stream == "labeled" else dataset.unlabeled
            ids[draw.stream].append(records[draw.record].id)
        return DrawnBatch(dataset.collate([dataset[draw] for draw in draws]), **ids)

    def _training(self, start: int) -> tuple[TrainImages, StepSampler]:
        """Training images, and which come when."""
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
        sampler = StepSampler(
            streams,
            self.run_seed,
            start=start,
            rank=trainer.global_rank if trainer else 0,
            world_size=world_size,
        )
        dataset = TrainImages(
            self.source,
            self.split.labeled,
            self.unlabeled,
            num_views=num_views,
            transform=self.transform,
            normalize=self.normalize,
            image_size=self.image_size,
            seed=self.run_seed,
            unlabeled_truth=self.unlabeled_truth,
        )
        return dataset, sampler

    @property
    def transform(self) -> TrainTransform:
        """The augmentation of training images."""
        return TrainTransform(
            self.crop_size,
            self.scale,
            self.flip,
            self.in_channels,
            rotation=self.rotation,
            jitter=self.jitter,
            pixels=self.source.pixels,
        )

    @property
    def normalize(self) -> Normalize:
        """The last step of reading an image."""
        return Normalize(self.mean, self.std)

    def val_dataloader(self) -> Iterable[list[Labeled]]:
        """Validation images, each once for any number of devices; nothing where there are none."""
        return self._evaluation("val") if self.source.records("val") else []

    def examples(self, count: int = 4) -> Iterator[Labeled]:
        """A few validation images to look at, evenly spaced (neighbors in a video are alike).

        Returns:
            At most `count`, each (C, H, W) with its label, of the size of the first one; read when
            they are asked for.
        """
        records = self.source.records("val")
        count = min(count, len(records))
        dataset = self.eval_images([records[i * len(records) // count] for i in range(count)])
        shapes = None
        for place in range(count):
            sample = dataset[place]
            shapes = shapes or (sample.image.shape, sample.label.shape)
            if (sample.image.shape, sample.label.shape) == shapes:
                yield sample

    def eval_images(self, records: Sequence[Record]) -> EvalImages:
        """These images as they are scored."""
        return EvalImages(
            self.source,
            records,
            self.normalize,
            self.image_size,
            resize_masks=self.eval_masks == "resized",
            crop=self.eval_crop,
        )

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
        # a device without images takes part all the same: the others wait for it
        batches = batches_of_like_size(self.source, records, self.val_batch_size) or [[]]
        return self._loader(self.eval_images(records), collate_by_size, batch_sampler=batches)

    def _loader(
        self, dataset: Dataset[Any], collate: Any, watch: Waiting | None = None, **options: Any
    ) -> DataLoader[Any]:
        return WatchedLoader(
            watch or Waiting(),
            dataset,
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            # a generator of its own: the loader draws a base seed, which must not move the global
            # random state
            generator=torch.Generator().manual_seed(0),
            **options,
        )


def data_of(trainer: Trainer) -> SegmentationData:
    """The data of the run under way."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, SegmentationData)
    return data


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width; one number is both."""
    return (size, size) if isinstance(size, int) else size


def _at_least(least: int, option: str, given: int | tuple[int, int] | None) -> None:
    if given is None:
        return
    if min((given,) if isinstance(given, int) else given) < least:
        raise UserError(f"option data.{option} is {given}; expected at least {least}")
