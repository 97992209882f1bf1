"""What people do to their folders."""

import hashlib
import json

import numpy as np
from PIL import Image

from tests.data.trees import draw_mask, paint, save, write_classes

ORIENTATION = 0x0112


def examined(capsys, *args):
    """Exit code and document of `ssseg doctor ... --json`."""
    from ssseg.cli.main import main

    code = main(["doctor", *map(str, args), "--json"])
    return code, json.loads(capsys.readouterr().out)


def kinds(report):
    return [finding["kind"] for finding in report["findings"]]


def finding(report, kind):
    found = [finding for finding in report["findings"] if finding["kind"] == kind]
    assert len(found) == 1, f"{kind} is not once among {kinds(report)}"
    return found[0]


def contents(root):
    """Every file of a tree with the hash of its bytes."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def mask(seed=0, size=(24, 32), num_classes=3):
    return draw_mask(np.random.default_rng(seed), size, num_classes)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exif_photo(ids, path, orientation):
    """A photograph of a mask that the camera stored in another position and marked so."""
    photo = Image.fromarray(paint(ids))
    # what undoes the turn that a viewer makes
    stored = {
        3: photo.transpose(Image.Transpose.ROTATE_180),
        6: photo.transpose(Image.Transpose.ROTATE_90),
        8: photo.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    stored.save(path, exif=exif, quality=95)
    return np.asarray(stored)


def with_palette(ids, colors, path):
    image = Image.fromarray(ids)
    image.putpalette([value for color in colors for value in color])
    image.save(path)


def swap(root, name, image, split="train"):
    """Another file in place of an image of the tree."""
    (root / split / "images" / f"{name}.png").unlink()
    save(image, root / split / "images" / f"{name}.png")


COLORS = [(0, 0, 200), (120, 120, 120), (200, 0, 0)]


def colored(*names, odd=None):
    """Masks in colour, of which the last may have a pixel of a colour of no class."""

    def spoil(root):
        classes = [{"name": n, "color": c} for n, c in zip("abc", COLORS, strict=True)]
        write_classes(root, {"classes": classes})
        for seed, name in enumerate(names):
            pixels = np.array(COLORS, np.uint8)[mask(seed)]
            if odd is not None:
                pixels[0, 0] = odd
            save(pixels, root / name)

    return spoil
