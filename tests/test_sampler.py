"""The identity sampler's rules, and shuffled passes."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.learning.sampler import identity_batches, identity_pass, shuffled_batches
from tests.golden import golden

STORED = golden("sampler")
PIDS, CAMIDS = STORED["pids"], STORED["cams"]
INSTANCES = 4
Stream = Callable[[int], np.random.Generator]


def seeded(seed: int) -> Stream:
    """Pass -> its generator."""
    return lambda number: np.random.default_rng([seed, number])


def groups(stream: np.ndarray, pids: np.ndarray, instances: int) -> list[np.ndarray]:
    """The stream cut where the rules cut it: ``instances`` images of an identity, or its only one."""
    cut, position = [], 0
    while position < len(stream):
        alone = int(np.sum(pids == pids[stream[position]])) == 1
        length = 1 if alone else instances
        cut.append(stream[position : position + length])
        position += length
    return cut


def broken_rules(stream: np.ndarray, pids: np.ndarray, camids: np.ndarray, instances: int) -> list[str]:
    """What a pass does that it must not do, rule by rule."""
    faults = []
    cut = groups(stream, pids, instances)
    if Counter(int(pids[group[0]]) for group in cut) != Counter(set(pids.tolist())):
        faults.append("not every identity exactly once")
    for group in cut:
        anchor, others = int(group[0]), [int(row) for row in group[1:]]
        own = [row for row in range(len(pids)) if pids[row] == pids[anchor]]
        if any(row not in own for row in others):
            faults.append("another identity among the images")
            continue
        candidates = [row for row in own if camids[row] != camids[anchor]]
        if not candidates:
            candidates = [row for row in own if row != anchor]
        if any(row not in candidates for row in others):
            faults.append("an image of the anchor's camera although there are others, or the anchor again")
        if len(candidates) >= instances and len(set(others)) < len(others):
            faults.append("an image twice although there are enough")
        if len(own) > 1 and len(others) != instances - 1:
            faults.append("wrong number of images")
    return faults


# --- the authors' streams obey the rules, and so does ours -----------------------------------------------------------


@pytest.mark.parametrize("key", [f"stream_seed{seed}_epoch{epoch}" for seed in (1, 2) for epoch in (0, 1)])
def test_the_authors_own_streams_obey_the_rules_as_checked_here(key: str) -> None:
    assert broken_rules(STORED[key], PIDS, CAMIDS, INSTANCES) == []


def test_the_check_notices_broken_streams() -> None:
    pids = np.array([0] * 8 + [1] * 2)
    camids = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1])
    assert broken_rules(np.array([0, 3, 4, 5, 8, 9, 9, 9]), pids, camids, 4) == []
    for broken in (
        [0, 3, 4, 5],  # identity 1 is missing
        [0, 3, 4, 5, 8, 9, 9, 9, 8, 9, 9, 9],  # identity 1 comes twice
        [0, 3, 4, 8, 9, 9, 9, 9],  # another identity's image
        [0, 3, 4, 1, 8, 9, 9, 9],  # the anchor's own camera
        [0, 3, 4, 4, 8, 9, 9, 9],  # an image twice among four candidates
        [0, 3, 4, 5, 8, 9, 9, 8],  # the anchor again
        [0, 3, 4, 5, 8, 9, 9],  # an image too few
    ):
        assert broken_rules(np.array(broken), pids, camids, 4), broken


@pytest.mark.parametrize("seed", range(20))
def test_a_pass_obeys_the_rules(seed: int) -> None:
    stream = identity_pass(PIDS, CAMIDS, INSTANCES, np.random.default_rng(seed))
    assert stream.dtype == np.int64
    assert len(stream) == len(STORED["stream_seed1_epoch0"])
    assert broken_rules(stream, PIDS, CAMIDS, INSTANCES) == []


def test_three_candidates_are_drawn_with_replacement_and_four_are_not() -> None:
    # as the authors' code has it: three would do, yet they are drawn with replacement
    repeats = {}
    for count in (3, 4):
        pids, camids = np.zeros(count + 1, np.int64), np.array([0] + [1] * count)
        drawn = (identity_pass(pids, camids, 4, np.random.default_rng(seed)) for seed in range(200))
        repeats[count] = sum(len(set(stream.tolist())) < 4 for stream in drawn if camids[stream[0]] == 0)
    assert repeats[3] > 0
    assert repeats[4] == 0


def test_an_identity_with_one_image_gives_it_once() -> None:
    stream = identity_pass(np.array([5, 5, 8]), np.array([0, 1, 0]), 4, np.random.default_rng(0))
    assert (stream == 2).sum() == 1
    assert len(stream) == 5


def test_an_identity_seen_by_one_camera_uses_its_remaining_images() -> None:
    for seed in range(20):
        anchor, *others = identity_pass(np.zeros(6, np.int64), np.zeros(6, np.int64), 4, np.random.default_rng(seed))
        assert len({anchor, *others}) == 4  # five candidates: nobody twice, never the anchor


def test_anchors_are_random_among_an_identitys_images() -> None:
    anchors = Counter(
        int(identity_pass(np.zeros(4, np.int64), np.arange(4), 2, np.random.default_rng(seed))[0])
        for seed in range(400)
    )
    # 100 expected of each, deviation below 9
    assert sorted(anchors) == [0, 1, 2, 3]
    assert min(anchors.values()) > 60


def test_the_order_of_the_identities_is_random_and_every_one_can_come_first() -> None:
    pids = np.repeat(np.arange(5), 2)
    first = {int(pids[identity_pass(pids, np.tile([0, 1], 5), 2, np.random.default_rng(s))[0]]) for s in range(60)}
    assert first == set(range(5))


def test_with_one_instance_every_identity_gives_one_image() -> None:
    stream = identity_pass(PIDS, CAMIDS, 1, np.random.default_rng(1))
    assert sorted(PIDS[stream]) == sorted(set(PIDS.tolist()))


# --- batches ---------------------------------------------------------------------------------------------------------


def test_batches_are_cut_from_passes_whose_remainder_is_dropped() -> None:
    batch_size = 64
    batch = identity_batches(PIDS, CAMIDS, batch_size, INSTANCES, seeded(7))
    passes = [identity_pass(PIDS, CAMIDS, INSTANCES, seeded(7)(number)) for number in range(3)]
    # 210 images a pass: three batches of 64, the last 18 images are dropped
    expected = [one[start : start + batch_size] for one in passes for start in (0, 64, 128)][:7]
    np.testing.assert_array_equal([batch(i) for i in range(7)], expected)


def test_the_same_stream_gives_the_same_batches_and_another_does_not() -> None:
    def batches(seed: int) -> list[np.ndarray]:
        return [*map(identity_batches(PIDS, CAMIDS, 64, INSTANCES, seeded(seed)), range(5))]

    np.testing.assert_array_equal(batches(1), batches(1))
    assert not np.array_equal(batches(1), batches(2))


def test_two_passes_are_drawn_differently() -> None:
    batch = identity_batches(PIDS, CAMIDS, 64, INSTANCES, seeded(1))
    assert not any(np.array_equal(batch(i), batch(3 + i)) for i in range(3))


MADE: dict[str, Callable[[Stream], Callable[[int], np.ndarray]]] = {
    "by identity": partial(identity_batches, PIDS, CAMIDS, 64, INSTANCES),
    "shuffled": partial(shuffled_batches, 300, 64),
}


@pytest.mark.parametrize("kind", list(MADE))
def test_a_batch_can_be_asked_for_alone_and_in_any_order(kind: str) -> None:
    one_by_one = [*map(MADE[kind](seeded(5)), range(40))]
    np.testing.assert_array_equal(MADE[kind](seeded(5))(37), one_by_one[37])
    batch = MADE[kind](seeded(5))
    for i in np.random.default_rng(0).permutation([*range(40), *range(40)]):  # each twice
        np.testing.assert_array_equal(batch(int(i)), one_by_one[i])


@pytest.mark.parametrize("kind", list(MADE))
def test_a_batch_asks_for_its_own_pass_and_no_other(kind: str) -> None:
    asked: list[int] = []

    def stream(number: int) -> np.random.Generator:
        asked.append(number)
        return seeded(5)(number)

    batch = MADE[kind](stream)
    batch(37)
    batch(37)
    batch(0)
    assert asked == [{"by identity": 37 // 3, "shuffled": 37 // 4}[kind], 0]


def test_a_pass_that_is_just_long_enough_makes_one_batch() -> None:
    pids, camids = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    batch = identity_batches(pids, camids, 16, 4, seeded(0))
    for i in range(3):
        assert Counter(pids[batch(i)].tolist()) == {0: 4, 1: 4, 2: 4, 3: 4}


@pytest.mark.parametrize("instances", [1, 2, 3, 4, 7])
def test_every_pass_is_as_long_as_the_first_one_is_expected_to_be(instances: int) -> None:
    # batches are numbered by that length
    batch = identity_batches(PIDS, CAMIDS, 1, instances, seeded(0))
    length = len(identity_pass(PIDS, CAMIDS, instances, seeded(0)(0)))
    for number in range(5):
        one = identity_pass(PIDS, CAMIDS, instances, seeded(0)(number))
        np.testing.assert_array_equal(np.concatenate([batch(number * length + i) for i in range(length)]), one)


def test_too_few_identities_for_a_batch_are_refused_in_one_line() -> None:
    pids = np.array([0, 0, 1, 1, 2])  # two of two images and a singleton: 9 images in a pass
    with pytest.raises(InputError, match=r"batch_size: 12 images.* 3 identities.* 2 of them") as refused:
        identity_batches(pids, np.array([0, 1, 0, 1, 0]), 12, 4, seeded(0))
    assert "\n" not in str(refused.value)


def test_too_few_identities_are_refused_before_the_first_batch_is_asked_for() -> None:
    # else a stage would load its networks first
    with pytest.raises(InputError):
        identity_batches(np.array([0, 0]), np.array([0, 1]), 8, 4, seeded(0))


def test_no_identity_at_all_is_refused_like_too_few() -> None:
    nobody = np.zeros(0, np.int64)
    with pytest.raises(InputError, match="there are 0 identities, 0 of them so"):
        identity_batches(nobody, nobody, 8, 4, seeded(0))


# --- plain shuffling -------------------------------------------------------------------------------------------------


def test_shuffled_batches_pass_over_all_images_before_they_repeat_one() -> None:
    batches = [*map(shuffled_batches(12, 4, seeded(0)), range(6))]
    for one_pass in (batches[:3], batches[3:]):
        assert sorted(np.concatenate(one_pass).tolist()) == list(range(12))
    assert not np.array_equal(batches[:3], batches[3:])


def test_shuffled_batches_drop_a_partial_batch() -> None:
    first, second, third = map(shuffled_batches(10, 4, seeded(0)), range(3))
    assert len(set(first.tolist()) | set(second.tolist())) == 8
    assert len(third) == 4


def test_a_set_smaller_than_a_batch_repeats_itself() -> None:
    batch = shuffled_batches(3, 8, seeded(0))
    for i in range(4):
        counts = Counter(batch(i).tolist())
        assert len(batch(i)) == 8
        assert sorted(counts.values()) == [2, 3, 3]
