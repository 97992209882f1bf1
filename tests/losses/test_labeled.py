import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss
from torch.autograd import gradcheck

from ssseg.errors import UserError
from ssseg.losses import LabeledLoss, cross_entropy, dice_loss, focal_loss, ohem_cross_entropy
from ssseg.types import IGNORE
from tests.spread import on_devices
from tests.training.test_step import Waits

NAMES = ["cross_entropy", "ohem", "dice", "focal"]
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


def batch(images=2, seed=0):
    """Logits (B, 4, 5, 6) float64 that want a gradient and labels without the last class."""
    drawn = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, 4, 5, 6, generator=drawn, dtype=torch.float64)
    label = torch.randint(3, (images, 5, 6), generator=drawn)
    label[0, :2] = IGNORE
    return logits.requires_grad_(), label


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_ignored_pixels_change_neither_value_nor_gradient(name, weights):
    logits, label = batch()
    value = LabeledLoss(name)(logits, label, weights=weights)
    (slope,) = torch.autograd.grad(value, logits)
    assert slope[0, :, :2].abs().max() == 0
    assert slope[0, :, 2:].abs().min() > 0 or name == "ohem"
    other = torch.where((label == IGNORE)[:, None], 50.0, logits.detach())
    torch.testing.assert_close(LabeledLoss(name)(other, label, weights=weights), value.detach())


@pytest.mark.parametrize("name", NAMES)
def test_no_labeled_pixel_is_a_loss_of_zero_with_a_gradient_of_zero(name):
    logits, label = batch()
    value = LabeledLoss(name)(logits, torch.full_like(label, IGNORE), weights=WEIGHTS)
    assert value == 0
    (slope,) = torch.autograd.grad(value, logits)
    assert slope.abs().max() == 0


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "focal"])
def test_gradients(name):
    logits, label = batch(1)
    assert gradcheck(lambda x: LabeledLoss(name)(x, label, weights=WEIGHTS), (logits,))


@pytest.mark.parametrize("name", NAMES)
def test_a_sure_and_right_answer_has_a_finite_gradient(name):
    label = torch.zeros(1, 2, 2, dtype=torch.long)
    logits = torch.tensor([200.0, -200.0])[None, :, None, None].expand(1, 2, 2, 2)
    logits = logits.clone().requires_grad_()
    loss = LabeledLoss(name, gamma=0.5)(logits, label)
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss.abs() < 1e-6
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_host_does_not_wait_for_the_device(name):
    logits, label = batch()
    with Waits() as mode:
        LabeledLoss(name)(logits, label, weights=WEIGHTS).backward()
    assert mode.found == []


def test_weighted_cross_entropy_is_torchs():
    logits, label = batch()
    expected = F.cross_entropy(logits, label, WEIGHTS, ignore_index=IGNORE)
    torch.testing.assert_close(cross_entropy(logits, label, weights=WEIGHTS), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_dice_is_that_of_segmentation_models_pytorch(weights):
    logits, label = batch()
    given = None if weights is None else weights.tolist()
    theirs = DiceLoss("multiclass", ignore_index=IGNORE, class_weights=given)
    torch.testing.assert_close(
        dice_loss(logits, label, weights=weights), theirs(logits, label).double()
    )


def test_focal_with_gamma_0_is_the_cross_entropy_and_else_weighs_by_doubt():
    logits, label = batch()
    torch.testing.assert_close(focal_loss(logits, label, gamma=0), cross_entropy(logits, label))
    total, count = 0.0, 0
    for image, truth in zip(logits.detach(), label, strict=True):
        for y in range(5):
            for x in range(6):
                if truth[y, x] != IGNORE:
                    p = image[:, y, x].softmax(0)[truth[y, x]]
                    total, count = total - (1 - p) ** 2 * p.log(), count + 1
    torch.testing.assert_close(focal_loss(logits, label, gamma=2.0), total / count)


@pytest.mark.parametrize(("threshold", "min_kept"), [(0.3, 0.0), (0.3, 0.5), (0.0, 0.25), (1.0, 0)])
def test_ohem_keeps_the_pixels_below_the_threshold_and_the_hardest_of_the_rest(threshold, min_kept):
    logits, label = batch()
    probs, errors = [], []
    for image, truth in zip(logits.detach(), label, strict=True):
        for y in range(5):
            for x in range(6):
                if truth[y, x] != IGNORE:
                    p = image[:, y, x].softmax(0)[truth[y, x]]
                    probs.append(float(p))
                    errors.append(-float(p.log()))
    order = sorted(range(len(probs)), key=probs.__getitem__)
    least = max(1, -int(-len(probs) * min_kept // 1))
    kept = {i for i in order if probs[i] <= threshold} | set(order[:least])
    expected = sum(errors[i] for i in kept) / len(kept)
    found = ohem_cross_entropy(logits, label, threshold=threshold, min_kept=min_kept)
    assert found.item() == pytest.approx(expected)


def test_auto_weighs_classes_by_the_median_share_over_their_own():
    loss = LabeledLoss(class_weights="auto")
    weights = loss.weights([1000, 100, 50, 0, 1], 5)
    # the median of 1, 50, 100, 1000 is 50 (torch takes the lower of two)
    torch.testing.assert_close(weights, torch.tensor([0.05, 0.5, 1.0, 1.0, 10.0]))
    assert LabeledLoss().weights([1, 2], 2) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "hinge"}, "hinge"),
        ({"threshold": 1.5}, "loss.threshold is 1.5; expected 0 to 1"),
        ({"gamma": -1.0}, "loss.gamma is -1.0"),
        ({"class_weights": "balanced"}, "expected auto, or a weight per class"),
        ({"class_weights": [0.0, 0.0]}, "one of them above 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        LabeledLoss(**options)


def test_weights_must_fit_the_classes():
    with pytest.raises(UserError, match="has 2 weights, but there are 3 classes"):
        LabeledLoss(class_weights=[1.0, 2.0]).weights(None, 3)
    with pytest.raises(UserError, match="does not count"):
        LabeledLoss(class_weights="auto").weights(None, 3)


def gradients(devices):
    """The gradient of each loss at this device's images, as DDP would divide it."""
    logits, label = batch(4)
    start = devices.rank * 2
    mine = logits.detach()[start : start + 2].requires_grad_()
    found = {}
    for name in NAMES:
        loss = LabeledLoss(name, min_kept=0.6, threshold=0.1)
        value = loss(mine, label[start : start + 2], devices, WEIGHTS)
        (slope,) = torch.autograd.grad(value, mine)
        found[name] = (slope / devices.world_size).tolist()
    return found


def test_two_devices_compute_the_gradient_of_the_whole_batch():
    logits, label = batch(4)
    parts = on_devices(2, gradients)
    for name in NAMES:
        value = LabeledLoss(name, min_kept=0.6, threshold=0.1)(logits, label, weights=WEIGHTS)
        (slope,) = torch.autograd.grad(value, logits)
        found = torch.tensor([image for part in parts for image in part[name]])
        torch.testing.assert_close(found.double(), slope)
