"""One door to every clustering: from features to pseudo labels and centroids, as the keys of params.yaml say."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from mutual.base.errors import InputError
from mutual.clusters.collapse import check_features
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_means

NEARER = 0.9  # of eps, in a second clustering by DBSCAN


class Found(NamedTuple):
    """What a clustering found among N images."""

    labels: PseudoLabels
    centroids: np.ndarray  # (C, D) float32
    figures: dict[str, float]  # inertia of k-means, eps of DBSCAN


def cluster_twice(
    features: np.ndarray,
    source: np.ndarray,
    given: np.ndarray | None,
    kept_eps: float | None,
    streams: tuple[np.random.Generator, np.random.Generator],
    device: torch.device,
    keys: Mapping[str, Any],
) -> tuple[Found, np.ndarray | None]:
    """What :func:`cluster` finds, and the labels of :func:`cluster_again`.

    Where (N,) int64 labels are ``given`` in place of clusters it is these and their centroids, and nothing again.
    """
    if given is not None:
        check_features(features, "features")
        return Found(PseudoLabels(given), cluster_means(features, given), {}), None
    found = cluster(features, source, kept_eps, streams[0], device, **keys)
    return found, cluster_again(features, source, found, streams[1], device, keys)


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


def cluster_again(
    features: np.ndarray,
    source: np.ndarray,
    found: Found,
    stream: np.random.Generator,
    device: torch.device,
    keys: Mapping[str, Any],
) -> np.ndarray:
    """(N,) int64 labels of a second clustering, beside which one sees how much of the first is chance.

    ``found`` is the first, made with the same ``keys``: k-means starts elsewhere, DBSCAN takes 0.9 of eps. Where that
    leaves fewer than two clusters, all are outliers, -1.
    """
    eps = found.figures["eps"] * NEARER if "eps" in found.figures else keys["dbscan_eps"]
    try:
        return cluster(features, source, None, stream, device, **(dict(keys) | {"dbscan_eps": eps})).labels.classes
    except InputError:
        return np.full(len(features), -1, np.int64)
