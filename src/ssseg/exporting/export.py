"""Export a checkpoint; the file is compared with the network before it gets its final name."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ssseg.errors import UserError
from ssseg.exporting.formats import FORMATS, OPSET, check
from ssseg.runs.paths import as_path


class Exported(NamedTuple):
    """The written file and the result of its comparison."""

    path: Path
    format: str
    network: str
    """`student` or `teacher`."""
    number: int
    """The number of images of the comparison."""
    words: str
    """Which images."""
    parity: str
    """The differences from the model."""


def export(
    checkpoint: str | Path,
    format: str | None = None,
    out: str | Path | None = None,
    network: str | None = None,
    images: Sequence[str | Path] = (),
    opset: int | None = None,
) -> Exported:
    """Write a model in a format, open the file again and compare it with the model.

    Args:
        checkpoint: A checkpoint, or a `.safetensors` file.
        format: A key of `FORMATS`. None: what the ending of `out` says, else `onnx`.
        out: The file, or an existing folder. None: beside the checkpoint.
        network: `student` or `teacher`; None: the method's own choice.
        images: Files or folders to try it on. None given: validation images of the run.
        opset: Of ONNX. None: 18.

    Raises:
        UserError: For anything that cannot work; nothing is left behind then.
    """
    name = format or _format_of(out)
    check(name, opset)
    checkpoint = as_path(checkpoint)
    wanted = None if out is None else as_path(out)
    if wanted is not None:
        _nothing_in_the_way(wanted, name)  # before time is spent
    from ssseg.prediction.model_file import load

    model = load(checkpoint, network)
    ending = FORMATS[name].ending
    usual = f"{checkpoint.stem.removesuffix(f'_{model.name}')}_{model.name}{ending}"
    path = checkpoint.with_name(usual) if wanted is None else wanted
    if path.is_dir():
        path = path / usual
    _nothing_in_the_way(path, name)

    from ssseg.exporting.metadata import about_json
    from ssseg.exporting.parity import LARGEST, LEAST, compare
    from ssseg.exporting.sample_inputs import sample_inputs

    trial = sample_inputs(model, checkpoint, [as_path(each) for each in images])
    part = path.with_name(f".{path.stem}.part{ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FORMATS[name].write(model, part, about_json(model), opset or OPSET)
        parity = compare(model, FORMATS[name].open(part), trial.images)
        if not parity.good:
            raise UserError(
                f"the exported file does not do what the model does: on {trial.number} "
                f"{trial.words}, {parity}; expected at most {LARGEST:g} of the range and "
                f"{100 * LEAST:g} %; nothing was written; --format safetensors takes every network"
            )
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}); give another with --out") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Exported(path, name, model.name, trial.number, trial.words, str(parity))


def _format_of(out: str | Path | None) -> str:
    """The format that the ending of a file says; ONNX where it says none."""
    ending = "" if out is None else Path(out).suffix
    return next((name for name, each in FORMATS.items() if each.ending == ending), "onnx")


def _nothing_in_the_way(path: Path, name: str) -> None:
    if path.is_dir():
        return
    if path.suffix != FORMATS[name].ending:
        raise UserError(
            f"option --out is {path}, but files of format {name} end in {FORMATS[name].ending}; "
            "give such a name, or another --format"
        )
    if path.exists():
        raise UserError(f"{path} exists; remove it, or give another name with --out")
