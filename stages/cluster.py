"""Cluster a round's features into pseudo labels and centroids -> data/rounds/<round>/."""

import argparse
from pathlib import Path

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params, round_number
from mutual.base.store import read_array, read_json, write_array, write_json
from mutual.clusters.means import by_means
from mutual.clusters.pseudo_labels import cluster_sizes, write_pseudo_labels
from mutual.images.index import read_cameras
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
    if params.clustering == "kmeans":
        labels, centroids, inertia = by_means(
            features,
            params.clusters,
            by=params.kmeans_by,
            iterations=params.kmeans_iterations,
            stream=numpy_stream(params.seed, "clustering", round_number(args.round)),
            device=device,
        )
        figures = {"inertia": inertia}
    else:
        from mutual.clusters.density import by_density  # needs Numba and scikit-learn, which k-means does not wait for

        labels, centroids, eps = by_density(
            features,
            read_array(folder / "source_features.npy") if params.source_distance_weight > 0 else None,
            k1=params.k1,
            k2=params.k2,
            source_share=params.source_distance_weight,
            eps=params.dbscan_eps if isinstance(params.dbscan_eps, float) else kept_eps(MODELS / args.start),
            rho=params.dbscan_rho,
            min_samples=params.dbscan_min_samples,
            device=device,
        )
        figures = {"eps": eps}
    sizes = cluster_sizes(labels)
    told = "{clusters} clusters of {smallest} to {largest} images, {outliers} outliers".format_map(sizes)
    print(f"{args.round}: {len(labels)} images: {told}")
    write_array(folder / "centroids.npy", centroids)
    write_json(folder / "clustering.json", sizes | figures)
    write_pseudo_labels(folder / "pseudo_labels.csv", files, labels)


def kept_eps(start: Path) -> float | None:
    """eps of the first round, which travels beside the peers; None when this is the first."""
    path = start / "eps.json"
    return float(read_json(path)["eps"]) if path.exists() else None


if __name__ == "__main__":
    run(main)
