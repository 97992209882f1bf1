"""Pickled orders of the training images, as older code saved them; nothing in them is ever run."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ssseg.errors import UserError


class _Type:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Array:
    """Stands in for `numpy.ndarray`: what the pickle says of it, not yet made an array."""

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
"""All that the pickle of an array calls; not even these reach numpy."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, or nothing."""
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return STAND_INS[module, name]


def read_permutation(path: Path, total: int) -> list[int]:
    """The order of the training images that a pickled array of indices gives.

    Args:
        path: Of the pickle.
        total: How many training images there are.

    Raises:
        UserError: For a file that cannot be read or holds anything but a permutation of as many
            indices.
    """
    try:
        with path.open("rb") as file:
            # latin1: how Python 2 wrote arrays
            indices = _indices(_Unpickler(file, encoding="latin1").load())
    # a file made to harm can raise anything
    except Exception as error:
        raise UserError(
            f"{path} is not a pickled numpy array of indices ({type(error).__name__}: {error}); "
            "nothing in it was run; expected a permutation of the training images"
        ) from error
    if len(indices) != total:
        raise UserError(
            f"{path} orders {len(indices)} images, but there are {total} training images; expected "
            "is the order of the same set"
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
        raise ValueError("its values are no whole numbers")
    if kind.order not in ("<", ">", "=", "|"):
        raise ValueError(f"its byte order is {kind.order!r}")
    content = content.encode("latin1") if isinstance(content, str) else bytes(content)
    values = np.frombuffer(content, np.dtype(f"{kind.order}{kind.code}"))
    if tuple(shape) != values.shape:
        raise ValueError("it is not one row of numbers")
    return [int(value) for value in values]
