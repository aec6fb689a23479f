"""One door to every clustering: from features to pseudo labels and centroids, as the keys of params.yaml say."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.clusters.collapse import check_features
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_means
from mutual.machine.ranks import ALONE, Ranks


class Found(NamedTuple):
    """What a clustering found among N images."""

    labels: PseudoLabels
    centroids: np.ndarray  # (C, D) float32
    figures: dict[str, float]  # inertia of k-means, eps of DBSCAN
    again: np.ndarray | None = None  # (N,) int64 labels of a second clustering, where it comes with the first


def takes_part(clustering: str, ranks: Ranks) -> bool:
    """Whether this process computes a round's labels: all share DBSCAN's search, the rest is the first one's."""
    return ranks.first or clustering == "dbscan"


def cluster_twice(
    features: np.ndarray,
    source: np.ndarray,
    given: np.ndarray | None,
    kept_eps: float | None,
    streams: tuple[np.random.Generator, np.random.Generator],
    device: torch.device,
    keys: Mapping[str, Any],
    ranks: Ranks = ALONE,
) -> tuple[Found, np.ndarray | None]:
    """What :func:`cluster` finds, and (N,) int64 labels of a second clustering, which tell how much of it is chance.

    The second starts elsewhere; where it has fewer than two clusters, all images are outliers, -1. Where (N,) int64
    labels are ``given`` in place of clusters it is these and their centroids, and nothing again.
    """
    if given is not None:
        check_features(features, "features")
        return Found(PseudoLabels(given), cluster_means(features, given), {}), None
    found = cluster(features, source, kept_eps, streams[0], device, ranks, **keys)
    if found.again is not None:
        return found, found.again
    try:
        return found, cluster(features, source, kept_eps, streams[1], device, ranks, **keys).labels.classes
    except InputError:
        return found, np.full(len(features), -1, np.int64)


def cluster(
    features: np.ndarray,
    source: np.ndarray,
    kept_eps: float | None,
    stream: np.random.Generator,
    device: torch.device,
    ranks: Ranks,
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
    neighbours: Literal["exact", "approximate"],
    source_distance_weight: float,
) -> Found:
    """Cluster the (N, D) float32 features; those of the ``source``, (M, D), count where their distance does.

    ``kept_eps`` is that of the first round, which all others keep; ``stream`` draws k-means' start; DBSCAN shares its
    search for neighbours with the other ``ranks``. Raises :class:`InputError` for features and clusters that have
    collapsed.
    """
    if clustering == "kmeans":
        from mutual.clusters.means import by_means

        labels, centroids, inertia = by_means(
            features, clusters, by=kmeans_by, iterations=kmeans_iterations, stream=stream, device=device
        )
        return Found(PseudoLabels(labels), centroids, {"inertia": inertia})
    from mutual.clusters.density import by_density  # needs Numba and scikit-learn, which k-means does not wait for

    labels, centroids, eps, again = by_density(
        features,
        source if source_distance_weight > 0 else None,
        k1=k1,
        k2=k2,
        exact=neighbours == "exact",
        source_share=source_distance_weight,
        eps=kept_eps if dbscan_eps == "rule" else dbscan_eps,
        rho=dbscan_rho,
        min_samples=dbscan_min_samples,
        device=device,
        ranks=ranks,
    )
    return Found(PseudoLabels(labels), centroids, {"eps": eps}, again)
