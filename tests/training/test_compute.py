"""How a step is computed changes nothing that is learned."""

import copy

import pytest
import torch
from torch import nn

import ssseg
from ssseg.methods import create_method
from ssseg.models import Segmenter
from ssseg.models.activation_checkpointing import checkpoint_blocks
from ssseg.testing import losses, make_method, tiny_batch, tiny_network
from ssseg.training.compute import Compute
from ssseg.training.module import SegmentationModule
from tests.conftest import make_data, make_trainer


def network(encoder="test_resnet", **options):
    torch.manual_seed(0)
    return Segmenter(5, encoder=encoder, depth=3, **options)


def step_of(model, images):
    """Gradients and buffers after a training pass."""
    torch.manual_seed(1)
    model(images).square().mean().backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return grads, dict(model.named_buffers())


def kept_bytes(model, images):
    """What the graph holds of a forward pass, besides parameters."""
    own = {p.data_ptr() for p in [*model.parameters(), *model.buffers()]}
    sizes = {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = sum(level.sum() for level in model.encoder(images))
    del loss
    return sum(sizes.values())


class TestCheckpointing:
    @pytest.mark.parametrize("encoder", ["test_resnet", "mobilenetv2_050", "convnext_atto"])
    def test_gradients_and_statistics_are_the_same_to_the_bit(self, encoder):
        plain = network(encoder)
        saving = copy.deepcopy(plain)
        assert checkpoint_blocks(saving.encoder) >= 2
        images = torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
        (grads, buffers), (others, theirs) = step_of(plain, images), step_of(saving, images)
        assert all(torch.equal(grad, others[name]) for name, grad in grads.items())
        assert all(torch.equal(buffer, theirs[name]) for name, buffer in buffers.items())
        assert list(plain.state_dict()) == list(saving.state_dict())

    def test_it_holds_less(self):
        plain, saving = network("resnet18"), network("resnet18")
        checkpoint_blocks(saving.encoder)
        images = torch.randn(2, 3, 64, 64)
        assert kept_bytes(saving, images) < 0.6 * kept_bytes(plain, images)

    def test_blocks_are_the_outermost_ones(self):
        block = lambda: nn.ModuleDict({"inner": nn.Sequential(nn.Conv2d(1, 1, 1))})  # noqa: E731
        net = nn.Sequential(nn.Sequential(block(), block()), nn.ReLU(), nn.Sequential(nn.ReLU()))
        assert checkpoint_blocks(net) == 2

    def test_evaluation_is_left_alone(self, monkeypatch):
        saving = network()
        checkpoint_blocks(saving.encoder)
        monkeypatch.setattr(
            "ssseg.models.activation_checkpointing.checkpoint", lambda *_: pytest.fail("used")
        )
        saving.eval()(torch.randn(1, 3, 32, 32))
        with torch.no_grad():
            saving.train()(torch.randn(2, 3, 32, 32))


def trained(tmp_path, compute, name="classmix", **trainer):
    torch.manual_seed(0)
    options = {} if name == "supervised" else {"warmup_steps": 1, "threshold": 0.0}
    method = create_method(name, **options)
    module = SegmentationModule(method, tiny_network(8), seed=0, compute=compute)
    make_trainer(4, tmp_path, **trainer).fit(module, make_data())
    return module


@pytest.mark.parametrize(
    "compute",
    [
        Compute(channels_last=True),
        Compute(checkpoint_activations=True),
        pytest.param(Compute(compile=True), marks=pytest.mark.slow),
    ],
    ids=["channels_last", "checkpointing", "compile"],
)
@pytest.mark.parametrize("name", ["classmix", "guidedmix"])
def test_training_gives_the_same_network(tmp_path, compute, name):
    exact = {"precision": "64-true"}  # in 32 bits rounding may turn a pseudo-label over
    first = Compute(channels_last=False)
    plain, other = (trained(tmp_path, c, name, **exact) for c in (first, compute))
    ours, theirs = plain.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for key, tensor in ours.items():
        torch.testing.assert_close(theirs[key], tensor, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "trained"), [("classmix", ["student"]), ("cps", ["student", "peer"])]
)
def test_every_network_that_trains_is_prepared(name, trained, monkeypatch):
    """Averaged copies are compiled, but keep nothing that could be computed again."""
    kept, method = [], make_method(ssseg.methods.method_class(name))
    monkeypatch.setattr("ssseg.training.compute.checkpoint_blocks", kept.append)
    Compute(checkpoint_activations=True, compile=True).prepare(method, torch.device("cpu"))
    assert {id(encoder) for encoder in kept} == {id(getattr(method, n).encoder) for n in trained}
    for network in method.networks.values():
        network = getattr(network, "module", network)
        for half in (network.encoder, network.decoder):
            assert half._compiled_call_impl is not None


@pytest.mark.parametrize(
    ("decoder", "device", "inner"),
    [("unet", "cpu", True), ("unet", "cuda", False), ("deeplabv3", "cpu", False)],
)
def test_channels_are_innermost_on_cpus_without_dilated_convolutions(decoder, device, inner):
    network = Segmenter(8, encoder="test_resnet", depth=3, decoder=decoder)
    given = torch.device(device)
    assert Compute().settled(network, given) == Compute(channels_last=inner)
    for asked in (False, True):
        assert Compute(channels_last=asked).settled(network, given).channels_last is asked


def test_channels_last_reaches_images_and_weights(tmp_path):
    seen = []

    class Watch(Segmenter):
        def encode(self, image):
            if self.training and not image.is_meta:
                seen.append(image.is_contiguous(memory_format=torch.channels_last))
            return super().encode(image)

    torch.manual_seed(0)
    net = Watch(8, encoder="test_resnet", depth=3)
    method = create_method("classmix", warmup_steps=0, threshold=0.0)
    module = SegmentationModule(method, net, seed=0)  # on a CPU by default
    make_trainer(2, tmp_path).fit(module, make_data())
    assert module.compute == Compute(channels_last=True)
    assert len(seen) == 4
    assert all(seen)
    weights = [p for p in net.parameters() if p.dim() == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.parametrize("name", ["supervised", "classmix", "guidedmix"])
def test_half_precision_loses_and_masks_in_full(tmp_path, name):
    module = trained(tmp_path, Compute(), name, precision="bf16-mixed")
    plain = trained(tmp_path, Compute(), name)
    assert all(p.dtype == torch.float32 for p in module.parameters())
    seen = {}
    losses_of = type(module.method).losses

    def watch(self, batch, step):
        out = losses_of(self, batch, step)
        seen.update({n: t.dtype for n, t in out.losses.items()})
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(module.method), "losses", watch)
        trained(tmp_path, Compute(), name, precision="bf16-mixed")
    assert seen
    assert set(seen.values()) == {torch.float32}
    for ours, theirs in zip(plain.parameters(), module.parameters(), strict=True):
        assert (ours - theirs).abs().max() < 0.02


def test_logits_are_never_in_sixteen_bits():
    net = tiny_network().bfloat16()
    assert net(torch.randn(2, 3, 32, 32).bfloat16()).dtype == torch.float32
    assert tiny_network().double()(torch.randn(2, 3, 32, 32).double()).dtype == torch.float64


class TestPasses:
    """Labeled and mixed images in one pass of the student, where nothing of a batch is shared."""

    def method(self, passes, *, freeze_bn):
        made = make_method(ssseg.methods.ClassMix, {"passes": passes, "teacher_norm": "running"})
        made.student.freeze_bn = freeze_bn
        return made.double().train()

    def batch(self):
        batch = tiny_batch(1)
        views = [view.double() for view in batch.unlabeled.views]
        labeled = batch.labeled._replace(image=batch.labeled.image.double())
        return batch._replace(labeled=labeled, unlabeled=batch.unlabeled._replace(views=views))

    def passes_of(self, method):
        calls = []
        hook = method.student.register_forward_hook(lambda *_: calls.append(1))
        out = losses(method, self.batch()).losses
        hook.remove()
        return len(calls), {name: float(term) for name, term in out.items()}

    def test_one_and_two_give_the_same_where_batchnorm_is_frozen(self):
        found = [self.passes_of(self.method(p, freeze_bn=True)) for p in ("auto", "one", "two")]
        assert [count for count, _ in found] == [1, 1, 2]
        for _, terms in found[:2]:
            assert terms == pytest.approx(found[2][1], rel=1e-12)

    def test_batch_statistics_stay_apart_unless_one_says_otherwise(self):
        found = [self.passes_of(self.method(p, freeze_bn=False)) for p in ("auto", "one", "two")]
        assert [count for count, _ in found] == [2, 1, 2]
        assert found[0][1] == found[2][1]
        assert found[1][1] != found[2][1]
