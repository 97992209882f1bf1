"""Silences messages of other libraries that are for their developers."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = {
    "pytorch_lightning": logging.WARNING,
    "lightning_fabric": logging.WARNING,
    # whoever asks for a profile wants to see it
    "pytorch_lightning.profilers": logging.INFO,
    # it lists the classifier of every pretrained encoder as unexpected; we check weights ourselves
    "timm.models._builder": logging.ERROR,
}
MESSAGES = (
    ".*args parameter is intended",
    ".*does not have many workers",
    ".*Checkpoint dir.*exists",
    ".*The dirpath has changed from",
    ".*Experiment logs directory",
    ".*isinstance.treespec, LeafSpec.*",
    ".*mid-epoch",
    ".*resuming from a checkpoint that ended before",
    ".*module.s. in eval mode at the start",
    ".*callbacks used to create the checkpoint",
    ".*is supported for historical reasons",  # of precision 16
    ".*AMP with fp16 is not supported on CPU",  # that is refused
    ".*sync_dist=True",  # scores are of all devices already
    ".*all_gather is deprecated",
    # Pillow warns of large photographs; images of twice its limit are still refused
    ".*could be decompression bomb",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide these messages inside the context; filters and levels are restored at its end."""
    levels = {name: logging.getLogger(name).level for name in LEVELS}
    with warnings.catch_warnings():
        ignore_messages()
        for name, level in LEVELS.items():
            logging.getLogger(name).setLevel(level)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def ignore_messages() -> None:
    """Hide these messages until the process ends."""
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message)
