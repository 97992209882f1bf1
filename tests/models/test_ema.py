import copy

import pytest
import torch
from torch import nn

from ssseg.models import EMA


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
