"""S4L: its terms against plain ones, and the images that it can turn."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from ssseg.errors import UserError
from ssseg.methods.s4l import S4L
from ssseg.testing import make_method, step, tiny_batch
from ssseg.types import IGNORE


@pytest.fixture(scope="module")
def batch():
    """The second unlabeled image is padding alone."""
    made = tiny_batch(S4L.num_views, labeled=2, unlabeled=3)
    made.unlabeled.valid[1] = False
    return made


def frozen(**hparams):
    method = make_method(S4L, hparams)
    method.student.freeze_bn = True
    return method.train()


def test_terms_are_one_mean_over_upright_and_turned_images(batch, monkeypatch):
    turns = {2: [1, 3], 3: [2, 2, 1]}
    monkeypatch.setattr(
        "ssseg.methods.s4l.random_turns", lambda count, **_: torch.tensor(turns[count])
    )
    method = frozen(weight=0.1, rotated_weight=0.2)
    (image, label), weak = batch.labeled, batch.unlabeled.views[0]
    terms = method.losses(batch, step()).losses
    errors = {"sup_rotation": [], "rotation": []}
    second = []
    for name, images in (("sup_rotation", image), ("rotation", weak)):
        for i, count in enumerate(turns[len(images)]):
            for turn in (0, count):
                if name == "rotation" and i == 1:
                    continue
                seen = torch.rot90(images[i : i + 1], turn, (2, 3))
                logits = method.student(seen)
                errors[name].append(cross_entropy(method.head(logits), torch.tensor([turn])))
                if name == "sup_rotation" and turn:
                    second.append(logits)
    for name, found in errors.items():
        torch.testing.assert_close(terms[name], 0.1 * sum(found) / 8)
    rotated = torch.stack([one.rot90(k, (0, 1)) for one, k in zip(label, turns[2], strict=True)])
    again = cross_entropy(torch.cat(second), rotated, ignore_index=IGNORE)
    torch.testing.assert_close(terms["sup_rotated"], 0.2 * again)
    upright = cross_entropy(method.student(image), label, ignore_index=IGNORE)
    torch.testing.assert_close(terms["sup"], upright)


def test_crops_that_are_not_square_are_refused(batch):
    wide = batch._replace(labeled=batch.labeled._replace(image=torch.randn(2, 3, 32, 40)))
    with pytest.raises(UserError, match=r"crops are 32 x 40, .* give --data.crop_size .\[32, 32\]"):
        make_method(S4L).losses(wide, step())


def test_the_head_is_frozen_like_the_network():
    method = frozen()
    norm = method.head.layers[1]
    assert not norm.training
    method.student.freeze_bn = "encoder"
    assert method.train().head.layers[1].training


def test_the_head_waits_for_the_warm_up(batch):
    method = frozen(warmup_steps=10)
    assert set(method.losses(batch, step(index=9)).losses) == {"sup"}
    assert list(method.idle(step(index=9))) == list(method.head.parameters())
    assert list(method.idle(step(index=10))) == []
