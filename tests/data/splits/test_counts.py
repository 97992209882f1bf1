import pytest

from ssseg.data.splits.labeled_split import split_labeled
from ssseg.errors import UserError
from tests.data.splits.sources import some


@pytest.mark.parametrize(
    ("total", "wanted", "expected"),
    [
        (12, "5", 5),
        (12, "12", 12),
        (12, None, 12),
        (16, "1/8", 2),
        (15, "1/8", 2),
        (367, "1/8", 46),
        (2975, "1/8", 372),
        (2975, "1/30", 100),
        (12, "2/3", 8),
        (12, "1/1", 12),
        (10, "0.5", 5),
        (10, "1.0", 10),
        (100, "0.29", 29),  # 28 in floating point
        (1000, "0.001", 1),
        (1000, "1e-2", 10),
    ],
)
def test_counts_and_fractions(total, wanted, expected):
    records = some(total)
    split = split_labeled(records, wanted, 0)
    assert len(split.labeled) == expected
    # the two parts are all records, each once and in their old order
    assert sorted(split.labeled + split.rest) == records
    assert split.labeled == sorted(split.labeled)
    assert split.rest == sorted(split.rest)


@pytest.mark.parametrize(
    ("total", "published"),
    [
        (10582, {100: 106, 50: 212, 16: 662, 8: 1323, 4: 2646, 2: 5291}),
        (2975, {30: 100, 16: 186, 8: 372, 4: 744, 2: 1488}),
    ],
)
def test_fractions_are_counted_as_they_are_published(total, published):
    for share, count in published.items():
        assert len(split_labeled(some(total), f"1/{share}", 0).labeled) == count


@pytest.mark.parametrize(
    "wanted",
    ["0", "13", "-3", "0/8", "9/8", "1/0", "-1/8", "1.5", "0.0", "-0.5", "1e3"],
)
def test_numbers_out_of_range(wanted):
    with pytest.raises(UserError, match="expected a count from 1 to 12") as caught:
        split_labeled(some(12), wanted, 0)
    assert f"option data.labeled is {wanted}, which is" in str(caught.value)
    assert "of 12 training images" in str(caught.value)
