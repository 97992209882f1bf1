import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ssseg.losses import trusted_from
from ssseg.methods import method_class
from ssseg.methods.classmix import ClassMix
from ssseg.methods.guidedmix.blends import Pairs, see
from ssseg.models.ema import EMA, labeling
from ssseg.models.segmenter import IMAGENET_STD as STD
from ssseg.ops.mix import Mixed
from ssseg.testing import NUM_CLASSES, SIDE, losses, make_method, step, tiny_batch, tiny_network
from ssseg.types import IGNORE

MIXING = ("mixup", "cutmix", "cowmix", "classmix", "complexmix")

NORMS = ("batch", "running")


def frozen_network():
    """Frozen BatchNorm whose running statistics are far from those of any batch."""
    torch.manual_seed(0)
    network = tiny_network()
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.2, 5)
    network.freeze_bn = True
    return network.train()


def frozen_method(name, **hparams):
    """A method on such a network; its teacher has the student's weights."""
    method = method_class(name)(warmup_steps=0, **hparams)
    method.setup(frozen_network())
    return method.train()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["mean_teacher", *MIXING])
def test_frozen_batchnorm_is_frozen_in_the_teacher_too(name, norm):
    method = frozen_method(name, teacher_norm=norm)
    batch = tiny_batch(method.num_views)
    said = losses(method, batch).pseudo.label
    assert torch.equal(said, method.student(batch.unlabeled.views[0]).argmax(1))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("use_teacher", [False, True])
def test_frozen_batchnorm_is_frozen_in_every_label_of_guidedmix(use_teacher, norm):
    method = frozen_method("guidedmix", teacher_norm=norm, use_teacher=use_teacher)
    images = tiny_batch(1).unlabeled.views[0]
    torch.testing.assert_close(method._label(images).logits, see(method.student, images).logits)
    assert not any(isinstance(m, _BatchNorm) and m.training for m in method.modules())


@pytest.mark.parametrize("norm", NORMS)
def test_frozen_batchnorm_is_frozen_in_the_second_decoder_of_guidedmix(norm):
    method = frozen_method("guidedmix_released")
    images = tiny_batch(1).unlabeled.views[0]
    seen = see(method.student, images)
    pairs = Pairs(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([0.2, 0.4]))
    mixed = method._mixed(images, 2, pairs, seen)
    with labeling(method, norm):
        torch.testing.assert_close(method._mixed(images, 2, pairs, seen), mixed)
    assert not any(isinstance(m, _BatchNorm) and m.training for m in method.modules())


def test_a_teacher_of_trained_batchnorm_still_has_the_choice():
    network = frozen_network()
    network.freeze_bn = False
    teacher, image = EMA(network), tiny_batch(1).unlabeled.views[0]
    by_batch, by_running = (teacher.label(image, norm) for norm in NORMS)
    torch.testing.assert_close(by_running, network.eval()(image))
    torch.testing.assert_close(by_batch, network.train()(image), rtol=1e-4, atol=1e-4)
    assert (by_batch - by_running).abs().max() > 0.1


def confidence(method, batch):
    """How sure the teacher is of every pixel, and what it is of half of them."""
    conf = method.teacher.label(batch.unlabeled.views[0]).softmax(1).amax(1)
    return conf, float(conf.median())


@pytest.mark.parametrize("loss", ["cross_entropy", "soft_cross_entropy", "squared_error"])
@pytest.mark.parametrize("unlabeled", [NUM_CLASSES, 3])
def test_pixels_gated_before_mixing_have_labels_of_the_kind_that_the_loss_wants(loss, unlabeled):
    method = make_method(method_class("complexmix"), {"gate": "pixel_before", "loss": loss})
    batch = tiny_batch(1, unlabeled=unlabeled)
    conf, method.threshold = confidence(method, batch)
    out = losses(method, batch)
    trusted = trusted_from(conf, method.threshold) > 0
    task = method.task(batch, step())
    assert task.target.label.dim() == (3 if loss == "cross_entropy" else 4)
    assert 0.3 < task.target.valid.float().mean() < 0.7
    probs = method.teacher.label(batch.unlabeled.views[0]).softmax(1)
    kept = task.mask[:, 0] & task.target.valid
    wanted = probs.argmax(1) if loss == "cross_entropy" else probs
    seen = task.target.label if wanted.dim() == 3 else task.target.label.movedim(1, -1)
    wanted = wanted if wanted.dim() == 3 else wanted.movedim(1, -1)
    assert torch.equal(seen[kept], wanted[kept])
    assert torch.equal(kept, task.mask[:, 0] & trusted)
    assert 0 < out.losses["unsup"] < (2 if loss == "squared_error" else 20)


@pytest.mark.parametrize("gate", ["image", "pixel_before"])
@pytest.mark.parametrize("unknown", [0.0, 0.5, 1.0])
def test_the_trusted_share_is_that_of_the_pseudo_labels(gate, unknown):
    method = make_method(method_class("complexmix"), {"gate": gate})
    batch = tiny_batch(1)
    batch.unlabeled.valid[:, :, : SIDE // 4] = False
    conf, middle = confidence(method, batch)
    method.threshold = {0.0: 0.0, 0.5: middle, 1.0: 1.1}[unknown]
    share = (conf >= method.threshold)[batch.unlabeled.valid].float().mean()
    torch.testing.assert_close(losses(method, batch).logs["trusted"], share)
    assert abs(float(share) - (1 - unknown)) < 0.1


@pytest.mark.parametrize(
    ("name", "hparams"),
    [
        ("classmix", {}),
        ("classmix", {"loss": "squared_error"}),
        ("complexmix", {"blocks": (1,), "rounding": "floor"}),
        ("complexmix", {"blocks": (1,), "rounding": "floor", "gate": "pixel_before"}),
    ],
    ids=str,
)
def test_classes_that_stand_on_padding_alone_are_neither_counted_nor_pasted(
    name, hparams, monkeypatch
):
    method = make_method(method_class(name), hparams)
    batch = tiny_batch(1)
    half = SIDE // 2
    batch.unlabeled.valid[:, :, half:] = False
    says = torch.zeros(4, SIDE, SIDE, dtype=torch.int64)
    says[:, half:, :half] = 1  # two classes in the image, three others on its padding
    says[:, :, half:] = torch.arange(SIDE)[:, None] % 3 + 2
    logits = 9.0 * torch.nn.functional.one_hot(says, NUM_CLASSES).movedim(-1, 1)
    monkeypatch.setattr(method.teacher, "label", lambda image, norm="batch": logits)
    for seed in range(20):
        task = method.task(batch, step(seed))
        keeps = task.mask[:, 0]
        assert not keeps[:, :, half:].any()
        for image in range(4):
            inside = keeps[image, :, :half]
            upper, lower = inside[:half], inside[half:]
            assert upper.all() != lower.all()
            assert upper.any() != lower.any()
        assert (task.label[:, :, half:] == IGNORE).all()


def test_blending_a_labeled_image_with_itself_is_remarked():
    made = method_class("guidedmix")
    (line,) = made().batch_size_notices(1, 8)
    assert "give a --data.batch_size of at least 2" in line
    assert made(dec_weight=0.0).batch_size_notices(1, 8) == []


def test_extra_augmentation_jitters_four_of_five_images(monkeypatch):
    monkeypatch.setattr("ssseg.methods.classmix.gaussian_blur", lambda image, sigma: image)
    methods = [make_method(ClassMix, {"extra_augmentation": given}) for given in (True, False)]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (methods[0].student.mean, STD))
    image = (torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - mean) / std
    label = torch.zeros(50, 8, 8, dtype=torch.int64)
    labeled = tiny_batch(1).labeled
    sample = Mixed(image, label, torch.ones(50, 8, 8), label == 0)
    changed = 0
    for seed in range(20):
        ours, plain = (m.combine(sample, label, step(seed), labeled).target.image for m in methods)
        changed += int((ours != plain).flatten(1).any(1).sum())
    assert 760 < changed < 840  # of 1,000
