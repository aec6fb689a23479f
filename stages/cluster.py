"""Cluster a round's features into pseudo labels and centroids -> data/rounds/<round>/."""

import argparse
from pathlib import Path

import numpy as np
import torch

from mutual.base.errors import InputError, run
from mutual.base.params import read_params, round_number
from mutual.base.store import read_array, write_array, write_json
from mutual.clusters.kmeans import kmeans
from mutual.clusters.pseudo_labels import PseudoLabels, cluster_means, write_pseudo_labels
from mutual.images.index import read_cameras
from mutual.learning.handover import read_handover
from mutual.machine.device import deterministic_device
from mutual.machine.streams import numpy_stream

TARGET = Path("data/packed/target")
MODELS = Path("models")
ROUNDS = Path("data/rounds")


def main() -> None:
    """``--round r02 --start r01``: DBSCAN keeps the eps that the start's clustering had."""
    parser = argparse.ArgumentParser(description="Cluster a round's features into pseudo labels.")
    parser.add_argument("--round", required=True)
    parser.add_argument("--start", required=True)
    args = parser.parse_args()
    params = read_params()
    device = deterministic_device()
    folder = ROUNDS / args.round
    features = np.array(read_array(folder / "features.npy"))
    files, _ = read_cameras(TARGET / "train.csv")
    figures: dict[str, float]
    if params.clustering.clustering == "kmeans":
        labels, centroids, inertia = kmeans(
            features,
            params.clustering.clusters,
            iterations=params.clustering.kmeans_iterations,
            stream=numpy_stream(params.peers.seed, "clustering", round_number(args.round)),
            device=device,
        )
        figures = {"inertia": inertia}
    else:
        labels, centroids, eps = by_density(
            features,
            read_array(folder / "source_features.npy") if params.clustering.source_distance_weight > 0 else None,
            k1=params.clustering.k1,
            k2=params.clustering.k2,
            source_share=params.clustering.source_distance_weight,
            eps=params.clustering.dbscan_eps
            if isinstance(params.clustering.dbscan_eps, float)
            else read_handover(MODELS / args.start).eps,
            rho=params.clustering.dbscan_rho,
            min_samples=params.clustering.dbscan_min_samples,
            device=device,
        )
        figures = {"eps": eps}
    sizes, outliers = np.bincount(labels[labels >= 0]), int((labels < 0).sum())
    found = f"{len(sizes)} clusters of {sizes.min()} to {sizes.max()} images, {outliers} outliers"
    print(f"{args.round}: {len(labels)} images: {found}")
    counts = {"clusters": len(sizes), "outliers": outliers, "smallest": int(sizes.min()), "largest": int(sizes.max())}
    write_array(folder / "centroids.npy", centroids)
    write_json(folder / "clustering.json", counts | figures)
    write_pseudo_labels(folder / "pseudo_labels.csv", files, PseudoLabels(labels))


def by_density(
    features: np.ndarray,
    source: np.ndarray | None,
    *,
    k1: int,
    k2: int,
    source_share: float,
    eps: float | None,
    rho: float,
    min_samples: int,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (N,) int64, centroids (C, D) float32 and eps of DBSCAN on the Jaccard distance; eps None: by the rule.

    The (N, D) features are normalised again first, which k-means does not do (authors' code).
    """
    # imported here: k-means needs neither Numba nor SciPy
    from mutual.clusters.density import Blocks, dbscan, pairs_by_rule, pairs_within, with_source
    from mutual.clusters.jaccard import encodings, jaccard_rows, nearest, source_distances

    features = normalised(features)
    count = len(features)
    for key, value in (("k1", k1), ("k2", k2)):
        if count <= value:
            raise InputError(f"{key}: expected fewer than the {count} images of the target's training set, got {value}")
    found = nearest(features, max(k1 + 1, k2), device)
    blocks: Blocks = jaccard_rows(encodings(features, found, k1, k2), count)
    if source is not None:
        blocks = with_source(blocks, source_distances(features, normalised(source), device), source_share)
    chosen_by = "dbscan_eps" if eps is not None else "dbscan_rho"
    if eps is None:
        eps, pairs = pairs_by_rule(blocks, count, rho)
    else:
        pairs = pairs_within(blocks, eps)
    labels = dbscan(pairs, count, min_samples)
    if labels.max() < 1:
        raise InputError(
            f"{chosen_by}: at an eps of {eps:.4g} and dbscan_min_samples {min_samples} the {count} images make "
            f"{labels.max() + 1} cluster(s) and {int((labels < 0).sum())} outliers: expected several clusters"
        )
    return labels, cluster_means(features, labels), eps


def normalised(features: np.ndarray) -> np.ndarray:
    """(N, D) float32 features of length 1."""
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    run(main)
