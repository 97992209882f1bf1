"""Prints the report as text, with colours if the output is a terminal."""

from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssseg.datacheck.findings import MASKED, DoctorReport, listed

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
HEADINGS = {
    "error": "Errors: training would stop or use wrong data",
    "warning": "Warnings: training can start, but",
    "note": "Notes",
}
VALUES = {"uint8": "8-bit values", "uint16": "16-bit values", "float": "values in float"}


def show(report: DoctorReport, console: Console | None = None) -> None:
    """Print a report."""
    console = console or Console(markup=False, emoji=False, highlight=False)
    if report["data"] is not None:
        console.print(_title(report))
        console.print()
        console.print(_sets(report["sets"]))
        console.print()
        if report["classes"]:
            console.print(_classes(report))
            console.print()
    for severity, heading in HEADINGS.items():
        _findings(console, report, severity, heading)
    rows = _estimates(report)
    if rows:
        for label, text in rows:
            _paragraph(console, f"{label:<9}", text)
        console.print()
    _verdict(console, report)
    if "fix" in report:
        _fix(console, report["fix"])


def _title(report: DoctorReport) -> str:
    data, classes = report["data"], report["classes"]
    channels = data["in_channels"]
    return (
        f"{data['name']}: {len(classes)} class{'es' * (len(classes) != 1)}, images of {channels} "
        f"channel{'s' * (channels != 1)} of {VALUES[data['values']]}, labeled: {data['split']}"
    )


def _sets(sets: DoctorReport) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("set")
    for name in ("images", "smallest", "median", "largest", "ignored"):
        table.add_column(name, justify="right")
    table.add_column("formats")
    for name, numbers in sets.items():
        sizes = [_size(numbers[key]) for key in ("smallest", "median", "largest")]
        formats = ", ".join(
            form if len(numbers["formats"]) == 1 else f"{count} {form}"
            for form, count in numbers["formats"].items()
        )
        label = "without mask" if name == "unmasked" else name
        table.add_row(
            label, f"{numbers['images']:,}", *sizes, _percent(numbers["ignored"]), formats
        )
    return table


def _classes(report: DoctorReport) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("id", justify="right")
    table.add_column("class")
    roles = [role for role in MASKED if report["sets"][role]["masks"]]
    for role in roles:
        table.add_column(role, justify="right")
        table.add_column("in", justify="right")
    for info in report["classes"]:
        cells = list[str]()
        for role in roles:
            cells += [_percent(info[role]["share"]), f"{info[role]['images']:,}"]
        table.add_row(str(info["id"]), info["name"], *cells)
    return table


def _findings(console: Console, report: DoctorReport, severity: str, heading: str) -> None:
    found = [finding for finding in report["findings"] if finding["severity"] == severity]
    if not found:
        return
    console.print(Text(heading, STYLES[severity]))
    for number, finding in enumerate(found, 1):
        _paragraph(console, f"{number:>2}. ", finding["text"], STYLES[severity])
    console.print()


def _estimates(report: DoctorReport) -> list[tuple[str, str]]:
    rows = list[tuple[str, str]]()
    if (proposal := report["proposal"]) is not None:
        default = f" (the default is {proposal['default']})"
        same = proposal["crop_size"] == proposal["default"]
        rows.append(("crop", proposal["option"] + default * (not same)))
    if (estimate := report["estimate"]) is None:
        return rows
    seen = [f"{name} images {often:.1f} times" for name, often in estimate["exposures"].items()]
    if seen:
        batch = " + ".join(
            str(estimate[k]) for k in ("batch_size", "unlabeled_batch_size") if estimate[k]
        )
        rows.append(("seen", f"{listed(seen)} in {estimate['max_steps']:,} steps of {batch}"))
    if (memory := estimate["memory"]) is not None:
        height, width = memory["crop_size"]
        teacher = ", with a teacher" if memory["teacher"] else ""
        weights = f"{memory['parameters'] / 1e6:.1f} million weights"
        rows.append(
            (
                "memory",
                f"about {memory['bytes'] / 2**30:.1f} GB for a step of {memory['images']} crops of "
                f"{height} x {width} ({memory['network']}, {weights}, 32 bits{teacher})",
            )
        )
        if (validation := memory["validation"]) is not None:
            tall, wide = validation["size"]
            number = validation["images"]
            whole = f"{number} whole images" if number > 1 else "a whole image"
            windows = "; --eval.mode slide takes less" * (validation["bytes"] > memory["bytes"])
            text = f"about {validation['bytes'] / 2**30:.1f} GB for {whole} of {wide} x {tall}"
            rows.append(("", f"{text} in validation{windows}"))
    elif rows:
        rows.append(("memory", "unknown"))
    return rows


def _verdict(console: Console, report: DoctorReport) -> None:
    verdict = report["verdict"]
    console.print(Text(verdict["text"], "bold green" if verdict["ok"] else STYLES["error"]))


def _fix(console: Console, fix: DoctorReport) -> None:
    console.print(f"\ncorrected copy in {fix['folder']}", soft_wrap=True)
    for done in fix["done"]:
        _paragraph(console, "  - ", done["text"])
    console.print(f"\nssseg doctor {fix['folder']}:", soft_wrap=True)
    _findings(console, fix["report"], "error", HEADINGS["error"])
    _verdict(console, fix["report"])


def _paragraph(console: Console, label: str, text: str, style: str = "") -> None:
    """Print text beside a label; long paths are not wrapped, so that they can be copied."""
    width = max(40, min(console.width, 100)) - len(label)
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    first = Text.assemble((label, style), lines[0])
    console.print(first, soft_wrap=True)
    for line in lines[1:]:
        console.print(" " * len(label) + line, soft_wrap=True)


def _size(size: list[int] | None) -> str:
    return "-" if size is None else f"{size[1]} x {size[0]}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
