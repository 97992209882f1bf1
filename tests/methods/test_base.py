from types import SimpleNamespace

import pytest

from ssseg.errors import UserError
from ssseg.methods import METHODS, method_class
from ssseg.training.callbacks.progress import announcement
from tests.conftest import make_data, make_module

MIXING = ("mixup", "cutmix", "cowmix", "classmix", "complexmix", "fixmatch")
MIXING += ("unimatch", "unimatch_v2", "augseg", "prevmatch", "corrmatch", "contrast")


def test_a_mistyped_value_is_refused_when_the_method_is_made():
    with pytest.raises(UserError, match="rounding of ClassMix 'flor'; did you mean 'floor'"):
        method_class("classmix")(rounding="flor")


@pytest.mark.parametrize("name", METHODS)
def test_an_image_that_would_be_mixed_with_itself_is_remarked(name):
    data = make_data(batch_size=2, unlabeled_batch_size=1)
    data.prepare("fit", 1)
    trainer = SimpleNamespace(
        datamodule=data,
        world_size=1,
        max_steps=10,
        accumulate_grad_batches=1,
        limit_val_batches=0,
    )
    module = make_module(name)
    said = [line for line in announcement(trainer, module) if "itself" in line]
    assert [line for line in said if "unlabeled" in line] == [
        f"{METHODS[name].class_name.lower()}: the only unlabeled image of a step is mixed with "
        "itself, which changes nothing; give a --data.unlabeled_batch_size of at least 2"
    ] * (name in MIXING)
    method = module.method
    assert method.batch_size_notices(2, 2) == []
    assert method.batch_size_notices(4, 4, 4) == []  # partners are those of all devices
