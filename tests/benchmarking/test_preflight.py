import re
import shlex

import pytest

from ssseg.cli.main import main
from tests.benchmarking.runs import SMALL


@pytest.mark.usefixtures("in_this_process")
def test_a_dry_run_lists_the_runs_with_their_time_and_trains_nothing(here, capsys):
    (here / "grid.yaml").write_text(
        "rows:\n"
        "  supervised: {method: supervised}\n"
        "  guided:\n"
        "    method: guidedmix\n"
        "    network.decoder_options: {decoder_channels: [32, 16, 16, 8]}\n"
        "columns: {few: {data.labeled: 8}, many: {data.crop_size: [32, 32]}}\n"
        "seeds: 2\n"
        "options: {network: small}\n"
    )
    assert main(["benchmark", "grid.yaml", "--dry-run", "--out", "my study", *SMALL]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert shlex.split(lines[3], comments=True) == [
        *("ssseg", "fit", "--method", "guidedmix", "--seed_everything", "0"),
        *("--out", "my study/guided-many-seed0", "--network=small", *SMALL),
        "--data.crop_size=[32, 32]",
        '--network.decoder_options={"decoder_channels": [32, 16, 16, 8]}',
    ]
    for line in lines:
        assert re.fullmatch(
            r"about (\d+ to )?\d+ s, 0.\d million parameters", line.split("  # ")[1]
        )
    assert re.fullmatch(r"# 8 runs, about (\d+ to )?\d+ s", total)
    assert [path.name for path in here.iterdir()] == ["grid.yaml"]


@pytest.mark.usefixtures("in_this_process")
def test_what_cannot_work_is_said_before_anything_trains(here, capsys):
    (here / "grid.yaml").write_text(
        "methods: [supervised, cutmix]\n"
        "columns:\n"
        "  fine: {data.size: 32}\n"
        "  large: {data.batch_size: 500}\n"
        "  lost: {data: folder, data.root: nowhere}\n"
        "seeds: 3\n"
    )
    for more in ([], ["--dry-run"]):
        assert main(["benchmark", "grid.yaml", *more]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "4 of 6 kinds of runs cannot work" in err
        assert "cutmix large: option data.batch_size is 500, but there are only 16 labeled" in err
        assert "supervised lost: option data.root is nowhere, but there is no such folder" in err
        assert [path.name for path in here.iterdir()] == ["grid.yaml"]
