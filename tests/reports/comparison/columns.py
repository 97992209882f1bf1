import json

from tests.benchmarking.folders import write, write_tiles


def plan(folder, *runs, **published):
    """A benchmark's folder: `runs` are its rows, columns and the options of `write`."""
    planned = []
    for number, (row, column, method, student, teacher, seed) in enumerate(runs):
        name = f"{number}-{method}"
        best = None if teacher is None else teacher + 0.02 + 0.01 * seed
        run = write(folder / name, method, student, teacher, seed, best)
        write_tiles(run.folder, ["student"] if teacher is None else ["student", "teacher"])
        planned.append({"folder": name, "row": row, "column": column, "seed": seed})
        planned[-1]["published"] = published.get(row)
    (folder / "study.json").write_text(json.dumps({"runs": planned}))
    return folder


STUDY = [
    ("supervised", "", "supervised", 0.40, None, 0),
    ("classmix", "", "classmix", 0.46, 0.45, 0),
    ("supervised", "", "supervised", 0.44, None, 1),
    ("classmix", "", "classmix", 0.50, 0.49, 1),
]
