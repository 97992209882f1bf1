"""The file formats: how each is written, and how its users open it."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssseg.errors import UserError, one_of

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from ssseg.prediction.predictor import Predictor

OPSET = 18
"""The lowest that torch's exporter writes; the more runtimes can read it."""
KEY = "ssseg"
"""The key of the metadata in every format; in a .pt2 archive it has a suffix."""


class Format(NamedTuple):
    """How a model is written and read back."""

    ending: str
    packages: Sequence[str]
    """What must be installed besides ssseg."""
    write: "Callable[[Predictor, Path, str, int], None]"
    """Of a model, a file, metadata in JSON, and the opset."""
    open: "Callable[[Path], Callable[[Tensor], Tensor]]"
    """Logits of normalised images by a file."""


def check(name: str, opset: int | None) -> None:
    """Refuse formats that cannot be written.

    Raises:
        UserError: For an unknown format, missing packages, an opset that is out of range.
    """
    if name not in FORMATS:
        raise one_of("format", name, list(FORMATS))
    missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
    if missing:
        raise UserError(
            f"format {name} needs {', '.join(missing)}; install with: pip install 'ssseg[{name}]'"
        )
    if opset is not None:
        if name != "onnx":
            raise UserError(f"option --opset is for --format onnx; {name} has none, leave it out")
        import onnx

        newest = onnx.defs.onnx_opset_version()
        if not OPSET <= opset <= newest:
            raise UserError(f"option --opset is {opset}; expected {OPSET} to {newest}")


def _write_onnx(model: "Predictor", path: Path, about: str, opset: int) -> None:
    import onnx
    import torch

    from ssseg.exporting.torch_export import not_exportable, program_of

    program = program_of(model.network)
    try:
        with _quiet():
            written = torch.onnx.export(
                program,
                (),
                dynamo=True,
                input_names=["image"],
                output_names=["logits"],
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
        assert written is not None
        proto = written.model_proto
    except Exception as error:  # an operator without a counterpart, or a file above 2 GB
        raise not_exportable(model.network, error) from error
    done = max(each.version for each in proto.opset_import if each.domain in ("", "ai.onnx"))
    if done != opset:
        raise UserError(f"option --opset is {opset}, but torch could only write {done}; leave it")
    _tidy(proto)
    onnx.helper.set_model_props(proto, {KEY: about})
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def _tidy(proto: "onnx.ModelProto") -> None:
    """Name the free sides; drop notes on every node, among them paths of this machine."""
    graph = proto.graph
    for value in (graph.input[0], graph.output[0]):
        sides = value.type.tensor_type.shape.dim
        for place, name in {0: "batch", 2: "height", 3: "width"}.items():
            sides[place].dim_param = name
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.initializer, *proto.functions):
        del part.metadata_props[:]
        part.doc_string = ""


def _open_onnx(path: Path) -> "Callable[[Tensor], Tensor]":
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised as well
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(image: "Tensor") -> "Tensor":
        found = session.run(["logits"], {"image": image.numpy()})
        return torch.from_numpy(found[0])

    return run


def _write_program(model: "Predictor", path: Path, about: str, opset: int) -> None:
    import torch

    from ssseg.exporting.torch_export import not_exportable, program_of

    program = program_of(model.network)
    try:
        with _quiet():
            torch.export.save(program, path, extra_files={f"{KEY}.json": about})
    except OSError:
        raise
    except Exception as error:  # what can be traced cannot always be written down
        raise not_exportable(model.network, error) from error


def _open_program(path: Path) -> "Callable[[Tensor], Tensor]":
    import torch

    with _quiet():
        return torch.export.load(path).module()


def _write_weights(model: "Predictor", path: Path, about: str, opset: int) -> None:
    from ssseg.prediction.model_file import save_weights

    save_weights(model, path)


def _open_weights(path: Path) -> "Callable[[Tensor], Tensor]":
    from ssseg.prediction.model_file import load

    return load(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings and logs of the exporters."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "onnxscript"), _write_onnx, _open_onnx),
    "torch": Format(".pt2", (), _write_program, _open_program),
    "safetensors": Format(".safetensors", (), _write_weights, _open_weights),
}
