from tests.cli.small_runs import fit


def test_tensorboard_by_one_option(here):
    assert fit("--method", "supervised", "--out", "run", "--logger", "tensorboard") == 0
    assert list((here / "run").rglob("events.out.tfevents.*"))
    assert (here / "run" / "metrics.csv").is_file()


def test_wandb_by_one_option_works_offline(here, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert fit("--method", "supervised", "--out", "run", "--logger", "wandb") == 0
    assert list((here / "run").rglob("run-*.wandb"))
    import wandb

    wandb.finish()
