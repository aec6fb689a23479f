"""Clusters to look at: the largest, the purest, the most mixed, and the outliers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cluster:
    """A cluster, or the outliers, whose label is -1."""

    label: int
    size: int  # images
    purity: float | None  # share of its most frequent pid; None where pids are unknown
    rows: list[int]  # of the images that are shown
    agree: list[bool]  # whether each has the most frequent pid; empty where pids are unknown


@dataclass(frozen=True)
class Gallery:
    """Clusters that are shown together."""

    title: str
    note: str
    clusters: list[Cluster]


def galleries(
    features: np.ndarray, labels: np.ndarray, pids: np.ndarray | None, count: int, pictures: int
) -> list[Gallery]:
    """Of each kind at most ``count`` clusters of (N, D) features with (N,) labels, each with at most so many pictures.

    With the (N,) pids the purest and the most mixed, of equals the larger; without them the widest and the tightest, by
    the mean squared distance from the centroid. Pictures are evenly from the nearest to the farthest of the centroid.
    """
    members = [np.flatnonzero(labels == label) for label in range(int(labels.max(initial=-1)) + 1)]
    spread = [squared_from_mean(features[rows]) for rows in members]
    sizes = np.array([len(rows) for rows in members])

    def shown(order: np.ndarray) -> list[Cluster]:
        return [_cluster(label, members[label], spread[label], pids, pictures) for label in order[:count].tolist()]

    found = [Gallery("Largest", "Clusters with the most images.", shown(np.argsort(-sizes, kind="stable")))]
    if pids is None:
        width = np.array([each.mean() for each in spread])
        kinds = (
            ("Tightest", "Clusters whose images are nearest to their centroid.", (-sizes, width)),
            ("Widest", "Clusters whose images are farthest from their centroid.", (-sizes, -width)),
        )
    else:
        share = np.array([_most_frequent(pids[rows])[1] for rows in members])
        kinds = (
            ("Purest", "Clusters with the largest share of one true identity, the larger of equals.", (-sizes, -share)),
            ("Most mixed", "Clusters with the smallest share of one true identity.", (-sizes, share)),
        )
    found += [Gallery(title, note, shown(np.lexsort(keys))) for title, note, keys in kinds]
    outliers = np.flatnonzero(labels < 0)
    if len(outliers):
        rows = evenly_from(outliers, 2 * pictures)
        alone = Cluster(-1, len(outliers), None, rows, [])
        found.append(Gallery("Outliers", "Images that belong to no cluster and were not learned from.", [alone]))
    return found


def squared_from_mean(features: np.ndarray) -> np.ndarray:
    """(M,) squared distances of (M, D) features from their mean."""
    features = np.array(features)
    return np.square(features - features.mean(0)).sum(1)


def evenly_from(rows: np.ndarray, count: int) -> list[int]:
    """At most ``count`` of the rows, evenly from the first to the last."""
    places: Iterable[int] = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [int(rows[place]) for place in places]


def _most_frequent(pids: np.ndarray) -> tuple[int, float]:
    """The most frequent pid, the smaller of equals, and its share."""
    values, counts = np.unique(pids, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / len(pids))


def _cluster(label: int, rows: np.ndarray, spread: np.ndarray, pids: np.ndarray | None, pictures: int) -> Cluster:
    chosen = evenly_from(rows[np.argsort(spread, kind="stable")], pictures)
    if pids is None:
        return Cluster(label, len(rows), None, chosen, [])
    pid, share = _most_frequent(pids[rows])
    return Cluster(label, len(rows), share, chosen, [bool(pids[row] == pid) for row in chosen])
