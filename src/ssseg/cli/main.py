"""The command line: `ssseg fit --method classmix`. Heavy modules are imported when needed."""

import os
import select
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from ssseg.cli.start_up import start_up
from ssseg.errors import UserError, one_of
from ssseg.runs.command import pairs, with_home
from ssseg.version import __version__

if TYPE_CHECKING:
    from ssseg.runs.cross_validation import CrossValidation
    from ssseg.runs.run import Run

USAGE = """usage: ssseg VERB [options]

  fit        train:  ssseg fit --method classmix --data folder --data.root photos --data.labeled 30
  validate   score a checkpoint on the validation images:  ssseg validate --ckpt_path FILE
  test       score a checkpoint on the test images:  ssseg test --ckpt_path FILE
  predict    class maps of images:  ssseg predict FILE photos/ --out predictions --overlay
  export     write a model as ONNX, .pt2 or safetensors and check it:  ssseg export FILE
  doctor     check every image and mask of a data set:  ssseg doctor photos
  split      choose the labeled images and write a list:  ssseg split photos --labeled 1/8
  benchmark  train and compare methods:  ssseg benchmark --methods supervised,classmix --seeds 3
  reproduce  a paper's table, beside its numbers:  ssseg reproduce classmix/table1 --smoke
  report     tables, plots and a page of finished runs:  ssseg report runs/benchmark
  find-batch-size
             the largest batch that fits into memory:  ssseg find-batch-size --method classmix
  debug-nan  find the layer at which a run stopped at a NaN:  ssseg debug-nan FOLDER
  methods    the methods, one per line; `ssseg methods classmix` explains one and its options
  datasets   the data sets, one per line

  ssseg VERB --help lists the options of a verb, ssseg --version prints the version.
  Without --data, `ssseg fit` trains on built-in drawn scenes; nothing is downloaded.
"""
TRAINING = ("fit", "validate", "test")


READER_GONE = 141
"""Exit code if the reader of the output has closed it, as after SIGPIPE."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0 for success, 2 for bad input, 130 if interrupted."""
    try:
        try:
            return _answer(with_home(sys.argv[1:] if args is None else args))
        finally:
            _flush()  # raises BrokenPipeError here, not at the end of the interpreter
    except BrokenPipeError:
        gone = [stream for stream in (sys.stdout, sys.stderr) if _reader_is_gone(stream)]
        if not gone:
            raise
        return READER_GONE


def _answer(args: list[str]) -> int:
    try:
        return _verb(args)
    except UserError as error:
        print(f"ssseg: error: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ssseg: interrupted", file=sys.stderr)
        return 130


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None for programs without a terminal on Windows
            stream.flush()


def _reader_is_gone(stream: TextIO | None) -> bool:
    """Whether the reader of a stream has closed it; the rest of the output is then discarded."""
    if stream is None:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if not poll.poll(0):
            return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return True


def _verb(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help"]:
            print(USAGE, end="")
        case ["--version"]:
            print(__version__)
        case ["methods"]:
            from ssseg.cli.explain import table
            from ssseg.methods import METHODS

            print(table((n, method.summary, method.source) for n, method in METHODS.items()))
        case ["methods", name]:
            from ssseg.cli.explain import explain

            print(explain(name))
        case ["datasets"]:
            from ssseg.cli.explain import table
            from ssseg.data.datasets import DATASETS

            print(table((name, dataset.summary) for name, dataset in DATASETS.items()))
        case ["benchmark", *rest]:
            from ssseg.cli.benchmark import benchmark

            return benchmark(rest)
        case ["reproduce", *rest]:
            from ssseg.cli.reproduce import reproduce

            return reproduce(rest)
        case ["doctor", *rest]:
            with start_up():
                from ssseg.cli.doctor import doctor

            return doctor(rest)
        case ["export", *rest]:
            with start_up():
                from ssseg.cli.export import export_verb

            return export_verb(rest)
        case ["predict", *rest]:
            with start_up():
                from ssseg.cli.predict import predict

            return predict(rest)
        case ["find-batch-size", *rest]:
            with start_up():
                from ssseg.cli.find_batch_size import find_batch_size_verb

            return find_batch_size_verb(rest)
        case ["debug-nan", *rest]:
            with start_up():
                from ssseg.cli.debug_nan import debug_nan_verb

            return debug_nan_verb(rest)
        case ["report", *rest]:
            from ssseg.cli.report import report_verb

            return report_verb(rest)
        case ["split", *rest]:
            from ssseg.cli.split import split_verb

            return split_verb(rest)
        case [verb, *rest] if verb in TRAINING and {"-h", "--help"} & set(rest):
            from ssseg.cli.help import help_of

            print(help_of(verb))
        case ["fit", *rest] if _asks_for_folds(rest):
            with start_up():
                from ssseg.cli.cross_validation import fit_folds

            _show_folds(fit_folds(rest))
        case ["fit", *rest] if "--versus" in dict(pairs(rest)):
            with start_up():
                from ssseg.cli.versus import fit_versus

            _show_run(fit_versus(rest))
        case [verb, *_] if verb in TRAINING:
            with start_up():
                from ssseg.cli.train import run

            done = run(["--help" if arg == "--help_all" else arg for arg in args])
            _report(verb, done)
        case [verb, *_]:
            others = [
                "benchmark",
                "reproduce",
                "doctor",
                "export",
                "predict",
                "find-batch-size",
                "debug-nan",
                "report",
                "split",
            ]
            raise one_of("verb", verb, [*TRAINING, *others, "methods", "datasets"])
    return 0


def _asks_for_folds(args: Sequence[str]) -> bool:
    """Whether all folds are to be trained, and not one of them."""
    flags = dict(pairs(args))
    return "--data.folds" in flags and "--data.fold" not in flags


def _report(verb: str, done: object) -> None:
    """Print the files of a run and its scores."""
    from ssseg.cli.lightning_cli import TrainingCLI
    from ssseg.runs.run import Run

    assert isinstance(done, TrainingCLI)
    if not done.trainer.is_global_zero:
        return
    if verb == "fit" and done.folder is not None:
        _show_run(Run(done.folder.folder))
    else:
        for name, scores in done.model.scores.items():
            numbers = {
                "mIoU": scores.miou,
                "boundary mIoU": scores.boundary_miou,
                "pixel accuracy": scores.pixel_accuracy,
                "mean accuracy": scores.mean_accuracy,
                "frequency-weighted IoU": scores.weighted_iou,
            }
            known = [f"{n} {100 * v:.2f}" for n, v in numbers.items() if v is not None]
            print(f"{name}: {', '.join(known)}")
        if done.page is not None and done.page.folder is not None:
            print(f"page     {done.page.folder / 'index.html'}")


def _show_run(run: "Run") -> None:
    """Print the scores and files of a finished run, its alerts and its verdict."""
    print(run)
    best = " (and best.ckpt)" if run.checkpoint("best").is_file() else ""
    print(f"model    {run.checkpoint('last')}{best}")
    if run.samples:
        print(f"picture  {run.samples[-1]}")
    print(f"summary  {run.folder / 'summary.json'}")
    for alert in run.summary["alerts"]:
        print(f"alert    step {alert['step']}: {alert['kind']}: {alert['text']}")
    if run.verdict is not None:
        both = shlex.join([run.verdict.folder, run.verdict.versus_folder])
        print(f"compare  ssseg report {both}")
        print(f"verdict  {run.verdict}")


def _show_folds(found: "CrossValidation") -> None:
    """Print the table of a cross-validation, its files and its verdict."""
    print(found)
    print(f"pooled   {found.sentence}")
    print(f"runs     {found.folder}")
    print("model    each run has learned from a part; for one that learns from all masks, give")
    print("         --data.val 0 in place of --data.folds")
    if found.verdict is not None:
        print(f"verdict  {found.verdict}")


def _sentence(error: Exception) -> str:
    """The message on one line; for an error in a worker process without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and any("Traceback" in line for line in lines):
        return lines[-1].partition("UserError: ")[2] or lines[-1]
    return " ".join(lines)


if __name__ == "__main__":
    sys.exit(main())
