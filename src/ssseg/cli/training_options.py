"""Options of `fit`, `validate` and `test` beside those of trainer, module and data."""

from typing import Literal

from pytorch_lightning.cli import LightningArgumentParser

from ssseg.cli.aliases import LINKED
from ssseg.models import NETWORKS
from ssseg.training.defaults import LOGGERS

TRAINER_DEFAULTS = {
    "max_steps": 800,
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


def add_training_options(parser: LightningArgumentParser, verb: str) -> None:
    """Add the options, the defaults of network and data set, and what the data tell the network.

    Args:
        parser: Of the command line.
        verb: `fit`, `validate` or `test`.
    """
    parser.add_argument(
        "--out",
        type=str | None,
        default=None,
        help="Folder of the run (default: runs/...), or of the page of an evaluation "
        "(default: test-... beside checkpoints/).",
    )
    parser.add_argument(
        "--checkpoint_every",
        type=int | None,
        default=None,
        help="Steps between checkpoints, besides those after each validation.",
    )
    parser.add_argument(
        "--reference",
        type=str | None,
        default=None,
        help="Folder of a supervised run of the same split and budget: an alert is raised "
        "where unlabeled images do not help.",
    )
    parser.add_argument(
        "--init",
        type=str | None,
        default=None,
        help="A model to start from (checkpoint or .safetensors of ssseg): weights that fit "
        "are taken, layers of other classes start fresh.",
    )
    parser.add_argument(
        "--logger", default="csv", help=f"Besides the CSV file: one of {', '.join(LOGGERS)}."
    )
    network = {"class_path": "ssseg.models.Segmenter", "init_args": NETWORKS["unet"]}
    parser.set_defaults({"model.network": network})
    parser.set_defaults({"data.source": {"class_path": "ssseg.data.datasets.Street"}})
    for name in LINKED:
        target = f"model.network.init_args.{name}"
        parser.link_arguments(f"data.{name}", target, apply_on="instantiate")
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        default=None,
        help="The checkpoint to score, or that training goes on from.",
    )
    parser.add_argument(
        "--weights_only",
        type=bool | None,
        default=None,
        help="As in Lightning: read nothing but plain data from the checkpoint.",
    )
    if verb != "fit":
        parser.add_argument("--page", type=bool, default=True, help="Write a page of the scores.")
    if verb == "test":
        splits = Literal["test", "val"]
        parser.add_argument("--split", type=splits, default="test", help="Images to score.")
