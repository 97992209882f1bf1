"""The HTML page of an evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssseg.reports.evaluation.images import WRONG, Tiles
from ssseg.reports.html import (
    bars,
    escape,
    facts,
    image_uri,
    legend,
    matrix,
    percent,
    skeleton,
    swatch,
)
from ssseg.viz import IGNORE_COLOR

SPLITS = {"train": "training", "val": "validation", "test": "test"}
HEADLINE = {
    "boundary_miou": "boundary mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "weighted_iou": "frequency-weighted IoU",
}


def evaluation_page(
    doc: Mapping[str, Any],
    confusion: Sequence[Sequence[int]],
    worst: Sequence[Tiles],
    best: Sequence[Tiles],
) -> str:
    """The page.

    Args:
        doc: What scores.json holds.
        confusion: Counts of the predictor; truth in rows.
        worst: Pictures of `doc["worst"]`.
        best: Pictures of `doc["best"]`.
    """
    data, predictor = doc["data"], doc["predictor"]
    names = [c["name"] for c in data["classes"]]
    title = f"{data['name']}, {SPLITS[data['split']]} images"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(doc["method"])}, step {doc["step"]:,}, '
        f"{data['images']:,} images, {escape(doc['evaluation']['protocol'])}</p>",
        '<div class="cards">',
        *(_card(name, place, doc) for place, name in enumerate(doc["networks"])),
        "</div>",
        "<h2>How it was measured</h2>",
        "<ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in doc["evaluation"]["words"]),
        "</ul>",
        "<h2>Classes</h2>",
        _classes(data["classes"], doc["networks"]),
        f"<h2>What the {escape(predictor)} takes for what</h2>",
        '<p class="soft">Pixels of a class (row) in percent, by what they are taken for (column); '
        "every row sums to 100. "
        + "What rounds to 0 is left empty. A dash: no pixel of that class in the truth.</p>",
        matrix(names, confusion),
        *_pictures(doc, worst, best),
        "<h2>Where it comes from</h2>",
        _origin(doc),
    ]
    return skeleton(f"{title}: {doc['evaluation']['protocol']}", body)


def _card(name: str, place: int, doc: Mapping[str, Any]) -> str:
    scores = doc["networks"][name]
    rows = [
        f"<tr><th>{label}</th><td>{percent(scores[key], 2)}</td></tr>"
        for key, label in HEADLINE.items()
        if key in scores
    ]
    role = ", which the method predicts with" * (name == doc["predictor"])
    return (
        f'<section class="card"><h3><i class="swatch net{place % 4}"></i>{escape(name)}'
        f'<small>{role}</small></h3><p class="big">{percent(scores["miou"], 2)} '
        f"<small>% mIoU</small></p><table><tbody>{''.join(rows)}</tbody></table></section>"
    )


def _classes(classes: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> str:
    """One row per class: bars of every network's IoU, and the numbers."""
    edges = [name for name, found in scores.items() if "boundary_iou" in found]
    heads = [f'<th scope="col">IoU<br>{escape(name)}</th>' for name in scores]
    heads += [f'<th scope="col">boundary<br>{escape(name)}</th>' for name in edges]
    rows = []
    for entry in classes:
        name = entry["name"]
        ious = {network: found["iou"].get(name) for network, found in scores.items()}
        numbers = [percent(value) for value in ious.values()]
        numbers += [percent(scores[network]["boundary_iou"].get(name)) for network in edges]
        rows.append(
            f'<tr><th scope="row"><div><span>{swatch(entry["color"])}{escape(name)}</span>'
            f"{bars(ious)}</div></th>"
            + "".join(f"<td>{number}</td>" for number in numbers)
            + "</tr>"
        )
    return (
        '<p class="soft">In percent. A dash: the class occurs neither in the truth nor in what the '
        'network predicts.</p><div class="scroll"><table class="bars"><thead><tr>'
        f'<th scope="col">class</th>{"".join(heads)}</tr></thead>'
        f"<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )


def _pictures(
    doc: Mapping[str, Any], worst: Sequence[Tiles], best: Sequence[Tiles]
) -> Iterable[str]:
    if not worst:
        return
    yield f"<h2>The {escape(doc['predictor'])}'s worst and best images</h2>"
    yield (
        '<p class="soft">By the mIoU of each image alone, over the classes that occur in it. Such '
        "a number depends on which classes happen to be there: it is good for choosing pictures, "
        "and is no result.</p>"
    )
    colors = [(c["name"], c["color"]) for c in doc["data"]["classes"]]
    yield legend([*colors, ("wrong", WRONG), ("ignored", IGNORE_COLOR)])
    for name, drawn in (("worst", worst), ("best", best)):
        if drawn:
            yield f"<h3>{name.capitalize()}</h3>"
        for entry, tiles in zip(doc[name], drawn, strict=True):
            yield _case(entry, tiles)


def _case(entry: Mapping[str, Any], tiles: Tiles) -> str:
    shown = []
    for label, pixels in tiles._asdict().items():
        height, width = pixels.shape[:2]
        photo = label in ("input", "errors")
        small = max(height, width) < 128  # where a JPEG would blur, and saves nothing
        uri = image_uri(pixels, photograph=photo and not small)
        kind = ' class="photo"' * (photo and not small)
        alt = escape(f"{label} of {entry['id']}")
        shown.append(
            f'<div><img{kind} src="{uri}" alt="{alt}" width="{width}" height="{height}">'
            f"<small>{label}</small></div>"
        )
    return (
        f'<figure class="case"><figcaption>{escape(entry["id"])} <span>mIoU of this image '
        f"{percent(entry['miou'])}&nbsp;%, {percent(entry['pixel_accuracy'])}&nbsp;% of its pixels "
        f"right"
        f'</span></figcaption><div class="four">{"".join(shown)}</div></figure>'
    )


def _origin(doc: Mapping[str, Any]) -> str:
    training = doc["training"]
    versions = ", ".join(f"{name} {number}" for name, number in doc["versions"].items())
    entries = {
        "command": f"<code>{escape(doc['command'])}</code>",
        "checkpoint": f"<code>{escape(doc['checkpoint'])}</code>",
        "method": escape(doc["method"]),
    }
    if training is not None:
        entries["trained on"] = escape(f"{training['name']}, labeled: {training['split']}")
        entries["hash of its labeled images"] = f"<code>{escape(training['split_hash'])}</code>"
    entries["device"] = escape(doc["device"])
    entries["versions"] = escape(versions)
    if doc["commit"]:
        entries["commit"] = f"<code>{escape(doc['commit'])}</code>"
    other = ("scores.json", "scores.csv", "confusion.csv")
    entries["the same as data"] = ", ".join(f'<a href="{name}">{name}</a>' for name in other)
    return facts(entries)
