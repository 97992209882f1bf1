import pytest
import torch

from ssseg.models.correlation import CorrelationHead, carried

CLASSES = 3


@pytest.fixture
def head():
    torch.manual_seed(0)
    return CorrelationHead(4, CLASSES).double().eval()


def test_similarities_are_a_softmax_over_the_keys_of_scaled_products(head):
    feats = torch.randn(2, 4, 2, 3, dtype=torch.float64)
    found = head(feats)
    projected = head.project(feats)
    queries, keys = (part(projected).flatten(2) for part in (head.first, head.second))
    for image in range(2):
        for i in range(6):
            scores = [queries[image, :, i] @ keys[image, :, j] / CLASSES**0.5 for j in range(6)]
            torch.testing.assert_close(found[image, i], torch.stack(scores).softmax(0))


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_logits_are_carried_along_similarities(how):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, CLASSES, 2, 3, generator=g, requires_grad=True)
    similarity = torch.rand(2, 6, 6, generator=g).softmax(2).requires_grad_()
    found = carried(logits, similarity, (2, 3), how)
    values = logits.flatten(2)
    for j in range(6):
        weights = similarity[:, :, j] if how == "sum" else similarity[:, j]
        wanted = sum(values[:, :, i] * weights[:, i, None] for i in range(6))
        torch.testing.assert_close(found.flatten(2)[:, :, j], wanted)
    grads = torch.autograd.grad(found.sum(), (logits, similarity), allow_unused=True)
    assert grads[0] is None
    assert grads[1].any()


def test_products_are_in_full_precision_under_autocast():
    torch.manual_seed(0)
    head = CorrelationHead(4, CLASSES).eval()
    with torch.autocast("cpu", torch.bfloat16):
        similarity = head(torch.randn(1, 4, 2, 2))
        found = carried(torch.randn(1, CLASSES, 1, 1).bfloat16(), similarity, (2, 2), "mean")
    assert similarity.dtype == found.dtype == torch.float32
    torch.testing.assert_close(similarity.sum(2), torch.ones(1, 4))
