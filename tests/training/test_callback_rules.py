import pytest
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar

from ssseg.errors import UserError
from ssseg.training.callback_rules import refuse_callbacks


def test_callbacks_watch_what_is_logged():
    networks = ["student", "teacher"]
    for name in ("val/miou", "val/miou_teacher", "loss", "loss/sup", "train/trusted"):
        refuse_callbacks([EarlyStopping(name), ModelCheckpoint(monitor=name)], networks, True)
    refuse_callbacks([EarlyStopping("whatever", strict=False), ModelCheckpoint()], networks, True)
    for callback in (EarlyStopping("val/miou_ema"), ModelCheckpoint(monitor="accuracy")):
        with pytest.raises(UserError, match=r"is not logged; expected one of val/miou, val/miou_s"):
            refuse_callbacks([callback], networks, True)
    with pytest.raises(UserError, match="does not validate; give one of the losses"):
        refuse_callbacks([EarlyStopping("val/miou")], networks, False)
    with pytest.raises(UserError, match="RichProgressBar cannot be used here"):
        refuse_callbacks([RichProgressBar()], networks, True)
