"""The pseudo labels of a round: one cluster for each target training image, -1 for an outlier."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError
from mutual.base.store import existing, written_beside

COLUMNS = ["file", "cluster"]


def write_pseudo_labels(path: Path, files: Sequence[str], labels: np.ndarray) -> None:
    """Write ``file,cluster`` lines; ``labels`` is (N,) int64."""
    # surrogateescape: a file name need not be valid UTF-8
    with (
        written_beside(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(files, labels.tolist(), strict=True))


def read_pseudo_labels(path: Path, files: Sequence[str]) -> np.ndarray:
    """Pseudo labels (N,) int64 of ``files``, which must be the images that were clustered, in the same order."""
    with open(existing(path), encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    try:
        labels = np.array([int(cluster) for _, cluster in rows[1:]], np.int64)
    except ValueError:
        labels = None
    if labels is None or rows[:1] != [COLUMNS] or [row[0] for row in rows[1:]] != list(files):
        raise InputError(f"{path}: expected {','.join(COLUMNS)} of the {len(files)} target training images, in order")
    return labels


def cluster_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C, D) float32 mean of the (N, D) features of each cluster, outliers left out."""
    inliers = labels >= 0
    sums = np.zeros((labels.max() + 1, features.shape[1]))
    np.add.at(sums, labels[inliers], features[inliers])
    return (sums / np.bincount(labels[inliers])[:, None]).astype(np.float32)


def cluster_sizes(labels: np.ndarray) -> dict[str, int]:
    """Number of clusters and of outliers, images of the smallest and the largest cluster, of (N,) labels."""
    sizes, outliers = np.bincount(labels[labels >= 0]), int((labels < 0).sum())
    return {"clusters": len(sizes), "outliers": outliers, "smallest": int(sizes.min()), "largest": int(sizes.max())}
