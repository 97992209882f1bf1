from itertools import permutations

import pytest
import torch

from ssseg.methods.guidedmix.partners import assign, partners
from ssseg.testing import step
from tests.spread import seeded


class TestAssign:
    @pytest.mark.parametrize("seed", range(5))
    def test_the_sum_of_distances_is_the_smallest_of_all_permutations(self, seed):
        query, keys = torch.randn(2, 5, 3, generator=seeded(seed)).double()
        distance = torch.cdist(query, keys).square()
        sums = {order: sum(distance[range(5), order]).item() for order in permutations(range(5))}
        assert tuple(assign(query, keys).tolist()) == min(sums, key=sums.get)

    @pytest.mark.parametrize(("queries", "keys"), [(5, 5), (7, 3), (3, 7), (4, 1)])
    def test_no_key_is_used_more_often_than_needed(self, queries, keys):
        # all of them are nearest to the first key
        query = torch.zeros(queries, 2)
        found = assign(query, torch.arange(2.0 * keys).view(keys, 2))
        assert found.bincount(minlength=keys).max() == -(-queries // keys)

    def test_an_image_gets_itself_only_if_it_is_alone(self):
        pooled = torch.randn(6, 4, generator=seeded(0))
        own = torch.arange(6)
        found = assign(pooled, pooled, own)
        assert not (found == own).any()
        assert sorted(found.tolist()) == list(range(6))
        assert assign(pooled[:1], pooled[:1], own[:1]).tolist() == [0]

    def test_features_that_are_not_numbers_raise_nothing(self):
        query = torch.full((3, 2), torch.nan)
        assert sorted(assign(query, torch.randn(3, 2)).tolist()) == [0, 1, 2]


class TestPartners:
    @pytest.mark.parametrize("rule", ["similar", "assigned", "random"])
    def test_every_image_gets_a_candidate_without_gradient(self, rule):
        query = torch.randn(5, 4, requires_grad=True)
        found = partners(query, torch.randn(3, 4), rule, step())
        assert found.dtype == torch.int64
        assert not found.requires_grad
        assert ((found >= 0) & (found < 3)).all()

    @pytest.mark.parametrize("rule", ["similar", "assigned", "random"])
    def test_not_itself_where_there_are_others(self, rule):
        keys, own = torch.randn(6, 4), torch.tensor([2, 3])
        found = partners(keys[own], keys, rule, step(), own)
        assert not (found == own).any()

    def test_the_nearest_one_is_a_hub_where_one_to_one_is_none(self):
        keys = torch.tensor([[0.0], [10.0], [11.0]])
        query = torch.tensor([[1.0], [2.0], [3.0]])
        assert partners(query, keys, "similar", step()).tolist() == [0, 0, 0]
        assert sorted(partners(query, keys, "assigned", step()).tolist()) == [0, 1, 2]
