"""Pseudo labels by DBSCAN on the k-reciprocal Jaccard distance."""

import numpy as np
import torch
from scipy import sparse
from sklearn.cluster import DBSCAN

from mutual.base.errors import InputError
from mutual.clusters.collapse import check_clusters, check_features
from mutual.clusters.encodings import encodings
from mutual.clusters.jaccard import Blocks, jaccard_rows, source_distances, with_source
from mutual.clusters.neighbours import Neighbours, nearest
from mutual.clusters.pairs import Pairs, all_pairs, pairs_by_rule, pairs_within
from mutual.clusters.pseudo_labels import cluster_means
from mutual.clusters.sharing import STRANGERS, pairs_that_share
from mutual.machine.ranks import Ranks

NEARER = 0.9  # of eps, in a second clustering


def by_density(
    features: np.ndarray,
    source: np.ndarray | None,
    *,
    k1: int,
    k2: int,
    exact: bool,
    source_share: float,
    eps: float | None,
    rho: float,
    min_samples: int,
    device: torch.device,
    ranks: Ranks,
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Labels (N,) int64, -1 for outliers, centroids (C, D) float32 and eps of DBSCAN; eps None: by the rule.

    And the labels with 0.9 of eps, beside which one sees how much of them is chance; all -1 where these are of fewer
    than two clusters. The (N, D) float32 features, and the (M, D) of the ``source`` where their distance counts, are
    normalised again first, which k-means does not do (authors' code). The search for neighbours is ``exact``, and then
    shared with the other ``ranks``, or approximate. Raises :class:`InputError` for features and clusters that have
    collapsed, where there are no more images than ``k1`` or ``k2``, and as :func:`pairs_by_rule` does.
    """
    check_features(features, "features")
    count = len(features)
    for key, value in (("k1", k1), ("k2", k2)):
        if count <= value:
            raise InputError(f"{key}: expected fewer than the {count} images of the target's training set, got {value}")
    features = normalised(features)
    found = _searched(features, max(k1 + 1, k2), exact, device, ranks)
    encoded = encodings(features, found, k1, k2)
    runs, others = pairs_that_share(encoded), STRANGERS
    if source is not None or (eps or 0) >= STRANGERS:  # then two that share nothing may matter
        blocks: Blocks = jaccard_rows(encoded, count)
        if source is not None:
            check_features(source, "features of the source")
            blocks = with_source(blocks, source_distances(features, normalised(source), device), source_share)
        runs, others = all_pairs(blocks), np.inf
    chosen_by = "dbscan_eps" if eps is not None else "dbscan_rho"
    if eps is None:
        eps, pairs = pairs_by_rule(runs, count, rho, others)
    else:
        pairs = pairs_within(runs, eps)
    labels = dbscan(pairs, count, min_samples)
    check_clusters(labels, f"{chosen_by}: at an eps of {eps:.4g} and dbscan_min_samples {min_samples}")
    again = dbscan(pairs.at_most(NEARER * eps), count, min_samples)
    if again.max() < 1:
        again = np.full(count, -1)
    return labels, cluster_means(features, labels), eps, again


def _searched(features: np.ndarray, k: int, exact: bool, device: torch.device, ranks: Ranks) -> Neighbours:
    if exact:
        return nearest(features, k, device, ranks)
    from mutual.clusters.approximate import nearly_nearest  # loads a library of 200 MB, which others do not need

    return nearly_nearest(features, k, device)


def dbscan(pairs: Pairs, count: int, min_samples: int) -> np.ndarray:
    """Labels (N,) int64 of ``count`` images from the pairs that are neighbours; -1 for outliers.

    An image with ``min_samples`` neighbours, itself among them, is a core; cores that are neighbours share a cluster;
    any other neighbour of a core joins, of several clusters the first. Clusters count from 0 by their first core.
    """
    own = np.arange(count, dtype=np.int32)
    row = np.concatenate([pairs.row, pairs.column, own])
    column = np.concatenate([pairs.column, pairs.row, own])
    distance = np.concatenate([pairs.distance, pairs.distance, np.zeros(count, np.float32)])
    graph = sparse.csr_array((distance, (row, column)), (count, count))  # a 0 in it is a distance, not a gap
    # every pair that is held is near enough already, whatever rounding made of eps
    clustering = DBSCAN(eps=float(np.finfo(np.float32).max), min_samples=min_samples, metric="precomputed")
    return np.asarray(clustering.fit_predict(graph), np.int64)


def normalised(features: np.ndarray) -> np.ndarray:
    """(N, D) float32 features of length 1."""
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)
