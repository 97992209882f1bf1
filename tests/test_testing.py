"""The contract of a method, and that it notices faults."""

import copy
from typing import ClassVar

import pytest
import torch

from ssseg.methods import METHODS, method_class
from ssseg.methods.mean_teacher import MeanTeacher
from ssseg.ops import one_hot
from ssseg.testing import CONTRACT, NUM_CLASSES, check_method, make_method, step, tiny_batch
from ssseg.types import IGNORE, StepOutput

VARIANTS = [
    *((name, {}) for name in METHODS),
    ("mean_teacher", {"loss": "cross_entropy", "conf_weight": "pixel", "denominator": "trusted"}),
    ("cutmix", {"law": "classmix", "num_boxes": 3, "teacher_norm": "running"}),
    ("classmix", {"conf_weight": "batch", "denominator": "all", "extra_augmentation": True}),
    ("classmix", {"loss": "squared_error", "rounding": "ceil"}),
    ("classmix", {"loss": "soft_cross_entropy"}),
    ("guidedmix", {"variant": "paper"}),
    ("guidedmix", {"loss": "squared_error", "pair": "assigned", "recent": 5}),
    ("guidedmix", {"loss": "squared_error", "target": "decoupled"}),
    ("guidedmix", {"variant": "paper", "decouple": "hard", "pair": "similar_unlabeled"}),
    ("guidedmix", {"use_teacher": False, "dec_decouple": "hard", "class_reduction": "sum"}),
    ("unimatch", {"use_teacher": True}),
    ("complexmix", {"gate": "pixel_before", "class_pool": "all", "grid": "per_side"}),
]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "hparams"), VARIANTS, ids=lambda value: str(value) or "defaults")
def test_every_method_keeps_the_contract(name, hparams, check):
    check(lambda: make_method(method_class(name), hparams))


@pytest.mark.parametrize("index", [0, 99])
@pytest.mark.parametrize(("name", "hparams"), VARIANTS, ids=lambda value: str(value) or "defaults")
def test_idle_parameters_are_those_that_no_term_reaches(name, hparams, index):
    waits = {} if name == "supervised" else {"warmup_steps": 50.0}
    method, now = make_method(method_class(name), {**hparams, **waits}), step(index=index)
    terms = method.losses(tiny_batch(method.num_views), now).losses
    torch.autograd.backward(list(terms.values()))
    left = {p for p in method.parameters() if p.requires_grad and p.grad is None}
    assert set(method.idle(now)) == left
    assert not left or index == 0


class StudentLabelsItself(MeanTeacher):
    """The mistake of a well-known code base: the unlabeled term holds no gradient."""

    def losses(self, batch, step):
        out = super().losses(batch, step)
        return out._replace(
            losses={**out.losses, "unsup": out.losses["unsup"].detach() * sum_of(self)}
        )


def sum_of(method):
    """A factor of 1 with a graph that does not reach the student."""
    return torch.ones((), requires_grad=True)


class TeacherNeverFollows(MeanTeacher):
    def after_step(self, step):
        pass


class MixesInPlace(MeanTeacher):
    def combine(self, sample, hard, step, labeled):
        sample.image.mul_(0.5)
        return super().combine(sample, hard, step, labeled)


class ForgetsPadding(MeanTeacher):
    def task(self, batch, step):
        valid = torch.ones_like(batch.unlabeled.valid)
        return super().task(batch._replace(unlabeled=batch.unlabeled._replace(valid=valid)), step)


class DeadDecoder(MeanTeacher):
    def setup(self, model):
        super().setup(model)
        self.spare = copy.deepcopy(model.decoder)


class GlobalRandomness(MeanTeacher):
    draws = 0

    def combine(self, sample, hard, step, labeled):
        type(self).draws += 1
        moved = sample._replace(image=sample.image + 0.1 * self.draws)
        return super().combine(moved, hard, step, labeled)


class Adversary(MeanTeacher):
    """A critic tells labels from predictions; the student is trained to look like labels."""

    parts: ClassVar = {"critic": 0.1}

    def setup(self, model):
        super().setup(model)
        self.critic = torch.nn.Conv2d(NUM_CLASSES, 1, 1)

    def losses(self, batch, step):
        label, valid = batch.labeled.label, batch.unlabeled.valid
        probs = self.student(batch.unlabeled.views[0]).softmax(1)
        frozen = {name: p.detach() for name, p in self.critic.named_parameters()}
        judged = torch.func.functional_call(self.critic, frozen, probs)
        truth = self.critic(one_hot(label, probs)).sigmoid()
        terms = {
            "fool": self.mean(-judged, valid),
            "critic_fake": self.mean(self.critic(probs.detach()).sigmoid(), valid),
            "critic": self.mean(1 - truth, label != IGNORE) + self.mean(judged.detach(), valid),
        }
        sup = self.labeled_loss(self.student(batch.labeled.image), label, step)
        return StepOutput({"sup": sup, **terms})

    def mean(self, map, valid):
        return (map[:, 0].float() * valid).sum() / valid.sum().clamp_min(1)


class CriticNeverLearns(Adversary):
    def losses(self, batch, step):
        out = super().losses(batch, step)
        term = out.losses["critic"].detach() + 0 * out.losses["fool"]
        return out._replace(losses={**out.losses, "critic_fake": term})


class CriticSeesPadding(Adversary):
    def mean(self, map, valid):
        return map.float().mean()


def test_a_part_need_not_train_the_student():
    """A term of the critic on predictions and one that reads labels too; both are silent alone."""
    check_method(Adversary)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (StudentLabelsItself, "gives the student no gradient"),
        (TeacherNeverFollows, "after_step does not update"),
        (MixesInPlace, "changed in place"),
        (ForgetsPadding, "no pixel is valid"),
        (DeadDecoder, "parameters without gradient"),
        (CriticNeverLearns, "term critic_fake gives the critic no gradient"),
        (CriticSeesPadding, "no pixel is valid"),
        (GlobalRandomness, "differs for one generator state"),
    ],
)
def test_the_contract_notices_planted_faults(broken, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_method(broken)
