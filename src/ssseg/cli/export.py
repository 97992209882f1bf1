"""`ssseg export`: a checkpoint in; a file for other programs out, with what is known of it."""

from collections.abc import Sequence

from ssseg.cli.parsing import VerbParser
from ssseg.exporting.export import export
from ssseg.exporting.formats import FORMATS, OPSET

PROG = "ssseg export"


def export_verb(args: Sequence[str]) -> int:
    """Carry out the verb; 0 when it worked.

    Raises:
        UserError: For options that cannot work, and a file that would not do what the model does.
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
        "weights that ssseg.load reads. The file is opened again and compared with the model; one "
        "that does not do the same is not kept.",
    )
    parser.add_argument("checkpoint", help="a .ckpt of a run, or a .safetensors file")
    parser.add_argument(
        "--format", help=f"{', '.join(FORMATS)}; default: by the ending of --out, else onnx"
    )
    parser.add_argument("--out", help="the file, or a folder; default: beside the checkpoint")
    parser.add_argument(
        "--network", help="student or teacher; default: the one that the method predicts with"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        help="images or folders to compare on; default: validation images of the run",
    )
    parser.add_argument("--opset", type=int, help=f"of ONNX; default {OPSET}")
    return parser
