import pytest
import torch

from ssseg.cli.find_batch_size import find_batch_size
from ssseg.errors import UserError
from ssseg.training import batch_size_finder as probing
from ssseg.training.batch_size_finder import BatchSizeFinder, TriedBatch, search
from tests.cli.small_runs import TINY


def machine(limit, fixed=100.0, each=10.0):
    """Holds `fixed + each * n` MB; the process dies of more than `limit`."""
    asked = []

    def attempt(size):
        asked.append(size)
        held = fixed + each * size
        return TriedBatch(size, held, 1.0) if held <= limit else None

    return attempt, asked


@pytest.mark.parametrize("limit", [125, 200, 333, 1000, 4321])
def test_the_largest_to_an_eighth(limit):
    attempt, _ = machine(limit)
    fits = search(attempt, 2, 4096)
    true = (limit - 100) // 10
    assert true - max(1, true // 8) < fits[-1].batch_size <= true
    sizes = [tried.batch_size for tried in fits]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("room", [200, 333, 1000])
def test_what_would_end_the_process_is_not_tried(room):
    attempt, asked = machine(room)
    fits = search(attempt, 2, 4096, room)
    assert all(100 + 10 * size <= room for size in asked), "it would have been killed"
    true = (room - 100) // 10
    assert fits[-1].batch_size > true - max(1, true // 8) - 1


def test_images_may_be_the_limit():
    attempt, asked = machine(1e9)
    assert search(attempt, 2, 30)[-1].batch_size == 30
    assert asked == [2, 4, 8, 16, 30]


def test_nothing_fits():
    attempt, _ = machine(10)
    assert search(attempt, 2, 30) == []


def test_memory_at_an_end_is_not_the_end(monkeypatch):
    """As a GPU says it: by an exception."""
    step = probing.StepTimer.step

    def full(self, batches, index):
        if self.data.batch_size > 4:
            raise torch.OutOfMemoryError
        return step(self, batches, index)

    monkeypatch.setattr(probing.StepTimer, "step", full)
    _, found = find_batch_size(TINY)
    assert found.tried[-1].batch_size == 4
    monkeypatch.setattr(probing.BatchSizeFinder, "attempt", lambda self, size: None)
    with pytest.raises(UserError, match="2 images do not fit into"):
        find_batch_size(TINY)


def test_unlabeled_images_keep_their_proportion(monkeypatch):
    seen = []
    step = probing.StepTimer.step

    def watch(self, batches, index):
        batch = next(batches)
        seen.append((len(batch.labeled.image), len(batch.unlabeled.valid)))
        return step(self, iter([batch]), index)

    monkeypatch.setattr(probing.StepTimer, "step", watch)
    args = [*TINY, "--data.batch_size", "2", "--data.unlabeled_batch_size", "4"]
    bench, _ = find_batch_size(args)
    assert isinstance(bench, BatchSizeFinder)
    assert {(2, 4), (4, 8)} <= set(seen)
    assert all(unlabeled == 2 * labeled for labeled, unlabeled in seen)
