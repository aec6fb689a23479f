"""The pairs that share a neighbour are those of the dense computation, bit by bit, and the approximate neighbours."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mutual.clusters import approximate, sharing
from mutual.clusters.approximate import nearly_nearest
from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import jaccard_rows
from mutual.clusters.neighbours import nearest
from mutual.clusters.pairs import Pairs, all_pairs, pairs_by_rule, pairs_within
from mutual.clusters.sharing import STRANGERS, pairs_that_share
from tools import bench_clusters

CPU = torch.device("cpu")


def people(count: int, seed: int = 0) -> np.ndarray:
    """(N, 32) float32 features of length 1, about ten images a person, some of them copies."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(2, count // 10), 32))
    features = centres[rng.integers(len(centres), size=count)] + 0.4 * rng.standard_normal((count, 32))
    features[rng.integers(count, size=8)] = features[0]
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def same(ours: Pairs, theirs: Pairs) -> bool:
    both = ((ours.row, theirs.row), (ours.column, theirs.column), (ours.distance, theirs.distance))
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in both)


@pytest.mark.parametrize("most", [1, 500, 1 << 24])
@pytest.mark.parametrize(("count", "k1", "k2"), [(40, 5, 1), (300, 20, 6), (700, 10, 3)])
def test_pairs_that_share_are_all_below_1(
    monkeypatch: pytest.MonkeyPatch, count: int, k1: int, k2: int, most: int
) -> None:
    features = people(count)
    encoded = encodings(features, nearest(features, max(k1 + 1, k2), CPU), k1, k2)
    monkeypatch.setattr(sharing, "BLOCK_PAIRS", most)
    rows = list(jaccard_rows(encoded, count))
    for limit in (0.2, 0.6, float(np.nextafter(np.float32(1), np.float32(0)))):
        found = pairs_within(pairs_that_share(encoded), limit)
        assert same(found, pairs_within(all_pairs(rows), limit)), limit
    assert same(pairs_within(pairs_that_share(encoded), 2.0), found)  # 1 apart: shares nothing
    assert 0 < len(found.row) < count * (count - 1) / 2
    for share in (0.01, 0.05):
        eps, pairs = pairs_by_rule(pairs_that_share(encoded), count, share, STRANGERS)
        expected, those = pairs_by_rule(all_pairs(rows), count, share)
        assert eps == expected
        assert same(pairs, those)


def test_strangers_count_where_the_rule_needs_them() -> None:
    """Two couples among four images; half of the six distances are the couples' and one of the 1s between them."""
    couples = Pairs(np.array([0, 2], np.int32), np.array([1, 3], np.int32), np.array([0.2, 0.4], np.float32))
    eps, pairs = pairs_by_rule([couples.at_most], 4, 0.5, STRANGERS)
    assert eps == pytest.approx((0.2 + 0.4 + 1) / 3)
    assert pairs.column.tolist() == [1, 3]


def test_few_images_are_searched_exactly() -> None:
    """All of their lists are probed."""
    features = people(400, 1)
    ours, exact = nearly_nearest(features, 21, CPU), nearest(features, 21, CPU)
    np.testing.assert_allclose(ours.squared, exact.squared, atol=1e-5)
    assert (ours.index == exact.index).mean() > 0.99  # but for equals, whose order is rounding
    np.testing.assert_allclose(ours.farthest, exact.farthest, atol=1e-5)
    assert ours.index.dtype == exact.index.dtype
    assert ours.squared.dtype == exact.squared.dtype


def test_of_many_images_most_neighbours_are_right_and_the_same_every_time() -> None:
    features = people(8_000, 2)
    ours, again, exact = (
        nearly_nearest(features, 21, CPU),
        nearly_nearest(features, 21, CPU),
        nearest(features, 21, CPU),
    )
    assert (ours.index == again.index).all()
    held = [len(np.intersect1d(*rows)) for rows in zip(ours.index[::50], exact.index[::50], strict=True)]
    assert np.mean(held) > 0.9 * 21
    assert (ours.squared[:, 0] < 1e-6).all()
    assert (np.diff(ours.squared, axis=1) >= 0).all()
    assert (ours.farthest <= exact.farthest + 1e-5).all()
    assert (ours.farthest > 0.8 * exact.farthest).all()


def test_a_row_of_the_table_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_clusters, "LENGTH", 32)
    exact = bench_clusters.measured(bench_clusters.Row(2000, exact=True), tmp_path)
    found = bench_clusters.measured(bench_clusters.Row(2000, exact=False), tmp_path)
    assert exact["recall"] > 0.99
    assert "same" not in exact
    assert found["recall"] > 0.9
    assert found["same"] > 0.9
    assert min(found[part] for part in bench_clusters.PARTS) > 0


def test_lists_that_hold_too_few_are_not_all_that_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    features = people(800, 3)
    monkeypatch.setattr(approximate, "PROBED", 1)
    found = nearly_nearest(features, 100, CPU)
    assert found.index.min() >= 0
    assert all(len(set(row.tolist())) == 100 for row in found.index)
