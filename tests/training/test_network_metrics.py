"""Every network is counted on its own, over all batches of a set."""

import pytest
import torch
from torch.nn.functional import one_hot

from ssseg.evaluation.metrics import BoundaryIoU, SegmentationScores
from ssseg.training.network_metrics import NetworkMetrics


def answers(seed):
    generator = torch.Generator().manual_seed(seed)
    predicted, label = torch.randint(0, 3, (2, 4, 16, 16), generator=generator)
    return one_hot(predicted, 3).permute(0, 3, 1, 2).float(), label


@pytest.mark.parametrize("boundary", [False, True])
def test_networks_are_counted_apart_and_sets_anew(boundary):
    metrics = NetworkMetrics(["student", "teacher"], 3, "skip", boundary=boundary)
    for first in (0, 10):  # two validations
        expected = {}
        for place, name in enumerate(metrics.confusion):
            plain, edges = SegmentationScores(3), BoundaryIoU(3)
            for seed in (first + place, first + place + 2):
                scores, label = answers(seed)
                predicted = metrics.add(name, scores, label)
                assert torch.equal(predicted, scores.argmax(1))
                plain.add(scores, label)
                edges.update(predicted, label)
            expected[name] = plain.scores().miou, edges.per_class()
        found = metrics.scores()
        assert {name: scores.miou for name, scores in found.items()} == {
            name: miou for name, (miou, _) in expected.items()
        }
        for name, (_, per_class) in expected.items():
            assert found[name].boundary_iou == (per_class if boundary else None)
    assert expected["student"] != expected["teacher"]
