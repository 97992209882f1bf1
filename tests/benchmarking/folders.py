"""Run folders as `ssseg fit` leaves them, with numbers that a test knows."""

import json
from copy import deepcopy

import numpy as np
from PIL import Image

from ssseg.runs.run import Run

EVALUATION = {"protocol": "whole image", "mode": "whole", "window": None, "flip": False}
SUMMARY = {
    "method": {"name": "supervised"},
    "data": {
        "name": "street",
        "split": "16 seed 0",
        "split_hash": "abc123",
        "labeled": 16,
        "unlabeled": 496,
        "val": 128,
        "classes": [
            {"name": "road", "color": [128, 64, 128]},
            {"name": "car & <van>", "color": [0, 0, 180]},
        ],
        "image_size": None,
        "crop_size": [64, 64],
        "batch_size": 8,
        "unlabeled_batch_size": 8,
        "augmentation": {"scale": [0.5, 2.0], "flip": True, "jitter": 0.0},
        "mean": [0.5, 0.5, 0.5],
        "reuse_labeled": False,
    },
    "network": {"name": "unet", "encoder": "resnet18", "decoder_options": {}, "weights": None},
    "optim": {"name": "adamw", "lr": 0.001},
    "training": {
        "precision": "32-true",
        "accumulate_grad_batches": 1,
        "gradient_clip_val": None,
        "limit_val_batches": 1.0,
        "callbacks": [],
        "devices": 1,
    },
    "compute": {"compile": False},
    "steps": 800,
    "ended_early": None,
    "earlier_lengths": [],
    "evaluation": EVALUATION,
    "seconds": 100.0,
    "data_wait": 0.05,
    "peak_memory_mb": 2048.0,
    "device": "CPU",
    "versions": {"torch": "2", "ssseg": "0.1.0"},
    "commit": None,
}


def write(folder, method="supervised", student=0.4, teacher=None, seed=0, best=None, **changes):
    """A run. `changes` are by dotted name, with two underscores for a dot; None takes a key away.

    The classes' IoU are 0.1 above and below the mIoU.
    """
    summary = deepcopy(SUMMARY)
    miou = {"student": student} if teacher is None else {"student": student, "teacher": teacher}
    predictor = list(miou)[-1]
    names = [c["name"] for c in summary["data"]["classes"]]
    found = {
        name: {
            "miou": v,
            "pixel_accuracy": 0.9,
            "iou": dict(zip(names, (v + 0.1, v - 0.1), strict=True)),
        }
        for name, v in miou.items()
    }
    summary |= {
        "method": {"name": method} if isinstance(method, str) else method,
        "seed": seed,
        "command": f"ssseg fit --method {method} --seed_everything {seed} --out {folder.name}",
        "predictor": predictor,
        "last": found,
        "best": {predictor: {"step": 400, "miou": best or miou[predictor]}},
        "history": [{"step": s, **{n: v * s / 800 for n, v in miou.items()}} for s in (400, 800)],
        "exposures": {"labeled": 400.0, **({} if teacher is None else {"unlabeled": 12.9})},
    }
    for name, value in changes.items():
        *parents, key = name.split("__")
        holder = summary
        for parent in parents:
            holder = holder[parent]
        if value is None:
            del holder[key]
        else:
            holder[key] = value
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed_everything: 0\n")
    (folder / "summary.json").write_text(json.dumps(summary))
    return Run(folder)


def write_test(folder, student, teacher=None, step=800, split="test"):
    """What `ssseg test` left of a run."""
    miou = {"student": student} if teacher is None else {"student": student, "teacher": teacher}
    found = {
        "data": {"split": split},
        "step": step,
        "networks": {name: {"miou": value, "iou": {"road": value}} for name, value in miou.items()},
        "evaluation": EVALUATION,
    }
    (folder / "test").mkdir()
    (folder / "test" / "scores.json").write_text(json.dumps(found))


def write_tiles(folder, networks=("student",), shade=0, size=8):
    tiles = folder / "samples" / "tiles"
    tiles.mkdir(parents=True)
    for name in ("input", "truth", *networks):
        for i in range(4):
            pixels = np.full((size, size, 3), 40 * i + shade, np.uint8)
            Image.fromarray(pixels).save(tiles / f"{name}_{i}.png")


def write_metrics(folder, **columns):
    """Columns by name, with two underscores for a slash, over steps 9, 19, ..."""
    names = [name.replace("__", "/") for name in columns]
    lines = [",".join(["epoch", "step", *names])]
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        lines.append(",".join(["0", str(10 * i + 9), *map(str, values)]))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


STUDENTS = {"supervised": [0.40, 0.44, 0.45], "classmix": [0.46, 0.50, 0.47]}
TEACHERS = {"supervised": None, "classmix": [0.45, 0.52, 0.48]}


def study(folder, **changes):
    """Two methods with three seeds."""
    for method, students in STUDENTS.items():
        for seed, student in enumerate(students):
            teacher = TEACHERS[method] and TEACHERS[method][seed]
            where = folder / f"{method}-{seed}"
            best = (teacher or student) + 0.02
            write(where, method, student, teacher, seed, best, **changes)
    return folder
