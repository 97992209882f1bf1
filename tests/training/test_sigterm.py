"""A SIGTERM is noted, and forwarded to launched processes once."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from ssseg.training.sigterm import SigtermHandler


class Strategy:
    """Of a run of two processes, of which this one is the first."""

    def __init__(self, other=False):
        self.sent, self.other = [], other
        self.launcher = SimpleNamespace(kill=self.sent.append)

    def reduce_boolean_decision(self, decision, all):
        return (decision and self.other) if all else (decision or self.other)


@pytest.fixture
def usual():
    """The handler of this process, put back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    yield before
    signal.signal(signal.SIGTERM, before)


def handler_of(strategy, received=False):
    return SigtermHandler(SimpleNamespace(strategy=strategy, received_sigterm=received))


@pytest.mark.usefixtures("usual")
def test_it_is_forwarded_once():
    strategy = Strategy()
    handler = handler_of(strategy)
    handler.install()
    assert not handler.received_by_any()
    for _ in range(2):  # people press twice
        os.kill(os.getpid(), signal.SIGTERM)
    assert handler.received_by_any()
    assert strategy.sent == [signal.SIGTERM]


def test_a_signal_to_another_process_ends_this_one_too():
    assert handler_of(Strategy(other=True)).received_by_any()


def test_a_signal_that_lightning_got_before_counts():
    assert handler_of(Strategy(), received=True).received_by_any()


def test_without_a_launcher_and_beside_the_main_thread(usual):
    strategy = Strategy()
    strategy.launcher = None
    handler = handler_of(strategy)
    thread = threading.Thread(target=handler.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is usual
    handler.install()
    os.kill(os.getpid(), signal.SIGTERM)
    assert handler.received_by_any()
