import copy

import pytest
import torch
import torch.nn.functional as F

from ssseg.methods import GuidedMix
from ssseg.testing import NUM_CLASSES, losses, make_method, step, tiny_batch
from ssseg.types import IGNORE, Batch, Labeled, Unlabeled
from tests.methods.guidedmix.networks import guided_network, made


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
    options = {"cla_weight": 0.0, "dec_weight": 0.0, **hparams}
    return made(linear(), **options)


class Logarithm(torch.nn.Module):
    def forward(self, feats):
        return feats[-1].clamp_min(1e-300).log()


class Proportions(torch.nn.Module):
    """Its probabilities are the channels of the image: linear in it, and right where they are."""

    def __init__(self):
        super().__init__()
        self.num_classes, self.freeze_bn = 3, False
        self.decoder = Logarithm()

    def encode(self, image):
        return [image]

    def upsample(self, logits, image):
        return logits

    def forward(self, image):
        return self.decoder([image])


def photographs(labeled=3, unlabeled=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    image = torch.randn(labeled, 3, 8, 8, generator=g, dtype=dtype)
    other = torch.randn(unlabeled, 3, 8, 8, generator=g, dtype=dtype)
    label = torch.randint(0, 3, (labeled, 8, 8), generator=g)
    valid = torch.ones(unlabeled, 8, 8, dtype=torch.bool)
    return Batch(Labeled(image, label), Unlabeled([other], valid))


def proportions():
    """Labeled images show their truth, unlabeled ones are undecided."""
    label, unlabeled = photographs().labeled.label, photographs().unlabeled
    image = F.one_hot(label, 3).movedim(3, 1).double()
    return Batch(Labeled(image, label), unlabeled._replace(views=[unlabeled.views[0].softmax(1)]))


class TestWhatALinearAndRightNetworkLeaves:
    """Its probabilities of a blend are the blend of the truth and the other image's."""

    @pytest.mark.parametrize("labeled_side", ["prediction", "truth"])
    @pytest.mark.parametrize("target", ["decoupled", "direct"])
    def test_exactly_the_scores_of_the_unlabeled_image(self, labeled_side, target):
        options = {"labeled_side": labeled_side, "target": target, "cla_weight": 0.0}
        batch = proportions()
        out = made(Proportions(), **options).losses(batch, step())

        if target == "direct":
            torch.testing.assert_close(
                out.pseudo.prediction, batch.unlabeled.views[0], rtol=0, atol=1e-14
            )
        else:  # made a distribution, with a small constant
            torch.testing.assert_close(
                out.pseudo.label, batch.unlabeled.views[0], rtol=0, atol=1e-5
            )
        assert out.losses["unsup"] < 1e-10

    @pytest.mark.parametrize("labeled_side", ["prediction", "truth"])
    @pytest.mark.parametrize("dec_target", ["prediction", "truth"])
    def test_nothing_of_equation_12(self, labeled_side, dec_target):
        options = {"labeled_side": labeled_side, "dec_target": dec_target, "cla_weight": 0.0}
        method = made(Proportions(), **options)
        assert method.losses(proportions(), step()).losses["sup_dec"] < 1e-25

    @pytest.mark.parametrize("how", ["labeled_side", "dec_target"])
    def test_the_truth_makes_a_difference_where_the_network_is_wrong(self, how):
        batch = proportions()
        wrong = batch.labeled._replace(label=(batch.labeled.label + 1) % 3)
        batch = batch._replace(labeled=wrong)
        by_prediction, by_truth = (
            made(Proportions(), cla_weight=0.0, **{how: side}).losses(batch, step()).losses
            for side in ("prediction", "truth")
        )
        assert by_prediction["sup_dec"] < 1e-25
        assert by_truth["sup_dec"] > 0.01
        assert (by_truth["unsup"] > 1e-3) == (how == "labeled_side")


class Plain:
    """The same terms in a plain program: an image at a time, from the paper's formulas."""

    def __init__(self, method, batch, seed):
        self.method, network = method, method.student
        (self.x, self.label), self.y = batch.labeled, batch.unlabeled.views[0]
        self.valid = batch.unlabeled.valid
        self.pooled_x, self.pooled_y = (
            [network.encode(i[None])[0].mean((2, 3))[0] for i in images]
            for images in (self.x, self.y)
        )
        g = step(seed).generator
        self.lam_l = [float(v) for v in 0.5 * torch.rand(len(self.x), generator=g)]
        self.lam_u = [float(v) for v in 0.5 * torch.rand(len(self.y), generator=g)]

    def predict(self, image):
        return self.method.student(image[None])[0]

    def truth(self, k):
        classes = torch.arange(3).view(3, 1, 1)
        return (self.label[k] == classes).double()

    def side(self, option, k):
        """Of labeled image k, by an option that is `prediction` or `truth`."""
        return self.truth(k) if option == "truth" else self.predict(self.x[k]).softmax(0)

    def left(self, k, other, lam, decouple):
        """Of the blend of labeled image k with another image."""
        mixed = self.predict(lam * self.x[k] + (1 - lam) * other).softmax(0)
        share = lam if decouple == "soft" else 1.0
        return (mixed - share * self.side(self.method.labeled_side, k)) / (1 - lam)

    @staticmethod
    def nearest(feature, others):
        return min(others, key=lambda k: float((feature - others[k]).square().sum()))

    def error(self, ours, theirs):
        squares = (ours - theirs).square()
        return squares.mean(0) if self.method.class_reduction == "mean" else squares.sum(0)

    def equation_12(self):
        method, errors = self.method, []
        for i, lam in enumerate(self.lam_l):
            others = {k: f for k, f in enumerate(self.pooled_x) if k != i}
            k = self.nearest(self.pooled_x[i], others)
            left = self.left(i, self.x[k], lam, method.dec_decouple)
            error = self.error(left, self.side(method.dec_target, k))
            errors.append(error[(self.label[i] != IGNORE) & (self.label[k] != IGNORE)])
        return method.dec_weight * torch.cat(errors).mean()

    def partner(self, i):
        return self.nearest(self.pooled_y[i], dict(enumerate(self.pooled_x)))

    def equation_10(self):
        errors = []
        for i, lam in enumerate(self.lam_u):
            k = self.partner(i)
            target = self.left(k, self.y[i], lam, self.method.decouple).clamp_min(0) + 1e-6
            error = self.error(target / target.sum(0), self.predict(self.y[i]).softmax(0))
            known = self.valid[i]
            if self.method.labeled_side == "truth":
                known = known & (self.label[k] != IGNORE)
            errors.append(error[known])
        return self.method.weight * torch.cat(errors).mean()

    def cross_entropy(self, threshold):
        """lam CE(blend, y_l) + (1 - lam) CE(blend, y_u), times the trusted share of the image."""
        total = count = 0
        for i, lam in enumerate(self.lam_u):
            k = self.partner(i)
            surprise = -self.predict(lam * self.x[k] + (1 - lam) * self.y[i]).log_softmax(0)
            probs = self.predict(self.y[i]).softmax(0)
            trusted = (probs.amax(0) >= threshold)[self.valid[i]].double().mean()
            known, label = self.valid[i], self.predict(self.x[k]).argmax(0)
            if self.method.labeled_side == "truth":
                known, label = known & (self.label[k] != IGNORE), self.label[k]
            for place in known.nonzero().tolist():
                row, column = place
                ours = surprise[label[row, column], row, column]
                theirs = surprise[probs[:, row, column].argmax(), row, column]
                total = total + trusted * (lam * ours + (1 - lam) * theirs)
                count += 1
        return self.method.weight * total / count


def with_unknown_places():
    """A frame of padding on unlabeled images, unknown truth in a corner of labeled ones."""
    batch = photographs()
    batch.labeled.label[:, :2, :3] = IGNORE
    batch.unlabeled.valid[:2, :, 6:] = False
    return batch


class TestAgainstTheFormulas:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"decouple": "hard"},
            {"dec_decouple": "hard"},
            {"decouple": "hard", "dec_decouple": "soft", "labeled_side": "truth"},
            {"labeled_side": "truth"},
            {"dec_target": "truth"},
            {"labeled_side": "truth", "dec_target": "truth", "class_reduction": "sum"},
        ],
        ids=str,
    )
    def test_a_plain_program_gets_the_same_losses(self, options):
        method = linear_method(dec_weight=0.7, weight=2.0, **options)
        method.student.decoder.conv.weight.data *= 5
        batch = with_unknown_places()
        out = method.losses(batch, step(5)).losses
        with torch.no_grad():
            plain = Plain(method, batch, 5)
            torch.testing.assert_close(out["sup_dec"], plain.equation_12(), rtol=1e-6, atol=0)
            torch.testing.assert_close(out["unsup"], plain.equation_10(), rtol=1e-6, atol=0)

    @pytest.mark.parametrize("labeled_side", ["prediction", "truth"])
    @pytest.mark.parametrize("threshold", [0.0, 0.6])
    def test_cross_entropy_on_the_blend(self, labeled_side, threshold):
        method = linear_method(
            **{"loss": "cross_entropy", "conf_weight": "image", "weight": 2.0, "dec_weight": 0.7},
            **{"labeled_side": labeled_side, "threshold": threshold},
        )
        method.student.decoder.conv.weight.data *= 5
        batch = with_unknown_places()
        out = method.losses(batch, step(5))
        assert 0 < out.logs["trusted"] <= 1
        assert (out.logs["trusted"] < 1) == (threshold > 0)
        with torch.no_grad():
            plain = Plain(method, batch, 5).cross_entropy(threshold)
        torch.testing.assert_close(out.losses["unsup"], plain, rtol=1e-6, atol=0)

    def test_summing_over_classes_as_printed_is_their_number_times_the_mean(self):
        mean, total = (linear_method(class_reduction=r, dec_weight=1.0) for r in ("mean", "sum"))
        total.load_state_dict(mean.state_dict())
        ours, theirs = (losses(method, photographs()).losses for method in (mean, total))
        for term in ("unsup", "sup_dec"):
            assert (theirs[term] / ours[term]).item() == pytest.approx(3)


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
        """Paper: only the direct prediction learns; the other way round only the mix does."""
        batch = tiny_batch(1)
        for target, alone_learns, mix_learns in (
            ("decoupled", True, False),
            ("direct", False, True),
        ):
            method = made(target=target, dec_weight=0.0, cla_weight=0.0)
            seen = self.inputs(method)
            losses(method, batch).losses["unsup"].backward()
            felt = [image.grad is not None and bool(image.grad.any()) for image in seen]
            assert felt == [alone_learns, mix_learns], target

    @pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
    def test_what_is_said_of_the_labeled_image_is_a_constant(self, loss):
        method = made(target="direct", loss=loss, dec_weight=0.0, cla_weight=0.0)
        seen = self.inputs(method)
        method.student.eval()  # batch statistics would connect the images of a batch
        losses(method, tiny_batch(1)).losses["unsup"].backward()
        assert seen[1].grad.any()
        assert seen[0].grad is None or not seen[0].grad[:3].any()

    def test_no_gradient_reaches_the_teacher(self):
        method = made(use_teacher=True)
        torch.stack(list(losses(method, tiny_batch(1)).losses.values())).sum().backward()
        assert all(p.grad is None for p in method.teacher.parameters())


class TestPlaces:
    def test_padding_of_labeled_images_has_no_part_in_separating_them(self):
        method, batch = made(pair="random"), tiny_batch(1)
        whole = losses(method, batch).losses["sup_dec"]
        batch.labeled.label[:, :16] = IGNORE
        part = losses(made(pair="random"), batch).losses["sup_dec"]
        assert not torch.isclose(whole, part)

    def test_a_network_without_mitrans_is_remarked_upon(self):
        assert made(use_teacher=True).notices() == []
        assert "no MITrans" in made(guided_network(mitrans=False), use_teacher=True).notices()[0]
        assert "no MITrans" in make_method(GuidedMix).notices()[0]
        assert "its own teacher" in made().notices()[0]

    def test_pictures_are_the_columns_of_figure_5(self):
        for hparams in ({}, {"use_teacher": True}, {"variant": "teacher"}):
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
