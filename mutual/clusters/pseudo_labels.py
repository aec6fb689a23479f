"""The pseudo labels of a round: a cluster for each target training image, and more where a method gives it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from mutual.base.errors import InputError
from mutual.base.store import existing, read_json, written_beside

COLUMNS = ["file", "cluster"]
MORE = ["weight", "kept", "soft"]  # optional, in this order
ROUNDING = 1e-4  # a soft label's sum may be off by this


@dataclass(frozen=True)
class PseudoLabels:
    """Row i belongs to image i of the target's training set."""

    classes: np.ndarray  # (N,) int64, 0 .. C - 1; -1: an outlier, which is not trained on
    weights: np.ndarray | None = None  # (N,) float32, at least 0: how much the image counts
    kept: np.ndarray | None = None  # (N,) bool: the mask of those that are trained on
    soft: np.ndarray | None = None  # (N, C) float32, 0 .. 1, rows sum to 1: what the label is believed to be

    @property
    def trained(self) -> np.ndarray:
        """(N,) bool: inliers that the mask keeps."""
        inlier = self.classes >= 0
        return inlier if self.kept is None else inlier & self.kept

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Classes, weights and soft labels of (B,) rows."""
        weights, soft = (None if each is None else each[rows] for each in (self.weights, self.soft))
        return self.classes[rows], weights, soft


def write_pseudo_labels(path: Path, files: Sequence[str], labels: PseudoLabels) -> None:
    """Write ``file,cluster`` lines, with ``weight``, ``kept`` (0 or 1) and ``soft`` where the labels have them.

    A soft label is ``class:share`` for each class with a share, such as ``3:0.75 12:0.25``.
    """
    columns: dict[str, Sequence[object]] = {"file": files, "cluster": labels.classes.tolist()}
    if labels.weights is not None:
        columns["weight"] = [f"{value:.9g}" for value in labels.weights.tolist()]
    if labels.kept is not None:
        columns["kept"] = labels.kept.astype(int).tolist()
    if labels.soft is not None:
        columns["soft"] = [" ".join(f"{c}:{row[c]:.9g}" for c in np.flatnonzero(row)) for row in labels.soft]
    # surrogateescape: a file name need not be valid UTF-8
    with (
        written_beside(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def read_pseudo_labels(path: Path, files: Sequence[str]) -> PseudoLabels:
    """The pseudo labels of ``files``, which must be the images that were clustered, in the same order.

    Raises :class:`InputError` for another table, and for values that are out of range.
    """
    wanted = f"{path}: expected {','.join(COLUMNS)} of the {len(files)} target training images, in order"
    try:
        with open(existing(path), encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *rows = csv.reader(file)
        table = dict(zip(header, zip(*rows, strict=True), strict=True))
    except (ValueError, csv.Error):
        raise InputError(wanted) from None
    if header != [*COLUMNS, *(c for c in MORE if c in table)]:
        raise InputError(f"{wanted}, then perhaps {','.join(MORE)}")
    if list(table["file"]) != list(files):
        raise InputError(wanted)
    try:
        classes = np.array([int(value) for value in table["cluster"]], np.int64)
        if classes.min() < -1 or classes.max() >= len(files):
            raise ValueError
        labels = PseudoLabels(classes, _weights(table), _kept(table))
        return replace(labels, soft=_soft(table, int(classes.max()) + 1, labels.trained))
    except (ValueError, OverflowError, IndexError):
        ranges = f"cluster -1 .. {len(files) - 1}, weight at least 0, kept 0 or 1, soft class:share with a sum of 1"
        raise InputError(f"{path}: expected {ranges}") from None


def _weights(table: dict[str, tuple[str, ...]]) -> np.ndarray | None:
    if "weight" not in table:
        return None
    weights = np.array([float(value) for value in table["weight"]])
    if not ((weights >= 0) & (weights <= np.finfo(np.float32).max)).all():
        raise ValueError
    return weights.astype(np.float32)


def _kept(table: dict[str, tuple[str, ...]]) -> np.ndarray | None:
    if "kept" not in table:
        return None
    return np.array([("0", "1").index(value) for value in table["kept"]], bool)


def _soft(table: dict[str, tuple[str, ...]], classes: int, trained: np.ndarray) -> np.ndarray | None:
    """Images that are not trained on may have none."""
    if "soft" not in table:
        return None
    soft = np.zeros((len(table["soft"]), classes), np.float32)
    for row, text in zip(soft, table["soft"], strict=True):
        for part in text.split():
            place, share = part.split(":")
            if not (0 <= int(place) < classes and 0 <= float(share) <= 1 + ROUNDING) or row[int(place)]:
                raise ValueError
            row[int(place)] = float(share)
    sums = soft.sum(1, dtype=np.float64)
    if not np.isclose(sums[trained | (sums > 0)], 1, atol=ROUNDING).all():
        raise ValueError
    return soft


def cluster_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C, D) float32 mean of the (N, D) features of each cluster, outliers left out."""
    inliers = labels >= 0
    sums = np.zeros((labels.max() + 1, features.shape[1]))
    np.add.at(sums, labels[inliers], features[inliers])
    return (sums / np.bincount(labels[inliers])[:, None]).astype(np.float32)


class Figures(TypedDict):
    """What a clustering found, in numbers."""

    clusters: int
    outliers: int  # images
    smallest: int  # images of the smallest cluster
    largest: int
    inertia: NotRequired[float]  # of k-means
    eps: NotRequired[float]  # of DBSCAN


def read_figures(path: Path) -> Figures:
    """The figures of a round's clustering. Raises :class:`InputError` for a file of another form."""
    figures: Figures = read_json(path, Figures)
    if figures["clusters"] < 1 or not 0 < figures.get("eps", 1.0) <= 2:
        raise InputError(f"{path}: expected a cluster at least, and an eps above 0 and at most 2, found {figures}")
    return figures


def cluster_sizes(labels: np.ndarray) -> dict[str, int]:
    """Number of clusters and of outliers, images of the smallest and the largest cluster, of (N,) labels."""
    sizes, outliers = np.bincount(labels[labels >= 0]), int((labels < 0).sum())
    return {"clusters": len(sizes), "outliers": outliers, "smallest": int(sizes.min()), "largest": int(sizes.max())}
