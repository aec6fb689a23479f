"""Cluster a round's features into pseudo labels and centroids -> data/rounds/<round>/."""

import argparse
from pathlib import Path

import numpy as np

from stages.reid.clustering import kmeans
from stages.reid.datasets import read_cameras
from stages.reid.errors import run
from stages.reid.params import read_params, round_number
from stages.reid.pseudo_labels import write_pseudo_labels
from stages.reid.store import read_array, write_array, write_json
from stages.reid.streams import integer_seed

TARGET = Path("data/packed/target")
ROUNDS = Path("data/rounds")


def main() -> None:
    """``--round r01``."""
    parser = argparse.ArgumentParser(description="Cluster a round's features into pseudo labels.")
    parser.add_argument("--round", required=True)
    name: str = parser.parse_args().round
    params = read_params()
    folder = ROUNDS / name
    features = np.array(read_array(folder / "features.npy"))
    files, _ = read_cameras(TARGET / "train.csv")
    labels, centroids, inertia = kmeans(
        features,
        params.clusters,
        iterations=params.kmeans_iterations,
        restarts=params.kmeans_restarts,
        seed=integer_seed(params.seed, "clustering", round_number(name)),
    )
    sizes = np.bincount(labels)
    print(f"{name}: {len(labels)} images in {len(sizes)} clusters of {sizes.min()} to {sizes.max()} images")
    write_array(folder / "centroids.npy", centroids)
    write_json(
        folder / "clustering.json",
        {"clusters": len(sizes), "smallest": int(sizes.min()), "largest": int(sizes.max()), "inertia": inertia},
    )
    write_pseudo_labels(folder / "pseudo_labels.csv", files, labels)


if __name__ == "__main__":
    run(main)
