"""DBSCAN from pairs: eps by the rule, labels, and what mixes in the source."""

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN

from mutual.base.errors import InputError
from mutual.clusters import pairs as held_pairs
from mutual.clusters.density import dbscan
from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import with_source
from mutual.clusters.neighbours import nearest
from mutual.clusters.pairs import Pairs, _joined, all_pairs, pairs_by_rule, pairs_within
from mutual.clusters.sharing import STRANGERS, pairs_that_share
from tests.golden import golden

STORED = golden("jaccard")


def blocks(distances: np.ndarray, size: int = 64) -> list[tuple[int, np.ndarray]]:
    return [(start, distances[start : start + size]) for start in range(0, len(distances), size)]


def same_up_to_numbers(ours: np.ndarray, theirs: np.ndarray) -> bool:
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    return len(pairs) == len(set(ours.tolist())) == len(set(theirs.tolist())) and all(
        (a == -1) == (b == -1) for a, b in pairs
    )


@pytest.mark.parametrize("name", ["lam0", "lam01"])
@pytest.mark.parametrize("size", [600, 64, 7])
def test_eps_and_labels_are_the_authors(name: str, size: int) -> None:
    distances = STORED[f"jaccard_{name}"]
    eps, pairs = pairs_by_rule(all_pairs(blocks(distances, size)), 600, 1.6e-3)
    assert eps == pytest.approx(float(STORED[f"eps_{name}"]), abs=1e-6)
    assert same_up_to_numbers(dbscan(pairs, 600, 4), STORED[f"dbscan_labels_{name}"])


@pytest.mark.parametrize("name", ["lam0", "lam01"])
@pytest.mark.parametrize("eps", [0.3, 0.5, 0.6])
def test_labels_at_a_given_eps_are_the_authors(name: str, eps: float) -> None:
    pairs = pairs_within(all_pairs(blocks(STORED[f"jaccard_{name}"])), eps)
    assert same_up_to_numbers(dbscan(pairs, 600, 4), STORED[f"dbscan_labels_eps{eps}_{name}"])


@pytest.mark.parametrize("seed", range(8))
def test_labels_are_scikit_learns_number_for_number(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(200, 2)).round(1)  # with duplicates and equal distances
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2)).astype(np.float32)
    for eps in (0.1, 0.15, 0.3):
        for min_samples in (1, 3, 6):
            expected = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(distances)
            found = dbscan(pairs_within(all_pairs(blocks(distances)), eps), 200, min_samples)
            assert found.tolist() == expected.tolist()


def test_the_rule_by_hand() -> None:
    # distances 0, 1, 2, 3, 4, 5 between four images; two fifths of the five that are not 0 are 1 and 2
    distances = np.array([[0, 0, 1, 2], [0, 0, 3, 4], [1, 3, 0, 5], [2, 4, 5, 0]], np.float32)
    eps, pairs = pairs_by_rule(all_pairs(blocks(distances, 1)), 4, 0.4)
    assert eps == 1.5
    assert pairs.distance.tolist() == [0, 1]
    assert list(zip(pairs.row.tolist(), pairs.column.tolist(), strict=True)) == [(0, 1), (0, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_is_that_of_all_distances_sorted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 120
    distances = rng.integers(0, 40, (count, count)).astype(np.float32) / 40
    upper = distances[np.triu_indices(count, 1)]
    for share in (0.001, 0.05, 0.3, 1.0):
        positive = np.sort(upper[upper > 0])
        expected = positive[: round(share * len(positive))].mean(dtype=np.float64)
        eps, pairs = pairs_by_rule(all_pairs(blocks(distances, 11)), count, share)
        assert eps == pytest.approx(float(expected), rel=1e-12)
        assert sorted(pairs.distance.tolist()) == sorted(upper[upper <= expected].tolist())


@pytest.mark.parametrize("nearer", [0.02, 0.1, 0.5])
def test_images_that_share_nothing_are_counted_and_not_kept(nearer: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    count, share = 300, 0.05
    distances = np.ones((count, count), np.float32)
    near = rng.random(distances.shape) < nearer
    distances[near] = rng.random(int(near.sum()), np.float32)
    held = []

    def joined(parts: list[Pairs]) -> Pairs:
        held.append(sum(len(part.distance) for part in parts))
        return _joined(parts)

    monkeypatch.setattr(held_pairs, "_joined", joined)
    monkeypatch.setattr(held_pairs, "ROOM", 0)
    eps, pairs = pairs_by_rule(all_pairs(blocks(distances, 20)), count, share)
    upper = np.sort(distances[np.triu_indices(count, 1)])
    expected = upper[: round(share * len(upper))].mean(dtype=np.float64)
    assert eps == pytest.approx(float(expected), rel=1e-12)
    assert np.sort(pairs.distance).tolist() == upper[upper <= expected].tolist()
    assert max(held) <= 2 * share * len(upper) + 20 * count  # twice what the rule needs, and a block


@pytest.mark.parametrize("share", [1.6e-3, 0.02])
def test_eps_is_the_same_in_every_order_of_the_rows(share: float) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        features = STORED["features"][rng.permutation(600)]
        encoded = encodings(features, nearest(features, 21, torch.device("cpu")), 20, 6)
        found.append(pairs_by_rule(pairs_that_share(encoded), 600, share, STRANGERS)[0])
    assert max(found) - min(found) < 1e-6
    positive = np.sort(STORED["jaccard_lam0"][np.triu_indices(600, 1)])
    positive = positive[positive >= 1e-6]
    expected = positive[: round(share * len(positive))].mean(dtype=np.float64)
    assert found[0] == pytest.approx(float(expected), abs=1e-6)


def test_images_of_which_none_is_nearer_than_another_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_pairs, "ROOM", 0)
    with pytest.raises(InputError, match=r"dbscan_rho: the nearest of 50 images are all 1.0000 apart"):
        pairs_by_rule(all_pairs(blocks(np.ones((50, 50), np.float32))), 50, 0.01)


def test_a_share_of_less_than_one_pair_is_refused() -> None:
    with pytest.raises(InputError, match=r"dbscan_rho: 0.0001 of the distances between 20 images is not one"):
        pairs_by_rule(all_pairs(blocks(np.ones((20, 20), np.float32))), 20, 1e-4)


def test_an_image_between_two_clusters_joins_the_first_and_a_lonely_one_none() -> None:
    # four friends 1 .. 4 and four friends 5 .. 8; 0 knows one of each, which does not make it a core; 9 knows nobody
    friends = [(i, j) for group in (range(1, 5), range(5, 9)) for i in group for j in group if i < j]
    row, column = np.array([(0, 8), (0, 4), *friends], np.int32).T
    labels = dbscan(Pairs(row, column, np.zeros(len(row), np.float32)), 10, 4)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, -1]


def test_the_distance_to_the_source_is_mixed_in() -> None:
    (_, found), *_ = with_source([(0, np.array([[0.0, 0.5], [0.5, 0.0]]))], np.array([0.2, 1.0]), 0.1)
    np.testing.assert_allclose(found, [[0.04, 0.57], [0.57, 0.2]])
