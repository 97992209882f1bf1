from itertools import pairwise

from ssseg.data.sampler import Stream, draws
from ssseg.seeding import STREAMS, seed_of


def test_seeds_differ():
    stream = Stream("labeled", 40, 40)
    orders = {tuple(draw.record for draw in draws(stream, seed, 0)) for seed in range(20)}
    assert len(orders) == 20


def test_neighboring_places_have_unrelated_seeds():
    seeds = [seed_of(0, "labeled", step, slot) for step in range(200) for slot in range(8)]
    seeds += [seed_of(0, "unlabeled", step, slot) for step in range(200) for slot in range(8)]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    bits = [bin(a ^ b).count("1") for a, b in pairwise(seeds)]
    assert 29 < sum(bits) / len(bits) < 34  # half of 63 bits change
    assert len({seed_of(0, stream, 1) for stream in STREAMS}) == len(STREAMS)
