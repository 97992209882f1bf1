"""Sentences about one file and about many."""

import pytest

from ssseg.data.findings import fill, listed, shown


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_names_are_listed(names, text):
    assert listed(names) == text
    assert shown(names) == text


def test_many_are_counted():
    names = [f"f{i}" for i in range(1234)]
    assert shown(names) == "f0, f1, f2 and 1,231 more"
    assert shown(names[:4], most=1) == "f0 and 3 more"
    assert shown(names[:3]) == "f0, f1 and f2"


def test_a_sentence_fits_the_number_of_files():
    template = "{n} mask{s} {are} empty and {have} {what} ({files}); remove {it}, {they} {hold} it"
    assert fill(template, ["a.png"], what="none") == (
        "1 mask is empty and has none (a.png); remove it, it holds it"
    )
    assert fill(template, ["a.png", "b.png"], what="none") == (
        "2 masks are empty and have none (a.png and b.png); remove them, they hold it"
    )
