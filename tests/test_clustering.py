"""k-means: its labels, centroids and inertia against brute force."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from mutual.base.threads import NUMBERS
from mutual.clusters.faiss_kmeans import faiss_kmeans
from mutual.clusters.kmeans import kmeans


def blobs(per_blob: int, centres: np.ndarray, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.repeat(centres, per_blob, axis=0) + spread * rng.normal(
        size=(per_blob * len(centres), centres.shape[1])
    )
    return points.astype(np.float32)


def cloud(count: int = 300, width: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def clustered(
    features: np.ndarray, clusters: int, *, iterations: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    stream = np.random.default_rng(seed)
    return kmeans(features, clusters, iterations=iterations, stream=stream, device=torch.device("cpu"))


def squared_distances(features: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return ((features[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(2)


@pytest.mark.parametrize("iterations", [1, 5, 100])
def test_labels_are_the_nearest_centroids_and_inertia_their_squared_distance(iterations: int) -> None:
    features = cloud()
    labels, centroids, inertia = clustered(features, 12, iterations=iterations, seed=3)
    squared = squared_distances(features, centroids)
    own = squared[np.arange(len(features)), labels]
    # float32 may swap two centroids that are as far away as each other
    np.testing.assert_allclose(own, squared.min(1), rtol=1e-4, atol=1e-5)
    assert inertia == pytest.approx(float(own.sum()), rel=1e-4)


def test_centroids_are_the_means_of_their_members_once_converged() -> None:
    features = cloud()
    labels, centroids, _ = clustered(features, 6, iterations=200, seed=3)
    means = np.stack([features[labels == k].mean(0) for k in range(6)])
    np.testing.assert_allclose(centroids, means, atol=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_separate_blobs_are_found_from_every_start(seed: int) -> None:
    # of random starts one in 26 has an image of each of the five; Lloyd's iterations alone repair none of the others
    centres = 10 * np.eye(5)
    labels, centroids, inertia = clustered(blobs(20, centres, 0.1), 5, iterations=50, seed=seed)
    for start in range(0, 100, 20):
        assert len(set(labels[start : start + 20].tolist())) == 1
    assert sorted(set(labels.tolist())) == list(range(5))
    assert np.sqrt(squared_distances(centres, centroids).min(1)).max() < 0.2
    assert inertia == pytest.approx(100 * 5 * 0.1**2, rel=0.2)  # images x dimensions x variance


@pytest.mark.parametrize("noise", [0.5, 1.0, 1.6])
def test_inertia_is_mostly_below_the_best_of_ten_starts_of_scikit_learn(noise: float) -> None:
    # fewer clusters than there are identities, as in practice
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 64))[rng.integers(60, size=900)] + noise * rng.normal(size=(900, 64))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    theirs = KMeans(45, n_init=10, random_state=0).fit(features).inertia_
    ours = [clustered(features, 45, iterations=300, seed=seed)[2] for seed in range(6)]
    assert np.median(ours) < theirs
    assert max(ours) < 1.02 * theirs


def test_more_iterations_never_raise_the_inertia() -> None:
    features = cloud()
    inertias = [clustered(features, 20, iterations=iterations, seed=2)[2] for iterations in (1, 4, 8, 16, 32, 64)]
    assert all(later <= earlier for earlier, later in pairwise(inertias))
    assert inertias[-1] < inertias[0]


def test_by_hand() -> None:
    # on a line: 0 and 2 share the centroid 1, 10 and 14 the centroid 12; inertia 1 + 1 + 4 + 4
    features = np.array([[0.0], [2.0], [10.0], [14.0]], np.float32)
    labels, centroids, inertia = clustered(features, 2, iterations=20, seed=0)
    assert labels[0] == labels[1] != labels[2] == labels[3]
    assert centroids[labels].ravel().tolist() == pytest.approx([1, 1, 12, 12])
    assert inertia == pytest.approx(10)


def test_types_and_shapes() -> None:
    labels, centroids, inertia = clustered(cloud(50), 7, iterations=20, seed=0)
    assert labels.dtype == np.int64
    assert labels.shape == (50,)
    assert centroids.dtype == np.float32
    assert centroids.shape == (7, 8)
    assert isinstance(inertia, float)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    features = cloud()
    first, again, other = (clustered(features, 12, iterations=15, seed=seed) for seed in (5, 5, 6))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[2] == again[2]
    assert first[1].tobytes() != other[1].tobytes()


def test_coinciding_images_leave_no_empty_cluster_behind() -> None:
    features = np.repeat(np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], np.float32), 4, axis=0)
    labels, centroids, inertia = clustered(features, 8, iterations=20, seed=0)
    assert 3 <= len(centroids) <= 8
    assert sorted(set(labels.tolist())) == list(range(len(centroids)))
    np.testing.assert_allclose(centroids[labels], features, atol=0.05)
    assert inertia == pytest.approx(0, abs=0.05)


def test_as_many_clusters_as_images_is_possible() -> None:
    labels, centroids, inertia = clustered(10 * np.eye(6, dtype=np.float32), 6, iterations=10, seed=0)
    assert sorted(labels.tolist()) == list(range(len(centroids))) == list(range(6))
    assert inertia == pytest.approx(0, abs=1e-4)


def test_features_may_be_read_only_and_not_contiguous() -> None:
    features = np.asfortranarray(cloud())
    features.setflags(write=False)
    np.testing.assert_array_equal(
        clustered(features, 9, iterations=15, seed=5)[0], clustered(cloud(), 9, iterations=15, seed=5)[0]
    )


# --- Faiss's, for comparison -----------------------------------------------------------------------------------------


def by_faiss(
    features: np.ndarray, clusters: int, *, iterations: int = 30, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, float]:
    return faiss_kmeans(features, clusters, iterations=iterations, stream=np.random.default_rng(seed))


def test_faiss_gives_the_nearest_centroids_their_means_and_the_inertia() -> None:
    features = cloud()
    labels, centroids, inertia = by_faiss(features, 12, iterations=100)
    squared = squared_distances(features, centroids)
    own = squared[np.arange(len(features)), labels]
    np.testing.assert_allclose(own, squared.min(1), rtol=1e-4, atol=1e-5)
    assert inertia == pytest.approx(float(own.sum()), rel=1e-4)
    np.testing.assert_allclose(centroids, np.stack([features[labels == k].mean(0) for k in range(12)]), atol=1e-4)
    assert labels.dtype == np.int64
    assert centroids.dtype == np.float32


def test_faiss_gives_the_same_bytes_again_and_others_with_another_seed() -> None:
    first, again, other = (by_faiss(cloud(), 12, seed=seed) for seed in (5, 5, 6))
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() != other[1].tobytes()


def test_faiss_leaves_no_empty_cluster_behind() -> None:
    features = np.repeat(np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], np.float32), 4, axis=0)
    labels, centroids, _ = by_faiss(features, 8)
    assert 3 <= len(centroids) <= 8
    assert sorted(set(labels.tolist())) == list(range(len(centroids)))


def test_faiss_moves_nobodys_number_of_threads_and_is_not_moved() -> None:
    # Faiss brings an OpenMP runtime of its own, beside torch's and Numba's
    program = """
import sys
import numpy as np
features = np.random.default_rng(0).normal(size=(400, 32)).astype(np.float32)
for name in sys.argv[1:]:
    __import__(name)
import faiss, torch
from mutual.clusters.faiss_kmeans import faiss_kmeans
seen = []
for _ in range(2):
    labels, *_ = faiss_kmeans(features, 10, iterations=20, stream=np.random.default_rng(0))
    seen.append((torch.get_num_threads(), faiss.omp_get_max_threads(), labels.tolist()))
    torch.nn.functional.conv2d(torch.ones(4, 3, 32, 16), torch.ones(8, 3, 3, 3)).sum().item()
    torch.ones(300, 300) @ torch.ones(300, 300)
print(seen[0] == seen[1], *seen[0][:2])
"""
    for first in (["faiss", "torch"], ["torch", "faiss"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *first],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | dict.fromkeys(NUMBERS, "2"),
        )
        assert done.stdout.split() == ["True", "2", "2"], done.stderr
