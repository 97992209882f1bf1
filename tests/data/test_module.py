from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ssseg.data.datasets.base import ClassInfo, Record, Source
from ssseg.data.datasets.street import Street
from ssseg.data.module import SegmentationData
from ssseg.data.splits.content_hash import content_hash
from ssseg.data.torch_datasets import read_resized
from ssseg.errors import UserError
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled
from tests.data.trees import GRAY, batches, data_of, deep_tree, draw_tree, flat, ids, paint, save


def identical(first, second):
    return all(
        torch.equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(flat(x), flat(y), strict=True)
    )


def pixels(image, data):
    """A normalised batch as it was before, (B, H, W, C) of values 0 to 255."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
    return (((image * std) + mean) * 255).round().permute(0, 2, 3, 1).numpy()


def attach(data, rank=0, world_size=1, batches_seen=0, num_views=2):
    """What the DataModule asks a trainer for."""
    module = SimpleNamespace(batches_seen=batches_seen, num_views=num_views)
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, lightning_module=module)
    return data


def val_records(batch):
    return [label for group in batch for label in group.label]


@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_the_shapes_and_types_of_a_batch(tree, num_views):
    data = data_of(tree, num_views=num_views, unlabeled_batch_size=3, crop_size=(20, 28))
    for batch in batches(data, 3):
        assert isinstance(batch, Batch)
        assert isinstance(batch.labeled, Labeled)
        assert isinstance(batch.unlabeled, Unlabeled)
        assert batch.labeled.image.shape == (2, 3, 20, 28)
        assert batch.labeled.image.dtype == torch.float32
        assert batch.labeled.label.shape == (2, 20, 28)
        assert batch.labeled.label.dtype == torch.int64
        assert len(batch.unlabeled.views) == num_views
        for view in batch.unlabeled.views:
            assert view.shape == (3, 3, 20, 28)
            assert view.dtype == torch.float32
        assert batch.unlabeled.valid.shape == (3, 20, 28)
        assert batch.unlabeled.valid.dtype == torch.bool


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_method_without_unlabeled_images_gets_an_empty_stream(tree, num_workers):
    for batch in batches(data_of(tree, num_views=0, num_workers=num_workers), 2):
        assert batch.labeled.image.shape == (2, 3, 16, 16)
        assert batch.unlabeled.views == []
        assert batch.unlabeled.valid.shape == (0, 16, 16)
        assert batch.unlabeled.valid.dtype == torch.bool


def test_labels_belong_to_their_images(tree):
    data = data_of(tree, labeled="all", scale=(1.0, 1.0))
    for batch in batches(data, 8):
        seen = pixels(batch.labeled.image, data)
        np.testing.assert_array_equal(seen, paint(batch.labeled.label.numpy()))


def test_padding_is_ignored_and_not_valid(tree):
    data = data_of(tree, crop_size=(40, 40), scale=(1.0, 1.0))
    for batch in batches(data, 3):
        for shown, inside in (
            (batch.labeled.image, batch.labeled.label != IGNORE),
            (batch.unlabeled.views[0], batch.unlabeled.valid),
        ):
            assert inside.sum((1, 2)).tolist() == [24 * 32] * 2
            np.testing.assert_array_equal(pixels(shown, data)[..., 0] > 0, inside.numpy())


def test_everything_is_valid_where_nothing_is_padded(tree):
    for batch in batches(data_of(tree, scale=(1.0, 1.5)), 3):
        assert batch.unlabeled.valid.all()
        assert (batch.labeled.label != IGNORE).all()


def test_weak_views_are_not_changed_in_color_and_strong_ones_are(tree):
    data = data_of(tree, scale=(1.0, 1.0), num_views=3)
    strong = 0
    for batch in batches(data, 10):
        for image in (batch.labeled.image, batch.unlabeled.views[0]):
            assert set(np.unique(pixels(image, data))) <= set(GRAY.tolist())
        for view in batch.unlabeled.views[1:]:
            strong += not torch.equal(view, batch.unlabeled.views[0])
    assert strong > 12  # some are left as they are


def test_the_number_of_workers_changes_nothing(tmp_path):
    root = draw_tree(tmp_path, ending=".jpg", size=(40, 48))
    options = {"crop_size": (32, 32), "scale": (0.5, 2.0), "num_views": 3}
    expected = batches(data_of(root, num_workers=0, **options), 4)
    for num_workers in (1, 2):
        assert identical(batches(data_of(root, num_workers=num_workers, **options), 4), expected)
    # 4 different batches, not 4 times the same
    assert len({batch.labeled.image.numpy().tobytes() for batch in expected}) == 4


def test_the_global_random_state_changes_nothing_and_is_not_changed(tree, global_states):
    expected = batches(data_of(tree), 3)
    assert global_states()
    torch.manual_seed(99)
    assert identical(batches(data_of(tree), 3), expected)


def test_the_seed_decides_order_and_augmentation(tree, monkeypatch):
    expected = batches(data_of(tree, seed=5), 3)
    assert identical(batches(data_of(tree, seed=5), 3), expected)
    assert not identical(batches(data_of(tree, seed=6), 3), expected)
    # without an option it is the run's, as `seed_everything` leaves it
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    assert identical(batches(data_of(tree, seed=None), 3), expected)
    monkeypatch.setenv("PL_GLOBAL_SEED", "6")
    assert not identical(batches(data_of(tree, seed=None), 3), expected)


def test_the_seed_of_the_split_decides_the_labeled_images_alone(tree):
    splits = {tuple(ids(data_of(tree, split_seed=seed).split.labeled)) for seed in range(10)}
    assert len(splits) > 5
    for seed in (1, 2):
        assert data_of(tree, seed=seed).split == data_of(tree).split


def test_an_interrupted_run_continues_with_the_batches_it_has_not_seen(tree):
    whole = batches(attach(data_of(tree)), 7)
    assert identical(batches(attach(data_of(tree), batches_seen=3), 4), whole[3:])


def test_the_module_being_trained_says_how_many_views_it_wants(tree):
    data = attach(data_of(tree, num_views=None), num_views=3)
    assert len(batches(data, 1)[0].unlabeled.views) == 3
    # who uses the loader without a trainer says it himself, or gets labeled images only
    assert batches(data_of(tree, num_views=None), 1)[0].unlabeled.views == []


def test_several_devices_together_see_what_one_sees(tree):
    options = {"labeled": 4, "batch_size": 4, "unlabeled_batch_size": 2, "scale": (0.5, 1.5)}
    whole = batches(attach(data_of(tree, **options)), 4)
    ranks = [batches(attach(data_of(tree, **options), rank, 2), 4) for rank in range(2)]
    for step, batch in enumerate(whole):
        parts = zip(*(flat(rank[step]) for rank in ranks), strict=True)
        for tensor, (first, second) in zip(flat(batch), parts, strict=True):
            assert torch.equal(torch.cat([first, second]), tensor)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 3}, "the labeled batch of 3"),
        ({"unlabeled_batch_size": 5}, "the unlabeled batch of 5"),
    ],
)
def test_a_batch_that_cannot_be_shared_out(tree, options, said):
    with pytest.raises(UserError, match="cannot be divided among 2 devices") as caught:
        attach(data_of(tree, **options), 0, 2).train_dataloader()
    assert said in str(caught.value)
    assert "multiple of 2" in str(caught.value)


@pytest.fixture
def masks_read(monkeypatch):
    """The files of all masks that are read."""
    from ssseg.data.datasets.folder import Folder

    read, whole = [], Folder.read_mask

    def read_mask(self, record):
        read.append(record.mask)
        return whole(self, record)

    monkeypatch.setattr(Folder, "read_mask", read_mask)
    return read


@pytest.mark.parametrize("reuse_labeled", [False, True])
def test_masks_of_unlabeled_images_are_never_opened(tree, masks_read, reuse_labeled):
    data = data_of(tree, reuse_labeled=reuse_labeled, num_views=3)
    for record in data.split.rest:
        record.mask.write_bytes(b"nobody may look at this")
    data.setup("fit")
    data.describe()
    batches(data, 8)
    list(data.val_dataloader())
    allowed = {r.mask for r in data.split.labeled + data.source.records("val")}
    assert set(masks_read) == allowed


def test_truth_is_lent_where_it_is_asked_for_and_known(tree):
    """It moves with its image; images without a mask have none, and padding is no class."""
    options = {"crop_size": (40, 40), "num_views": 2, "seed": 3, "scale": (0.5, 1.5)}
    plain, lent = (data_of(tree, unlabeled_truth=lend, **options) for lend in (False, True))
    by_color = {}
    for record in plain.source.records("train"):
        image, mask = plain.source.read_image(record), plain.source.read_mask(record)
        by_color |= {tuple(c): int(k) for c, k in zip(image.reshape(-1, 3), mask.flat, strict=True)}
    known = unknown = 0
    for without, batch in zip(batches(plain, 6), batches(lent, 6), strict=True):
        assert without.truth is None
        assert identical([without._replace(truth=batch.truth)], [batch])
        assert batch.truth.dtype == torch.int64
        assert (batch.truth[~batch.unlabeled.valid] == IGNORE).all()
        views = pixels(batch.unlabeled.views[0], lent).astype(int)
        for view, truth, valid in zip(views, batch.truth, batch.unlabeled.valid, strict=True):
            if (truth == IGNORE).all():
                unknown += 1
                continue
            known += 1
            expected = [by_color.get(tuple(c)) for c in view.reshape(-1, 3)]
            pairs = zip(expected, truth.flatten().tolist(), valid.flatten().tolist(), strict=True)
            # where images are resized, colours between classes are nobody's
            wrong = [e != t for e, t, v in pairs if v and e is not None]
            assert sum(wrong) <= 0.02 * len(wrong)
    assert known
    assert unknown


def test_truth_is_lent_by_drawn_scenes_alone_unless_one_says_so(tree):
    assert data_of(tree).unlabeled_truth is False
    assert SegmentationData(Street()).unlabeled_truth is True
    assert SegmentationData(Street(), unlabeled_truth=False).unlabeled[0].mask is None


def test_masks_are_checked_once(tree, masks_read):
    """Command line and trainer both ask for it; the masks of a large set take minutes to read."""
    data = data_of(tree)
    data.setup("fit")
    count = len(masks_read)
    data.setup("fit")
    assert count == len(masks_read) == 7


def test_the_unlabeled_images(tree, tmp_path):
    more = tmp_path / "more"
    save(np.zeros((20, 20, 3), np.uint8), more / "b.png")
    data = data_of(tree, str(more))
    rest, own = ids(data.split.rest), ["u0.png", "u1.png", "u2.png", "u3.png"]
    assert len(rest) == 4
    assert ids(data.unlabeled) == [*rest, *own, "b.png"]
    assert {record.mask for record in data.unlabeled} == {None}
    assert len({record.image for record in data.unlabeled}) == 9


def test_labeled_images_may_come_as_unlabeled_ones_too(tree):
    data = data_of(tree, reuse_labeled=True)
    assert len(data.unlabeled) == 12
    assert ids(data.unlabeled)[:4] == ids(data.split.labeled)
    assert {record.mask for record in data.unlabeled} == {None}
    data = data_of(tree, labeled="all", reuse_labeled=True)
    assert len(data.unlabeled) == 12


def test_every_labeled_and_every_unlabeled_image_comes(tree):
    """In one pass: 4 labeled in 2 steps, 8 unlabeled in 4."""
    data = data_of(tree, scale=(1.0, 1.0), crop_size=(24, 32), flip=False)
    seen = batches(data, 4)
    for passes in (seen[:2], seen[2:]):
        shown = {image.tobytes() for b in passes for image in pixels(b.labeled.image, data)}
        expected = {
            data.source.read_image(r).astype(np.float32).tobytes() for r in data.split.labeled
        }
        assert shown == expected
    shown = {image.tobytes() for b in seen for image in pixels(b.unlabeled.views[0], data)}
    expected = {data.source.read_image(r).astype(np.float32).tobytes() for r in data.unlabeled}
    assert shown == expected


def test_exposures(tree):
    data = data_of(tree, labeled=4, batch_size=2, unlabeled_batch_size=6)
    assert data.exposures(100, 2) == {"labeled": 50.0, "unlabeled": 75.0}
    assert data.exposures(100, 0) == {"labeled": 50.0}
    data = data_of(tree, labeled=8, batch_size=1, unlabeled_batch_size=4)
    assert data.exposures(2, 1) == {"labeled": 0.25, "unlabeled": 2.0}


def test_a_summary_of_the_data(tree):
    data = data_of(tree, labeled="1/2", split_seed=3, unlabeled_batch_size=5)
    summary = data.describe()
    assert summary["name"] == "photos"
    assert summary["split"] == "1/2 seed 3"
    assert summary["split_hash"] == content_hash(data.source, data.split.labeled)
    assert (summary["labeled"], summary["unlabeled"], summary["val"]) == (4, 8, 3)
    assert (summary["batch_size"], summary["unlabeled_batch_size"]) == (2, 5)
    other = data_of(tree, labeled="1/2", split_seed=4).describe()
    assert other["split_hash"] != summary["split_hash"]


def test_what_a_checkpoint_remembers(tree):
    info = data_of(tree).info
    assert info.name == "photos"
    assert [c.name for c in info.classes] == ["sky", "road", "car"]
    assert info.in_channels == 3
    assert info.mean == (0.485, 0.456, 0.406)
    assert info.std == (0.229, 0.224, 0.225)
    assert data_of(tree, mean=(0.1, 0.2, 0.3)).info.mean == (0.1, 0.2, 0.3)


def test_gray_images_have_one_channel_all_the_way(tmp_path):
    root = draw_tree(tmp_path)
    for path in root.glob("*/images/*.png"):
        mask = path.parents[1] / "masks" / path.name
        save(GRAY[np.array(Image.open(mask))], path)
    data = data_of(root, image_size=(20, 20))
    (mean,), (std,) = data.mean, data.std
    grey = np.stack([data.source.read_image(r) for r in data.source.records("train")]) / 255
    more = np.stack([data.source.read_image(r) for r in data.source.unlabeled()]) / 255
    seen = np.concatenate((grey, more))
    assert (mean, std) == (pytest.approx(seen.mean()), pytest.approx(seen.std()))
    batch = batches(data, 1)[0]
    assert batch.labeled.image.shape == (2, 1, 16, 16)
    assert [view.shape for view in batch.unlabeled.views] == [(2, 1, 16, 16)] * 2
    (group,) = next(iter(data.val_dataloader()))
    assert group.image.shape == (3, 1, 20, 20)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("val_batch_size", [1, 2, 8])
def test_validation_shows_each_image_once_and_whole(tree, val_batch_size, num_workers):
    data = data_of(tree, val_batch_size=val_batch_size, num_workers=num_workers)
    groups = [group for batch in data.val_dataloader() for group in batch]
    assert max(len(group.image) for group in groups) == min(val_batch_size, 3)
    images = torch.cat([group.image for group in groups])
    labels = torch.cat([group.label for group in groups])
    assert labels.dtype == torch.int64
    expected = data.source.records("val")
    assert len(labels) == len(expected)
    for image, label, record in zip(pixels(images, data), labels, expected, strict=True):
        np.testing.assert_array_equal(label.numpy(), data.source.read_mask(record))
        np.testing.assert_array_equal(image, data.source.read_image(record))


def test_validation_images_are_shared_out_without_repetition(tree):
    expected = [
        label.numpy().tobytes() for b in data_of(tree).val_dataloader() for label in val_records(b)
    ]
    seen = []
    for rank in range(2):
        loader = attach(data_of(tree, val_batch_size=1), rank, 2).val_dataloader()
        seen += [label.numpy().tobytes() for b in loader for label in val_records(b)]
    assert sorted(seen) == sorted(expected)


def test_test_images_are_read_like_validation_images(tmp_path):
    data = data_of(draw_tree(tmp_path, test=5), val_batch_size=4)
    data.setup("test")
    assert [len(batch[0].image) for batch in data.test_dataloader()] == [4, 1]


def test_masks_keep_their_resolution_when_images_are_resized(tree):
    data = data_of(tree, image_size=(12, 18))
    (batch,) = data.val_dataloader()
    (group,) = batch
    assert group.image.shape == (3, 3, 12, 18)
    assert group.label.shape == (3, 24, 32)
    for label, record in zip(group.label, data.source.records("val"), strict=True):
        np.testing.assert_array_equal(label.numpy(), data.source.read_mask(record))


@pytest.mark.parametrize("image_size", [(12, 16), (48, 64), (24, 32)])
def test_training_images_and_masks_are_resized_together(tree, image_size):
    data = data_of(
        tree, labeled="all", image_size=image_size, crop_size=image_size, scale=(1.0, 1.0)
    )
    for batch in batches(data, 4):
        seen = pixels(batch.labeled.image, data)[..., 0]
        label = batch.labeled.label.numpy()
        assert label.max() < 3
        # half and double size keep the borders of blocks between pixels, or soften one pixel
        windows = np.lib.stride_tricks.sliding_window_view(label, (3, 3), axis=(1, 2))
        calm = (windows == windows[..., 1:2, 1:2]).all((3, 4))
        assert calm.mean() > 0.2
        np.testing.assert_array_equal(seen[:, 1:-1, 1:-1][calm], GRAY[label[:, 1:-1, 1:-1][calm]])


def test_images_of_different_sizes_are_validated_in_groups(tmp_path):
    root = draw_tree(tmp_path, val=0)
    sizes = [(24, 32), (32, 24), (24, 32), (40, 40), (32, 24), (24, 32)]
    for i, size in enumerate(sizes):
        mask = np.full(size, i % 3, np.uint8)
        mask[0, 0] = (i + 1) % 3
        save(mask, root / "val" / "masks" / f"{i}.png")
        save(paint(mask), root / "val" / "images" / f"{i}.png")
    data = data_of(root, val_batch_size=2)
    data.setup("fit")
    groups = [group for batch in data.val_dataloader() for group in batch]
    shapes = [tuple(group.label.shape) for group in groups]
    # like sizes come together wherever they lie, in batches as large as asked for
    assert shapes == [(2, 24, 32), (1, 24, 32), (2, 32, 24), (1, 40, 40)]
    for group in groups:
        np.testing.assert_array_equal(pixels(group.image, data), paint(group.label.numpy()))
    # resized images of one size, but masks of three
    groups = [g for batch in data_of(root, image_size=(16, 16)).val_dataloader() for g in batch]
    assert [len(group.image) for group in groups] == [3, 2, 1]
    assert {tuple(group.image.shape[1:]) for group in groups} == {(3, 16, 16)}


def test_older_protocols_resize_masks_and_score_the_centre(tree):
    masks = {r.id: r for r in data_of(tree).source.records("val")}
    assert len(masks) == 3
    data = data_of(tree, image_size=(12, 16), eval_masks="resized")
    (batch,) = data.val_dataloader()
    assert batch[0].label.shape == (3, 12, 16)
    data = data_of(tree, eval_crop=(10, 100))
    (batch,) = data.val_dataloader()
    (whole,) = data_of(tree).val_dataloader()
    assert torch.equal(batch[0].label, whole[0].label[:, 7:17])
    assert torch.equal(batch[0].image, whole[0].image[:, :, 7:17])


def test_the_centre_of_resized_images_is_scored_at_the_resolution_of_the_masks(tree):
    (whole,) = data_of(tree, image_size=(12, 16)).val_dataloader()
    (batch,) = data_of(tree, image_size=(12, 16), eval_crop=(6, 10)).val_dataloader()
    assert torch.equal(batch[0].image, whole[0].image[:, :, 3:9, 3:13])
    assert torch.equal(batch[0].label, whole[0].label[:, 6:18, 6:26])  # of 24 x 32
    older = data_of(tree, image_size=(12, 16), eval_crop=(6, 10), eval_masks="resized")
    (batch,) = older.val_dataloader()
    assert batch[0].label.shape == (3, 6, 10)


def test_training_images_of_different_sizes_make_one_batch(tmp_path):
    root = draw_tree(tmp_path)
    for i, size in enumerate([(10, 60), (60, 10), (17, 17)]):
        save(np.full((*size, 3), 90, np.uint8), root / "unlabeled" / f"odd{i}.png")
    for batch in batches(data_of(root, scale=(0.5, 1.5)), 6):
        assert batch.unlabeled.views[1].shape == (2, 3, 16, 16)


class Spectral(Source):
    """A user's own data set, of five channels."""

    name = "spectral"
    classes = (ClassInfo("low", (0, 0, 0)), ClassInfo("high", (255, 255, 255)))
    in_channels = 5

    def records(self, split):
        return [Record(f"{split}{i}", i, i) for i in range(6)]

    def read_image(self, record):
        return np.random.default_rng(record.image).integers(0, 256, (30, 20, 5), dtype=np.uint8)

    def read_mask(self, record):
        return (self.read_image(record)[..., 0] > 127).astype(np.uint8)


def test_own_sources_of_any_number_of_channels():
    data = SegmentationData(
        Spectral(), labeled=2, batch_size=2, crop_size=(16, 16), num_workers=0, num_views=2
    )
    data.setup("fit")
    batch = batches(data, 1)[0]
    assert batch.labeled.image.shape == (2, 5, 16, 16)
    assert [view.shape for view in batch.unlabeled.views] == [(2, 5, 16, 16)] * 2
    images = np.stack([data.source.read_image(r) for r in data.source.records("train")]) / 255
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(data.std, images.std((0, 1, 2)))
    assert read_resized(data.source, Record("a", 0, 0), (15, 10), data.mean)[0].shape == (15, 10, 5)


def test_what_a_source_suggests_holds_unless_one_says_otherwise():
    data = SegmentationData(Street())
    assert (len(data.split.labeled), len(data.unlabeled)) == (16, 496)
    assert (data.batch_size, data.unlabeled_batch_size, data.num_workers) == (8, 8, 0)
    assert (data.crop_size, data.scale) == ((64, 64), (1.0, 1.0))
    data = SegmentationData(Street(), labeled=32, batch_size=4, scale=(0.5, 2), num_workers=1)
    assert (len(data.split.labeled), len(data.unlabeled)) == (32, 480)
    assert (data.batch_size, data.unlabeled_batch_size, data.num_workers) == (4, 4, 1)
    assert data.scale == (0.5, 2)
    # 1 is one image, 1.0 is all of them
    assert len(SegmentationData(Street(), labeled=1).split.labeled) == 1
    assert len(SegmentationData(Street(), labeled=1.0).split.labeled) == 512


def test_training_leaves_scenes_in_memory_as_they_were():
    source = Street(train_images=12)
    data = SegmentationData(source, labeled=4, batch_size=4, num_views=3, seed=0)
    batches(data, 6)
    fresh = Street(train_images=12)
    for record in source.records("train"):
        np.testing.assert_array_equal(source.read_image(record), fresh.read_image(record))
        np.testing.assert_array_equal(source.read_mask(record), fresh.read_mask(record))


def test_examples_are_spread_over_the_validation_images():
    data = SegmentationData(Street(train_images=4, val_images=9, size=32), labeled=4, batch_size=2)
    samples = list(data.examples(3))
    wanted = [data.source.records("val")[i] for i in (0, 3, 6)]
    truth = [data.source.read_mask(record).tolist() for record in wanted]
    assert [sample.label.tolist() for sample in samples] == truth
    assert {sample.image.shape for sample in samples} == {(3, 32, 32)}
    nothing = SegmentationData(Street(train_images=4, val_images=0), labeled=4, batch_size=2)
    assert list(nothing.examples()) == []


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint16, 200), (np.float32, -3.5)])
def test_deep_images_of_two_bands_all_the_way(tmp_path, dtype, scale):
    data = data_of(deep_tree(tmp_path, dtype, scale), num_views=3, image_size=(24, 32))
    assert data.in_channels == 2
    sources = [*data.source.records("train"), *data.source.unlabeled()]
    raw = np.stack([tifffile.imread(r.image) for r in sources]).astype(np.float64)
    raw /= 65535 if dtype == np.uint16 else 1
    np.testing.assert_allclose(data.mean, raw.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(data.std, raw.std((0, 1, 2)), rtol=1e-4)
    data.setup("fit")
    for batch in batches(data, 4):
        for tensor in (batch.labeled.image, *batch.unlabeled.views):
            assert tensor.shape == (2, 2, 16, 16)
            assert tensor.isfinite().all()
            assert tensor.abs().max() < 20
    (group,) = next(iter(data.val_dataloader()))
    expected = tifffile.imread(data.source.records("val")[0].image) / (
        65535 if dtype == np.uint16 else 1
    )
    expected = (expected - np.array(data.mean)) / np.array(data.std)
    np.testing.assert_allclose(group.image[0].numpy(), np.moveaxis(expected, -1, 0), atol=1e-4)


def test_each_image_is_decoded_once_per_step(tree, monkeypatch):
    data = data_of(tree, num_views=3)
    reads = []
    read = type(data.source).read_image
    monkeypatch.setattr(
        type(data.source), "read_image", lambda self, r: reads.append(r.id) or read(self, r)
    )
    batches(data, 5)
    assert len(reads) == 5 * (data.batch_size + data.unlabeled_batch_size)


def test_options_of_the_augmentation_arrive(tree):
    transform = data_of(tree, rotation=10, jitter=0.3, strong="random_intensity").transform
    assert transform.random_intensity
    names = [type(step).__name__ for step in transform.geometry.transforms]
    assert "Rotate" in names
    assert len(transform.weak.transforms) == 1
    for wrong in ({"rotation": -1}, {"rotation": 200}, {"jitter": -0.5}):
        with pytest.raises(UserError, match=r"data\.jitter .* data\.rotation"):
            data_of(tree, **wrong)


def test_crops_are_within_images_that_are_resized():
    source = Street(train_images=4)
    source.crop_size = (256, 256)
    assert SegmentationData(source, image_size=(100, 300)).crop_size == (96, 256)
