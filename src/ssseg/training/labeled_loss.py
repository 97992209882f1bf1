"""The loss of labeled images that a run is configured with, in its method."""

from typing import Any

from ssseg.errors import UserError
from ssseg.losses import LabeledLoss
from ssseg.methods.base import Method

USUAL = LabeledLoss()


def set_labeled_loss(method: Method, loss: LabeledLoss, data: Any) -> None:
    """Hand the loss to the method, with the weights of the classes.

    Args:
        method: It has its networks already.
        loss: The loss, with its options.
        data: The data module; its `contents` count the labeled pixels of each class.

    Raises:
        UserError: For weights that do not fit the classes.
    """
    contents = getattr(data, "contents", None) if loss.class_weights == "auto" else None
    pixels = None if contents is None else contents.pixels
    method.use_labeled_loss(loss, loss.weights(pixels, method.student.num_classes))


def check_labeled_loss(method: Method, loss: LabeledLoss) -> None:
    """Refuse a loss that the method has not computed in a step.

    Raises:
        UserError: For another loss than the cross-entropy of a method that does not use it.
    """
    if loss != USUAL and not method.labeled_loss_used:
        raise UserError(
            f"option loss is {loss.name}, but {type(method).__name__} computes a loss of labeled "
            "images of its own; leave the option out, or call self.labeled_loss(logits, label, "
            "step) in the method"
        )
