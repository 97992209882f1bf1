"""`ssseg fit --help`: the most used options on one screen. `--help_all` lists every option."""

from typing import NamedTuple


class Group(NamedTuple):
    """A group of options."""

    title: str
    options: dict[str, str]
    """Option as typed -> help text."""


DATA = Group(
    "Data",
    {
        "--data NAME": "a name from `ssseg datasets`; default: built-in drawn scenes",
        "--data.root DIR": "folder of the data set",
        "--data.labeled WHICH": "labeled images: 30, 1/8, 3/class, a list file, or all",
        "--data.crop_size SIZE": "size of training crops: 321, or [321, 481] (height, width)",
        "--data.image_size SIZE": "size to which images are resized when they are read",
        "--data.batch_size N": "labeled images per step, over all devices",
        "--data.unlabeled_batch_size N": "unlabeled images per step, over all devices",
        "--data.num_workers N": "processes that read images; results do not depend on it",
        "--data.cache DIR": "folder for a cache of decoded images",
    },
)
METHOD = Group(
    "Method and network",
    {
        "--method NAME": "a name from `ssseg methods`, or the dotted path of a class",
        "--method.OPTION VALUE": "an option of the method; see `ssseg methods NAME`",
        "--network NAME": "mobilenet, resnet50, dinov2-s, ..., or a decoder",
        "--network.encoder NAME": "an encoder of timm, e.g. resnet50",
        "--network.weights WHICH": "auto (pretrained), a file, or random",
        "--network.freeze_bn true": "keep the running statistics of BatchNorm",
        "--init FILE": "start from the weights of another model of ssseg",
    },
)
TRAINING = Group(
    "Training",
    {
        "--trainer.max_steps N": "number of optimiser steps",
        "--optim.lr RATE": "learning rate",
        "--loss NAME": "of labeled images: cross_entropy, ohem, dice or focal",
        "--loss.class_weights WHICH": "auto, or one weight per class",
        "--optim.name NAME": "optimiser",
        "--trainer.devices N": "number of GPUs or processes",
        "--trainer.precision P": "32-true, bf16-mixed, 16-mixed",
        "--trainer.accumulate_grad_batches N": "batches per optimiser step",
        "--trainer.val_check_interval N": "batches between validations",
        "--seed_everything N": "seed; the choice of labeled images does not depend on it",
    },
)
RUN = Group(
    "Run",
    {
        "--out DIR": "folder of the run; default: the next free one in runs/",
        "--resume DIR": "resume this run; with --trainer.max_steps N, train longer",
        "--checkpoint_every N": "steps between checkpoints, besides those after validations",
        "--logger NAME": "wandb or tensorboard, besides the CSV file",
        "--versus supervised": "train a supervised run beside it, and end with a verdict",
        "--data.folds N": "cross-validation: each mask of --data.masks is held out once",
        "--reference DIR": "a supervised run; alerts if this run is not better",
        "-c, --config FILE": "options from a file; later files override earlier ones",
    },
)
SCORING = Group(
    "Scoring",
    {
        "--ckpt_path FILE": "the checkpoint to score",
        "--out DIR": "folder of the page; default: one beside checkpoints/",
        "--eval.mode MODE": "whole (whole images) or slide (a sliding window)",
        "--eval.window SIZE": "size of the window; default: the crop size of the training",
        "--eval.scales LIST": "scales to average over, e.g. [0.5, 1.0, 1.5]",
        "--eval.flip true": "average with the flipped image",
        "--data.OPTION VALUE": "an option of the data, if it differs from the training",
        "--page false": "write no page",
    },
)
SPLIT = Group("Images", {"--split test|val": "which images are scored"})
GROUPS = {
    "fit": (DATA, METHOD, TRAINING, RUN),
    "validate": (SCORING,),
    "test": (SCORING, SPLIT),
}
USAGE = {
    "fit": "ssseg fit --method NAME [--data NAME --data.root DIR] [options]",
    "validate": "ssseg validate --ckpt_path FILE [options]",
    "test": "ssseg test --ckpt_path FILE [options]",
}


def help_of(verb: str) -> str:
    """The help text with the most used options of a verb, in groups.

    Args:
        verb: `fit`, `validate` or `test`.
    """
    groups = GROUPS[verb]
    width = max(len(name) for group in groups for name in group.options) + 2
    lines = [f"usage: {USAGE[verb]}"]
    for title, options in groups:
        lines += ["", f"{title}:"]
        lines += [f"  {name:<{width}}{what}" for name, what in options.items()]
    return "\n".join([*lines, "", f"ssseg {verb} --help_all lists every option."])
