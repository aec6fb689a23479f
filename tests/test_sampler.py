"""The identity sampler's rules, and shuffled passes."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from mutual.base.errors import InputError
from mutual.learning.sampler import identity_batches, identity_pass, shuffled_batches
from tests.golden import golden

STORED = golden("sampler")
PIDS, CAMIDS = STORED["pids"], STORED["cams"]
INSTANCES = 4


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
    batches = list(islice(identity_batches(PIDS, CAMIDS, batch_size, INSTANCES, np.random.default_rng(7)), 7))
    rng = np.random.default_rng(7)
    passes = [identity_pass(PIDS, CAMIDS, INSTANCES, rng) for _ in range(3)]
    # 210 images a pass: three batches of 64, the last 18 images are dropped
    expected = [one[start : start + batch_size] for one in passes for start in (0, 64, 128)][:7]
    np.testing.assert_array_equal(batches, expected)


def test_the_same_stream_gives_the_same_batches_and_another_does_not() -> None:
    def batches(seed: int) -> list[np.ndarray]:
        return list(islice(identity_batches(PIDS, CAMIDS, 64, INSTANCES, np.random.default_rng(seed)), 5))

    np.testing.assert_array_equal(batches(1), batches(1))
    assert not np.array_equal(batches(1), batches(2))


def test_a_pass_that_is_just_long_enough_makes_one_batch() -> None:
    pids, camids = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    batches = identity_batches(pids, camids, 16, 4, np.random.default_rng(0))
    for batch in islice(batches, 3):
        assert Counter(pids[batch].tolist()) == {0: 4, 1: 4, 2: 4, 3: 4}


def test_too_few_identities_for_a_batch_are_refused_in_one_line() -> None:
    pids = np.array([0, 0, 1, 1, 2])  # two of two images and a singleton: 9 images in a pass
    with pytest.raises(InputError, match=r"batch_size: 12 images.* 3 identities.* 2 of them") as refused:
        identity_batches(pids, np.array([0, 1, 0, 1, 0]), 12, 4, np.random.default_rng(0))
    assert "\n" not in str(refused.value)


def test_too_few_identities_are_refused_before_the_first_batch_is_asked_for() -> None:
    # else a stage would load its networks first
    with pytest.raises(InputError):
        identity_batches(np.array([0, 0]), np.array([0, 1]), 8, 4, np.random.default_rng(0))


# --- plain shuffling -------------------------------------------------------------------------------------------------


def test_shuffled_batches_pass_over_all_images_before_they_repeat_one() -> None:
    batches = list(islice(shuffled_batches(12, 4, np.random.default_rng(0)), 6))
    for one_pass in (batches[:3], batches[3:]):
        assert sorted(np.concatenate(one_pass).tolist()) == list(range(12))
    assert not np.array_equal(batches[:3], batches[3:])


def test_shuffled_batches_drop_a_partial_batch() -> None:
    first, second, third = islice(shuffled_batches(10, 4, np.random.default_rng(0)), 3)
    assert len(set(first.tolist()) | set(second.tolist())) == 8
    assert len(third) == 4


def test_a_set_smaller_than_a_batch_repeats_itself() -> None:
    batch = next(shuffled_batches(3, 8, np.random.default_rng(0)))
    counts = Counter(batch.tolist())
    assert len(batch) == 8
    assert sorted(counts.values()) == [2, 3, 3]
