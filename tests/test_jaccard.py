"""The k-reciprocal Jaccard distance and its neighbours, against the authors' values and a plain dense computation."""

import numpy as np
import pytest
import torch

from mutual.clusters import encodings as encoding
from mutual.clusters import jaccard, neighbours
from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import jaccard_rows, source_distances
from mutual.clusters.neighbours import nearest
from tests.golden import golden

STORED = golden("jaccard")
CPU = torch.device("cpu")


def distances(features: np.ndarray, k1: int, k2: int) -> np.ndarray:
    found = nearest(features, max(k1 + 1, k2), CPU)
    encoded = encodings(features, found, k1, k2)
    return np.concatenate([block for _, block in jaccard_rows(encoded, len(features))])


@pytest.mark.parametrize(("name", "k1", "k2"), [("lam0", 20, 6), ("k20_1", 20, 1), ("k30_6", 30, 6), ("k10_3", 10, 3)])
def test_distances_are_the_authors(name: str, k1: int, k2: int) -> None:
    np.testing.assert_allclose(distances(STORED["features"], k1, k2), STORED[f"jaccard_{name}"], rtol=0, atol=1e-5)


def dense(features: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """The same from its definition, in double precision, with an N x N matrix and sets."""
    x = features.astype(np.float64)
    squared = ((x[:, None] - x[None]) ** 2).sum(2)
    order = np.argsort(squared, axis=1, kind="stable")

    def mutual(k: int) -> list[set[int]]:
        lists = [set(row[: k + 1].tolist()) for row in order]
        return [{j for j in own if i in lists[j]} for i, own in enumerate(lists)]

    reciprocal, half = mutual(k1), mutual(round(k1 / 2))
    weights = np.zeros_like(squared)
    for i, own in enumerate(reciprocal):
        wide = set(own)
        for j in own:
            if 3 * len(half[j] & own) > 2 * len(half[j]):
                wide |= half[j]
        members = sorted(wide)
        values = np.exp(-squared[i, members] / squared[i].max())
        weights[i, members] = values / values.sum()
    if k2 > 1:
        weights = np.stack([weights[row[:k2]].mean(0) for row in order])
    shared = np.minimum(weights[:, None], weights[None]).sum(2)
    return np.maximum(1 - shared / (2 - shared), 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 3), (4, 1), (3, 2), (1, 1)])
def test_distances_are_those_of_the_definition(seed: int, k1: int, k2: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(int(rng.integers(2, 9)), 16))
    count = int(rng.integers(k1 + 2, 90))
    features = (centres[rng.integers(len(centres), size=count)] + rng.normal(size=(count, 16))).astype(np.float32)
    np.testing.assert_allclose(distances(features, k1, k2), dense(features, k1, k2), rtol=0, atol=1e-5)


def test_blocks_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    features = STORED["features"][:150]
    whole = distances(features, 20, 6)
    for module in (jaccard, encoding):
        monkeypatch.setattr(module, "BLOCK_VALUES", 7 * 150)
    np.testing.assert_allclose(distances(features, 20, 6), whole, rtol=0, atol=1e-6)


def test_duplicates_are_at_distance_0_and_everything_is_symmetric() -> None:
    features = np.repeat(STORED["features"][:40], 3, axis=0)
    found = distances(features, 10, 3)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    assert np.diag(found).max() < 1e-6


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (10, 3), (8, 1)])
def test_equal_encodings_are_at_0_in_every_order_of_the_rows(k1: int, k2: int) -> None:
    features = np.concatenate([STORED["features"][:200], STORED["features"][:60]])  # some people twice
    rng, zeros = np.random.default_rng(0), set()
    for _ in range(20):
        order = rng.permutation(len(features))
        found = distances(features[order], k1, k2)
        assert found[found > 0].min() > 1e-5  # nothing in between
        back = np.argsort(order)
        zeros.add((found[back][:, back] == 0).tobytes())
    assert len(zeros) == 1


@pytest.mark.parametrize("place", [0, 40])
@pytest.mark.parametrize("k2", [1, 3])
def test_more_copies_of_an_image_than_fit_into_a_list(place: int, k2: int) -> None:
    # exact distances, so that nobody but rows 0 .. 10 of the copies stands in a list, not even an image in its own
    one = np.eye(8, dtype=np.float32)
    features = np.insert(np.repeat(one[1:6], 8, axis=0), place, np.repeat(one[:1], 32, axis=0), axis=0)
    found = nearest(features, 11, CPU)
    encoded = encodings(features, found, 10, k2)
    np.testing.assert_allclose(encoded.sum(1), 1, rtol=1e-5)
    together = np.concatenate([block for _, block in jaccard_rows(encoded, len(features))])
    copies = np.arange(place, place + 32)
    if k2 > 1:
        assert together[np.ix_(copies, copies)].max() == 0
    assert together[np.ix_(copies, np.setdiff1d(np.arange(len(features)), copies))].min() == 1


def test_distances_to_the_source_are_the_authors() -> None:
    features = STORED["features"]
    far = source_distances(features, STORED["source_features"], CPU)
    mixed = 0.9 * STORED["jaccard_lam0"] + 0.1 * (far[:, None] + far[None])
    np.testing.assert_allclose(mixed, STORED["jaccard_lam01"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("tile", [(2048, 4096), (64, 64), (7, 50), (50, 7), (1, 1)])
@pytest.mark.parametrize("k", [1, 5, 90])
def test_tiles_find_the_nearest_of_all_with_ties_and_duplicates(
    monkeypatch: pytest.MonkeyPatch, tile: tuple[int, int], k: int
) -> None:
    # small integers: distances are exact, and many are equal
    features = np.random.default_rng(0).integers(0, 3, (90, 4)).astype(np.float32)
    squared = ((features[:, None] - features[None]) ** 2).sum(2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    monkeypatch.setattr(neighbours, "TILE", tile)
    found = nearest(features, k, CPU)
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_array_equal(found.squared, np.take_along_axis(squared, order, 1))
    np.testing.assert_array_equal(found.farthest, squared.max(1))


def test_neighbours_are_sorted_with_the_lower_row_first_of_equals() -> None:
    features = np.array([[0.0], [1.0], [1.0], [3.0], [1.0]], np.float32)
    found = nearest(features, 4, CPU)
    assert found.index[1].tolist() == [1, 2, 4, 0]
    assert found.index[4].tolist() == [1, 2, 4, 0]
    assert found.index[3].tolist()[0] == 3
    np.testing.assert_allclose(found.squared[0], [0, 1, 1, 1])
    np.testing.assert_allclose(found.farthest, [9, 4, 4, 9, 4])
