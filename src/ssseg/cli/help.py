"""`ssseg fit --help`: what people use, on one screen. `--help_all` lists every option."""

from typing import NamedTuple


class Group(NamedTuple):
    """Options that belong together."""

    title: str
    options: dict[str, str]
    """What each does, by its name as it is typed."""


DATA = Group(
    "Data",
    {
        "--data NAME": "a name from `ssseg datasets`; without it, drawn scenes",
        "--data.root DIR": "where the data set lies",
        "--data.labeled WHICH": "of the training images: 30, 1/8, 3/class, a list file, all",
        "--data.crop_size SIZE": "of training crops: 321, or [321, 481] for height and width",
        "--data.image_size SIZE": "that images are resized to when they are read",
        "--data.batch_size N": "labeled images of a step, over all devices",
        "--data.unlabeled_batch_size N": "unlabeled images of a step, over all devices",
        "--data.num_workers N": "processes that read images; they change no result",
        "--data.cache DIR": "keeps decoded images there",
    },
)
METHOD = Group(
    "Method and network",
    {
        "--method NAME": "a name from `ssseg methods`, or the path of your class",
        "--method.OPTION VALUE": "`ssseg methods NAME` lists them",
        "--network NAME": "a decoder: deeplabv3plus, unet, dpt, ..., or small",
        "--network.encoder NAME": "a name of timm, e.g. resnet50",
        "--network.weights WHICH": "imagenet, a file, or null for random weights",
        "--network.freeze_bn true": "keep the statistics of BatchNorm as they are",
        "--init FILE": "start from a model of ssseg",
    },
)
TRAINING = Group(
    "Training",
    {
        "--trainer.max_steps N": "length of the training in optimiser steps",
        "--optim.lr RATE": "learning rate",
        "--optim.name NAME": "optimiser",
        "--trainer.devices N": "GPUs or processes",
        "--trainer.precision P": "32-true, bf16-mixed, 16-mixed",
        "--trainer.accumulate_grad_batches N": "batches of a step",
        "--trainer.val_check_interval N": "batches between validations",
        "--seed_everything N": "of everything random but the choice of labeled images",
    },
)
RUN = Group(
    "Run",
    {
        "--out DIR": "folder of the run; without it, the next free one in runs/",
        "--resume DIR": "go on with that run; with --trainer.max_steps N, train longer",
        "--checkpoint_every N": "steps between checkpoints, besides those after validations",
        "--logger NAME": "besides the CSV file: wandb or tensorboard",
        "--reference DIR": "a supervised run; an alert says where this one is no better",
        "-c, --config FILE": "options from a file; several are read in their order",
    },
)
SCORING = Group(
    "Scoring",
    {
        "--ckpt_path FILE": "the checkpoint to score",
        "--out DIR": "folder of the page; without it, one beside checkpoints/",
        "--eval.mode MODE": "whole images, or slide a window over them",
        "--eval.window SIZE": "of the window; without it, the crop of training",
        "--eval.scales LIST": "averaged over, e.g. [0.5, 1.0, 1.5]",
        "--eval.flip true": "average with the mirrored image",
        "--data.OPTION VALUE": "other data, or otherwise, than in training",
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
    """The options of a training verb that people use, in groups.

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
