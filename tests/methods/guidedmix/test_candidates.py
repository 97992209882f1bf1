import copy

import pytest
import torch

from ssseg.distributed import SINGLE
from ssseg.errors import UserError
from ssseg.methods import GuidedMix
from ssseg.methods.guidedmix.candidates import Recent, gathered
from ssseg.testing import check_method, losses, step, tiny_batch
from ssseg.types import Labeled
from tests.methods.guidedmix.networks import made


def numbered(*numbers):
    """Images, labels and features that show the number of each image."""
    value = torch.tensor(numbers)
    labeled = Labeled(value.view(-1, 1, 1, 1).float(), value.view(-1, 1, 1))
    return gathered(labeled, value.view(-1, 1).float(), None, SINGLE)


def shown(candidates):
    ids = [part.flatten().long().tolist() for part in candidates[:3]]
    assert ids[0] == ids[1] == ids[2]
    return ids[0]


class TestRecent:
    def test_the_batch_comes_first_then_the_newest(self):
        recent = Recent(3)
        for numbers, expected in (
            ((1, 2), [1, 2]),
            ((3, 4), [3, 4, 1, 2]),
            ((5, 6), [5, 6, 3, 4, 1]),
        ):
            candidates = recent.after(numbered(*numbers))
            assert shown(candidates) == expected
            recent.keep(candidates)

    def test_none_are_kept_by_default(self):
        recent = Recent(0)
        recent.keep(recent.after(numbered(1, 2)))
        assert shown(recent.after(numbered(3))) == [3]
        assert recent.state_dict() == {}

    def test_a_new_one_goes_on_where_the_old_one_was(self):
        old, new = Recent(3), Recent(3)
        old.keep(numbered(7, 8))
        new.load_state_dict(copy.deepcopy(old.state_dict()))
        assert shown(new.after(numbered(9))) == [9, 7, 8]
        new.load_state_dict(Recent(3).state_dict())
        assert shown(new.after(numbered(9))) == [9]


def test_the_table_after_a_resume_is_the_table_without_one():
    options = {"variant": "teacher", "pair": "similar", "recent": 6, "threshold": 0.0}
    batches = [tiny_batch(1) for _ in range(3)]
    for k, batch in enumerate(batches):
        batch.labeled.image.mul_(1 + k)
    method = made(**options)
    for batch in batches[:2]:
        losses(method, batch)
    resumed = made(**options)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))

    ours, theirs = (losses(m, batches[2]).losses for m in (method, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert method.state_dict()["_recent.pooled"].shape[0] == 6


def test_an_earlier_image_is_chosen_if_it_is_nearer():
    method, batch = made(variant="teacher", pair="similar", recent=3), tiny_batch(1, 3, 3)
    earlier = batch._replace(labeled=batch.labeled._replace(image=batch.unlabeled.views[0]))
    losses(method, earlier)
    pictures = {p.title: p.tensor for p in method.pictures(batch, step())}
    assert torch.equal(pictures["labeled"], batch.unlabeled.views[0])


def test_the_contract_with_kept_images():
    check_method(GuidedMix, variant="teacher", pair="assigned", recent=5)


@pytest.mark.parametrize("option", [{"variant": "paper"}, {"pair": "similar_unlabeled"}])
def test_predictions_of_earlier_steps_are_not_kept(option):
    with pytest.raises(UserError, match="expected labeled_side 'truth'"):
        GuidedMix(recent=4, **option)
