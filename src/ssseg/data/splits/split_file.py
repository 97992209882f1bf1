"""`split.json`: which labeled images a run learned from, which were held out, and the classes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssseg.data.datasets.base import Record, Source, Split
from ssseg.data.datasets.class_list import ClassList
from ssseg.errors import UserError
from ssseg.runs.run import SPLIT
from ssseg.types import IGNORE


def split_document(
    records: Mapping[Split, Sequence[Record]],
    digests: Mapping[Record, str],
    classes: ClassList,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """What the file holds; plain values only.

    Args:
        records: Of `train`, `val` and `test`.
        digests: Of the files of all these images.
        classes: That masks are read with; `read_classes` reads them from the file.
        made: The options that the split was made by.
    """
    sets: dict[str, Any] = {
        split: [
            {"id": r.id, "image": str(r.image), "mask": str(r.mask), "digest": digests[r]}
            for r in members
        ]
        for split, members in records.items()
    }
    return {"made": dict(made), **_content_of(classes), **sets}


def _content_of(known: ClassList) -> dict[str, Any]:
    """A class list as a `classes.json` has it."""
    colors = {place: list(color) for color, place in known.colors.items() if place != IGNORE}
    values = {place: value for value, place in known.values.items() if place != IGNORE}
    entries = []
    for place, info in enumerate(known.classes):
        color = {"color": colors[place]} if place in colors else {}
        number = {"id": values[place]} if place in values else {}
        entries.append({"name": info.name, **number, **color})
    ignored: list[Any] = [value for value, place in known.values.items() if place == IGNORE]
    ignored += [list(color) for color, place in known.colors.items() if place == IGNORE]
    return {"classes": entries, "ignore": ignored}


def read_split(
    path: Path, labeled: Sequence[Record], digests: Sequence[str]
) -> dict[Split, set[int]]:
    """The held-out images of a file, wherever they lie now and whatever they are called.

    Args:
        path: Of the file.
        labeled: The images with masks that there are now.
        digests: Of their files.

    Returns:
        Places of `val` and `test` images among them.

    Raises:
        UserError: For a file that cannot be read, and an image of it that is not there.
    """
    places = {digest: [i for i, d in enumerate(digests) if d == digest] for digest in digests}
    held: dict[Split, set[int]] = {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        named: dict[Split, list[tuple[str, str]]] = {
            split: [(str(one["id"]), str(one["digest"])) for one in content[split]]
            for split in ("val", "test")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"option data.split is {path}, which cannot be read ({type(error).__name__}: {error}); "
            f"expected the {SPLIT} of a run"
        ) from error
    for split, members in named.items():
        held[split] = set()
        for name, digest in members:
            if digest not in places:
                raise UserError(
                    f"{path} names the {split} image {name!r}, but none of the {len(labeled)} "
                    "images with masks has its content; give the folders of that run, or make "
                    "another split without option data.split"
                )
            held[split].update(places[digest])
    return held


def note_split(folder: Path, source: Source) -> None:
    """Keep what a source chose in the folder of a run; nothing where it chose nothing."""
    document = source.split_document()
    if document is not None:
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (folder / SPLIT).write_text(text + "\n", encoding="utf-8")


def refuse_other_split(folder: Path, source: Source) -> None:
    """A run goes on with the images that it was started with.

    Args:
        folder: Of the run.
        source: Of the images there are now.

    Raises:
        UserError: Where an image has come, gone, or is in another set.
    """
    now, kept = source.split_document(), folder / SPLIT
    if now is None or not kept.is_file():
        return
    before = json.loads(kept.read_text(encoding="utf-8"))
    if _members(before) != _members(now):
        raise UserError(
            f"the images with masks are not those that the run in {folder} was started with (see "
            f"{kept}); restore them, or start another run (--init takes the weights of this one, "
            "--data.split its held-out images)"
        )


def _members(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(split, one["digest"]) for split in ("train", "val", "test") for one in document[split]}
