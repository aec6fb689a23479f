"""Pseudo labels: clusters of the target's features."""

import faiss
import numpy as np

from stages.reid.errors import InputError


def kmeans(
    features: np.ndarray, clusters: int, *, iterations: int, restarts: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (N,) int64, centroids (C, D) float32 and inertia of the best of ``restarts`` runs of k-means.

    ``features`` is (N, D) float32. Clusters that end empty are left out and the others renumbered, so C may be below
    ``clusters`` (when features coincide). Raises :class:`InputError` for fewer features than clusters and for NaN.
    """
    if len(features) < clusters:
        raise InputError(
            f"clusters: {clusters} clusters need as many images, the target's training set has {len(features)}"
        )
    if not np.isfinite(features).all():
        raise InputError("features: expected finite numbers, got NaN or infinity")
    features = np.ascontiguousarray(features, np.float32)
    search = faiss.Kmeans(
        features.shape[1],
        clusters,
        niter=iterations,
        nredo=restarts,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(features),  # every image counts: no subsampling
    )
    search.train(features)
    assert search.centroids is not None
    squared, nearest = search.index.search(features, 1)
    occupied, labels = np.unique(nearest[:, 0], return_inverse=True)
    return labels.astype(np.int64), search.centroids[occupied], float(squared.sum(dtype=np.float64))
