"""k-means: its labels, centroids and inertia against brute force."""

import numpy as np
import pytest

from stages.reid.clustering import kmeans
from stages.reid.errors import InputError


def blobs(per_blob: int, centres: np.ndarray, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.repeat(centres, per_blob, axis=0) + spread * rng.normal(
        size=(per_blob * len(centres), centres.shape[1])
    )
    return points.astype(np.float32)


def cloud(count: int = 300, width: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def squared_distances(features: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return ((features[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(2)


@pytest.mark.parametrize("restarts", [1, 5])
def test_labels_are_the_nearest_centroids_and_inertia_their_squared_distance(restarts: int) -> None:
    features = cloud()
    labels, centroids, inertia = kmeans(features, 12, iterations=100, restarts=restarts, seed=3)
    squared = squared_distances(features, centroids)
    own = squared[np.arange(len(features)), labels]
    # float32 may swap two centroids that are as far away as each other
    np.testing.assert_allclose(own, squared.min(1), rtol=1e-4, atol=1e-5)
    assert inertia == pytest.approx(float(own.sum()), rel=1e-4)


def test_centroids_are_the_means_of_their_members_once_converged() -> None:
    features = cloud()
    labels, centroids, _ = kmeans(features, 6, iterations=200, restarts=1, seed=3)
    means = np.stack([features[labels == k].mean(0) for k in range(6)])
    np.testing.assert_allclose(centroids, means, atol=1e-4)


def test_separate_blobs_are_found() -> None:
    centres = 10 * np.eye(5)
    labels, centroids, inertia = kmeans(blobs(20, centres, 0.1), 5, iterations=50, restarts=10, seed=0)
    for start in range(0, 100, 20):
        assert len(set(labels[start : start + 20].tolist())) == 1
    assert sorted(set(labels.tolist())) == list(range(5))
    assert np.sqrt(squared_distances(centres, centroids).min(1)).max() < 0.2
    assert inertia == pytest.approx(100 * 5 * 0.1**2, rel=0.2)  # images x dimensions x variance


def test_by_hand() -> None:
    # on a line: 0 and 2 share the centroid 1, 10 and 14 the centroid 12; inertia 1 + 1 + 4 + 4
    features = np.array([[0.0], [2.0], [10.0], [14.0]], np.float32)
    labels, centroids, inertia = kmeans(features, 2, iterations=20, restarts=5, seed=0)
    assert labels[0] == labels[1] != labels[2] == labels[3]
    assert centroids[labels].ravel().tolist() == pytest.approx([1, 1, 12, 12])
    assert inertia == pytest.approx(10)


def test_types_and_shapes() -> None:
    labels, centroids, inertia = kmeans(cloud(50), 7, iterations=20, restarts=2, seed=0)
    assert labels.dtype == np.int64
    assert labels.shape == (50,)
    assert centroids.dtype == np.float32
    assert centroids.shape == (7, 8)
    assert isinstance(inertia, float)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    features = cloud()
    first, again, other = (kmeans(features, 12, iterations=15, restarts=3, seed=seed) for seed in (5, 5, 6))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[2] == again[2]
    assert first[1].tobytes() != other[1].tobytes()


def test_the_best_of_several_starts_is_kept() -> None:
    features = cloud()
    inertias = [kmeans(features, 20, iterations=30, restarts=restarts, seed=2)[2] for restarts in (1, 4, 12)]
    assert inertias[0] >= inertias[1] >= inertias[2]
    assert inertias[2] < inertias[0]


def test_coinciding_images_leave_no_empty_cluster_behind() -> None:
    features = np.repeat(np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], np.float32), 4, axis=0)
    labels, centroids, inertia = kmeans(features, 8, iterations=20, restarts=2, seed=0)
    assert 3 <= len(centroids) <= 8
    assert sorted(set(labels.tolist())) == list(range(len(centroids)))
    np.testing.assert_allclose(centroids[labels], features, atol=0.05)
    assert inertia == pytest.approx(0, abs=0.05)


def test_as_many_clusters_as_images_is_possible() -> None:
    labels, centroids, inertia = kmeans(10 * np.eye(6, dtype=np.float32), 6, iterations=10, restarts=1, seed=0)
    assert sorted(labels.tolist()) == list(range(len(centroids))) == list(range(6))
    assert inertia == pytest.approx(0, abs=1e-4)


def test_features_may_be_read_only_and_not_contiguous() -> None:
    features = np.asfortranarray(cloud())
    features.setflags(write=False)
    settings = {"iterations": 15, "restarts": 1, "seed": 5}
    np.testing.assert_array_equal(kmeans(features, 9, **settings)[0], kmeans(cloud(), 9, **settings)[0])


def test_fewer_images_than_clusters_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^clusters: 51 .* 50$") as refused:
        kmeans(cloud(50), 51, iterations=5, restarts=1, seed=0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    features = cloud(50)
    features[20, 3] = value
    with pytest.raises(InputError, match=r"^features: .*finite"):
        kmeans(features, 5, iterations=5, restarts=1, seed=0)
