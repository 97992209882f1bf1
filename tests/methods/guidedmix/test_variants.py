import pytest
import torch

from ssseg.errors import UserError
from ssseg.methods import GuidedMix
from ssseg.methods.guidedmix.variants import VARIANTS
from ssseg.models import EMA
from ssseg.testing import losses, step, tiny_batch
from ssseg.types import Unlabeled
from tests.methods.guidedmix.networks import made


class TestVariants:
    def test_they_differ_where_the_table_says(self):
        for name, options in VARIANTS.items():
            method = GuidedMix(variant=name)
            assert {key: getattr(method, key) for key in options} == options

    def test_the_teacher_is_the_default(self):
        assert GuidedMix().hparams == GuidedMix(variant="teacher").hparams
        assert GuidedMix().use_teacher

    def test_what_is_given_wins_over_the_variant(self):
        method = GuidedMix(variant="teacher", pair="random", weight=3.0, use_teacher=False)
        assert (method.pair, method.weight, method.use_teacher) == ("random", 3.0, False)
        assert (method.loss, method.labeled_side) == ("cross_entropy", "truth")

    @pytest.mark.parametrize(
        ("options", "usual"),
        [
            ({"variant": "paper"}, ("similar", "decoupled", 0.3)),
            ({"variant": "paper", "use_teacher": True}, ("random", "direct", 30.0)),
            ({"variant": "paper", "loss": "cross_entropy"}, ("similar", "direct", 1.0)),
            ({}, ("similar", "direct", 1.0)),
            ({"loss": "squared_error"}, ("similar", "direct", 30.0)),
        ],
        ids=str,
    )
    def test_what_follows_from_the_other_options(self, options, usual):
        method = GuidedMix(**options)
        assert (method.pair, method.target, method.weight) == usual

    def test_equation_12_is_decoupled_like_the_rest_unless_said(self):
        assert GuidedMix(decouple="hard").dec_decouple == "hard"
        assert GuidedMix(decouple="hard", dec_decouple="soft").dec_decouple == "soft"

    def test_terms(self):
        batch = tiny_batch(1)
        names = {"sup", "sup_cla", "sup_dec", "unsup"}
        for options in ({}, {"variant": "teacher"}, {"use_teacher": True}):
            assert set(losses(made(**options), batch).losses) == names
        assert set(losses(made(cla_weight=0.0), batch).losses) == names - {"sup_cla"}
        assert set(losses(made(dec_weight=0.0), batch).losses) == names - {"sup_dec"}

    def test_a_weight_of_0_leaves_the_unlabeled_images_out(self):
        """Equation 12 alone, on labeled images: what the unlabeled ones add is the rest."""
        batch = tiny_batch(1)
        other = batch._replace(unlabeled=Unlabeled([], batch.unlabeled.valid[:0]))
        ours, theirs = (losses(made(weight=0.0, dec_target="truth"), b) for b in (batch, other))
        assert ours.losses == theirs.losses
        assert set(ours.losses) == {"sup", "sup_cla", "sup_dec"}
        assert ours.pseudo is None

    def test_supervised_terms_alone_until_the_warm_up_ends_then_a_ramp(self):
        method = made(warmup_steps=0.2, rampup_steps=0.4)
        terms = {i: method.losses(tiny_batch(1), step(index=i)).losses for i in (19, 20, 60)}
        assert "unsup" not in terms[19]
        assert 0 < terms[20]["unsup"] < 0.01 * terms[60]["unsup"]

    @pytest.mark.parametrize("options", [{"use_teacher": True}, {"variant": "teacher"}], ids=str)
    def test_with_a_teacher_its_labels_are_the_target(self, options):
        method = made(**options, dec_weight=0.0, threshold=0.0)
        assert isinstance(method.networks["teacher"], EMA)
        assert method.predictor == "teacher"
        before = losses(method, tiny_batch(1)).losses["unsup"]
        with torch.no_grad():
            for p in method.teacher.parameters():
                p.mul_(1.5)
        after = losses(method, tiny_batch(1)).losses["unsup"]
        assert not torch.equal(before, after)

    def test_a_twin_of_resolved_options_is_the_same_method(self):
        for options in ({}, {"variant": "paper"}, {"decouple": "hard"}):
            method = GuidedMix(**options)
            assert GuidedMix(**method.hparams).hparams == method.hparams

    def test_only_trusted_targets_count(self):
        batch = tiny_batch(1)
        all_, none, share = (
            losses(made(use_teacher=True, threshold=t, conf_weight="image"), batch)
            for t in (0.0, 1.1, 0.5)
        )
        assert all_.logs["trusted"] == 1
        assert none.logs["trusted"] == 0
        assert none.losses["unsup"] == 0
        assert share.losses["unsup"] <= all_.losses["unsup"]

    def test_contradictions_are_refused(self):
        with pytest.raises(UserError, match="lambda_max in"):
            GuidedMix(lambda_max=0.7)
        with pytest.raises(UserError, match="did you mean 'similar'"):
            GuidedMix(pair="similiar")
        with pytest.raises(UserError, match="did you mean 'paper'"):
            GuidedMix(variant="papper")
        with pytest.raises(UserError, match="expected target 'direct'"):
            GuidedMix(loss="cross_entropy", target="decoupled")
        with pytest.raises(UserError, match="is the method guidedmix_released"):
            GuidedMix(variant="released")
