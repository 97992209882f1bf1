"""Vision transformers as encoders: any grid of patches, of every family that timm has."""

from functools import partial

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F

import ssseg
from ssseg.data.datasets import Street
from ssseg.data.module import SegmentationData
from ssseg.errors import UserError
from ssseg.models.encoder import create_encoder
from ssseg.models.vit import RelativeBias, is_vit, taps_of
from tests.conftest import make_data
from tests.models.transformers import TINY, assert_resumes_exactly, dpt_on, draw, make, shaken

# one of every way in which timm's transformers differ: prefix tokens, registers, rotary or relative
# positions, a norm before the blocks, none after them, pooling by attention, convolutions in front
NAMES = {
    "vit_small_patch14_dinov2": 14,
    "vit_small_patch14_reg4_dinov2": 14,
    "vit_small_patch16_dinov3": 16,
    "vit_base_patch16_clip_224": 16,
    "vit_base_patch16_siglip_224": 16,
    "beit_base_patch16_224": 16,
    "eva02_tiny_patch14_224": 14,
    "deit_tiny_distilled_patch16_224": 16,
    "vit_tiny_r_s16_p8_224": 32,
}


def encoder_of(name, **options):
    torch.manual_seed(0)
    options = {**TINY, **options}
    made = create_encoder(
        name, in_channels=3, depth=4, output_stride=None, weights=None, options=options
    )
    return made.eval()


@pytest.mark.parametrize(("name", "patch"), NAMES.items())
def test_every_grid_of_patches_and_every_size_of_image(name, patch):
    network = make(name).eval()
    assert network.divisor == network.hparams["output_stride"] == patch
    with torch.no_grad():
        for rows, columns in ((1, 1), (2, 3), (31, 31)):
            image = draw(1, 3, rows * patch, columns * patch)
            feats = network.encode(image)
            assert feats[0] is image
            assert {tuple(f.shape) for f in feats[1:]} == {(1, 48, rows, columns)}
            assert len(feats) == 5
        for size in ((1, 1), (2 * patch - 1, 3 * patch + 1)):
            logits = network(draw(2, 3, *size))
            assert logits.shape == (2, 4, *size)
            assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name):
    network = make(name).train()
    network(draw(2, 3, 64, 96)).square().mean().backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_answered_alone(name):
    network = make(name).train()
    assert network.independent
    images = draw(3, 3, 40, 70)
    together, alone = network(images), torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "beit_base_patch16_224"]
)
def test_in_its_own_grid_it_is_the_network_of_timm(name):
    """Tokens after each block, seen from outside, through the final norm."""
    encoder = shaken(encoder_of(name, img_size=112, global_pool="token"))
    theirs = timm.create_model(
        name, **TINY, img_size=112, global_pool="token", num_classes=0
    ).eval()
    weights = dict(encoder.model.state_dict())
    for index, bias in enumerate(getattr(encoder, "biases", ())):
        table = torch.cat((bias.patches[0].flatten(1), bias.token), 1).T
        weights[f"blocks.{index}.attn.relative_position_bias_table"] = table
    theirs.load_state_dict(weights)
    seen = []
    for block in theirs.blocks:
        block.register_forward_hook(lambda _, __, out: seen.append(out))
    image = draw(2, 3, 112, 112)
    with torch.no_grad():
        theirs(image)
        wanted = [theirs.norm(tokens)[:, theirs.num_prefix_tokens :] for tokens in seen]
        found = encoder(image)[1:]
    assert len(found) == len(wanted) == 4
    for ours, tokens in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.flatten(2).transpose(1, 2), tokens, rtol=1e-4, atol=1e-4)


def test_positions_are_resampled_to_the_grid():
    """A transformer of another native size with resampled positions does the same."""
    wide = shaken(encoder_of("test_vit", img_size=96))
    narrow = encoder_of("test_vit", img_size=(32, 48))
    weights = dict(wide.model.state_dict())
    token, patches = weights["pos_embed"][:, :1], weights["pos_embed"][:, 1:]
    grid = patches.reshape(1, 6, 6, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (2, 3), mode="bicubic", antialias=True, align_corners=False)
    weights["pos_embed"] = torch.cat((token, grid.flatten(2).transpose(1, 2)), 1)
    narrow.model.load_state_dict(weights)
    image = draw(1, 3, 32, 48)
    with torch.no_grad():
        for ours, theirs in zip(wide(image), narrow(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (5, 4), (3, 2)])
def test_relative_biases_are_looked_up_by_distance(grid):
    table = draw(3 * 5 + 3, 2)  # of a window of 2 x 3, two heads
    bias = RelativeBias(table, (2, 3))
    height, width = grid
    found = bias(height, width)
    count = height * width
    assert found.shape == (1, 2, count + 1, count + 1)
    square = table[:-3].T.reshape(1, 2, 3, 5)
    square = F.interpolate(square, (2 * height - 1, 2 * width - 1), mode="bilinear")[0]
    for i in range(count):
        assert torch.equal(found[0, :, 0, 1 + i], table[-3])
        assert torch.equal(found[0, :, 1 + i, 0], table[-2])
        for j in range(count):
            down = i // width - j // width + height - 1
            right = i % width - j % width + width - 1
            assert torch.equal(found[0, :, 1 + i, 1 + j], square[:, down, right])
    assert torch.equal(found[0, :, 0, 0], table[-1])


def test_blocks_are_evenly_spaced_but_for_24():
    assert taps_of(12, 4) == (2, 5, 8, 11)
    assert taps_of(24, 4) == (4, 11, 17, 23)
    assert taps_of(40, 4) == (9, 19, 29, 39)
    for blocks in range(1, 45):
        for count in range(1, blocks + 1):
            taps = taps_of(blocks, count)
            assert len(set(taps)) == count
            assert taps[-1] == blocks - 1
            assert min(taps) >= 0


def test_which_networks_are_plain_transformers():
    names = [*NAMES, "vit_base_patch14_dinov2.lvd142m", "beitv2_base_patch16_224", "test_vit"]
    assert all(is_vit(name) for name in names)
    others = ["resnet18", "convnext_tiny", "swin_tiny_patch4_window7_224", "resnet50.a1_in1k"]
    assert not any(is_vit(name) for name in (*others, "no_such_network"))


@pytest.mark.parametrize("decoder", ["annet", "deeplabv2", "deeplabv3plus_plain", "fcn"])
def test_our_decoders_take_feature_maps_of_one_stride(decoder):
    network = make("test_vit", decoder, {}).eval()
    assert network.hparams["output_stride"] == 16
    assert network(draw(1, 3, 50, 70)).shape == (1, 4, 50, 70)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"decoder": "unet"}, "'unet' needs feature maps of several strides, .* annet, deeplabv2"),
        ({"name": "resnet18", "options": {}}, "'dpt' needs a vision transformer, .*vit_small"),
        ({"output_stride": 8}, "output stride 8 .*its stride is the side of its patches, 14"),
        ({"depth": 6}, "cannot take 6 feature maps from 4 blocks"),
        ({"depth": 3}, "'dpt' cannot be built .* gives 3 feature maps, the decoder needs 4"),
        (
            {"name": "beit_base_patch16_224", "options": {**TINY, "use_rel_pos_bias": False}},
            "every block of BEiT needs its own relative position biases",
        ),
        ({"options": {"embed_dimension": 3}}, "cannot be built with .*embed_dimension"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(given, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        make(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("crop", [(98, 126), (100, 130)])
def test_dinov2_small_trains_resumes_is_exported_and_predicts(tmp_path, crop):
    """The whole network, from random weights: 20 steps, exact resume, ONNX, images of any size."""
    run = ssseg.fit(
        "classmix",
        out=tmp_path / "run",
        max_steps=20,
        network="dpt",
        network_options={"weights": "random"},
        trainer={"accelerator": "cpu"},
        method_options={"warmup_steps": 2, "threshold": 0.0},
        **{"train_images": 8, "val_images": 2, "size": 130, "labeled": 4, "batch_size": 2},
        crop_size=list(crop),
    )
    losses = [row["loss/sup"] for row in run.metrics if row.get("loss/sup")]
    assert losses[-1] < losses[0]
    model = ssseg.load(run.checkpoint())
    for size in ((1, 1), (45, 70), (301, 97)):
        photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        assert model.predict(photo).label.shape == size
    assert ssseg.export(run.checkpoint(), "onnx", out=tmp_path).is_file()

    source = Street(train_images=8, val_images=2, size=130)
    data = partial(SegmentationData, source, labeled=4, batch_size=2, crop_size=crop)
    assert_resumes_exactly(tmp_path, dpt_on("vit_small_patch14_dinov2"), data, 20)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    network = dpt_on("beit_base_patch16_224", {**TINY, "img_size": 64})
    assert_resumes_exactly(tmp_path, network, make_data, 4)
