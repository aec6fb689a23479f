"""The pseudo labels of a round: a cluster for each target training image, and more where a method gives it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from mutual.base.columns import header_of, integers, numbers, read_columns, write_table
from mutual.base.errors import InputError, shown
from mutual.base.store import read_json

COLUMNS = ["file", "cluster"]
MORE = ["weight", "kept", "soft"]  # optional, in this order
ROUNDING = 1e-4  # a soft label's sum may be off by this
PART = re.compile(r"([0-9]{1,9}):([0-9]{1,9}(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,2})?)")  # of a soft label


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
    write_table(path, list(columns), zip(*columns.values(), strict=True))


def read_pseudo_labels(path: Path, files: Sequence[str]) -> PseudoLabels:
    """The pseudo labels of ``files``, which must be the images that were clustered, in the same order.

    Raises :class:`InputError` for another table, and for values that are out of range.
    """
    header = header_of(path)
    if header != [*COLUMNS, *(name for name in MORE if name in header)]:
        raise InputError(f"{path}: expected the header {','.join(COLUMNS)}, then perhaps {','.join(MORE)}")
    table = dict(zip(header, read_columns(path, header), strict=True))
    if table["file"] != list(files):
        raise InputError(f"{path}: expected the {len(files)} target training images, in order")
    classes = integers(path, "cluster", table["cluster"], least=-1, most=len(files) - 1)
    labels = PseudoLabels(
        classes,
        _weights(path, table["weight"]) if "weight" in table else None,
        integers(path, "kept", table["kept"], least=0, most=1).astype(bool) if "kept" in table else None,
    )
    if "soft" not in table:
        return labels
    return replace(labels, soft=_soft(path, table["soft"], int(classes.max()) + 1, labels.trained))


def _weights(path: Path, texts: Sequence[str]) -> np.ndarray:
    weights = numbers(path, "weight", texts)
    wrong = ~((weights >= 0) & (weights <= np.finfo(np.float32).max))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{path}: weight of row {row + 1}: expected a number from 0, found {shown(texts[row])}")
    return weights.astype(np.float32)


def _soft(path: Path, texts: Sequence[str], classes: int, trained: np.ndarray) -> np.ndarray:
    """Images that are not trained on may have none."""
    soft = np.zeros((len(texts), classes), np.float32)
    for row, text in enumerate(texts):
        for part in text.split():
            told = PART.fullmatch(part)
            if not told or int(told[1]) >= classes or float(told[2]) > 1 + ROUNDING or soft[row, int(told[1])]:
                expected = f"class:share once for each of the classes below {classes}"
                raise InputError(f"{path}: soft of row {row + 1}: expected {expected}, found {shown(text)}")
            soft[row, int(told[1])] = float(told[2])
    sums = soft.sum(1, dtype=np.float64)
    wrong = (trained | (sums > 0)) & ~np.isclose(sums, 1, rtol=0, atol=ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{path}: soft of row {row + 1}: expected shares with a sum of 1, found {shown(texts[row])}")
    return soft


def cluster_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C, D) float32 mean of the (N, D) features of each cluster, outliers left out."""
    inliers = labels >= 0
    sums = np.zeros((labels.max() + 1, features.shape[1]))
    np.add.at(sums, labels[inliers], features[inliers])
    return (sums / np.bincount(labels[inliers])[:, None]).astype(np.float32)


def singletons(labels: np.ndarray) -> np.ndarray:
    """(N,) labels in which each outlier, -1, is a cluster of its own."""
    alone, outliers = labels.copy(), np.flatnonzero(labels < 0)
    alone[outliers] = labels.max(initial=-1) + 1 + np.arange(len(outliers))
    return alone


class Figures(TypedDict):
    """What a clustering found, in numbers."""

    clusters: int
    outliers: int  # images
    smallest: int  # images of the smallest cluster
    largest: int
    inertia: NotRequired[float]  # of k-means
    eps: NotRequired[float]  # of DBSCAN
    label_free: NotRequired[dict[str, float]]  # see mutual.clusters.label_free


def read_figures(path: Path) -> Figures:
    """The figures of a round's clustering. Raises :class:`InputError` for a file of another form."""
    figures: Figures = read_json(path, Figures)
    if figures["clusters"] < 1 or not 0 < figures.get("eps", 1.0) <= 2:
        raise InputError(f"{path}: expected a cluster at least, and an eps above 0 and at most 2, found {figures}")
    return figures


def check_figures(folder: Path, labels: np.ndarray, figures: Figures) -> None:
    """Raise :class:`InputError` where clustering.json and the (N,) classes of pseudo_labels.csv in a folder differ."""
    if labels.max() < 0 or not cluster_sizes(labels).items() <= figures.items():
        raise InputError(f"{folder}: clustering.json and pseudo_labels.csv are not of one clustering")


def cluster_sizes(labels: np.ndarray) -> dict[str, int]:
    """Number of clusters and of outliers, images of the smallest and the largest cluster, of (N,) labels."""
    sizes, outliers = np.bincount(labels[labels >= 0]), int((labels < 0).sum())
    return {"clusters": len(sizes), "outliers": outliers, "smallest": int(sizes.min()), "largest": int(sizes.max())}
