# ruff: noqa: PT028 (`test` is no test)
"""The verbs as Python functions, on the path of the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssseg.data.datasets import unnamed
from ssseg.runs.command import typed, typed_text
from ssseg.runs.paths import as_path
from ssseg.runs.run import Run

if TYPE_CHECKING:
    from ssseg.cli.debug_nan import NanReport
    from ssseg.cli.find_batch_size import BatchSizes
    from ssseg.data.datasets.base import Source
    from ssseg.data.splits.labeled_split import LabeledSplit
    from ssseg.methods.base import Method
    from ssseg.prediction.predictor import Predictor


def fit(
    method: str | type["Method"] = "classmix",
    data: str | type["Source"] | None = None,
    *,
    network: str | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    logger: str | bool = "csv",
    method_options: Mapping[str, Any] | None = None,
    network_options: Mapping[str, Any] | None = None,
    optim: Mapping[str, Any] | None = None,
    compute: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    reference: str | Path | None = None,
    init: str | Path | None = None,
    versus: str | None = None,
    **data_options: Any,
) -> Run:
    """Train, as `ssseg fit` does: `ssseg.fit(images="photos", masks="masks", val=0.2)`.

    Args:
        method: A name from `ssseg methods`; your own as its class or the dotted path of it.
        data: A name from `ssseg datasets`, or a class. None: `pairs` with `images`, else `street`.
        network: A decoder's name, or `small`. None: what suits the data set.
        max_steps: Length of the training in steps. None: 800.
        seed: Of everything that is random, but for the choice of labeled images (`split_seed`).
        out: Folder of the run. None: the next free one in `runs/`.
        logger: Besides the CSV file: `wandb` or `tensorboard`. True: none besides.
        method_options: Of the method, e.g. `{"threshold": 0.9}`.
        network_options: Of the network, e.g. `{"encoder": "resnet50"}`.
        optim: Of the optimiser, e.g. `{"lr": 1e-4}`.
        compute: Of how steps are computed, e.g. `{"channels_last": True}`.
        trainer: Of Lightning's Trainer: `{"accelerator": "cpu"}`; callbacks by their `class_path`.
        reference: Folder of a supervised run: an alert is raised where this one does not do better.
        init: A checkpoint or `.safetensors` file to start from: weights that fit are taken.
        versus: A method, e.g. `supervised`, that is trained alike; `run.verdict` compares them.
        **data_options: Of the data set and its batches, e.g. `root`, `labeled`, `batch_size`.

    Returns:
        The finished run.

    Raises:
        UserError: For anything that cannot work, in one sentence.
    """
    from ssseg.cli.nested import fit_options
    from ssseg.cli.train import run

    options = fit_options(
        method,
        data,
        network=network,
        max_steps=max_steps,
        seed=seed,
        out=out,
        logger=logger,
        method_options=method_options,
        network_options=network_options,
        optim=optim,
        compute=compute,
        trainer=trainer,
        reference=reference,
        init=init,
        **data_options,
    )
    if versus is not None:
        from ssseg.cli.versus import fit_versus

        return fit_versus([*typed(options), "--versus", versus])
    done = run(["fit", *typed(options)], options)
    assert done.folder is not None
    return Run(done.folder.folder)


def find_batch_size(
    method: str | type["Method"] = "classmix",
    data: str | type["Source"] = "street",
    *,
    network: str | None = None,
    init: str | Path | None = None,
    method_options: Mapping[str, Any] | None = None,
    network_options: Mapping[str, Any] | None = None,
    optim: Mapping[str, Any] | None = None,
    compute: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    **data_options: Any,
) -> "BatchSizes":
    """The largest batch that fits the memory, as `ssseg find-batch-size` finds it.

    All options are those of `fit`. A few steps of each size are computed; nothing is written.

    Returns:
        `largest` and `fastest` for the option `batch_size`, and all sizes that were `tried`.

    Raises:
        UserError: For options that cannot work, or if not even two images fit.
    """
    from ssseg.cli.find_batch_size import find_batch_size as find
    from ssseg.cli.nested import plain_options

    options = plain_options(
        {"method": method, "data": data, "network": network, "init": init},
        **{"method": method_options, "network": network_options, "optim": optim},
        **{"compute": compute, "trainer": trainer, "data": data_options},
    )
    return find(options)[1]


def debug_nan(folder: str | Path) -> "NanReport":
    """Repeat the end of a run that stopped at a NaN, as `ssseg debug-nan` does.

    Args:
        folder: Of a run that is not finished.

    Returns:
        The `step` of the first value that is not finite (None where all were finite this time), and
        `lines` that say where it was: in an image, a layer, a loss or a gradient.

    Raises:
        UserError: For a folder without an unfinished run.
    """
    from ssseg.cli.debug_nan import debug_nan as trace

    return trace(as_path(folder))


def validate(
    checkpoint: str | Path,
    *,
    out: str | Path | None = None,
    page: bool = True,
    eval_options: Mapping[str, Any] | None = None,
    **data_options: Any,
) -> dict[str, float]:
    """Score a checkpoint on its validation images, as `ssseg validate --ckpt_path` does.

    For example `ssseg.validate(path, eval_options={"mode": "slide", "flip": True})`.

    Args:
        checkpoint: A file that `ssseg fit` left in `checkpoints/`.
        out: Folder of the page. None: the next free `test-val-<mode>` in the run's folder.
        page: Write the page, as the command line does; False leaves no file behind.
        eval_options: How networks are applied and scored: `mode`, `window`, `stride`, `scales`,
            `flip`, `batch_size`, `missing_classes`, `boundary`.
        **data_options: Other data, or otherwise, than in training.

    Returns:
        The mIoU: `val/miou_student`, `val/miou_teacher`, ..., and `val/miou` of the network that
        the method predicts with. Everything else is in the page's `scores.json`.

    Raises:
        UserError: For anything that cannot work, in one sentence.
    """
    from ssseg.cli.train import evaluate_file

    return evaluate_file("validate", checkpoint, out, page, eval_options, data_options)


def test(
    checkpoint: str | Path,
    *,
    split: Literal["test", "val"] = "test",
    out: str | Path | None = None,
    page: bool = True,
    eval_options: Mapping[str, Any] | None = None,
    **data_options: Any,
) -> dict[str, float]:
    """Score a checkpoint on its test images, as `ssseg test --ckpt_path` does.

    Args:
        checkpoint: As in `validate`.
        split: `val` is what `validate` does.
        out: Folder of the page. None: the next free `test-<split>-<mode>` in the run's folder.
        page: As in `validate`.
        eval_options: As in `validate`.
        **data_options: As in `validate`.

    Returns:
        As `validate`, under `test/...` (`val/...` for that split).

    Raises:
        UserError: For anything that cannot work, in one sentence.
    """
    from ssseg.cli.train import evaluate_file

    verb = "validate" if split == "val" else "test"
    return evaluate_file(verb, checkpoint, out, page, eval_options, data_options)


def split(
    data: str = "street",
    labeled: str | float | None = None,
    *,
    select: Literal["random", "stratified"] = "random",
    seed: int = 0,
    out: str | Path | None = None,
    **data_options: Any,
) -> "LabeledSplit":
    """Choose the labeled images, as `ssseg split` does.

    For example `ssseg.split("folder", "1/8", root="photos")`.

    Args:
        data: A name from `ssseg datasets`, or the dotted path of your own.
        labeled: A count, a fraction, a coverage (`3/class`), a protocol of the data set, a list
            file, or `all`. None: the data set's own default.
        select: How counts and fractions choose; `stratified` reads the masks of all images.
        seed: Of the choice; `split_seed` of a run.
        out: File for the list, which `labeled` of a run takes. None: it is not written.
        **data_options: Of the data set, e.g. `root`.

    Returns:
        Its name, the labeled records and the rest.

    Raises:
        UserError: For anything that cannot work, in one sentence.
    """
    from ssseg.cli.data_options import open_source
    from ssseg.cli.split import ask, choose, text_of, write
    from ssseg.data.splits.content_hash import content_hash

    source = open_source(data, _texts(data_options))
    asked = ask(source, labeled, select, seed)
    made = choose(asked)
    if out is not None:
        write(as_path(out), text_of(asked, made, content_hash(source, made.labeled)))
    return made


def doctor(
    data: str | None = None,
    labeled: str | float | None = None,
    *,
    select: Literal["random", "stratified"] = "random",
    split_seed: int = 0,
    method: str | None = None,
    network: str | None = None,
    max_steps: int = 800,
    batch_size: int | None = None,
    fix: str | Path | None = None,
    **data_options: Any,
) -> dict[str, Any]:
    """Read every image and mask of a data set and say what will go wrong, as `ssseg doctor` does.

    Args:
        data: A name from `ssseg datasets`, or a dotted path. None: as in `fit`, else `folder`.
        labeled: Which training images are labeled, as in `fit`; other masks are not opened.
        select: How a count or fraction chooses, as in `fit`.
        split_seed: Of the choice.
        method: That will be trained, for what it needs.
        network: That will be trained, for its memory. None: what suits the data set.
        max_steps: Length of the training in steps.
        batch_size: Labeled images per step. None: the data set's own default.
        fix: A new folder for a corrected copy. None: none is written.
        **data_options: Of the data set, e.g. `root`.

    Returns:
        The document that `ssseg doctor --json` prints; `document["verdict"]["text"]` sums it up.

    Raises:
        UserError: For options that cannot work.
    """
    from ssseg.cli.data_options import describe_source
    from ssseg.datacheck.check import check_data as check_source
    from ssseg.datacheck.dataset import Plan

    make = describe_source(data or unnamed(data_options, "folder"), _texts(data_options))
    wanted = None if labeled is None else str(labeled)
    plan = Plan(wanted, select, split_seed, method, network, max_steps, batch_size)
    return check_source(make, plan, None if fix is None else as_path(fix))


def load(checkpoint: str | Path, network: str | None = None) -> "Predictor":
    """A trained network, ready to use: `ssseg.load(path).predict("photo.jpg")`.

    Args:
        checkpoint: A checkpoint, or a `.safetensors` file of ours. Code in it is never run.
        network: `student` or `teacher`; None: the method's own choice.

    Returns:
        The model; `model(images)` gives logits (B, num_classes, H, W) of normalised images.

    Raises:
        UserError: For a file that is no such model.
    """
    from ssseg.prediction.model_file import load as load_model

    return load_model(checkpoint, network)


def export(
    checkpoint: str | Path,
    format: Literal["onnx", "torch", "safetensors"] | None = None,
    *,
    out: str | Path | None = None,
    network: str | None = None,
    images: str | Path | Sequence[str | Path] = (),
    opset: int | None = None,
) -> Path:
    """Write a trained network for other programs, as `ssseg export` does.

    The file is opened again and compared with the network on images before it gets its name.

    Args:
        checkpoint: A file that `ssseg fit` left in `checkpoints/`, or a `.safetensors` file.
        format: `onnx`, `torch` (a `torch.export` program, `.pt2`) or `safetensors`. None: by the
            ending of `out`, else `onnx`.
        out: The file, or a folder. None: beside the checkpoint.
        network: `student` or `teacher`; None: the method's own choice.
        images: Images or folders to compare on. None given: validation images of the run, or
            random images where they cannot be opened.
        opset: Of ONNX. None: 18.

    Returns:
        The file.

    Raises:
        UserError: For anything that cannot work, and a file that would not do what the network
            does; nothing is left behind then.
    """
    from ssseg.exporting.export import export as write

    paths = [images] if isinstance(images, (str, Path)) else images
    return write(checkpoint, format, out, network, paths, opset).path


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: typed_text(value, f"data.{name}") for name, value in options.items()}
