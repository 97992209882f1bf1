import pytest
import torch
from torch import nn

import ssseg
from ssseg.errors import UserError
from ssseg.exporting.formats import FORMATS
from ssseg.exporting.torch_export import GridPool, _integer_padding, program_of
from ssseg.models import DECODERS, Segmenter
from tests.exporting.files import SIZES, images

pytest.importorskip("onnxscript")


def test_a_network_that_cannot_be_traced_is_one_sentence():
    class Picky(nn.Module):
        def forward(self, image):
            if image.mean() > 0:  # a decision on values is no program
                return [image]
            raise AssertionError

    network = Segmenter(2, depth=3, encoder="test_resnet").eval()
    network.encoder = Picky()
    with pytest.raises(UserError, match="decoder 'unet' on encoder 'test_resnet' cannot") as caught:
        program_of(network)
    assert "\n" not in str(caught.value)
    assert "--format safetensors" in str(caught.value)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 2), (6, 6)])
def test_pooling_by_products_is_adaptive_pooling(grid):
    for feats in images([(2, 13, 7), (1, 6, 6), (1, 1, 4)], channels=5):
        wanted = nn.functional.adaptive_avg_pool2d(feats, grid)
        torch.testing.assert_close(GridPool(grid)(feats), wanted)


def test_padding_in_integers_is_that_of_timm():
    import timm.layers.padding as layers

    usual = layers.get_same_padding
    cases = [
        (x, k, s, d) for x in range(1, 40) for k in (1, 2, 3, 7) for s in (1, 2, 4) for d in (1, 2)
    ]
    with _integer_padding():
        assert [layers.get_same_padding(*each) for each in cases] == [
            usual(*each) for each in cases
        ]
    assert layers.get_same_padding is usual


def network_of(decoder, encoder=None, **options):
    torch.manual_seed(0)
    encoder = encoder or {"dpt": "test_vit"}.get(decoder, "test_resnet")
    network = Segmenter(4, decoder=decoder, encoder=encoder, **options)
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 160, 160))  # statistics of BatchNorm as after training
    return network.eval()


def predictor_of(network, data):
    from ssseg.prediction.predictor import Predictor

    return Predictor(network, data, "student")


def check_every_size(network, data, name, path, sizes):
    FORMATS[name].write(predictor_of(network, data), path, "{}", 18)
    exported = FORMATS[name].open(path)
    with torch.no_grad():
        for image in images(sizes):
            wanted, found = network(image), exported(image)
            assert found.shape == wanted.shape
            scale = wanted.max() - wanted.min()
            assert (found - wanted).abs().max() <= 1e-4 * scale, tuple(image.shape)


# a PSP module, whose pooling exporters unroll; and TensorFlow's SAME padding
@pytest.mark.parametrize(
    ("decoder", "options"),
    [
        ("pspnet", {}),
        pytest.param(
            *("deeplabv2", {"decoder_options": {"aspp_branches": 2}}), marks=pytest.mark.slow
        ),
    ],
)
def test_layers_that_exporters_stumble_over(small_run, tmp_path, decoder, options):
    data = ssseg.load(small_run.checkpoint()).data
    network = network_of(decoder, **options)
    check_every_size(network, data, "onnx", tmp_path / "model.onnx", SIZES)


def transformer(encoder):
    """With positions that matter, as after training."""
    tiny = {"embed_dim": 24, "depth": 4, "num_heads": 2, "init_values": 1.0}
    network = network_of("dpt", encoder, encoder_options=tiny).requires_grad_(False)
    for name, p in network.named_parameters():
        if "pos_embed" in name or "biases" in name:
            nn.init.normal_(p)
    return network


def test_a_transformer_is_one_program_for_every_grid_of_patches():
    network = transformer("vit_small_patch14_dinov2")
    program = program_of(network).module()
    for image in images([*SIZES, (1, 434, 434)]):
        torch.testing.assert_close(program(image), network(image), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize(
    "encoder",
    # learned, rotary and relative positions
    ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3", "beit_base_patch16_224"],
)
def test_transformers_for_every_grid_of_patches(small_run, tmp_path, encoder, name):
    data = ssseg.load(small_run.checkpoint()).data
    path = tmp_path / f"model{FORMATS[name].ending}"
    check_every_size(transformer(encoder), data, name, path, [*SIZES, (1, 434, 434)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_decoder_for_every_size(small_run, tmp_path, decoder, name):
    data = ssseg.load(small_run.checkpoint()).data
    # pan refuses small images itself
    sizes = [(2, 130, 257), (1, 480, 360)] if decoder == "pan" else [*SIZES, (1, 480, 360)]
    path = tmp_path / f"model{FORMATS[name].ending}"
    check_every_size(network_of(decoder), data, name, path, sizes)
