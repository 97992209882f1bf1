from tests.cli.small_runs import fit


def test_a_checkpoint_of_another_network_is_one_sentence(here, capfd):
    assert fit("--method", "supervised", "--out", "run") == 0
    args = ["--ckpt_path", "run/checkpoints/last.ckpt", "--out", "other"]
    assert fit("--method", "supervised", "--network", "fpn", *args, steps=5) == 2
    err = capfd.readouterr().err
    assert "the checkpoint's network has decoder = 'unet', but this run's has 'fpn'" in err
    assert not (here / "other").exists()


def test_a_file_that_is_no_checkpoint_is_one_sentence(here, capfd):
    (here / "notes.ckpt").write_bytes(b"nothing of the kind")
    assert fit("--method", "supervised", "--ckpt_path", "notes.ckpt", "--out", "run") == 2
    assert "notes.ckpt is not a checkpoint" in capfd.readouterr().err
