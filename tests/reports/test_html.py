import numpy as np

from ssseg.reports.html import matrix
from tests.reports.evaluation.documents import Walk


def test_a_matrix_of_many_classes_stays_short():
    names = [f"class {i}" for i in range(60)]
    html = matrix(names, (1000 * np.eye(60) + 1).astype(int).tolist())
    assert html.count("<td") == 3600
    assert ">94</td>" in html
    Walk(html)
