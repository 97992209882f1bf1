"""Parts of HTML pages that need no network, no JavaScript and no other file.

All reports use them; they import no torch.
"""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

HEIGHT = 8
"""Of one bar, in pixels."""


def escape(text: object) -> str:
    """A text escaped for the space between tags and for attributes."""
    return html.escape(str(text), quote=True)


@cache
def style() -> str:
    """The style sheet: light and dark, narrow and wide, screen and paper."""
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def skeleton(title: str, body: Iterable[str], more_style: str = "") -> str:
    """A whole page.

    Args:
        title: As it is; it is escaped here.
        body: HTML.
        more_style: Rules of this page alone.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{style()}{more_style}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def image_uri(pixels: Any, photograph: bool = False) -> str:
    """An image within the page itself.

    Args:
        pixels: (H, W, 3) uint8.
        photograph: A JPEG, a tenth of the size, instead of a PNG, which keeps every colour.
    """
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if photograph:
        image.save(file, "JPEG", quality=85)
    else:
        image.save(file, "PNG", optimize=True)
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def swatch(color: Sequence[int]) -> str:
    """A small square of a colour."""
    return f'<i class="swatch" style="background:#{bytes(color).hex()}"></i>'


def legend(entries: Iterable[tuple[str, Sequence[int]]]) -> str:
    """Names with their colours."""
    parts = [f"<span>{swatch(color)}{escape(name)}</span>" for name, color in entries]
    return f'<p class="legend">{"".join(parts)}</p>'


def bars(shares: Mapping[str, float | None]) -> str:
    """Bars over each other as wide as their place, from 0 to 1; a new colour for each.

    Args:
        shares: By name; None is drawn as no bar.
    """
    step, rects = HEIGHT + 2, list[str]()
    for place, share in enumerate(shares.values()):
        at = f'y="{place * step}" height="{HEIGHT}" rx="2"'
        rects.append(f'<rect class="rail" width="100%" {at}/>')
        if share is not None:
            rects.append(f'<rect class="net{place % 4}" width="{100 * share:.2f}%" {at}/>')
    said = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    return (
        f'<svg role="img" aria-label="{escape(said)}" width="100%" '
        f'height="{step * len(shares) - 2}">{"".join(rects)}</svg>'
    )


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def facts(entries: Mapping[str, str]) -> str:
    """A table of names and HTML."""
    rows = [f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in entries.items()]
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix, every row in percent of its sum.

    One digit after the point up to 15 classes, none for more; what rounds to 0 is left empty.

    Args:
        names: Of the classes.
        counts: Pixels; truth in rows.
    """
    digits = 1 if len(names) <= 15 else 0
    least = 0.5 / 10**digits / 100
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for true, (name, row) in enumerate(zip(names, counts, strict=True)):
        total, cells = sum(row), list[str]()
        for seen, count in enumerate(row):
            share = count / total if total else 0.0
            if not count:
                cells.append("<td></td>" if total else "<td>-</td>")
                continue
            kind = "hit" if true == seen else "miss"
            # the root lets a few percent be seen; no deeper than text on it can be read
            shade = f"{0.6 * share**0.5:.2f}"
            said = escape(f"{name} as {names[seen]}: {percent(share, 2)} %, {count:,} pixels")
            text = percent(share, digits) if share >= least else ""
            cells.append(f'<td class="{kind}" style="--v:{shade}" title="{said}">{text}</td>')
        label = f'<th scope="row" title="{escape(name)}">{escape(name)}</th>'
        rows.append(f"<tr>{label}{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table class="matrix" style="--n:{len(names)}">'
        f"<thead><tr><th>truth ↓ predicted →</th>{head}</tr></thead>"
        f"<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )
