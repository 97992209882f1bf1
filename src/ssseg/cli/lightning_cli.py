"""LightningCLI in instantiation-only mode, with our defaults, loggers and run folder."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ssseg.cli.aliases import expand_aliases
from ssseg.cli.nested import nested
from ssseg.cli.parsing import format_parser_error
from ssseg.cli.run_folder import refuse_used, run_folder
from ssseg.cli.training_options import TRAINER_DEFAULTS, add_training_options
from ssseg.data.module import SegmentationData
from ssseg.data.splits.split_file import refuse_other_split
from ssseg.data.workers import one_thread
from ssseg.errors import UserError, one_of
from ssseg.methods import METHODS
from ssseg.methods.base import Method
from ssseg.reports.evaluation.callback import EvaluationPage
from ssseg.reports.evaluation.results import origin
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
    time_limit,
)
from ssseg.training.initial_weights import start_from
from ssseg.training.module import SegmentationModule
from ssseg.training.option_values import as_list, seconds_of
from ssseg.training.resume import (
    refuse_contradictions,
    refuse_other_labels,
)
from ssseg.training.trainer_errors import in_one_sentence, make_trainer
from ssseg.training.trainer_options import refuse
from ssseg.training.validation_interval import steps_between


class TrainingCLI(LightningCLI):
    """Makes trainer, module and data of `fit`, `validate` or `test`; starts nothing.

    Args:
        verb: `fit`, `validate` or `test`.
        args: Its options, as they are typed; or plain values by name, as Python has them.
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
        args: Sequence[str] | Mapping[str, Any],
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
                args=nested(args) if isinstance(args, Mapping) else expand_aliases(args),
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
        add_training_options(parser, self.verb)

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
        if self.resumed is not None:
            refuse_other_split(self.resumed.parent.parent, self.datamodule.source)
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
        options = self._run_options() if self.verb == "fit" else self._evaluation_options()
        return self.make_trainer(**{**options, **kwargs})

    def _run_options(self) -> dict[str, Any]:
        """Callbacks, loggers and folder of a run, as options of its trainer."""
        self.plan()  # it is part of the configuration
        config = self.config_init
        method = _method_name(config.model.method)
        stem = f"{config.data.source.name}-{method}-seed{config.seed_everything}"
        folder = run_folder(config.out, self.resumed, stem, self.held)
        configuration = self.configuration()
        identity = {
            "method": method,
            "network": config.model.method.student.hparams["decoder"],
            "seed": config.seed_everything,
            "command": "ssseg " + shlex.join(self.typed),
            "config_hash": config_hash(yaml.safe_load(configuration)),
        }
        self.folder = RunFolder(folder, configuration, identity, self.typed[1:])
        self.alerts = TrainingAlerts()
        timed = seconds_of(self.config.trainer.val_check_interval)
        asked = as_list(config.trainer.callbacks)
        callbacks = [
            *time_limit(config.trainer.max_time, asked),
            *asked,
            *run_callbacks(self.folder, self.alerts, config.checkpoint_every, timed),
            *(default_checkpoints(folder) if self.validates else []),
        ]
        if config.trainer.enable_progress_bar is not False:
            callbacks.append(ProgressBar())
        loggers = [
            StepLogger(folder, self.resumed),
            *default_loggers(config.logger, folder),
            *as_list(config.trainer.logger),
        ]
        options: dict[str, Any] = {"callbacks": callbacks, "logger": loggers}
        if config.trainer.default_root_dir is None:
            # on SLURM a checkpoint is written there when a job is put back into the queue, and
            # any run that finds one there begins with it
            options["default_root_dir"] = folder
        return options

    def _evaluation_options(self) -> dict[str, Any]:
        """Callbacks and loggers of `validate` or `test`, as options of its trainer."""
        config = self.config_init
        callbacks = as_list(config.trainer.callbacks)
        if config.page:
            if config.out is not None:
                refuse_used(config.out)
            checkpoint = Path(config.ckpt_path)
            about = origin(checkpoint, "ssseg " + shlex.join(self.typed))
            self.page = EvaluationPage(config.out, checkpoint, about)
            callbacks.append(self.page)
        return {"callbacks": callbacks, "logger": as_list(config.trainer.logger) or False}

    def configuration(self) -> str:
        """Everything that decides a run, the defaults included, as YAML."""
        text: str = self.parser.dump(self.config, skip_none=False)
        return text

    def everything(self) -> dict[str, Any]:
        """What `configuration` says, as data."""
        return dict(yaml.safe_load(self.configuration()))


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


def _method_name(method: Method) -> str:
    cls = type(method).__name__
    return next((name for name, entry in METHODS.items() if entry.class_name == cls), cls)
