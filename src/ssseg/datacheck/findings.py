"""The sets of images that findings are about, and the names of `ssseg.data.findings`."""

from typing import Any, Literal

from ssseg.data.findings import Finding, Severity, fill, listed, shown
from ssseg.data.labels import file_of

Role = Literal["labeled", "unlabeled", "val", "test", "unmasked"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "val", "test", "unmasked")
"""`unmasked` are images of train, val or test that need a mask and have none."""
MASKED: tuple[Role, ...] = ("labeled", "val", "test")
"""Sets with masks."""
DoctorReport = dict[str, Any]
"""The report of `ssseg doctor`, or a part of it, as plain data."""

__all__ = [
    "MASKED",
    "ROLES",
    "DoctorReport",
    "Finding",
    "Role",
    "Severity",
    "file_of",
    "fill",
    "listed",
    "shown",
]
