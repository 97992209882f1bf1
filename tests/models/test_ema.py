import copy

import pytest
import torch
from torch import nn

from ssseg.models import EMA
from ssseg.models.ema import labeling


class WithBuffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.9)
        self.register_buffer("position", torch.arange(300).view(3, 100))
        self.register_buffer("switch", torch.tensor([True, False]))

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


def shift(module, by):
    with torch.no_grad():
        for p in module.parameters():
            p.add_(by)


def test_the_first_update_copies_and_the_next_ones_average():
    student = WithBuffers()
    teacher = EMA(student, decay=0.99)
    seen = []
    for step in range(10):
        shift(student, float(step))
        seen.append(student.conv.weight.detach().clone())
        teacher.update(student, step)
        wanted = torch.stack(seen).mean(0)
        torch.testing.assert_close(teacher.module.conv.weight, wanted)


def test_after_the_startup_the_decay_rules():
    student = WithBuffers()
    teacher = EMA(student, decay=0.9)
    before = teacher.module.conv.weight.clone()
    shift(student, 1.0)
    teacher.update(student, 1000)
    torch.testing.assert_close(teacher.module.conv.weight, before + 0.1)


def test_without_startup_the_decay_rules_from_the_first_step():
    student = WithBuffers()
    teacher = EMA(student, decay=0.9, startup=False)
    before = teacher.module.conv.weight.clone()
    shift(student, 1.0)
    teacher.update(student, 0)
    torch.testing.assert_close(teacher.module.conv.weight, before + 0.1)


def test_equal_students_are_a_fixed_point():
    student = WithBuffers()
    teacher = EMA(student)
    for step in range(200):
        teacher.update(student, step)
    for ours, theirs in zip(teacher.module.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_integer_and_boolean_buffers_are_copied_and_batchnorm_statistics_follow():
    """An averaged relative-position index would be garbage after a thousand updates."""
    student = WithBuffers().train()
    teacher = EMA(student, decay=0.99)
    position = student.position.clone()
    for step in range(1000):
        if step % 50 == 0:
            student(torch.randn(4, 3, 8, 8) + 5)
        teacher.update(student, step)
    assert torch.equal(teacher.module.position, position)
    assert teacher.module.position.dtype == torch.int64
    assert torch.equal(teacher.module.switch, student.switch)
    assert torch.equal(teacher.module.norm.num_batches_tracked, torch.tensor(20))
    torch.testing.assert_close(
        teacher.module.norm.running_mean, student.norm.running_mean, rtol=0.3, atol=0.3
    )
    assert not torch.allclose(teacher.module.norm.running_mean, torch.zeros(4), atol=0.05)


def test_the_teacher_shares_no_memory_with_the_student():
    student = WithBuffers()
    teacher = EMA(student)
    teacher.update(student, 0)
    ours = {t.data_ptr() for t in (*teacher.parameters(), *teacher.buffers())}
    assert not ours & {t.data_ptr() for t in (*student.parameters(), *student.buffers())}


def test_it_stays_frozen_and_in_eval_mode():
    teacher = EMA(WithBuffers())
    nn.Sequential(teacher).train()
    assert not any(m.training for m in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(torch.randn(1, 3, 8, 8)).requires_grad


def test_labels_use_batch_statistics_without_dropout_and_leave_the_buffers():
    student = WithBuffers()
    teacher = EMA(student)
    image = torch.randn(4, 3, 8, 8) * 3 + 2
    before = copy.deepcopy(teacher.state_dict())
    labels = teacher.label(image, "batch")

    wanted = copy.deepcopy(student)
    wanted.norm.train()
    wanted.drop.eval()
    torch.testing.assert_close(labels, wanted(image))
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    # the two voices differ here, and evaluation still uses the running statistics
    student.eval()
    torch.testing.assert_close(teacher(image), student(image))
    torch.testing.assert_close(teacher.label(image, "running"), student(image))
    assert not torch.allclose(labels, student(image), atol=0.1)


def test_the_voices_are_restored_after_an_error():
    teacher = EMA(WithBuffers())
    with pytest.raises(RuntimeError):
        teacher.label(torch.randn(1, 7, 8, 8), "batch")
    assert not teacher.module.norm.training
    assert teacher.module.norm.track_running_stats


class Mixture(nn.Module):
    """Parts in different modes: a frozen norm, one without running statistics, two plain ones."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 1)
        self.frozen = nn.BatchNorm2d(4)
        self.plain = nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.stateless = nn.BatchNorm2d(4, track_running_stats=False)
        self.flat = nn.BatchNorm1d(4)
        self.drop = nn.Dropout2d(0.5)
        for norm in (self.frozen, self.plain[0], self.flat):
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
        self.train()
        self.frozen.eval()

    def forward(self, x):
        x = self.stateless(self.plain(self.frozen(self.conv(x))))
        return self.drop(self.flat(x.flatten(2)).view_as(x))


def modes(module):
    return [(m.training, getattr(m, "track_running_stats", None)) for m in module.modules()]


def normalised(x, norm, of_batch):
    """What a fresh BatchNorm makes of a (B, C, H, W) or (B, C, N) batch."""
    dims = [d for d in range(x.dim()) if d != 1]
    mean = x.mean(dims) if of_batch else norm.running_mean
    var = x.var(dims, correction=0) if of_batch else norm.running_var
    shape = [1, -1] + [1] * (x.dim() - 2)
    return (x - mean.view(shape)) / (var.view(shape) + norm.eps).sqrt()


NORMS = pytest.mark.parametrize("norm", ["batch", "running"])


class TestLabeling:
    @NORMS
    @pytest.mark.parametrize("mode", ["mixed", "train", "eval"])
    def test_gives_every_part_its_mode_back(self, norm, mode):
        network = Mixture()
        if mode != "mixed":
            network.train(mode == "train")
        before = modes(network)
        with labeling(network, norm):
            network(torch.randn(4, 3, 5, 5))
            assert modes(network) != before or (mode, norm) == ("eval", "running")

        assert modes(network) == before

    @NORMS
    def test_gives_the_modes_back_after_an_error(self, norm):
        network = Mixture()
        before = modes(network)
        with pytest.raises(RuntimeError), labeling(network, norm):
            network(torch.randn(4, 7, 5, 5))

        assert modes(network) == before
        assert torch.is_grad_enabled()

    @NORMS
    def test_leaves_every_buffer(self, norm):
        network = Mixture()
        before = copy.deepcopy(network.state_dict())
        assert sum(name.endswith("num_batches_tracked") for name in before) == 3
        with labeling(network, norm):
            network(torch.randn(4, 3, 5, 5) * 3 + 2)

        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        # afterwards the buffers move again, but for the frozen ones
        network(torch.randn(4, 3, 5, 5) * 3 + 2)
        tracked = [n.num_batches_tracked for n in (network.frozen, network.plain[0], network.flat)]
        assert [int(count) for count in tracked] == [0, 1, 1]

    @NORMS
    def test_drops_nothing_and_makes_no_gradient(self, norm):
        network, image = Mixture(), torch.randn(4, 3, 5, 5, requires_grad=True)
        with labeling(network, norm):
            first, second = network(image), network(image)
        assert torch.equal(first, second)
        assert not first.requires_grad

        assert not torch.equal(network(image), network(image))
        assert network(image).requires_grad

    @NORMS
    def test_normalises_as_it_says(self, norm):
        network, image = Mixture(), torch.randn(4, 3, 5, 5) * 3 + 2
        with labeling(network, norm):
            labels = network(image)

        of_batch = norm == "batch"
        x = network.conv(image)
        x = normalised(normalised(x, network.frozen, of_batch), network.plain[0], of_batch)
        x = normalised(x, network.stateless, True).flatten(2)
        expected = normalised(x, network.flat, of_batch).view_as(labels)
        torch.testing.assert_close(labels, expected, atol=1e-4, rtol=1e-4)

    def test_says_something_else_under_the_other_norm(self):
        network, image = Mixture(), torch.randn(4, 3, 5, 5) * 3 + 2
        with labeling(network, "batch"):
            by_batch = network(image)
        with labeling(network, "running"):
            by_running = network(image)

        assert not torch.allclose(by_batch, by_running, atol=0.1)
        torch.testing.assert_close(network.eval()(image), by_running)

    @NORMS
    def test_of_a_part_leaves_the_rest(self, norm):
        network = Mixture()
        with labeling(network.plain, norm):
            assert network.training
            assert network.drop.training
            assert not network.plain[1].training
        assert network.plain[1].training
