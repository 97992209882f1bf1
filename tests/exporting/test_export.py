import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

import ssseg
from ssseg.cli.main import main
from ssseg.data.datasets import Street
from ssseg.errors import UserError
from ssseg.exporting import export as export_module
from ssseg.exporting.formats import FORMATS
from ssseg.exporting.parity import Parity, compare
from ssseg.exporting.sample_inputs import sample_inputs
from ssseg.exporting.torch_export import GridPool, _integer_padding, program_of
from ssseg.models import DECODERS, Segmenter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).parents[2]
SIZES = [(1, 32, 32), (2, 33, 47), (3, 97, 64), (1, 5, 130), (1, 1, 1)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps on an encoder of a few layers."""
    torch.set_num_threads(1)
    return ssseg.fit(
        "classmix",
        out=tmp_path_factory.mktemp("export") / "run",
        max_steps=2,
        network="unet",
        network_options={"encoder": "test_resnet", "depth": 3},
        optim={"lr": 0.01},
        trainer={"accelerator": "cpu"},
        **{"train_images": 8, "val_images": 2, "size": 32, "labeled": 4, "batch_size": 2},
    )


@pytest.fixture(scope="module")
def files(run, tmp_path_factory):
    """The teacher in every format."""
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = run.checkpoint()
    return {
        name: ssseg.export(checkpoint, out=folder / f"model{each.ending}")
        for name, each in FORMATS.items()
    }


@pytest.fixture
def copy(run, tmp_path):
    """The checkpoint alone, without its run."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(run.checkpoint().read_bytes())
    return path


def images(sizes=SIZES, channels=3):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, channels, height, width, generator=generator)
        for batch, height, width in sizes
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_answers_as_the_model_whatever_the_size(run, files, name):
    model, exported = ssseg.load(run.checkpoint()), FORMATS[name].open(files[name])
    for image in images():
        wanted, found = model(image), exported(image)
        assert found.shape == wanted.shape == (len(image), 8, *image.shape[-2:])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert (found.argmax(1) == wanted.argmax(1)).float().mean() > 0.999


def metadata(name, path):
    if name == "onnx":
        return {each.key: each.value for each in onnx.load(str(path)).metadata_props}["ssseg"]
    if name == "safetensors":
        with safe_open(path, framework="pt") as file:
            return file.metadata()["ssseg"]
    extra = {"ssseg.json": ""}
    torch.export.load(path, extra_files=extra)
    return extra["ssseg.json"]


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_the_metadata_are_all_that_is_needed(run, files, name):
    found = json.loads(metadata(name, files[name]))
    source, summary, data = Street(), run.summary, found["data"]
    assert data["classes"] == [{"name": c.name, "color": list(c.color)} for c in source.classes]
    assert data["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert data["std"] == pytest.approx([0.229, 0.224, 0.225])
    assert (data["in_channels"], found["order"], data["pixels"]) == (3, "RGB", "uint8")
    assert (found["divisor"], data["image_size"], data["crop_size"]) == (255, None, [32, 32])
    assert found["saved"] == "teacher"
    assert found["network"]["init_args"]["encoder"] == "test_resnet"
    assert found["method"]["class_path"].endswith("ClassMix")
    assert data["name"] == "street"
    assert data["split_hash"] == summary["data"]["split_hash"]
    assert found["scores"]["teacher"]["miou"] == pytest.approx(summary["last"]["teacher"]["miou"])
    assert found["versions"]["ssseg"] == found["versions"]["exported_by"] == ssseg.__version__


def test_safetensors_are_loaded_as_the_checkpoint_is(run, files):
    first, second = (ssseg.load(path) for path in (run.checkpoint(), files["safetensors"]))
    assert first.about["scores"] == second.about["scores"]
    photo = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)
    assert np.array_equal(first.predict(photo).label, second.predict(photo).label)
    assert first.classes == second.classes


def test_an_onnx_file_names_its_sides_and_nothing_of_this_machine(files):
    graph = onnx.load(str(files["onnx"])).graph
    for value, channels in ((graph.input[0], 3), (graph.output[0], 8)):
        batch, depth, *sides = value.type.tensor_type.shape.dim
        assert depth.dim_value == channels
        assert [each.dim_param for each in (batch, *sides)] == ["batch", "height", "width"]
    assert (graph.input[0].name, graph.output[0].name) == ("image", "logits")
    for path in files.values():
        held = path.read_bytes()
        assert str(ROOT).encode() not in held
        assert b"site-packages" not in held


@pytest.mark.parametrize("name", ["safetensors", pytest.param("torch", marks=pytest.mark.slow)])
def test_student_and_teacher_are_told_apart(run, tmp_path, name):
    path = ssseg.export(run.checkpoint(), name, out=tmp_path, network="student")
    assert path == tmp_path / f"last_student{FORMATS[name].ending}"
    image = images()[1]
    found = FORMATS[name].open(path)(image)
    student, teacher = (ssseg.load(run.checkpoint(), name) for name in ("student", "teacher"))
    torch.testing.assert_close(found, student(image))
    assert (found - teacher(image)).abs().max() > 1e-3
    assert json.loads(metadata(name, path))["saved"] == "student"


def test_on_the_command_line(run, capsys):
    checkpoint = run.checkpoint("best")
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 0
    out = capsys.readouterr().out
    assert "checked  on 2 of 2 validation images of street" in out
    assert "100.000 % of pixels get the same class" in out
    assert "best_teacher.safetensors (safetensors, teacher" in out
    exported = checkpoint.with_name("best_teacher.safetensors")
    assert main(["export", str(exported), "--out", str(run.folder / "again.pt2")]) == 0
    assert "(torch, teacher" in capsys.readouterr().out
    assert sorted(path.name for path in run.folder.glob("*.pt2")) == ["again.pt2"]


def test_the_options_are_listed_without_torch():
    code = (
        "import sys; from ssseg.cli.main import main\n"
        "try: main(['export', '--help'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "--opset" in done.stdout


def test_given_images_are_the_ones_compared_on(copy, capsys):
    folder = copy.parent / "photos" / "deeper"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (30 + number, 41, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    args = ["export", str(copy), "--format", "safetensors", "--images", str(folder.parent)]
    assert main([*args, str(folder / "1.png")]) == 0
    assert "checked  on 4 images (" in capsys.readouterr().out


def test_without_the_run_images_are_random_and_that_is_said(copy, capsys):
    assert main(["export", str(copy), "--format", "safetensors"]) == 0
    assert "on 4 random images, for the run's own cannot be opened" in capsys.readouterr().out


def test_what_a_configuration_names_is_not_run_unless_it_is_a_data_set(copy, capsys):
    checkpoint = copy.parent / "run" / "checkpoints" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    copy.rename(checkpoint)
    touched = copy.parent / "touched"
    source = f"{{class_path: subprocess.Popen, init_args: {{args: [touch, '{touched}']}}}}"
    (copy.parent / "run" / "config.yaml").write_text(f"data:\n  source: {source}\n")
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 0
    assert "subprocess.Popen" in capsys.readouterr().out
    assert not touched.exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda logits: logits * 1.1, "does not do what the model does"),
        (lambda logits: logits * torch.nan, "does not do what the model does"),
        (lambda logits: logits[..., :-1], "expected (1, 8, 32, 32)"),
        (lambda logits: 1 / 0, "fails on an image of shape (1, 3, 32, 32) (ZeroDivisionError"),
    ],
)
def test_a_file_that_does_something_else_is_not_kept(run, tmp_path, monkeypatch, change, complaint):
    usual = FORMATS["safetensors"]

    def opened(path):
        exported = usual.open(path)
        return lambda image: change(exported(image))

    monkeypatch.setitem(FORMATS, "safetensors", usual._replace(open=opened))
    with pytest.raises(UserError, match=re.escape(complaint)):
        ssseg.export(run.checkpoint(), out=tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_fails_while_it_is_written_leaves_nothing(run, tmp_path, monkeypatch):
    def full(model, path, about, opset):
        path.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setitem(FORMATS, "torch", FORMATS["torch"]._replace(write=full))
    with pytest.raises(UserError, match=r"model\.pt2 cannot be written \(No space left"):
        ssseg.export(run.checkpoint(), out=tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_other_sizes_than_the_images_are_compared_too():
    """An answer that is right for even sides alone is found out by the crops of odd sides."""
    seen = []

    def exported(image):
        seen.append(tuple(image.shape))
        return image * (image.shape[-1] % 2 == 0)

    parity = compare(lambda image: image, exported, images([(1, 32, 48)]))
    assert seen == [(1, 3, 32, 48), (2, 3, 25, 37), (2, 3, 13, 21)]
    assert not parity.good


def test_images_that_the_model_refuses_are_one_sentence():
    def model(image):
        if image.shape[-1] < 40:
            raise RuntimeError("too small")
        return image

    assert compare(model, lambda image: image, images([(1, 32, 48)])).good
    with pytest.raises(UserError, match=r"the model itself fails .* \(too small\); give larger"):
        compare(model, lambda image: image, images([(1, 32, 32)]))


def test_what_is_let_pass():
    assert Parity(1e-4, 1.0, 1.0).good
    assert Parity(0.0, 0.0, 1.0).good
    assert not Parity(1.1e-3, 1.0, 1.0).good
    assert not Parity(0.0, 1.0, 0.998).good
    assert not Parity(float("nan"), 1.0, 1.0).good


def test_without_the_packages_the_command_to_install_them_is_said(run, monkeypatch, capfd):
    monkeypatch.setattr("ssseg.exporting.formats.find_spec", lambda name: None)
    assert main(["export", str(run.checkpoint())]) == 2
    err = capfd.readouterr().err
    assert "format onnx needs onnx, onnxruntime, onnxscript" in err
    assert "pip install 'ssseg[onnx]'" in err


BAD = [
    (["--format", "onxx"], "unknown format 'onxx'; did you mean 'onnx'"),
    (["--format", "torch", "--opset", "18"], "--opset is for --format onnx"),
    (["--opset", "7"], "option --opset is 7; expected 18 to"),
    (["--opset", "many"], "invalid int value: 'many'"),
    (["--format", "torch", "--out", "m.onnx"], "files of format torch end in .pt2"),
    (["--out", "model"], "files of format onnx end in .onnx"),
    (["--out", "there.onnx"], "there.onnx exists"),
    (["--out", "there.onnx/m.pt2"], "there.onnx/m.pt2 cannot be written"),
    (["--network", "techer"], "did you mean 'teacher'"),
    (["--format", "torch", "--images", "nowhere"], "there is no image or folder nowhere"),
    (["--format", "torch", "--images", "empty"], "there are no images in empty"),
    (["--images", "there.onnx", "--out", "m.safetensors"], "cannot be read as an image"),
    (["--frmat", "onnx"], "unrecognized arguments: --frmat onnx"),
]


@pytest.mark.parametrize(("args", "complaint"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_sentence_and_leaves_nothing(copy, monkeypatch, capfd, args, complaint):
    here = copy.parent
    monkeypatch.chdir(here)
    (here / "empty").mkdir()
    (here / "there.onnx").write_text("precious")
    assert main(["export", "model.ckpt", *args]) == 2
    err = capfd.readouterr().err
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in here.iterdir()) == ["empty", "model.ckpt", "there.onnx"]
    assert (here / "there.onnx").read_text() == "precious"


def test_a_checkpoint_that_is_not_there_is_one_sentence(capfd):
    assert main(["export", "no.ckpt"]) == 2
    assert "there is no checkpoint no.ckpt" in capfd.readouterr().err


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
def test_layers_that_exporters_stumble_over(run, tmp_path, decoder, options):
    data = ssseg.load(run.checkpoint()).data
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
def test_transformers_for_every_grid_of_patches(run, tmp_path, encoder, name):
    data = ssseg.load(run.checkpoint()).data
    path = tmp_path / f"model{FORMATS[name].ending}"
    check_every_size(transformer(encoder), data, name, path, [*SIZES, (1, 434, 434)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_decoder_for_every_size(run, tmp_path, decoder, name):
    data = ssseg.load(run.checkpoint()).data
    # pan refuses small images itself
    sizes = [(2, 130, 257), (1, 480, 360)] if decoder == "pan" else [*SIZES, (1, 480, 360)]
    path = tmp_path / f"model{FORMATS[name].ending}"
    check_every_size(network_of(decoder), data, name, path, sizes)


def test_the_snippet_of_the_page_runs_without_ssseg(run, files, tmp_path):
    page = (ROOT / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "ssseg" not in snippet.replace('["ssseg"]', "")
    assert "torch" not in snippet
    (tmp_path / "model.onnx").write_bytes(files["onnx"].read_bytes())
    photo = Street(val_images=1, size=61).read_image(Street(val_images=1).records("val")[0])
    Image.fromarray(photo[:45]).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    model = ssseg.load(run.checkpoint())
    wanted = model.predict(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "classes.png") as found:
        assert (np.asarray(found) == wanted.label).mean() > 0.999
        pixels, colors = np.asarray(found.convert("RGB")), np.asarray(wanted.image().convert("RGB"))
    assert (pixels == colors).mean() > 0.999
    names = [model.classes[number].name for number in np.unique(wanted.label)]
    assert done.stdout.strip() == str(names)


def test_the_verb_and_python_are_one(run, tmp_path, monkeypatch):
    asked = {}

    def export(*args):
        asked["args"] = args
        return export_module.Exported(tmp_path, "onnx", "teacher", 1, "", "")

    monkeypatch.setattr("ssseg.exporting.export.export", export)
    ssseg.export("a.ckpt", out="b.onnx", network="teacher", images="photos", opset=20)
    assert asked["args"] == ("a.ckpt", None, "b.onnx", "teacher", ["photos"], 20)


def test_no_module_that_a_neighbour_names_is_imported(run, copy, tmp_path, monkeypatch, capsys):
    """A checkpoint comes with a config.yaml beside it, from anywhere."""
    folder = tmp_path / "theirs" / "checkpoints"
    folder.mkdir(parents=True)
    copy.rename(folder / "last.ckpt")
    trap = f"open({str(tmp_path / 'it ran')!r}, 'w')\nclass Data: pass\n"
    (tmp_path / "trap.py").write_text(trap)
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("trap.Data", "ssseg.__main__.Data"):
        named = {"data": {"source": {"class_path": path, "init_args": {}}}}
        (folder.parent / "config.yaml").write_text(json.dumps(named))
        model = ssseg.load(folder / "last.ckpt")
        trial = sample_inputs(model, folder / "last.ckpt", [])
        assert "random images, for the run's own cannot be opened" in trial.words
    assert not (tmp_path / "it ran").exists()
    assert "trap" not in sys.modules
