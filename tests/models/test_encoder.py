import copy

import pytest
import timm
import torch
from safetensors.torch import save_file

from ssseg.errors import UserError
from ssseg.models import Segmenter
from tests.conftest import make_data, make_module, make_trainer
from tests.models.transformers import TINY, draw, make, shaken

SMALL = {"encoder": "test_resnet"}


def test_weights_of_a_local_file_are_loaded(tmp_path):
    torch.manual_seed(3)
    donor = timm.create_model("test_resnet")
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    for name in ("donor.safetensors", "donor.pth"):
        network = Segmenter(2, weights=str(tmp_path / name), depth=3, **SMALL)
        loaded = network.encoder.model.state_dict()
        assert torch.equal(loaded["conv1.0.weight"], donor.state_dict()["conv1.0.weight"])
        assert torch.equal(
            loaded["layer1.0.conv1.weight"], donor.state_dict()["layer1.0.conv1.weight"]
        )
        assert network.pretrained


def test_weights_are_adapted_to_other_channel_counts(tmp_path):
    import timm

    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "donor.safetensors")
    weights = str(tmp_path / "donor.safetensors")
    network = Segmenter(2, in_channels=6, weights=weights, depth=3, **SMALL)
    assert network(torch.randn(1, 6, 32, 32)).shape == (1, 2, 32, 32)


def test_weights_of_another_encoder_are_refused(tmp_path):
    import timm

    file = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    with pytest.raises(
        UserError, match=r"other.safetensors does not hold .* encoder 'test_resnet'"
    ):
        Segmenter(2, weights=str(file), **SMALL)


def test_weights_of_another_width_are_refused(tmp_path):
    import timm

    file = tmp_path / "wide.safetensors"
    save_file(timm.create_model("resnet18", channels=(32, 64, 64, 96)).state_dict(), file)
    with pytest.raises(UserError, match="does not fit encoder 'resnet18'"):
        Segmenter(2, weights=str(file), encoder="resnet18")


def test_a_file_that_is_no_weight_file_is_refused(tmp_path):
    file = tmp_path / "notes.pth"
    file.write_bytes(b"not a state dict")
    with pytest.raises(UserError, match=r"notes.pth cannot be read as a weight file"):
        Segmenter(2, weights=str(file), **SMALL)


class TestWeights:
    def donor(self, name, **options):
        torch.manual_seed(5)
        return shaken(timm.create_model(name, **{**TINY, **options}))

    @pytest.mark.parametrize("name", ["test_vit", "vit_small_patch16_dinov3"])
    def test_of_a_file(self, tmp_path, name):
        donor = self.donor(name)
        save_file(donor.state_dict(), tmp_path / "donor.safetensors")
        network = make(name, weights=str(tmp_path / "donor.safetensors"))
        loaded = network.encoder.model.state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in donor.state_dict().items() if k in loaded)
        assert network.pretrained

    def test_of_another_grid(self, tmp_path):
        donor = self.donor("test_vit", img_size=64)
        save_file(donor.state_dict(), tmp_path / "donor.safetensors")
        weights = str(tmp_path / "donor.safetensors")
        network = make("test_vit", options={**TINY, "img_size": 96}, weights=weights)
        assert network.encoder.model.pos_embed.shape == (1, 37, 48)
        assert torch.equal(network.encoder.model.pos_embed[:, 0], donor.pos_embed[:, 0])

    def test_of_another_window(self, tmp_path):
        name = "beit_base_patch16_224"
        donor = self.donor(name, img_size=64)
        save_file(donor.state_dict(), tmp_path / "donor.safetensors")
        weights = str(tmp_path / "donor.safetensors")
        network = make(name, options={**TINY, "img_size": 96}, weights=weights)
        table = donor.blocks[1].attn.relative_position_bias_table
        bias = network.encoder.biases[1]
        assert bias.patches.shape == (1, 2, 11, 11)
        assert torch.equal(bias.token, table[-3:].T)
        same = make(name, options={**TINY, "img_size": 64}, weights=weights)
        assert torch.equal(same.encoder.biases[1].patches[0].flatten(1), table[:-3].T)

    def test_as_the_authors_of_dinov2_name_them(self, tmp_path):
        name = "vit_small_patch14_reg4_dinov2"
        donor = self.donor(name, img_size=56)
        weights = donor.state_dict()
        weights["register_tokens"] = weights.pop("reg_token")
        weights["mask_token"] = torch.zeros(1, 48)
        token = weights["cls_token"] / 2  # its position is written down apart from it
        weights["cls_token"] = token
        weights["pos_embed"] = torch.cat((token, weights["pos_embed"]), 1)
        torch.save(weights, tmp_path / "official.pth")
        options = {**TINY, "img_size": 56}
        network = make(name, options=options, weights=str(tmp_path / "official.pth"))
        loaded = network.encoder.model.state_dict()
        for key, value in donor.state_dict().items():
            torch.testing.assert_close(loaded[key], value)

    @pytest.mark.parametrize(
        ("other", "options"),
        [("test_vit", {"embed_dim": 64}), ("test_vit", {"depth": 3}), ("test_resnet", None)],
    )
    def test_of_another_network_are_refused(self, tmp_path, other, options):
        options = {} if options is None else {**TINY, **options}
        save_file(timm.create_model(other, **options).state_dict(), tmp_path / "other.safetensors")
        with pytest.raises(UserError, match=r"other\.safetensors does not .*'test_vit'") as caught:
            make("test_vit", weights=str(tmp_path / "other.safetensors"))
        assert "\n" not in str(caught.value)

    def test_normalised_otherwise_are_remarked_on(self, tmp_path):
        name = "vit_base_patch16_clip_224"
        save_file(self.donor(name).state_dict(), tmp_path / "clip.safetensors")
        weights = str(tmp_path / "clip.safetensors")
        (line,) = make(name, weights=weights).notices()
        assert "normalised with mean [0.4815, 0.4578, 0.4082]" in line
        assert '--data.std "[0.2686, 0.2613, 0.2758]"' in line
        mean, std = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)
        assert make(name, weights=weights, mean=mean, std=std).notices() == []
        assert make(name).notices() == []


class TestFrozenEncoder:
    def test_a_trainer_trains_the_decoder_only(self, tmp_path):
        network = Segmenter(8, encoder="test_resnet", depth=3, freeze_encoder=True)
        before = copy.deepcopy(network.state_dict())
        module = make_module("classmix", network=network)
        trainer = make_trainer(3, tmp_path, val_check_interval=1)
        trainer.fit(module, make_data())
        (group,) = trainer.optimizers[0].param_groups
        assert group["name"] == "rest"
        moved = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
        assert moved
        assert all(name.startswith("decoder.") for name in moved)
        teacher = module.method.teacher.module.encoder.state_dict()
        assert all(torch.equal(tensor, before[f"encoder.{n}"]) for n, tensor in teacher.items())

    def test_it_stays_in_eval_mode(self):
        network = make(freeze_encoder=True).train()
        assert network.training
        assert network.decoder.training
        assert not any(m.training for m in network.encoder.modules())
        twin = Segmenter(**network.hparams)
        assert twin.freeze_encoder
        assert not any(p.requires_grad for p in network.new().encoder.parameters())
        assert all(p.requires_grad for p in network.new().decoder.parameters())

    def test_one_of_random_weights_is_remarked_on(self):
        network = make(freeze_encoder=True)
        (line,) = network.notices()
        assert line.startswith("encoder vit_small_patch14_dinov2 is frozen, but its weights are")
        network.pretrained = True  # by --init
        assert network.notices() == []

    def test_its_batchnorm_is_no_statistic_of_a_batch(self):
        options = {"encoder": "test_resnet", "freeze_encoder": True}
        assert not Segmenter(4, decoder="fcn", **options).independent
        assert Segmenter(4, decoder="deeplabv2", **options).independent
        assert not Segmenter(4, decoder="deeplabv2", encoder="test_resnet").independent

    def test_its_graph_is_not_kept_but_images_may_ask_for_a_gradient(self):
        network = make(freeze_encoder=True).train()
        image = draw(2, 3, 28, 42)
        assert not any(feats.requires_grad for feats in network.encode(image))
        image.requires_grad_()
        network(image).square().mean().backward()
        assert image.grad.any()
        assert not any(p.grad is not None for p in network.encoder.parameters())
