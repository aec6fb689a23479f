"""Pseudo labels by k-means, by this project's own search or by Faiss's."""

from typing import Literal

import numpy as np
import torch

from mutual.clusters.collapse import check_clusters, check_features
from mutual.clusters.kmeans import kmeans


def by_means(
    features: np.ndarray,
    clusters: int,
    *,
    by: Literal["own", "faiss"],
    iterations: int,
    stream: np.random.Generator,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (N,) int64, centroids (C, D) float32 and inertia of the (N, D) float32 features; nobody is an outlier.

    C is below ``clusters`` where some ended empty. Raises :class:`InputError` for features and clusters that have
    collapsed.
    """
    check_features(features, "features", clusters)
    if by == "faiss":
        from mutual.clusters.faiss_kmeans import faiss_kmeans  # loads a library of 200 MB, which others do not need

        found = faiss_kmeans(features, clusters, iterations=iterations, stream=stream)
    else:
        found = kmeans(features, clusters, iterations=iterations, stream=stream, device=device)
    check_clusters(found[0], f"clusters: with {clusters} asked for")
    return found
