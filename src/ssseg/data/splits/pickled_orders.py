"""Pickled orders of the training images of published code; code in a pickle is never run."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ssseg.errors import UserError


class _Type:
    """Used instead of `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Array:
    """Used instead of `numpy.ndarray`: content, dtype and shape, before an array is made."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, _, content = state
        self.parts = (content, kind, shape)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _frombuffer(content: Any, kind: Any, shape: Any, *_: object) -> _Array:
    return _Array(content, kind, shape)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes as {encoding}")
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}
"""The functions and classes in the pickle of an array -> replacements that do not call numpy."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The replacement of a class or function; raises UnpicklingError for all others."""
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it needs {module}.{name}")
        return STAND_INS[module, name]


def read_permutation(path: Path, total: int) -> list[int]:
    """Read the order of the training images from a pickled array of indices.

    Args:
        path: Path of the pickle.
        total: Number of training images.

    Raises:
        UserError: For a file that cannot be read, or that is not a permutation of `total` indices.
    """
    try:
        with path.open("rb") as file:
            # latin1 is the encoding for arrays of Python 2
            indices = _indices(_Unpickler(file, encoding="latin1").load())
    # a malicious file can raise any exception
    except Exception as error:
        raise UserError(
            f"{path} is not a pickled numpy array of indices ({type(error).__name__}: {error}); no "
            "code in it was run; expected a permutation of the training images"
        ) from error
    if len(indices) != total:
        raise UserError(
            f"{path} orders {len(indices)} images, but there are {total} training images; expected "
            "the order of the same images"
        )
    if sorted(indices) != list(range(total)):
        raise UserError(
            f"{path} is not a permutation: expected each index from 0 to {total - 1} once"
        )
    return indices


def _indices(found: object) -> list[int]:
    if not isinstance(found, _Array) or len(found.parts) != 3:
        raise ValueError(f"it holds a {type(found).__name__.strip('_')}")
    content, kind, shape = found.parts
    if not isinstance(kind, _Type) or kind.code not in ("i4", "i8", "u4", "u8"):
        raise ValueError("its values are not whole numbers")
    if kind.order not in ("<", ">", "=", "|"):
        raise ValueError(f"its byte order is {kind.order!r}")
    content = content.encode("latin1") if isinstance(content, str) else bytes(content)
    values = np.frombuffer(content, np.dtype(f"{kind.order}{kind.code}"))
    if tuple(shape) != values.shape:
        raise ValueError("it is not a one-dimensional array")
    return [int(value) for value in values]
