"""One door to every clustering: from features to pseudo labels and centroids, as the keys of params.yaml say."""

from typing import Literal, NamedTuple

import numpy as np
import torch

from mutual.clusters.pseudo_labels import PseudoLabels


class Found(NamedTuple):
    """What a clustering found among N images."""

    labels: PseudoLabels
    centroids: np.ndarray  # (C, D) float32
    figures: dict[str, float]  # inertia of k-means, eps of DBSCAN


def cluster(
    features: np.ndarray,
    source: np.ndarray,
    kept_eps: float | None,
    stream: np.random.Generator,
    device: torch.device,
    *,
    clustering: Literal["kmeans", "dbscan"],
    clusters: int,
    kmeans_by: Literal["own", "faiss"],
    kmeans_iterations: int,
    dbscan_eps: float | Literal["rule"],
    dbscan_rho: float,
    dbscan_min_samples: int,
    k1: int,
    k2: int,
    source_distance_weight: float,
) -> Found:
    """Cluster the (N, D) float32 features; those of the ``source``, (M, D), count where their distance does.

    ``kept_eps`` is that of the first round, which all others keep; ``stream`` draws k-means' start. Raises
    :class:`mutual.base.errors.InputError` for features and clusters that have collapsed.
    """
    if clustering == "kmeans":
        from mutual.clusters.means import by_means

        labels, centroids, inertia = by_means(
            features, clusters, by=kmeans_by, iterations=kmeans_iterations, stream=stream, device=device
        )
        return Found(PseudoLabels(labels), centroids, {"inertia": inertia})
    from mutual.clusters.density import by_density  # needs Numba and scikit-learn, which k-means does not wait for

    labels, centroids, eps = by_density(
        features,
        source if source_distance_weight > 0 else None,
        k1=k1,
        k2=k2,
        source_share=source_distance_weight,
        eps=kept_eps if dbscan_eps == "rule" else dbscan_eps,
        rho=dbscan_rho,
        min_samples=dbscan_min_samples,
        device=device,
    )
    return Found(PseudoLabels(labels), centroids, {"eps": eps})
