"""What a network cannot take is said before training, with a way out that works."""

from collections import Counter

import pytest
import torch

from ssseg.data.datasets import Street
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.evaluation.inference import Inference
from ssseg.methods import create_method
from ssseg.models import Segmenter
from ssseg.training import shape_check as shapes
from ssseg.training.shape_check import check_evaluation, check_training, sizes_of
from tests.conftest import make_data, make_module, make_trainer
from tests.data.trees import data_of, draw_pair, draw_tree

SLIM = {"encoder_options": {"channels": [8, 8, 8, 8]}}
SWIN = {
    "encoder": "swin_tiny_patch4_window7_224",
    "encoder_options": {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
}


def method_of(decoder="unet", name="supervised", **network):
    method = create_method(name)
    method.setup(Segmenter(3, decoder=decoder, **{**SLIM, **network}))
    return method


def street(size=64, crop=None, batch=1, unlabeled=None, **options):
    source = Street(train_images=8, val_images=2, size=size)
    crop = crop or (size, size)
    return SegmentationData(
        source,
        labeled=2,
        crop_size=crop,
        batch_size=batch,
        unlabeled_batch_size=unlabeled,
        **options,
    )


@pytest.mark.parametrize(
    ("decoder", "size"),
    [
        *(("deeplabv3", 64), ("deeplabv3plus", 64), ("upernet", 64)),
        *(("unet", 32), ("unetplusplus", 32), ("manet", 32), ("linknet", 32), ("fpn", 32)),
        ("segformer", 32),
    ],
)
def test_one_image_where_batchnorm_needs_two(decoder, size):
    method = method_of(decoder)
    with pytest.raises(UserError, match=r"option data\.batch_size leaves one image, but") as caught:
        check_training(method, street(size))
    assert "give at least 2, or --network.freeze_bn true" in str(caught.value)
    check_training(method, street(size, batch=2))
    if decoder == "deeplabv3":
        check_training(method_of(decoder, freeze_bn=True), street(size))


def test_the_unlabeled_batch_counts_where_the_method_looks_at_it():
    data = street(batch=2, unlabeled=1)
    check_training(method_of("deeplabv3"), data)
    said = r"data.unlabeled_batch_size leaves one image on each of 2 devices.* at least 4"
    with pytest.raises(UserError, match=said):
        check_training(method_of("deeplabv3", "classmix"), street(batch=4, unlabeled=2), devices=2)
    both = "options data.batch_size and data.unlabeled_batch_size leave one image,"
    with pytest.raises(UserError, match=both):
        check_training(method_of("deeplabv3", "classmix"), street())
    # labeled and mixed images in one batch are several, and the teacher has running statistics
    together = create_method("classmix", passes="one", teacher_norm="running", warmup_steps=0)
    together.setup(Segmenter(3, decoder="deeplabv3", **SLIM))
    check_training(together, street())


def test_crops_that_do_not_go_through_and_crops_that_do():
    with pytest.raises(UserError, match="crops of 64 x 64 do not go through pan on") as caught:
        check_training(method_of("pan"), street(batch=1))
    assert '--data.crop_size "[128, 128]", which does' in str(caught.value)
    with pytest.raises(UserError, match=r"do not go through unet on swin.*doesn't match") as caught:
        check_training(method_of(**SWIN), street(batch=2))
    assert '--data.crop_size "[224, 224]", which does' in str(caught.value)


def test_validation_images_that_do_not_go_through():
    method = method_of(**SWIN)
    large = street(256, crop=(224, 224), batch=2)
    check_training(method, large)
    with pytest.raises(UserError, match="the val images have a height and width of 256 x 256"):
        check_evaluation(method, Inference(), large)
    with pytest.raises(UserError) as caught:
        check_evaluation(method, Inference(), large)
    assert "give --eval.mode slide, whose windows are as large" in str(caught.value)
    check_evaluation(method, Inference("slide"), large)
    small = street(64, crop=(224, 224), batch=2)
    for mode in ("whole", "slide"):
        with pytest.raises(UserError) as caught:
            check_evaluation(method, Inference(mode), small)
        assert "--eval.mode" not in str(caught.value), "windows would be small as well"
        assert '--data.image_size "[224, 224]"' in str(caught.value)
    check_evaluation(method, Inference(), street(64, (224, 224), 2, image_size=(224, 224)))


def test_every_size_is_looked_at_once_for_each_padded_one(tmp_path, monkeypatch):
    import numpy as np

    root = draw_tree(tmp_path / "photos", val=2, size=(40, 40))
    draw_pair(root, "val", "b0", np.random.default_rng(0), size=(33, 64))
    draw_pair(root, "val", "b1", np.random.default_rng(0), size=(72, 40))
    data = data_of(root, crop_size=(32, 32))
    assert sizes_of(data, "val") == Counter({(40, 40): 2, (33, 64): 1, (72, 40): 1})
    assert sizes_of(data_of(root, image_size=(24, 24)), "val") == Counter({(24, 24): 4})
    assert sizes_of(data_of(root, eval_crop=(36, 48)), "val") == Counter({(36, 40): 3, (33, 48): 1})
    seen = []
    monkeypatch.setattr(
        shapes, "_refused_on_meta", lambda network, shape, train: seen.append(shape)
    )
    check_evaluation(method_of(), Inference(), data)
    assert sorted(seen) == [(1, 3, 33, 64), (1, 3, 72, 40)]  # 40 x 40 is padded to 64 x 64 as well


def test_many_sizes_are_looked_at_in_part_with_the_extremes():
    sizes = Counter({(32 * i, 32 * j): 1 for i in range(1, 30) for j in range(1, 30)})
    chosen = shapes._spread(sizes, method_of().student)
    assert len(chosen) <= shapes.LOOKS
    assert {(32, 32), (928, 928)} <= set(chosen)


def test_what_only_the_meta_device_cannot_do_is_no_fault():
    class Valued(torch.nn.Module):
        def forward(self, image):
            return image[:, :3] * image.sum().item()

    method = method_of()
    method.student = Valued()
    check_evaluation(method, Inference(), street())


def test_a_trainer_finds_it_before_the_first_step(tmp_path):
    network = Segmenter(8, decoder="pan", **SLIM)
    module = make_module("supervised", network=network)
    before = torch.get_rng_state()
    trainer = make_trainer(1, tmp_path)
    with pytest.raises(UserError, match="crops of 32 x 32 do not go through pan"):
        trainer.fit(module, datamodule=make_data())
    assert trainer.global_step == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(tmp_path.iterdir())
