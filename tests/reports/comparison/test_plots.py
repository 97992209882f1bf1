import pytest

from ssseg.reports.comparison.plots import mean_curve, missing_plots
from tests.benchmarking.folders import study, write, write_metrics
from tests.reports.comparison.pages import check_page, report


def test_curves_that_are_not_there_are_left_out_and_it_is_said(tmp_path):
    study(tmp_path)
    write_metrics(tmp_path / "classmix-0", train__trusted=[0.2, 0.4])
    made = report(tmp_path)
    assert list(made.figures) == ["scores", "curves", "trusted"]
    assert "No trusted share recorded for: supervised." in made.plots[1]["trusted"].caption
    assert missing_plots(made.tables[0]) == ["accuracy of pseudo-labels"]
    assert "Not recorded by any of these runs: accuracy of pseudo-labels." in made.html()


def test_the_mean_curve_is_over_the_steps_that_all_seeds_have():
    curves = [[(100, 10.0), (200, 20.0), (300, 30.0)], [(100, 20.0), (300, 50.0)]]
    assert mean_curve(curves) == [(100, 15.0), (300, 40.0)]
    assert mean_curve([]) == []


def test_labels_against_miou_is_the_one_plot_over_tables(tmp_path):
    for labels, base in ((8, 0.3), (16, 0.4), (32, 0.45)):
        split = {"data__labeled": labels, "data__split_hash": str(labels)}
        for seed in range(2):
            where = tmp_path / f"{labels}-{seed}"
            write(where / "s", "supervised", base + 0.01 * seed, seed=seed, **split)
            write(where / "c", "classmix", base + 0.1, base + 0.1, seed=seed, **split)
    write(tmp_path / "short", "supervised", 0.2, steps=10, data__labeled=64)
    made = report(tmp_path)
    assert len(made.tables) == 4
    assert list(made.plots[0]) == ["labels"]
    (axes,) = made.figures["labels"].axes
    series = [container.lines[0].get_xydata().tolist() for container in axes.containers]
    assert series[0] == [
        [8, pytest.approx(30.5)],
        [16, pytest.approx(40.5)],
        [32, pytest.approx(45.5)],
    ]
    assert series[1] == [[8, pytest.approx(40)], [16, pytest.approx(50)], [32, pytest.approx(55)]]
    assert len(series) == 2, "the run of other steps is in no curve"
    assert len(report(tmp_path, mix=True).figures["labels"].axes[0].containers) == 2
    assert "labels" in check_page(made.html()).ids[0] or "Over the number of labels" in made.html()
