import torch

from ssseg.testing import losses, step, tiny_batch
from ssseg.types import Unlabeled
from tests.methods.guidedmix.networks import made


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
