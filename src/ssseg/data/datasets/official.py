"""Functions for official layouts: lists of ids, folders of files named by id, .mat files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssseg.data.datasets.base import Array, Record
from ssseg.data.datasets.files import existing_folder, find_images, found_instead
from ssseg.data.image_io import IMAGE_ENDINGS
from ssseg.errors import UserError
from ssseg.runs.paths import composed


class NamedFiles(NamedTuple):
    """The files of a folder that are named after the ids of images."""

    folder: Path
    ending: str
    """Suffix after the id, e.g. `_L.png`."""

    def path(self, name: str) -> Path:
        """The file of an id."""
        return self.folder / f"{name}{self.ending}"

    def ids(self) -> set[str]:
        """The ids that have a file, from one listing of the folder."""
        # without hidden copies of file managers such as ._2007_000032.png
        found = (p.name for p in self.folder.glob(f"*{self.ending}") if p.name[0] != ".")
        return {name.removesuffix(self.ending) for name in found}


def listed_ids(path: Path) -> dict[str, int]:
    """The ids in a list file and their line numbers, in the order of the list.

    A line has an id or the path of an image; the rest of the line after a space (the path of the
    mask, a flag) is not used.

    Raises:
        UserError: For a file that cannot be read, is empty, or names an image twice.
    """
    try:
        # -sig: some editors write a byte order mark at the start
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); expected a list with one image id per line"
        ) from error
    ids: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image = Path(line.split()[0])
        name = image.stem if image.suffix.lower() in IMAGE_ENDINGS else image.name
        if name in ids:
            raise UserError(
                f"lines {ids[name]} and {number} of {path} both name {name!r}; expected each image "
                "once; remove one"
            )
        ids[name] = number
    if not ids:
        raise UserError(f"{path} names no image; expected one id per line")
    return ids


def listed_records(path: Path, images: NamedFiles, *masks: NamedFiles) -> list[Record]:
    """The images in a list file, in its order, each with a mask.

    Args:
        path: The list file.
        images: The folder of images.
        masks: Folders of masks; the first one with a file for the id is used.

    Raises:
        UserError: As in `listed_ids`, and for a missing image or mask, with the line number.
    """
    ids, with_image = listed_ids(path), images.ids()
    with_mask = [files.ids() for files in masks]
    records = []
    for name, number in ids.items():
        found = [files for files, known in zip(masks, with_mask, strict=True) if name in known]
        if name not in with_image or not found:
            missing = masks[-1] if name in with_image else images
            raise UserError(
                f"line {number} of {path} names {name!r}, but there is no {missing.path(name)}; "
                "unpack the data set again, or remove the line"
            )
        records.append(Record(name, images.path(name), found[0].path(name)))
    return records


def tree_root(root: str, marker: str, inside: Sequence[str], expected: str) -> Path:
    """The root folder of an official layout: the given folder or one inside it.

    Args:
        root: The given folder.
        marker: Name of a folder that the root contains.
        inside: Relative paths of the root inside the given folder.
        expected: Description of the folder to give, for messages.

    Raises:
        UserError: If the folder does not exist or has no such root.
    """
    folder = existing_folder("data.root", root, f"give {expected}")
    for place in (folder, *(folder / name for name in inside)):
        if (place / marker).is_dir():
            return place
    raise UserError(f"option data.root is {root}, but there is no {marker}/ in it; give {expected}")


def existing_folders(given: str | Sequence[str] | None) -> list[Path]:
    """The folders of option data.unlabeled; raises UserError if one does not exist."""
    folders = [given] if isinstance(given, str) else list(given or [])
    return [existing_folder("data.unlabeled", f, "give a folder of images") for f in folders]


def unlabeled_records(folders: Sequence[Path]) -> list[Record]:
    """The images of folders and their subfolders; raises UserError for a folder without any."""
    records = []
    for folder in folders:
        found = find_images(folder, deep=True)
        if not found:
            instead = found_instead(folder, deep=True)
            raise UserError(f"there are no images in the unlabeled folder {folder}{instead}")
        records += [Record(composed(str(path.relative_to(folder))), path) for path in found]
    return records


def read_mat(path: Path, *names: str) -> Array:
    """Read a matrix of class ids from a MATLAB file.

    Args:
        path: The file.
        names: Name of the variable, and of its field if it is a struct.

    Returns:
        (H, W) integers, with the dtype of the file.

    Raises:
        UserError: For a file that cannot be read or has no such matrix.
    """
    import scipy.io  # takes half a second, so it is imported only for .mat files

    try:
        found: Any = scipy.io.loadmat(path, variable_names=names[:1], simplify_cells=True)
    except Exception as error:  # damaged files raise many types, from zlib.error to MemoryError
        raise UserError(
            f"{path} cannot be read as a .mat file ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); unpack it again"
        ) from error
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if getattr(found, "ndim", 0) != 2 or found.dtype.kind not in "iu":
        raise UserError(
            f"{path} has no {'.'.join(names)}; expected a matrix of class ids under that name, as "
            "in the official release"
        )
    matrix: Array = found
    return matrix
