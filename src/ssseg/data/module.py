"""Two streams of images, one batch: the DataModule that every method trains on."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

from pytorch_lightning import LightningDataModule, Trainer

from ssseg.data.channel_stats import normalization, remark_on
from ssseg.data.checks import (
    check_at_least,
    check_augmentation,
    check_classes,
    check_counts,
    check_evaluation,
    check_records,
    check_strong,
)
from ssseg.data.datasets.base import Record, Source, Split, crop_within
from ssseg.data.info import DataInfo, DrawnBatch, info_of, summary_of
from ssseg.data.loaders import TrainBatches, eval_loader
from ssseg.data.reading import evenly_spaced
from ssseg.data.sampler import StepSampler, Stream
from ssseg.data.splits.content_hash import Contents, contents
from ssseg.data.splits.labeled_split import LabeledSplit, Select, split_labeled
from ssseg.data.timed_loader import Waiting
from ssseg.data.torch_datasets import EvalImages, TrainImages, like_first
from ssseg.data.transforms import Normalize, Strong, TrainTransform
from ssseg.errors import UserError
from ssseg.runs.cpus import allowed_cpus
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
        crop_size: Height and width of crops, or one number. None: the source's, in `image_size`.
        image_size: Height and width that images are resized to when read, for training and
            validation; scores are still computed at the masks' own resolution. None: as they are.
        scale: Smallest and largest factor of the random scale. None: the source's own default.
        eval_masks: Score at the masks' `original` resolution, or `resized` to the images' as older
            code does.
        eval_crop: Height and width of the centre that is scored, in pixels of the (resized) image,
            as older code does; None: all.
        flip: Mirror half of the training images.
        rotation: Largest angle of the random rotation, in degrees. None: the source's own default.
        jitter: Strength of the colour changes of labeled images and weak views.
        strong: Changes of the strong views: `jitter` (colours, grey, blur), or AugSeg's
            `random_intensity`, for 8-bit RGB images only.
        reuse_labeled: Let the labeled images also come as unlabeled ones (as in French et al.).
        split_seed: Of the choice of labeled images.
        select: How counts and fractions choose: `random`, or `stratified` by the classes in masks.
        allow_overlap: Train although labeled images are also among those that are scored on.
        unlabeled_truth: Read the masks of unlabeled images for the accuracy of pseudo-labels; no
            loss sees them. None: where it costs nothing, on drawn scenes.
        num_workers: Processes that read images. None: 0 for data in memory, else up to 4.
        mean: Normalisation per channel: of 8-bit and 16-bit images in [0, 1], of images in float in
            their own unit. None: by `statistics`.
        std: The same.
        statistics: Where mean and std come from: `imagenet`, or the training images themselves
            (`data`). `auto`: ImageNet's for 8-bit colour, else the images'.
        cache: Folder for decoded images and masks; about three bytes per pixel of colour images.
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
        strong: Strong = "jitter",
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
        check_at_least(
            1,
            batch_size=batch_size,
            unlabeled_batch_size=unlabeled_batch_size,
            val_batch_size=val_batch_size,
            crop_size=crop_size,
            image_size=image_size,
            eval_crop=eval_crop,
        )
        check_at_least(0, num_workers=num_workers)
        check_augmentation(scale, rotation, jitter)
        self.source = source
        if cache is not None:
            source.use_cache(as_path(cache))
        self.wanted = source.labeled if labeled is None else str(labeled)
        self.batch_size = batch_size or source.batch_size
        self.unlabeled_batch_size = unlabeled_batch_size or self.batch_size
        self.val_batch_size = val_batch_size
        self.image_size = _pair(image_size)
        self.crop_size = _pair(crop_size) or crop_within(self.image_size, source.crop_size)
        self.eval_masks, self.eval_crop = eval_masks, _pair(eval_crop)
        self.scale = scale or source.scale
        check_strong(strong, source)
        self.flip, self.jitter, self.strong = flip, jitter, strong
        self.rotation = source.rotation if rotation is None else rotation
        self.reuse_labeled, self.split_seed = reuse_labeled, split_seed
        self.select: Select = select
        self.allow_overlap = allow_overlap
        self.unlabeled_truth = source.in_memory if unlabeled_truth is None else unlabeled_truth
        if num_workers is None:
            num_workers = 0 if source.in_memory else min(4, allowed_cpus())
        self.num_workers = num_workers
        self.mean, self.std, self._suspects = normalization(source, statistics, mean, std)
        self.seed, self.num_views = seed, num_views
        check_classes(source)
        self.num_classes, self.in_channels = source.num_classes, source.in_channels
        self._checked: set[str] = set()
        self._remarks: list[str] = []
        self.waiting = Waiting()

    @property
    def info(self) -> DataInfo:
        """What the checkpoint remembers."""
        return info_of(self)

    @cached_property
    def contents(self) -> Contents:
        """What the labeled images hold: a hash of ids and masks, and pixels of each class."""
        return contents(self.source, self.split.labeled)

    @property
    def split_hash(self) -> str:
        """Of the ids and masks of the labeled images."""
        return self.contents.hash

    @cached_property
    def split(self) -> LabeledSplit:
        """The labeled training images and the rest."""
        records = self.source.records("train")
        if not records:
            raise UserError(f"data set {self.source.name!r} has no training images with masks")
        return split_labeled(records, self.wanted, self.split_seed, self.select, self.source)

    @cached_property
    def unlabeled(self) -> list[Record]:
        """The images without labels; masks are not opened, unless `unlabeled_truth`."""
        records = [*self.split.rest, *self.source.unlabeled()]
        if self.reuse_labeled:
            records = [*self.split.labeled, *records]
        if not self.unlabeled_truth:
            records = [record._replace(mask=None) for record in records]
        return records

    def describe(self) -> dict[str, Any]:
        """Name, hash and sizes of the split, for the summary of a run."""
        return summary_of(self)

    def notices(self) -> list[str]:
        """What a person should know of these images before training; asked after `prepare`."""
        own = [*self.source.choices(), *self.source.notices(), *self.split.notices]
        return [*own, *self._remarks, *remark_on(self._suspects)]

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
        if stage == "fit":
            self._remarks = self._check_fit(num_views)
        else:
            check_evaluation(self.source, "test" if stage == "test" else "val")
        self._checked.add(stage)

    def _check_fit(self, num_views: int) -> list[str]:
        sets = {
            "labeled": self.split.labeled,
            "unlabeled": self.unlabeled if num_views else [],
            "val": self.source.records("val"),
        }
        check_counts(self._streams(num_views))
        return check_records(
            self.source, sets, reused=self.reuse_labeled, allowed=self.allow_overlap
        )

    def _streams(self, num_views: int) -> list[Stream]:
        streams = [Stream("labeled", len(self.split.labeled), self.batch_size)]
        if num_views:
            streams.append(Stream("unlabeled", len(self.unlabeled), self.unlabeled_batch_size))
        return streams

    def _views(self) -> int:
        module = getattr(self.trainer, "lightning_module", None)
        return int(getattr(module, "num_views", 0)) if self.num_views is None else self.num_views

    def train_dataloader(self) -> Iterable[Batch]:
        """Endless `Batch`es, from the step at which the module stands."""
        module = self.trainer.lightning_module if self.trainer else None
        batches = self._training(int(getattr(module, "batches_seen", 0)))
        return batches.loader(self.num_workers, self.waiting)

    def draw(self, number: int) -> DrawnBatch:
        """This device's part of a training batch, as training sees it.

        Args:
            number: Its place in the run, from 0.
        """
        return self._training(number).first()

    def _training(self, start: int) -> TrainBatches:
        """What comes from a step on, on this device."""
        num_views = self._views()
        sampler = StepSampler(
            self._streams(num_views),
            self.run_seed,
            start=start,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
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
        return TrainBatches(dataset, sampler)

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
            strong=self.strong,
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
        return like_first(self.eval_images(evenly_spaced(self.source.records("val"), count)))

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
        trainer, records = self.trainer, self.source.records(split)
        if trainer is not None:
            records = records[trainer.global_rank :: trainer.world_size]
        images = self.eval_images(records)
        return eval_loader(images, self.val_batch_size, self.num_workers)


def data_of(trainer: Trainer) -> SegmentationData:
    """The data of the run under way."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, SegmentationData)
    return data


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width; one number is both."""
    return (size, size) if isinstance(size, int) else size
