"""The one interface of the library: what a semi-supervised method is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, get_args, get_origin

from torch import nn

from ssseg.errors import one_of
from ssseg.models.ema import EMA
from ssseg.models.segmenter import Segmenter
from ssseg.types import Batch, Picture, Step, StepOutput


@dataclass(eq=False, repr=False)
class Method(nn.Module, ABC):
    """A training strategy. It owns its networks and turns a batch into named loss terms.

    A method is made in two moments: the constructor takes hyper-parameters only (the fields of a
    dataclass: `@dataclass(eq=False, repr=False)` on every subclass), and `setup` takes the network
    and adds whatever else the method trains as attributes.
    """

    num_views: ClassVar[int] = 1
    """Views per unlabeled image: 0 none, 1 weak, 2 weak + strong, 3 weak + two strong."""
    decoder: ClassVar[str | None] = None
    """The decoder that the method was published with, if that is a part of it; the command line
    takes it where no network is named."""

    def __post_init__(self) -> None:
        super().__init__()
        for field in fields(self):
            value, known = getattr(self, field.name), get_args(field.type)
            if get_origin(field.type) is Literal and value not in known and value != field.default:
                names = [str(name) for name in known]
                raise one_of(f"{field.name} of {type(self).__name__}", str(value), names)

    def setup(self, model: Segmenter) -> None:
        """Take the network to train; subclasses add teachers, peers, decoders, heads."""
        self.student = model

    @abstractmethod
    def losses(self, batch: Batch, step: Step) -> StepOutput:
        """Weighted loss terms of one step. Terms from labeled data are named `sup...`."""

    def idle(self, step: Step) -> Iterable[nn.Parameter]:
        """Trainable parameters that no term of this step reaches; none, unless overridden.

        The training keeps them in the graph with a weight of 0, which training on several devices
        needs, and leaves them out of the optimiser's step: no weight decay, no momentum.
        """
        return ()

    def after_step(self, step: Step) -> None:
        """Called once after every optimiser step (not per batch when gradients accumulate)."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """What is validated, saved and reported, by name; the last one is the predictor."""
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
        """Columns of a sample picture, asked for only when one is due; no gradients."""
        return []

    def notices(self) -> list[str]:
        """What a person should know before training starts, a line each; asked after `setup`."""
        return []

    def remarks_on_batch(self, labeled: int, unlabeled: int, devices: int = 1) -> list[str]:
        """The same, of the sizes of a batch.

        Args:
            labeled: Labeled images per step, over all devices.
            unlabeled: Unlabeled images per step, over all devices.
            devices: How many.
        """
        return []

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyper-parameters by name: `type(self)(**self.hparams)` makes a twin."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}


def defaults(method: type[Method]) -> dict[str, Any]:
    """The hyper-parameters of a method with their defaults; `MISSING` where one must be given."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(method)
        if field.init
    }
