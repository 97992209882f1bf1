from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssseg.data.sampler import StepSampler, Stream, draws

LABELED = Stream("labeled", 10, 4)
UNLABELED = Stream("unlabeled", 23, 8)


def records(stream, seed, steps):
    return [draw.record for step in steps for draw in draws(stream, seed, step)]


def first(count, *args, **options):
    return list(islice(StepSampler(*args, **options), count))


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 30), batch_size=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_each_pass_shows_every_record_exactly_once(size, batch_size, seed):
    passes = 4
    steps = range(-(-passes * size // batch_size))
    row = records(Stream("labeled", size, batch_size), seed, steps)
    for start in range(0, passes * size, size):
        assert sorted(row[start : start + size]) == list(range(size))


def test_each_pass_has_an_order_of_its_own():
    row = records(Stream("labeled", 50, 50), 0, range(4))
    passes = [tuple(row[i : i + 50]) for i in range(0, 200, 50)]
    assert len(set(passes)) == 4
    assert tuple(range(50)) not in passes


def test_every_record_comes_first_about_equally_often():
    count = Counter(draws(Stream("labeled", 5, 5), seed, 0)[0].record for seed in range(500))
    assert set(count) == set(range(5))
    assert min(count.values()) > 70  # 100 expected, standard deviation 9


def test_a_step_is_a_function_of_seed_and_step_alone():
    expected = {step: draws(UNLABELED, 7, step) for step in range(60)}
    # backwards, so that no order of calls and no cache can be the reason for the same answer
    for step in reversed(range(60)):
        draws(UNLABELED, 8, step)
        assert draws(UNLABELED, 7, step) == expected[step]


def test_a_draw_knows_its_place():
    for step in (0, 5):
        batch = draws(LABELED, 0, step)
        assert [draw.slot for draw in batch] == [0, 1, 2, 3]
        assert {draw.step for draw in batch} == {step}
        assert {draw.stream for draw in batch} == {"labeled"}


def test_a_batch_holds_both_streams():
    for batch in first(5, [LABELED, UNLABELED], 0):
        assert Counter(draw.stream for draw in batch) == {"labeled": 4, "unlabeled": 8}


@pytest.mark.parametrize("start", [1, 6, 7, 40])
def test_a_resumed_sampler_continues_where_it_was_interrupted(start):
    whole = first(start + 9, [LABELED, UNLABELED], 3)
    assert first(9, [LABELED, UNLABELED], 3, start=start) == whole[start:]


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_ranks_together_see_what_one_process_sees(world_size):
    whole = first(12, [LABELED, UNLABELED], 3)
    ranks = [
        first(12, [LABELED, UNLABELED], 3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for step, batch in enumerate(whole):
        shares = [rank[step] for rank in ranks]
        assert {len(share) for share in shares} == {12 // world_size}
        # per stream and in order of the slots, so that the places of the global batch stay
        together = sorted((draw for share in shares for draw in share), key=lambda d: d.stream)
        assert together == batch


def test_one_stream_does_not_move_the_other():
    alone = [draw for batch in first(20, [LABELED], 0) for draw in batch]
    for other in (UNLABELED, Stream("unlabeled", 1000, 3)):
        both = [draw for batch in first(20, [LABELED, other], 0) for draw in batch]
        assert [draw for draw in both if draw.stream == "labeled"] == alone


def test_labeled_and_unlabeled_orders_are_independent():
    labeled = records(Stream("labeled", 40, 40), 0, [0])
    unlabeled = records(Stream("unlabeled", 40, 40), 0, [0])
    assert labeled != unlabeled


@pytest.mark.parametrize(("size", "batch_size"), [(3, 8), (1, 4), (5, 10)])
def test_a_batch_larger_than_the_set_repeats_evenly(size, batch_size):
    for step in range(10):
        count = Counter(records(Stream("labeled", size, batch_size), 0, [step]))
        assert set(count) == set(range(size))
        assert max(count.values()) - min(count.values()) <= 2  # two passes may meet in a batch
