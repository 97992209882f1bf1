"""Messages of the libraries below that concern their developers, kept from users for a while."""

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
    # a large photograph is no bomb; what is larger than twice Pillow's limit is still refused
    ".*could be decompression bomb",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, these messages are not shown; afterwards filters and levels are what they were.

    A notebook's own settings are nobody else's to change for good.
    """
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
    """For good, in a process of our own."""
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message)
