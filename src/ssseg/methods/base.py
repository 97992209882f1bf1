"""The interface of all semi-supervised methods."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, Self, cast, get_args, get_origin

from torch import Tensor, nn

from ssseg.errors import one_of
from ssseg.losses import LabeledLoss
from ssseg.models.ema import EMA
from ssseg.models.segmenter import Segmenter, freeze_batchnorm
from ssseg.serialization import refuse_retired
from ssseg.types import Batch, Picture, Step, StepOutput


@dataclass(eq=False, repr=False)
class Method(nn.Module, ABC):
    """A training method. It holds its networks and computes named loss terms from a batch.

    A method is made in two steps. The constructor takes hyper-parameters only; they are the fields
    of a dataclass (`@dataclass(eq=False, repr=False)` on every subclass). `setup` takes the network
    and adds the other networks that the method needs as attributes.
    """

    num_views: ClassVar[int] = 1
    """Views per unlabeled image: 0 none, 1 weak, 2 weak + strong, 3 weak + two strong."""
    decoder: ClassVar[str | None] = None
    """Name of the published decoder, if it is a part of the method; the command line uses it when
    no network is given."""
    parts: ClassVar[Mapping[str, float]] = {}
    """Attributes with a learning rate of their own, such as a critic: name -> factor on the
    learning rate of the decoder. A term of `losses` with the name of a part, or whose name starts
    with it and `_`, trains that part and need not train the student."""
    replicated: ClassVar[Sequence[str]] = ()
    """Attributes whose buffers are equal on all devices because all compute them from the global
    batch, such as a bank of features; DDP does not send them before every step."""
    retired: ClassVar[Mapping[str, str]] = {}
    """Options of earlier versions, as `name` or `name=value`: "which is called ... since ..."."""

    def __post_init__(self) -> None:
        super().__init__()
        refuse_retired(type(self), self.hparams, "the method")
        self.use_labeled_loss(LabeledLoss(), None)
        for field in fields(self):
            value, known = getattr(self, field.name), get_args(field.type)
            if get_origin(field.type) is Literal and value not in known and value != field.default:
                names = [str(name) for name in known]
                raise one_of(f"{field.name} of {type(self).__name__}", str(value), names)

    def setup(self, model: Segmenter) -> None:
        """Set the student network; subclasses add a teacher, further decoders or heads."""
        self.student = model

    def train(self, mode: bool = True) -> Self:
        """Set train mode; where BatchNorm of the network is frozen, it is in heads and critics."""
        super().train(mode)
        student = getattr(self, "student", None)
        if isinstance(student, Segmenter) and student.freeze_bn is True:
            for part in self.children():
                if not isinstance(part, Segmenter | EMA):  # which freeze their own
                    freeze_batchnorm(part)
        return self

    def use_labeled_loss(self, loss: LabeledLoss, class_weights: Tensor | None) -> None:
        """Set what `labeled_loss` computes; by default the cross-entropy.

        Args:
            loss: The loss, with its options.
            class_weights: (C,) float, how much each class counts; None: all alike.
        """
        self._labeled_loss = loss
        self.labeled_loss_used = False
        # a name that no option of a method has
        self.register_buffer("_class_weights", class_weights, persistent=False)

    def labeled_loss(self, logits: Tensor, label: Tensor, step: Step) -> Tensor:
        """The loss of labeled images that the run is configured with (`--loss`), a scalar.

        Args:
            logits: (B, C, H, W) float.
            label: (B, H, W) int64; IGNORE where unknown.
            step: The step, with the devices that the batch is spread over.
        """
        self.labeled_loss_used = True
        weights = cast(Tensor | None, self._class_weights)
        return self._labeled_loss(logits, label, step.devices, weights)

    @abstractmethod
    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """Compute the weighted loss terms of one step.

        Args:
            batch: Labeled images with labels and unlabeled images, on the device of the networks.
            step: Number of the step, generator and devices.

        Returns:
            Scalar loss terms by name; names of terms from labeled data start with `sup`.
        """

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """Trainable parameters without a gradient in this step; none by default.

        The training adds them to the loss with weight 0, which DDP needs, and removes them from the
        optimiser's step, so that they get no weight decay and no momentum.
        """
        return ()

    def after_step(self, step: Step) -> None:
        """Called once after every optimiser step, not after every accumulated batch."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that are validated and saved, by name; the last one is the predictor."""
        networks: dict[str, nn.Module] = {"student": self.student}
        teacher = getattr(self, "teacher", None)
        if isinstance(teacher, EMA):
            networks["teacher"] = teacher
        return networks

    @property
    def predictor(self) -> str:
        """The name of the network that prediction uses by default."""
        return list(self.networks)[-1]

    def pictures(self, batch: Batch, step: Step) -> list[Picture]:
        """Columns of a sample picture; called only when a picture is saved, without gradients."""
        return []

    def notices(self) -> list[str]:
        """Messages that are printed before training, one line each; called after `setup`."""
        return []

    def batch_size_notices(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """Messages about the batch sizes that are printed before training, one line each.

        Args:
            labeled: Labeled images per step, over all devices.
            unlabeled: Unlabeled images per step, over all devices.
            devices: Number of devices.
        """
        return []

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyper-parameters by name; `type(self)(**self.hparams)` makes an equal method."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}


def mixed_with_itself(method: Method) -> str:
    """The message for a step without a second unlabeled image to mix with."""
    return (
        f"{type(method).__name__.lower()}: the only unlabeled image of a step is mixed with "
        "itself, which changes nothing; give a --data.unlabeled_batch_size of at least 2"
    )


def replicated_buffers(method: Method) -> list[str]:
    """Names of the buffers of a method that all devices compute alike, see `Method.replicated`."""
    names = [name for name, _ in method.named_buffers()]
    return [name for name in names if name.split(".")[0] in method.replicated]


def defaults(method: type[Method]) -> dict[str, Any]:
    """The hyper-parameters of a method with their defaults; `MISSING` for required ones."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(method)
        if field.init
    }
