"""Agreement of pseudo labels with identities, by hand."""

import math

import numpy as np
import pytest

from mutual.evaluation.quality import label_quality

# identity 1: two images in cluster 0, one in cluster 1; identity 2: all three in cluster 1
PIDS = np.array([1, 1, 1, 2, 2, 2])
LABELS = np.array([0, 0, 1, 1, 1, 1])


def test_purity_by_hand() -> None:
    # the most frequent identity has 2 of 2 images in cluster 0, 3 of 4 in cluster 1
    assert label_quality(PIDS, LABELS)["purity"] == pytest.approx(5 / 6)


def test_adjusted_rand_index_by_hand() -> None:
    # pairs together in both: 1 + 3 = 4; in the identities 3 + 3 = 6; in the clusters 1 + 6 = 7; of 15 pairs
    expected_by_chance = 6 * 7 / 15
    assert label_quality(PIDS, LABELS)["ari"] == pytest.approx((4 - expected_by_chance) / (13 / 2 - expected_by_chance))


def test_mutual_information_by_hand() -> None:
    shares = {(1, 0): 2 / 6, (1, 1): 1 / 6, (2, 1): 3 / 6}
    pid_share, label_share = {1: 1 / 2, 2: 1 / 2}, {0: 2 / 6, 1: 4 / 6}
    mutual = sum(p * math.log(p / (pid_share[pid] * label_share[label])) for (pid, label), p in shares.items())
    entropies = [-sum(p * math.log(p) for p in share.values()) for share in (pid_share, label_share)]
    assert label_quality(PIDS, LABELS)["nmi"] == pytest.approx(mutual / (sum(entropies) / 2))


@pytest.mark.parametrize("seed", range(10))
def test_the_rand_index_is_that_of_all_pairs_and_purity_that_of_all_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(20, 60))
    pids, labels = rng.integers(0, 8, count), rng.integers(0, rng.integers(3, 30), count)
    first, second = np.triu_indices(count, 1)
    same_pid, same_cluster = pids[first] == pids[second], labels[first] == labels[second]
    chance = same_pid.sum() * same_cluster.sum() / len(first)
    mean = (same_pid.sum() + same_cluster.sum()) / 2
    found = label_quality(pids, labels)
    assert found["ari"] == pytest.approx(((same_pid & same_cluster).sum() - chance) / (mean - chance))
    largest = [np.bincount(pids[labels == cluster]).max() for cluster in np.unique(labels)]
    assert found["purity"] == pytest.approx(sum(largest) / count)


def test_perfect_labels_score_one_whatever_their_names() -> None:
    found = label_quality(np.array([4, 4, 9, 9]), np.array([1, 1, 0, 0]))
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_a_single_cluster_says_nothing() -> None:
    found = label_quality(np.array([1, 1, 2, 3]), np.zeros(4, np.int64))
    assert found == pytest.approx({"nmi": 0, "ari": 0, "purity": 1 / 2, "nmi_singletons": 0, "ari_singletons": 0})


def test_renaming_the_clusters_does_not_matter() -> None:
    renamed = np.array([7, 3])[LABELS]
    assert label_quality(PIDS, renamed) == pytest.approx(label_quality(PIDS, LABELS))


def test_outliers_are_left_out_or_clusters_of_their_own() -> None:
    found = label_quality(np.append(PIDS, [1, 2, 8]), np.append(LABELS, [-1, -1, -1]))
    without = label_quality(PIDS, LABELS)
    for figure in ("nmi", "ari", "purity"):
        assert found[figure] == without[figure]
        assert without.get(f"{figure}_singletons", without[figure]) == without[figure]  # there is none
    alone = label_quality(np.append(PIDS, [1, 2, 8]), np.append(LABELS, [2, 3, 4]))
    assert found["nmi_singletons"] == alone["nmi"]
    assert found["ari_singletons"] == alone["ari"]
    # pairs together in both as before: 4; in the identities 6 + 6 = 12; in the clusters 7; of 36 pairs
    assert found["ari_singletons"] == pytest.approx((4 - 12 * 7 / 36) / (19 / 2 - 12 * 7 / 36))


def test_a_few_sure_clusters_do_not_hide_that_most_images_are_outliers() -> None:
    pids = np.repeat(np.arange(25), 4)
    labels = np.where(pids < 2, pids, -1)
    found = label_quality(pids, labels)
    assert found["nmi"] == found["ari"] == pytest.approx(1)
    assert found["ari_singletons"] < 0.2


def test_figures_are_plain_floats() -> None:
    assert {type(value) for value in label_quality(PIDS, LABELS).values()} == {float}
