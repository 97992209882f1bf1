import pytest

from ssseg.reports.comparison import contents
from ssseg.reports.comparison.significance import outstanding, paired
from tests.benchmarking.folders import write
from tests.reports.comparison.reports import line, notes, report, rows


def test_seeds_are_paired_by_number_not_by_place(tmp_path):
    """Seeds that only one side has count in its mean, and in no gain."""
    for seed, miou in ((0, 0.40), (1, 0.50), (2, 0.60), (3, 0.10)):
        write(tmp_path / f"s{seed}", "supervised", miou, seed=seed)
    for seed, miou in ((2, 0.61), (1, 0.52), (0, 0.43), (9, 0.99)):
        write(tmp_path / f"c{seed}", "classmix", miou, miou, seed=seed)
    made = report(tmp_path)
    cells = line(made, "classmix")
    assert cells["gain over supervised"].text == "+2.0 ± 1.0"
    assert cells["paired t-test"].text.endswith("n = 3")
    assert cells["student, last"].text == "63.8 ± 24.6"
    assert "different seeds" in notes(made)


@pytest.mark.parametrize(("seeds", "said"), [(1, "none: 1 pair"), (2, "none: 2 pairs")])
def test_fewer_than_three_seeds_have_no_test(tmp_path, seeds, said):
    for seed in range(seeds):
        write(tmp_path / f"s{seed}", "supervised", 0.40 + 0.01 * seed, seed=seed)
        write(tmp_path / f"c{seed}", "classmix", 0.50 + 0.02 * seed, 0.5, seed=seed)
    made = report(tmp_path)
    assert line(made, "classmix")["paired t-test"].text == said
    assert not any(cell.bold for cell in line(made, "classmix").values())
    assert rows(made.table)[1]["p"] is None or rows(made.table)[1]["p"] != rows(made.table)[1]["p"]


def test_equal_differences_have_no_test():
    gain = paired({0: 50.0, 1: 60.0, 2: 70.0}, {0: 40.0, 1: 50.0, 2: 60.0})
    assert gain.p is None
    assert contents.test_words(gain) == "none: 3 equal differences"
    assert contents.gain_words(gain) == "+10.0 ± 0.0"
    assert contents.gain_words(paired({0: 40.0}, {0: 50.0})) == "-10.0"


@pytest.mark.parametrize(
    ("column", "best"),
    [
        ([{0: 50, 1: 52, 2: 54}, {0: 40, 1: 43, 2: 45}], 0),
        ([{0: 40, 1: 43, 2: 45}, {0: 50, 1: 52, 2: 54}], 1),
        # higher in the mean, but by less than the differences vary
        ([{0: 50, 1: 52, 2: 54}, {0: 40, 1: 53, 2: 60}], None),
        # large spread of each row, which all seeds share
        ([{0: 30, 1: 50, 2: 70}, {0: 28, 1: 49, 2: 67}], 0),
        # beats the second, not the third
        ([{0: 50, 1: 52, 2: 54}, {0: 45, 1: 47, 2: 49}, {0: 56, 1: 30, 2: 50}], None),
        ([{0: 50, 1: 52}, {0: 40, 1: 43}], None),
        ([{0: 50, 1: 52, 2: 54}, {3: 40, 4: 43, 5: 45}], None),
        ([{0: 50, 1: 52, 2: 54}, {}], None),
        ([], None),
    ],
)
def test_bold_is_what_stands_out_of_the_spread(column, best):
    assert outstanding(column) == best
