import copy

import pytest
import torch
import torch.nn.functional as F

from ssseg.errors import UserError
from ssseg.methods import GuidedMix
from ssseg.methods.guidedmix import VARIANTS
from ssseg.models import EMA, Segmenter
from ssseg.testing import NUM_CLASSES, losses, make_method, step, tiny_batch
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled


def guided_network(**options):
    """The method's own network, tiny: attention at both of its stages."""
    return Segmenter(
        NUM_CLASSES,
        decoder="guidedmix",
        encoder="test_resnet",
        depth=3,
        encoder_options={"zero_init_last": False},
        decoder_options={"channels": (16, 16, 8), "min_stride": 2, **options},
    )


def made(network=None, **hparams):
    torch.manual_seed(0)
    method = GuidedMix(**{"warmup_steps": 0.0, "rampup_steps": 0.0, **hparams})
    method.setup(network or guided_network())
    return method.train()


class Pointwise(torch.nn.Module):
    """A network without bias, normalisation or neighbors: linear in the image, exactly."""

    def __init__(self):
        super().__init__()
        self.num_classes, self.freeze_bn = 3, False
        self.encoder = torch.nn.Conv2d(3, 6, 1, bias=False)
        self.encoder.out_channels = [6]
        self.decoder = torch.nn.Conv2d(6, 3, 1, bias=False)

    def encode(self, image):
        return [self.encoder(image)]

    def upsample(self, logits, image):
        return logits

    def forward(self, image):
        return self.decoder(self.encode(image)[-1])


class LinearDecoder(torch.nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, feats):
        return self.conv(feats[-1])


def linear():
    network = Pointwise()
    network.decoder = LinearDecoder(network.decoder)
    network.forward = lambda image: network.decoder(network.encode(image))
    return network.double()


def linear_method(**hparams):
    options = {"space": "logits", "cla_weight": 0.0, "dec_weight": 0.0, "warmup_steps": 0.0}
    return made(linear(), **{**options, "rampup_steps": 0.0, **hparams})


def photographs(labeled=3, unlabeled=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    image = torch.randn(labeled, 3, 8, 8, generator=g, dtype=dtype)
    other = torch.randn(unlabeled, 3, 8, 8, generator=g, dtype=dtype)
    label = torch.randint(0, 3, (labeled, 8, 8), generator=g)
    valid = torch.ones(unlabeled, 8, 8, dtype=torch.bool)
    return Batch(Labeled(image, label), Unlabeled([other], valid))


class TestAgainstTheFormulas:
    @pytest.mark.parametrize("target", ["decoupled", "direct", "none"])
    def test_rescaled_soft_decoupling_costs_a_linear_network_nothing(self, target):
        method = linear_method(rescale=True, target=target)
        out = method.losses(photographs(), step())

        assert out.losses["unsup"] < 1e-12  # shares are float32
        assert torch.equal(out.pseudo.target.argmax(1), out.pseudo.prediction.argmax(1))

    def test_as_printed_it_leaves_lambda_of_the_prediction_missing(self):
        method = linear_method(weight=30.0, lambda_per="batch")
        batch = photographs()
        unsup = method.losses(batch, step(3)).losses["unsup"]

        lam = 0.5 * torch.rand(1, generator=step(3).generator).double()  # alpha 1: U(0, 0.5)
        direct = method.student(batch.unlabeled.views[0])
        # M_mix - lam M_l = (1 - lam) M_u, so that lam M_u is the error
        assert torch.allclose(unsup, 30 * (lam * direct).square().mean(), rtol=1e-5)

    def test_an_image_paired_with_itself_is_where_the_printed_formula_grows(self):
        image = photographs(labeled=1).labeled.image
        batch = Batch(
            Labeled(image.repeat(2, 1, 1, 1), torch.zeros(2, 8, 8, dtype=torch.int64)),
            photographs().unlabeled,
        )
        printed = linear_method(dec_weight=1.0, weight=0.0)
        term = printed.losses(batch, step()).losses["sup_dec"]
        (grad,) = torch.autograd.grad(term, printed.student.decoder.conv.weight)
        # a step against the gradient enlarges the weights: the prediction of the mix, which is
        # that of the image itself, is asked to be (1 + lam) times as large
        assert (grad * printed.student.decoder.conv.weight).sum() < 0
        rescaled = linear_method(dec_weight=1.0, weight=0.0, rescale=True)
        assert rescaled.losses(batch, step()).losses["sup_dec"] < 1e-12

    @pytest.mark.parametrize("space", ["logits", "relu_logits", "probs"])
    @pytest.mark.parametrize("decouple", ["soft", "hard"])
    def test_a_plain_program_gets_the_same_losses(self, space, decouple):
        method = linear_method(space=space, decouple=decouple, dec_weight=0.7, weight=2.0)
        batch = photographs()
        out = method.losses(batch, step(5)).losses

        def scores(logits):
            if space == "probs":
                return logits.softmax(0)
            return logits.clamp_min(0) if space == "relu_logits" else logits

        with torch.no_grad():
            (x, _), views = batch.labeled, batch.unlabeled.views
            y = views[0]
            pooled_x = [method.student.encode(i[None])[0].mean((2, 3))[0] for i in x]
            pooled_y = [method.student.encode(i[None])[0].mean((2, 3))[0] for i in y]
            g = step(5).generator
            lam_l, lam_u = 0.5 * torch.rand(3, generator=g), 0.5 * torch.rand(4, generator=g)

            def left(a, b, lam):
                lam = float(lam)
                mixed = method.student((lam * a + (1 - lam) * b)[None])[0]
                share = lam if decouple == "soft" else 1.0
                rest = scores(mixed) - share * scores(method.student(a[None])[0])
                return rest / (1 - lam) if space == "probs" else rest

            dec = []
            for i in range(3):
                others = [k for k in range(3) if k != i]
                k = min(others, key=lambda k: float((pooled_x[i] - pooled_x[k]).square().sum()))
                truth = scores(method.student(x[k][None])[0])
                dec.append((left(x[i], x[k], lam_l[i]) - truth).square().mean())
            usup = []
            for i in range(4):
                k = min(range(3), key=lambda k: float((pooled_y[i] - pooled_x[k]).square().sum()))
                target = left(x[k], y[i], lam_u[i])
                if space == "probs":
                    target = target.clamp_min(0) + 1e-6
                    target = target / target.sum(0)
                usup.append((target - scores(method.student(y[i][None])[0])).square().mean())
        assert torch.allclose(out["sup_dec"], 0.7 * torch.stack(dec).mean(), rtol=1e-5)
        assert torch.allclose(out["unsup"], 2.0 * torch.stack(usup).mean(), rtol=1e-5)

    def test_summing_over_classes_is_their_number_times_the_mean(self):
        mean, total = linear_method(), linear_method(class_reduction="sum")
        total.load_state_dict(mean.state_dict())
        ratio = (
            losses(total, photographs()).losses["unsup"]
            / losses(mean, photographs()).losses["unsup"]
        )
        assert ratio.item() == pytest.approx(3)


class TestPairs:
    def test_the_identical_labeled_image_is_chosen(self):
        method, batch = made(), tiny_batch(1)
        image = batch.labeled.image
        twins = image[torch.tensor([2, 0, 1])]
        batch = batch._replace(unlabeled=Unlabeled([twins], batch.unlabeled.valid[:3]))
        shown = {p.title: p.tensor for p in method.pictures(batch, step())}

        assert torch.equal(shown["labeled"], twins)
        assert torch.equal(shown["its truth"], batch.labeled.label[torch.tensor([2, 0, 1])])
        # an image mixed with itself is itself
        assert torch.allclose(shown["mix"], twins, atol=1e-6)

    def test_every_labeled_image_looks_for_an_unlabeled_one(self):
        method, batch = made(pair="similar_unlabeled"), tiny_batch(1, labeled=2, unlabeled=5)
        shown = {p.title: p.tensor for p in method.pictures(batch, step())}
        assert torch.equal(shown["labeled"], batch.labeled.image)

    def test_random_pairs_use_every_labeled_image(self):
        method, batch = made(pair="random"), tiny_batch(1, labeled=4, unlabeled=4)
        shown = {p.title: p.tensor for p in method.pictures(batch, step())}
        rows = {tuple(image.flatten()[:9].tolist()) for image in shown["labeled"]}
        assert len(rows) == 4

    def test_shares_stay_below_the_bound(self):
        for bound in (0.1, 0.5):
            method, batch = made(lambda_max=bound), tiny_batch(1)
            shown = {p.title: p.tensor for p in method.pictures(batch, step())}
            ours, theirs, mix = shown["labeled"], shown["unlabeled"], shown["mix"]
            lam = ((mix - theirs) / (ours - theirs)).flatten(1)
            assert (lam > 0).all()
            assert (lam < bound + 1e-3).all()
            assert lam.std(1).max() < 1e-2  # one share per image

    def test_no_gradient_through_pairing(self):
        method, batch = made(cla_weight=0.0, dec_weight=0.0), tiny_batch(1)
        # the pooled features are only compared: with the decoder cut off nothing is left
        term = losses(method, batch).losses["unsup"]
        for p in method.student.decoder.parameters():
            p.requires_grad_(False)
        assert term.requires_grad
        pairs = method._pairs(torch.randn(7, 4, requires_grad=True), 3, step())
        assert not any(part.requires_grad for part in pairs)


class TestGradients:
    def grads(self, method, term, batch=None):
        value = losses(method, batch or tiny_batch(1)).losses[term]
        params = dict(method.student.named_parameters())
        found = torch.autograd.grad(value, list(params.values()), allow_unused=True)
        return {n: g for n, g in zip(params, found, strict=True) if g is not None and g.any()}

    @pytest.mark.parametrize("term", ["sup", "sup_dec", "unsup"])
    def test_every_mitrans_parameter_is_reached(self, term):
        method = made()
        attention = [n for n, _ in method.student.named_parameters() if ".attention." in n]
        assert len(attention) == 2 * 5
        assert set(attention) <= set(self.grads(method, term))

    @staticmethod
    def inputs(method):
        """Every batch that the encoder is given from now on, cut from what came before."""
        seen = []

        def cut(_, args):
            seen.append(args[0].detach().clone().requires_grad_())
            return (seen[-1],)

        method.student.encoder.register_forward_pre_hook(cut)
        return seen

    def test_the_target_is_a_constant(self):
        """Paper: only the direct prediction learns; released direction: only the mix does."""
        batch = tiny_batch(1)
        for target, alone_learns, mix_learns in (
            ("decoupled", True, False),
            ("direct", False, True),
            ("none", True, True),
        ):
            method = made(target=target, dec_weight=0.0, cla_weight=0.0)
            seen = self.inputs(method)
            losses(method, batch).losses["unsup"].backward()
            felt = [image.grad is not None and bool(image.grad.any()) for image in seen]
            assert felt == [alone_learns, mix_learns], target

    @pytest.mark.parametrize("detach", [True, False])
    def test_the_subtracted_prediction(self, detach):
        method = made(target="direct", detach_labeled=detach, dec_weight=0.0, cla_weight=0.0)
        seen = self.inputs(method)
        method.student.eval()  # batch statistics would connect the images of a batch
        losses(method, tiny_batch(1)).losses["unsup"].backward()
        assert seen[1].grad.any()
        assert (seen[0].grad is not None and bool(seen[0].grad[:3].any())) is not detach

    def test_no_gradient_reaches_the_teacher(self):
        method = made(teacher=True)
        torch.stack(list(losses(method, tiny_batch(1)).losses.values())).sum().backward()
        assert all(p.grad is None for p in method.ema.parameters())


class TestVariants:
    def test_they_differ_where_the_table_says(self):
        for name, options in VARIANTS.items():
            method = GuidedMix(variant=name)
            assert {key: getattr(method, key) for key in options} == options

    def test_what_is_given_wins_over_the_variant(self):
        method = GuidedMix(variant="released", pair="similar", weight=1.0)
        assert (method.pair, method.weight, method.loss) == ("similar", 1.0, "focal")

    def test_terms(self):
        batch = tiny_batch(1)
        names = {"sup", "sup_cla", "sup_dec", "unsup"}
        assert set(losses(made(), batch).losses) == names
        assert set(losses(made(variant="released"), batch).losses) == {"sup", "unsup"}
        assert set(losses(made(cla_weight=0.0), batch).losses) == names - {"sup_cla"}
        assert set(losses(made(dec_weight=0.0), batch).losses) == names - {"sup_dec"}

    def test_supervised_terms_alone_until_the_warm_up_ends_then_a_ramp(self):
        method = made(warmup_steps=0.2, rampup_steps=0.4)
        terms = {i: method.losses(tiny_batch(1), step(index=i)).losses for i in (19, 20, 60)}
        assert "unsup" not in terms[19]
        assert 0 < terms[20]["unsup"] < 0.01 * terms[60]["unsup"]

    def test_released_mixes_features_for_a_second_decoder(self):
        method = made(variant="released")
        assert set(method.networks) == {"student"}
        calls = []
        method.student.encoder.register_forward_hook(lambda *_: calls.append(1))
        out = losses(method, tiny_batch(1))
        assert len(calls) == 1  # no image is mixed
        grads = torch.autograd.grad(out.losses["unsup"], list(method.mix_decoder.parameters()))
        assert sum(g.any() for g in grads) > len(grads) / 2
        # the direct prediction is a target, but the labeled one that is subtracted is not detached
        heads = torch.autograd.grad(
            losses(method, tiny_batch(1)).losses["unsup"],
            list(method.student.decoder.head.parameters()),
        )
        assert all(g.any() for g in heads)

    def test_with_a_teacher_its_labels_are_the_target(self):
        method = made(teacher=True, dec_weight=0.0)
        assert (method.target, method.weight, method.pair) == ("direct", 30, "random")
        assert isinstance(method.networks["teacher"], EMA)
        assert method.hparams["teacher"] is True
        before = losses(method, tiny_batch(1)).losses["unsup"]
        with torch.no_grad():
            for p in method.ema.parameters():
                p.mul_(1.5)
        after = losses(method, tiny_batch(1)).losses["unsup"]
        assert not torch.equal(before, after)

    def test_a_twin_of_resolved_options_is_the_same_method(self):
        method = GuidedMix(variant="released", teacher=True)
        assert GuidedMix(**method.hparams).hparams == method.hparams

    def test_hard_labels_are_the_argmax_of_the_target(self):
        """Checked where the prediction is known: a target without a doubt costs nothing more."""
        soft, hard = (
            made(linear(), dec_weight=0, cla_weight=0, hard_labels=h, target="direct", weight=1.0)
            for h in (False, True)
        )
        for method in (soft, hard):
            method.student.decoder.conv.weight.data *= 200  # sure of everything
        hard.load_state_dict(soft.state_dict())
        batch = photographs()
        ours, theirs = (losses(method, batch).losses["unsup"] for method in (soft, hard))
        assert torch.isclose(ours, theirs, rtol=0.05)
        for method in (soft, hard):
            method.student.decoder.conv.weight.data /= 1000  # sure of nothing
        ours, theirs = (losses(method, batch).losses["unsup"] for method in (soft, hard))
        assert theirs > 10 * ours

    def test_only_trusted_targets_count(self):
        batch = tiny_batch(1)
        all_, none, share = (
            losses(made(teacher=True, threshold=t, conf_weight="image"), batch)
            for t in (0.0, 1.1, 0.5)
        )
        assert all_.logs["trusted"] == 1
        assert none.logs["trusted"] == 0
        assert none.losses["unsup"] == 0
        assert share.losses["unsup"] <= all_.losses["unsup"]

    def test_contradictions_are_refused(self):
        with pytest.raises(UserError, match="nothing trains the second decoder"):
            GuidedMix(mix_space="feature", dec_weight=0.0)
        with pytest.raises(UserError, match="lambda_max in"):
            GuidedMix(lambda_max=0.7)
        with pytest.raises(UserError, match="did you mean 'similar'"):
            GuidedMix(pair="similiar")
        with pytest.raises(UserError, match="expected space 'probs'"):
            GuidedMix(hard_labels=True, space="logits")
        with pytest.raises(UserError, match="did you mean 'paper'"):
            GuidedMix(variant="papper")
        with pytest.raises(UserError, match="needs logits"):
            GuidedMix(loss="focal", target="direct")


class TestPlaces:
    def test_padding_of_labeled_images_has_no_part_in_separating_them(self):
        method, batch = made(pair="random"), tiny_batch(1)
        whole = losses(method, batch).losses["sup_dec"]
        batch.labeled.label[:, :16] = IGNORE
        part = losses(made(pair="random"), batch).losses["sup_dec"]
        assert not torch.isclose(whole, part)

    def test_a_network_without_mitrans_is_remarked_upon(self):
        assert made(teacher=True).notices() == []
        assert "no MITrans" in made(guided_network(mitrans=False), teacher=True).notices()[0]
        assert "no MITrans" in make_method(GuidedMix).notices()[0]
        assert "its own teacher" in made().notices()[0]

    def test_pictures_are_the_columns_of_figure_5(self):
        for hparams in ({}, {"teacher": True}, {"variant": "released"}):
            method = made(**hparams)
            before = copy.deepcopy(method.state_dict())
            pictures = method.pictures(tiny_batch(1), step())
            assert [p.title for p in pictures] == [
                "labeled",
                "its truth",
                "unlabeled",
                "mix",
                "prediction of the mix",
                "decoupled mask",
                "direct prediction",
            ]
            assert all(torch.equal(t, before[n]) for n, t in method.state_dict().items())

    def test_image_level_classes_are_learned_from_the_labels(self):
        method = made(weight=0.0, dec_weight=0.0, cla_weight=1.0)
        batch = tiny_batch(1)
        optimizer = torch.optim.Adam(method.classifier.parameters(), 0.05)
        first = losses(method, batch).losses["sup_cla"].item()
        for _ in range(60):
            optimizer.zero_grad()
            losses(method, batch).losses["sup_cla"].backward()
            optimizer.step()
        present = [F.one_hot(m[m != IGNORE], NUM_CLASSES).any(0) for m in batch.labeled.label]
        assert losses(method, batch).losses["sup_cla"].item() < 0.7 * first or all(
            p.all() for p in present
        )
