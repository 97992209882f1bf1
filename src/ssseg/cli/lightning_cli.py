"""LightningCLI in instantiation-only mode, with our defaults, loggers and run folder."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ssseg.cli.aliases import LINKED, expand_aliases
from ssseg.cli.parsing import format_parser_error
from ssseg.data.module import SegmentationData
from ssseg.data.workers import one_thread
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS
from ssseg.models import NETWORKS
from ssseg.reports.evaluation.callback import EvaluationPage
from ssseg.reports.evaluation.results import origin
from ssseg.runs.lock import first_free, names
from ssseg.runs.paths import all_at_home
from ssseg.runs.quiet import quiet
from ssseg.runs.run import Run, config_hash
from ssseg.training.callback_rules import refuse_callbacks
from ssseg.training.callbacks.alerts import TrainingAlerts, history_of
from ssseg.training.callbacks.checkpoint import AtomicCheckpointIO
from ssseg.training.callbacks.progress import ProgressBar
from ssseg.training.callbacks.run_folder import RunFolder
from ssseg.training.csv_logger import StepLogger
from ssseg.training.defaults import (
    LOGGERS,
    default_checkpoints,
    default_loggers,
    run_callbacks,
)
from ssseg.training.initial_weights import start_from
from ssseg.training.module import SegmentationModule
from ssseg.training.option_values import as_list, seconds_of
from ssseg.training.resume import (
    leads,
    refuse_contradictions,
    refuse_other_labels,
)
from ssseg.training.trainer_errors import in_one_sentence, make_trainer
from ssseg.training.trainer_options import refuse
from ssseg.training.validation_interval import steps_between

CHOSEN = "SSSEG_RUN_FOLDER"
"""In the environment of the processes that the first one of a run starts: the folder it chose."""
TRAINER_DEFAULTS = {
    "max_steps": 800,
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


class TrainingCLI(LightningCLI):
    """Makes trainer, module and data of `fit`, `validate` or `test`; starts nothing.

    Args:
        verb: `fit`, `validate` or `test`.
        args: Its options, as they are typed.
        typed: What was typed, for the summary.
        resumed: The checkpoint that a run goes on from in its own folder.
        beside: Whether other options are typed beside `--resume`.
        held: Keeps the lock of the run's folder until it is closed.

    Raises:
        UserError: For anything in the options that cannot work.
    """

    def __init__(
        self,
        verb: str,
        args: Sequence[str],
        *,
        typed: Sequence[str] = (),
        resumed: Path | None = None,
        beside: bool = False,
        held: ExitStack | None = None,
    ) -> None:
        self.verb, self.typed = verb, typed
        self.resumed, self.beside = resumed, beside
        self.held = held or ExitStack()
        self.folder: RunFolder | None = None
        self.page: EvaluationPage | None = None
        self.alerts: TrainingAlerts | None = None
        try:
            super().__init__(
                SegmentationModule,
                SegmentationData,
                args=expand_aliases(args),
                run=False,
                seed_everything_default=0,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                save_config_callback=None,
                parser_kwargs={"exit_on_error": False, "prog": f"ssseg {verb}"},
                trainer_defaults=TRAINER_DEFAULTS,
            )
        except jsonargparse.ArgumentError as error:
            raise UserError(format_parser_error(str(error))) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The run's folder and logger; what the network must know of the data."""
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
        if self.verb != "fit":
            parser.add_argument(
                "--page", type=bool, default=True, help="Write a page of the scores."
            )
        if self.verb == "test":
            splits = Literal["test", "val"]
            parser.add_argument("--split", type=splits, default="test", help="Images to score.")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Paths in configurations are read as typed ones are."""
        super().parse_arguments(parser, args)
        self.config = all_at_home(self.config)

    def before_instantiate_classes(self) -> None:
        """Find mistakes while nothing has been made; set what follows from other options."""
        config = self.config
        if config.logger not in LOGGERS:
            raise one_of("logger", config.logger, list(LOGGERS))
        if self.verb == "test" and config.split != "test":
            raise UserError("option split is val in a configuration; type --split val instead")
        refuse(vars(config.trainer))
        if self.verb == "fit":
            every = config.checkpoint_every
            if every is not None and every < 1:
                raise UserError(f"option checkpoint_every is {every}; expected at least 1 step")
            if self.resumed is not None and self.beside:
                refuse_contradictions(self.resumed.parent.parent, self.everything())

    def prepare(self) -> None:
        """Look at all data before anything is written: Trainer.fit opens its loggers first."""
        self.datamodule.prepare("fit", self.model.num_views)
        self.take_weights()
        if self.resumed is not None and self.beside:
            refuse_other_labels(self.resumed, self.datamodule.split_hash)
        self.model.check_shapes(self.datamodule, self.trainer.world_size)
        reference = self.config.reference
        if self.alerts is not None and reference is not None:
            history = history_of(Run(Path(reference)), self.datamodule.split_hash)
            self.alerts.watch.reference = history

    def take_weights(self) -> None:
        """Start from another model, if that is asked; a run that goes on has its own weights."""
        config = self.config
        if config.init is None or self.resumed is not None:
            return
        if config.ckpt_path is not None:
            raise UserError(
                "options init and ckpt_path are both given; a run goes on from a checkpoint, or "
                "starts from the weights of one: leave one out"
            )
        data = self.datamodule
        taken = start_from(self.model, config.init, data.source.classes, data.mean, data.std)
        if self.folder is not None:
            self.folder.init = taken.summary()

    @property
    def validates(self) -> bool:
        """Whether the run has scores."""
        wanted = self.config.trainer.limit_val_batches != 0
        return wanted and bool(self.datamodule.source.records("val"))

    def plan(self) -> dict[str, Any]:
        """How often the run validates, settled now that its data are known.

        Returns:
            What the trainer is told: no time, and no validation images where there are none.

        Raises:
            UserError: For callbacks that cannot work in this run.
        """
        asked = as_list(self.config_init.trainer.callbacks)
        refuse_callbacks(asked, list(self.model.method.networks), self.validates)
        trainer = self.config.trainer
        steps, together = trainer.max_steps, trainer.accumulate_grad_batches
        interval = trainer.val_check_interval
        if interval is None:
            inference = self.model.inference
            interval = steps_between(steps, together, self.datamodule, inference) * together
            trainer.val_check_interval = interval
        elif not isinstance(interval, int):  # a time: EvaluateLast decides after every step
            interval = together
        told = {"val_check_interval": interval}
        # where min_steps is given, Lightning asks for an epoch to be over as well
        told["min_epochs"] = 0
        return told if self.validates else {**told, "limit_val_batches": 0}

    def make_trainer(self, **options: Any) -> Trainer:
        """A trainer of these options and those that were given, without Lightning's own bar."""
        if self.verb == "fit":
            options = {**self.plan(), **options}
        make = partial(super().instantiate_trainer, enable_progress_bar=False, **options)
        trainer = make_trainer(make, self.config.trainer.precision)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not one that was asked for
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that counts in steps, with our callbacks and loggers."""
        config = self.config_init
        callbacks = as_list(config.trainer.callbacks)
        loggers = as_list(config.trainer.logger)
        if self.verb == "fit":
            self.plan()  # it is part of the configuration
            folder = self._run_folder(config)
            text = self.configuration()
            identity = {
                "method": _short_name(METHODS, config.model.method),
                "network": config.model.method.student.hparams["decoder"],
                "seed": config.seed_everything,
                "command": "ssseg " + shlex.join(self.typed),
                "config_hash": config_hash(self.everything()),
            }
            options = self.typed[1:]
            self.folder = RunFolder(folder, text, identity, options)
            self.alerts = TrainingAlerts()
            timed = seconds_of(self.config.trainer.val_check_interval)
            callbacks += run_callbacks(self.folder, self.alerts, config.checkpoint_every, timed)
            callbacks += default_checkpoints(folder) if self.validates else []
            if config.trainer.default_root_dir is None:
                # on SLURM a checkpoint is written there when a job is put back into the queue, and
                # any run that finds one there begins with it
                kwargs["default_root_dir"] = folder
            if config.trainer.enable_progress_bar is not False:
                callbacks.append(ProgressBar())
            rows = StepLogger(folder, self.resumed)
            loggers = [rows, *default_loggers(config.logger, folder), *loggers]
        elif config.page:
            if config.out is not None:
                _must_be_free(config.out)
            checkpoint = Path(config.ckpt_path)
            about = origin(checkpoint, "ssseg " + shlex.join(self.typed))
            self.page = EvaluationPage(config.out, checkpoint, about)
            callbacks.append(self.page)
        return self.make_trainer(callbacks=callbacks, logger=loggers or False, **kwargs)

    def configuration(self) -> str:
        """Everything that decides a run, the defaults included, as YAML."""
        text: str = self.parser.dump(self.config, skip_none=False)
        return text

    def everything(self) -> dict[str, Any]:
        """What `configuration` says, as data."""
        return dict(yaml.safe_load(self.configuration()))

    def _run_folder(self, config: Any) -> Path:
        """The folder of the run that goes on, or a free one."""
        if self.resumed is not None:
            return self.resumed.parent.parent
        if config.out is not None:
            _must_be_free(config.out)
            return Path(config.out)
        stem = Path(_usual_name(config.data, config.model, config.seed_everything))
        if leads():
            lock = first_free(stem)
            self.held.callback(lock.release)
            self.held.callback(os.environ.pop, CHOSEN, None)
            os.environ[CHOSEN] = str(lock.folder)
            return lock.folder
        told = os.environ.get(CHOSEN)
        return Path(told) if told else next(p for p in names(stem) if not p.exists())


class TracelessCLI(TrainingCLI):
    """Makes everything that training needs, but for what would leave a trace."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer without loggers, folder, progress bar, and callbacks that were asked for."""
        return self.make_trainer(
            **{"logger": False, "enable_checkpointing": False, "callbacks": [], **kwargs}
        )


@contextmanager
def training_environment() -> Iterator[None]:
    """Around everything that makes or uses a trainer.

    Messages for developers are silent, OpenCV has one thread, and what Lightning refuses is a
    `UserError`.
    """
    with quiet(), one_thread(), in_one_sentence():
        yield


def _short_name(table: dict[str, Any], thing: object) -> str:
    cls = type(thing).__name__
    return next((name for name, entry in table.items() if entry.class_name == cls), cls)


def _usual_name(data: SegmentationData, model: SegmentationModule, seed: object) -> str:
    method = _short_name(METHODS, model.method)
    return f"runs/{data.source.name}-{method}-seed{seed}"


def _must_be_free(out: str) -> None:
    if any(Path(out).glob("*")):
        raise UserError(f"option out: the folder {out} is not empty; give a new one, or remove it")
