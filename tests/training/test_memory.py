import pytest
import torch
import torch.nn.functional as F

from ssseg.models import NETWORKS, Segmenter
from ssseg.training.memory import memory_of_step, memory_of_validation

DECODERS = ["unet", "deeplabv3plus", "guidedmix", "segformer", "small"]
TINY = {"embed_dim": 48, "depth": 4, "num_heads": 2}
TRANSFORMERS = {
    "dinov2": {"decoder": "dpt", "encoder": "vit_small_patch14_dinov2", "encoder_options": TINY},
    "beit": {"decoder": "dpt", "encoder": "beit_base_patch16_224", "encoder_options": TINY},
    "frozen": {"decoder": "dpt", "encoder": "test_vit", "freeze_encoder": True},
}


@pytest.mark.parametrize("name", [*DECODERS, *TRANSFORMERS])
def test_memory_is_what_a_real_forward_pass_keeps(name):
    """Counted without computing, the same bytes as when computed."""
    network = {**NETWORKS, **TRANSFORMERS}[name]
    counted = memory_of_step(
        network, (64, 96), num_classes=5, in_channels=4, images=6, teacher=False
    )
    model = Segmenter(5, 4, **network).train()
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(torch.randn(6, 4, 64, 96)), torch.zeros(6, 64, 96).long())
    real = sum(storage.nbytes() for storage in kept.values())
    assert loss.isfinite()
    assert counted.activations == pytest.approx(real, rel=0.03)  # a CPU may fuse
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counted.weights == 4 * (counted.parameters + 3 * trained)
    two = memory_of_step(
        network, (64, 96), num_classes=5, in_channels=4, images=6, teacher=False, trained=2
    )
    assert two[:2] == (2 * counted.activations, 2 * counted.weights)


def test_no_matrix_of_all_pairs_of_patches_is_counted():
    pairs = 4 * 2 * 1370**2  # bytes, of two heads and 37 x 37 patches with the class token
    network, size = TRANSFORMERS["dinov2"], (518, 518)
    options = {"num_classes": 5, "in_channels": 3, "images": 1}
    # scores and their softmax would be held at once
    assert memory_of_validation(network, size, batch=1, **options) < 2 * pairs
    step = memory_of_step(network, size, teacher=False, **options)
    assert step.activations < 4 * pairs  # that of every block, and everything else
