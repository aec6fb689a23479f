"""Pseudo labels by the k-means of Faiss, as the authors' later public code (OpenUnReID) clusters, for comparison."""

import faiss
import numpy as np


def faiss_kmeans(
    features: np.ndarray, clusters: int, *, iterations: int, stream: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (N,) int64, centroids (C, D) float32 and inertia of ``clusters`` clusters.

    ``features`` is (N, D) float32, finite, with at least as many images as clusters. One start from random images, then
    ``iterations`` of Lloyd's, all other settings Faiss's own, as there. It runs on the CPU, though, where the same seed
    of ``stream`` gives the same clusters. Faiss refills clusters that run empty; what still ends empty is left out.
    """
    points = np.ascontiguousarray(features, np.float32)
    seed = int(stream.integers(2**31))
    # 1: without a warning that there are fewer than 39 images to a cluster, as is usual here
    search = faiss.Kmeans(points.shape[1], clusters, niter=iterations, seed=seed, min_points_per_centroid=1)
    search.train(points)
    squared, nearest = search.index.search(points, 1)
    occupied, labels = np.unique(nearest[:, 0], return_inverse=True)
    inertia = float(squared.clip(min=0).sum(dtype=np.float64))  # rounding may leave less than 0
    return labels.astype(np.int64), np.asarray(search.centroids)[occupied], inertia
