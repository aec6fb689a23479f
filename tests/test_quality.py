"""Agreement of pseudo labels with identities, by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from mutual.clusters.quality import label_quality

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
def test_figures_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 200))
    pids, labels = rng.integers(0, rng.integers(1, 30), count), rng.integers(0, rng.integers(1, 30), count)
    found = label_quality(pids, labels)
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(pids, labels), abs=1e-12)
    assert found["ari"] == pytest.approx(adjusted_rand_score(pids, labels), abs=1e-12)


def test_perfect_labels_score_one_whatever_their_names() -> None:
    assert label_quality(np.array([4, 4, 9, 9]), np.array([1, 1, 0, 0])) == pytest.approx(
        {"nmi": 1, "ari": 1, "purity": 1}
    )


def test_a_single_cluster_says_nothing() -> None:
    found = label_quality(np.array([1, 1, 2, 3]), np.zeros(4, np.int64))
    assert found == pytest.approx({"nmi": 0, "ari": 0, "purity": 1 / 2})


def test_renaming_the_clusters_does_not_matter() -> None:
    renamed = np.array([7, 3])[LABELS]
    assert label_quality(PIDS, renamed) == pytest.approx(label_quality(PIDS, LABELS))


def test_outliers_are_left_out() -> None:
    with_outliers = label_quality(np.append(PIDS, [1, 2, 8]), np.append(LABELS, [-1, -1, -1]))
    assert with_outliers == pytest.approx(label_quality(PIDS, LABELS))


def test_figures_are_plain_floats() -> None:
    assert {type(value) for value in label_quality(PIDS, LABELS).values()} == {float}
