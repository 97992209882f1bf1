import json

import numpy as np
from PIL import Image

from ssseg.cli.main import main


def test_an_image_that_breaks_in_a_worker_is_one_sentence(here, capfd):
    """The header is fine, the pixels are not: only decoding can tell."""
    root = here / "photos"
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (root / split / "images").mkdir(parents=True)
        (root / split / "masks").mkdir()
        for i in range(4):
            pixels = rng.integers(0, 255, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / "images" / f"{i}.png")
            Image.fromarray(pixels[..., 0] % 2).save(root / split / "masks" / f"{i}.png")
    (root / "classes.json").write_text(json.dumps(["a", "b"]))
    for i in range(4):
        file = root / "train" / "images" / f"{i}.png"
        file.write_bytes(file.read_bytes()[:200])
    args = ["--method", "supervised", "--data", "folder", "--data.root", str(root)]
    small = ["--data.batch_size", "2", "--data.crop_size", "[32, 32]", "--network", "small"]
    more = ["--trainer.accelerator", "cpu", "--data.num_workers", "1", "--out", "run"]
    assert main(["fit", *args, *small, *more]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if "ssseg: error" in line]
    assert len(err) == 1
    assert "cannot be read" in err[0]
    assert str(root / "train" / "images") in err[0]
    assert not (here / "run").exists()
