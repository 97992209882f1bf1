import numpy as np
import pytest

from tests.data.splits.sources import Painted, voc_like


def one_class_each(counts=(180, 150, 60, 5, 3, 1, 1), seed=0):
    """Every image shows a single class: no image can stand for two."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return labels[:, None] == np.arange(len(counts))


@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
@pytest.mark.parametrize("seed", range(5))
def test_a_stratified_choice_shows_every_class_that_there_is(presence, seed):
    source = Painted(presence)
    least = presence.shape[1]
    for wanted in (str(least), "20", "1/8", "1/2", "0.9"):
        split = source.split(wanted, seed, "stratified")
        assert len(split.labeled) == len(source.split(wanted, seed).labeled)  # to the image
        assert sorted(split.labeled + split.rest) == source.records("train")
        assert ((source.shown(split) > 0) == presence.any(0)).all()
        assert split.name == f"{wanted} stratified seed {seed}"


@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
def test_a_stratified_choice_keeps_the_shares_of_the_classes(presence):
    source, random, stratified = Painted(presence), [], []
    wish = presence.mean(0)
    for seed in range(10):
        for select, errors in (("random", random), ("stratified", stratified)):
            split = source.split("1/4", seed, select)
            errors.append(np.abs(source.shown(split) / len(split.labeled) - wish))
    assert np.mean(stratified) < 0.6 * np.mean(random)
    # no class is off by more than a few images of 100
    assert np.max(stratified) < 0.05


def test_a_count_that_is_too_small_for_all_classes_shows_as_many_as_it_can():
    source = Painted(one_class_each())
    for count in range(1, 8):
        split = source.split(str(count), 0, "stratified")
        assert (source.shown(split) > 0).sum() == len(split.labeled) == count


def test_a_stratified_choice_depends_on_the_seed_alone():
    source = Painted(voc_like())
    assert source.split("30", 3, "stratified") == source.split("30", 3, "stratified")
    assert len({tuple(source.split("30", seed, "stratified").labeled) for seed in range(20)}) == 20


def test_images_without_any_class_can_be_chosen_too():
    presence = np.zeros((10, 2), bool)
    presence[0, 0] = True
    source = Painted(presence)
    for count in range(1, 11):
        split = source.split(str(count), 0, "stratified")
        assert len(split.labeled) == count
        assert split.labeled[0].id == "img_0000"


@pytest.mark.parametrize("least", [1, 3, 10])
@pytest.mark.parametrize("presence", [voc_like(), one_class_each()], ids=["many", "single"])
def test_a_coverage_shows_each_class_often_enough_and_no_image_can_be_spared(presence, least):
    source = Painted(presence)
    needed = np.minimum(least, presence.sum(0))
    split = source.split(f"{least}/class", 2)
    assert split.name == f"{least}/class seed 2"
    assert (source.shown(split) >= needed).all()
    for left_out in split.labeled:
        fewer = split._replace(labeled=[r for r in split.labeled if r != left_out])
        assert (source.shown(fewer) < needed).any()
    assert split == source.split(f"{least}/class", 2)


def test_a_coverage_is_near_the_smallest_there_is():
    milp = pytest.importorskip("scipy.optimize").milp
    from scipy.optimize import Bounds, LinearConstraint

    presence = voc_like()
    for least in (1, 3, 10):
        enough = LinearConstraint(presence.T.astype(float), lb=np.minimum(least, presence.sum(0)))
        images = np.ones(len(presence))
        smallest = milp(images, constraints=enough, bounds=Bounds(0, 1), integrality=images)
        found = len(Painted(presence).split(f"{least}/class").labeled)
        assert smallest.fun <= found <= 1.3 * smallest.fun


def test_classes_too_rare_for_a_coverage_are_named():
    split = Painted(one_class_each()).split("3/class")
    assert len(split.notices) == 2
    assert "class 'c5' occurs in only 1 training image, fewer than in 3/class" in split.notices[0]
    assert Painted(one_class_each()).split("1/class").notices == ()
