"""`ssseg export`: writes a checkpoint as a file for other programs, with metadata."""

from collections.abc import Sequence

from ssseg.cli.parsing import VerbParser
from ssseg.exporting.export import export
from ssseg.exporting.formats import FORMATS, OPSET

PROG = "ssseg export"


def export_verb(args: Sequence[str]) -> int:
    """Run `ssseg export`; returns 0.

    Raises:
        UserError: For options that cannot work, and if the exported file gives other results.
    """
    given = _parser().parse_args(args)
    done = export(
        given.checkpoint, given.format, given.out, given.network, given.images, given.opset
    )
    size = done.path.stat().st_size / 1e6
    print(f"checked  on {done.number} {done.words}")
    print(f"         {done.parity}")
    print(f"wrote    {done.path} ({done.format}, {done.network}, {size:.1f} MB)")
    return 0


def _parser() -> VerbParser:
    parser = VerbParser(
        prog=PROG,
        description="Write a trained model for other programs: ONNX, a torch.export program, or "
        "weights for ssseg.load. The file is loaded again and compared with the model; it is "
        "deleted if the results differ.",
    )
    parser.add_argument("checkpoint", help="a .ckpt of a run, or a .safetensors file")
    parser.add_argument(
        "--format", help=f"{', '.join(FORMATS)}; default: by the suffix of --out, else onnx"
    )
    parser.add_argument("--out", help="the file, or a folder; default: beside the checkpoint")
    parser.add_argument(
        "--network", help="student or teacher; default: the predictor of the method"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        help="images or folders for the comparison; default: validation images of the run",
    )
    parser.add_argument("--opset", type=int, help=f"version of ONNX operators; default {OPSET}")
    return parser
