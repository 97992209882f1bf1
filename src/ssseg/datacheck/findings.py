"""What findings are about: sets of images."""

from typing import Literal

from ssseg.data.findings import Finding, Severity, fill, listed, shown
from ssseg.data.labels import file_of

Role = Literal["labeled", "unlabeled", "val", "test", "unmasked"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "val", "test", "unmasked")
"""`unmasked` are images of train, val or test that lack the mask they should have."""
MASKED: tuple[Role, ...] = ("labeled", "val", "test")

__all__ = ["MASKED", "ROLES", "Finding", "Role", "Severity", "file_of", "fill", "listed", "shown"]
