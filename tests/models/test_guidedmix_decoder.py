import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ssseg.errors import UserError
from ssseg.models import Segmenter
from ssseg.models.guidedmix_decoder import GuidedMixDecoder, MutualAttention

WIDTHS = (64, 32, 16, 8, 8)


def make(encoder="test_resnet", num_classes=4, depth=None, output_stride=None, **options):
    torch.manual_seed(0)
    return Segmenter(
        num_classes,
        decoder="guidedmix",
        encoder=encoder,
        depth=depth,
        output_stride=output_stride,
        decoder_options={"channels": WIDTHS, **options},
    )


def attentions(network):
    return [m for m in network.modules() if isinstance(m, MutualAttention)]


def attention(channels=6, dtype=torch.float64):
    """With weights large enough that the positions attend unevenly."""
    torch.manual_seed(0)
    made = MutualAttention(channels).to(dtype)
    for p in made.parameters():
        nn.init.normal_(p)
    return made


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def project(layer, feats):
    """A 1x1 convolution as a matrix: (C, h, w) -> (D, h w)."""
    product = layer.weight.flatten(1) @ feats.flatten(1)
    return product if layer.bias is None else product + layer.bias[:, None]


class Largest(TorchDispatchMode):
    """Remembers the number of values of the largest tensor that anything gives."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        self.size = max([self.size, *(t.numel() for t in tensors)])
        return result


class Peak:
    """Growth of the resident memory inside the block at its highest, in MiB (Linux)."""

    def __enter__(self):
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        except OSError:
            pytest.skip("the system does not tell the peak of the memory")
        self.before = self._field("VmRSS")
        return self

    def __exit__(self, *_):
        self.growth = (self._field("VmHWM") - self.before) / 1024

    def _field(self, name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(name)))


class TestMutualAttention:
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
    def test_agrees_with_the_explicit_matrix(self, layout):
        layer, feats = attention(), draw(3, 6, 4, 5)
        expected = []
        for image in feats:
            query, key, value = (
                project(part, image) for part in (layer.query, layer.key, layer.value)
            )
            similar = query.T @ key / math.sqrt(3)  # of each position with each other one
            weight = similar.exp() / similar.exp().sum(1, keepdim=True)
            found = torch.zeros(6, 20, dtype=torch.float64)
            for i in range(20):
                for j in range(20):
                    found[:, i] += weight[i, j] * value[:, j]
            expected.append(image + found.view(6, 4, 5))

        result = layer(feats.contiguous(memory_format=layout))
        torch.testing.assert_close(result, torch.stack(expected), atol=1e-10, rtol=0)

    def test_has_the_gradient_of_the_explicit_matrix(self):
        layer, feats = attention(), draw(1, 6, 3, 4).requires_grad_()
        query, key, value = (
            project(part, feats[0]) for part in (layer.query, layer.key, layer.value)
        )
        plain = feats[0].flatten(1) + value @ (query.T @ key / math.sqrt(3)).softmax(1).T
        inputs = [feats, *layer.parameters()]
        expected = torch.autograd.grad(plain.square().sum(), inputs)

        grads = torch.autograd.grad(layer(feats).square().sum(), inputs)
        for ours, theirs in zip(grads, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)

    def test_trains_every_parameter(self):
        layer = attention()
        layer(draw(2, 6, 4, 5)).square().sum().backward()
        trained = {name for name, p in layer.named_parameters() if p.grad.abs().max() > 1e-6}

        assert trained == {name for name, _ in layer.named_parameters()}
        # a vector added to all keys adds one value to a whole row, which a softmax does not see
        assert layer.key.bias is None

    def test_of_equal_positions_finds_their_value(self):
        layer, feats = attention(), draw(2, 6, 1, 1).expand(-1, -1, 4, 5)

        torch.testing.assert_close(layer(feats), feats + layer.value(feats))

    def test_without_queries_finds_the_mean_value(self):
        layer, feats = attention(), draw(2, 6, 4, 5)
        nn.init.zeros_(layer.query.weight)
        nn.init.zeros_(layer.query.bias)

        mean = layer.value(feats).mean((2, 3), keepdim=True)
        torch.testing.assert_close(layer(feats), feats + mean)

    def test_weighs_by_shares_that_sum_to_one(self):
        layer, feats = attention(), draw(2, 6, 4, 5)
        before = layer(feats)
        with torch.no_grad():
            layer.value.bias += 3

        torch.testing.assert_close(layer(feats), before + 3)

    def test_follows_the_positions(self):
        layer, feats = attention(), draw(2, 6, 4, 5)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
        moved = layer(feats.flatten(2)[:, :, order].view_as(feats))

        torch.testing.assert_close(moved.flatten(2), layer(feats).flatten(2)[:, :, order])

    def test_keeps_images_apart(self):
        layer, feats = attention(), draw(3, 6, 4, 5)
        alone = torch.cat([layer(image[None]) for image in feats])

        torch.testing.assert_close(layer(feats), alone)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize(
        "layout",
        [torch.contiguous_format, torch.channels_last],
        ids=str,
    )
    def test_makes_nothing_as_large_as_the_matrix(self, layout, dtype):
        feats = draw(1, 8, 32, 32, dtype=dtype).contiguous(memory_format=layout)
        with Largest() as largest:
            attention(8, dtype)(feats).sum().backward()

        assert largest.size <= 2 * feats.numel()  # the matrix has 128 times as many

    def test_of_many_positions_needs_little_memory(self):
        layer, feats = attention(4, torch.float32), draw(1, 4, 64, 128, dtype=torch.float32)
        layer(feats[..., :8, :8])
        with Peak() as peak:
            layer(feats)

        assert peak.growth < 100  # the matrix alone has 256 MiB, and there are two heads


@pytest.mark.parametrize("side", [(61, 83), (64, 64), (33, 96)], ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_logits_have_the_size_of_the_image(depth, side):
    network = make(depth=depth).eval()

    assert network(torch.randn(2, 3, *side)).shape == (2, 4, *side)


@pytest.mark.parametrize(
    ("encoder", "stride", "sides"),
    [
        ("resnet18", None, [2, 4, 8]),
        ("resnet18", 16, [4, 4, 8]),
        ("resnet18", 8, [8, 8, 8]),
        ("test_convnext", None, [2, 4, 8]),  # no features at stride 2
        ("test_efficientnet", None, [2, 4, 8]),
    ],
)
def test_any_encoder_fits_and_is_attended_to_at_its_own_sizes(encoder, stride, sides):
    network, seen = make(encoder, output_stride=stride).eval(), []
    for layer in attentions(network):
        layer.register_forward_hook(lambda _, args, result: seen.append(result.shape[-2:]))

    assert network(torch.randn(1, 3, 61, 90)).shape == (1, 4, 61, 90)
    assert seen == [(side, 3 * side // 2) for side in sides]


def test_the_decoder_answers_at_half_the_image_and_uses_no_pixel_of_it():
    network = make(depth=3).eval()
    feats = network.encode(torch.randn(1, 3, 64, 96))
    logits = network.decoder(feats)

    assert logits.shape == (1, 4, 64, 96)
    assert feats[1].shape[-2:] == (32, 48)
    assert torch.equal(network.decoder([torch.zeros_like(feats[0]), *feats[1:]]), logits)
    for skip in range(1, 4):
        changed = [feat * 2 if i == skip else feat for i, feat in enumerate(feats)]
        assert not torch.equal(network.decoder(changed), logits)


def test_without_mitrans_it_is_the_same_network_without_attention():
    full, plain = make(), make(mitrans=False)

    assert full.decoder.mitrans
    assert not plain.decoder.mitrans
    assert attentions(full)
    assert not attentions(plain)
    ours = {name: p.shape for name, p in full.named_parameters() if ".attention." not in name}
    assert ours == {name: p.shape for name, p in plain.named_parameters()}
    assert plain(torch.randn(2, 3, 64, 64)).shape == (2, 4, 64, 64)


@pytest.mark.parametrize(("min_stride", "sides"), [(4, 4), (8, 3), (16, 2), (32, 1), (64, 0)])
def test_only_coarse_features_are_attended_to(min_stride, sides):
    network, seen = make(min_stride=min_stride).eval(), []
    for layer in attentions(network):
        layer.register_forward_hook(lambda _, args, result: seen.append(result.shape[-1]))
    network(torch.randn(1, 3, 64, 64))

    strides = [64 // side for side in seen]
    assert strides == [32, 16, 8, 4][:sides]
    assert all(stride >= min_stride for stride in strides)
    assert network.decoder.mitrans == (sides > 0)


@pytest.mark.parametrize("depth", [3, 5])
def test_widths_are_those_asked_for_coarsest_first(depth):
    network, seen = make(depth=depth), []
    for stage in network.decoder.stages:
        stage.register_forward_hook(lambda _, args, result: seen.append(result.shape[1]))
    network(torch.randn(2, 3, 64, 64))

    assert seen == list(WIDTHS[1 - depth :])


@pytest.mark.parametrize(
    ("channels", "complaint"),
    [
        ((16, 8), "channels has 2 widths, expected at least 5"),
        ((), "channels has 0 widths, expected at least 5"),
        ((16, 8, 8, 8, 7), r"channels must be even and positive, got \[16, 8, 8, 8, 7\]"),
        (8, "'guidedmix' cannot be built"),
    ],
)
def test_impossible_widths_are_explained(channels, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        make(channels=channels)
    assert "\n" not in str(caught.value)
    assert "guidedmix" in str(caught.value)


def test_a_new_decoder_is_of_the_same_kind_with_other_weights():
    network = make(mitrans=False, min_stride=16, psp_sizes=(1, 2))
    fresh = network.new_decoder()
    ours, theirs = network.decoder.state_dict(), fresh.state_dict()

    assert isinstance(fresh, GuidedMixDecoder)
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    convs = [name for name, value in ours.items() if value.dim() == 4]
    assert convs
    assert not any(torch.equal(ours[name], theirs[name]) for name in convs)
    pointers = {p.data_ptr() for p in network.parameters()}
    assert not pointers & {p.data_ptr() for p in fresh.parameters()}


def test_a_batch_of_one_image_trains_every_parameter():
    network = make(depth=3).train()
    network(torch.randn(1, 3, 64, 64)).square().mean().backward()
    decoder = dict(network.decoder.named_parameters())

    assert decoder
    for name, p in decoder.items():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.any(), name


def test_hparams_make_a_twin():
    network = make(depth=3, min_stride=4).eval()
    twin = Segmenter(**network.hparams).eval()
    twin.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 40, 40)

    assert torch.equal(twin(image), network(image))
