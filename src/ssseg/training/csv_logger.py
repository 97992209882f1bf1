"""metrics.csv: one row each time that numbers are logged; an interruption leaves it whole."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ssseg.runs.atomic_write import atomic_write
from ssseg.runs.checkpoint import read_checkpoint
from ssseg.runs.run import METRICS, earlier_rows


class StepLogger(Logger):
    """Appends rows; for a new column the file is written anew and replaced once it is complete.

    Lightning's CSVLogger starts an empty file when a run is resumed, and overwrites it in place.

    Args:
        folder: Of the run.
        resumed: The checkpoint that the run goes on from.
    """

    def __init__(self, folder: Path, resumed: Path | None) -> None:
        super().__init__()
        self.folder = folder
        self.columns: list[str] = []
        if resumed is not None:
            self._begin(rows_before(folder, read_checkpoint(resumed)))

    @property
    def name(self) -> str:
        """Empty: there is one log per run."""
        return ""

    @property
    def version(self) -> str:
        """Empty as well."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.folder)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are in the run's config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A row; what has no value (the accuracy of a class that nobody predicted) stays empty."""
        known = {name: value for name, value in metrics.items() if value == value}  # not NaN
        row = {**known, "step": step}
        if set(row) <= set(self.columns):
            with self._file.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
            return
        rows: list[Mapping[str, Any]] = []
        if self.columns:
            with self._file.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        self._begin([*rows, row])

    @property
    def _file(self) -> Path:
        return self.folder / METRICS

    @rank_zero_only
    def _begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.columns = sorted({*self.columns, *(name for row in rows for name in row)})
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            atomic_write(self._file) as draft,
            draft.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


def rows_before(folder: Path, checkpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the steps before a checkpoint; later steps are logged again.

    The row of its own last step is written after it, by Lightning; a kill in between would lose
    that row, which is why the checkpoint has it too.

    Args:
        folder: Of the run.
        checkpoint: As `read_checkpoint` returns it.
    """
    rows = earlier_rows(folder, checkpoint["global_step"])
    own = checkpoint["callbacks"].get("LastCheckpoint", {}).get("row")
    if own and not any(row["step"] == own["step"] and "loss" in row for row in rows):
        rows.append(own)
    return rows
