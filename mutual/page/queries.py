"""Which queries the page shows: of thousands a few, chosen by what became of them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Group:
    """Queries that are shown together."""

    title: str
    note: str  # how they were chosen
    rows: list[int]


def by_precision(before: np.ndarray, after: np.ndarray, count: int, random: np.random.Generator) -> list[Group]:
    """Queries by their average precision (Q,) before any adaptation and after the last round, 0 .. 1.

    Those without a match, whose precision is NaN, are in no group. Of equals the lower row comes first.
    """
    rows = np.flatnonzero(~(np.isnan(before) | np.isnan(after)))
    gain = (after - before)[rows]
    drawn = np.sort(random.permutation(rows)[:count])

    def first(keys: np.ndarray) -> list[int]:
        return rows[np.argsort(keys, kind="stable")[:count]].tolist()

    return [
        Group("Most gained", "Average precision rose most from direct transfer to the last round.", first(-gain)),
        Group("Most lost", "Average precision fell most, or rose least.", first(gain)),
        Group("Worst", "Lowest average precision after the last round.", first(after[rows])),
        Group("Best", "Highest average precision after the last round.", first(-after[rows])),
        Group("Random", "Drawn by chance, the same ones for the same seed.", drawn.tolist()),
    ]


def by_change(before: np.ndarray, after: np.ndarray, count: int) -> list[Group]:
    """Candidates by how many of their first images (M, K) are others at the end, where no precision is known."""
    new = (after[:, :, None] != before[:, None, :]).all(2).sum(1)

    def first(keys: np.ndarray) -> list[int]:
        return np.argsort(keys, kind="stable")[:count].tolist()

    groups = [
        Group("Most changed", "Most of the first images are others than before any adaptation.", first(-new)),
        Group("Least changed", "Fewest of the first images are others than before any adaptation.", first(new)),
    ]
    return [
        *groups,
        Group("Random", "Drawn by chance, the same ones for the same seed.", list(range(len(new)))[:count]),
    ]


def nearest_rows(features: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """(M, K) int64: the nearest of the (N, D) features to each of these rows, itself left out, nearest first.

    By Euclidean distance, of equals the lower row first; K is ``count``, or N - 1 where there are fewer.
    """
    features = np.asarray(features)
    squared = np.einsum("nd,nd->n", features, features) - 2 * (np.array(features[rows]) @ features.T)
    squared[np.arange(len(rows)), rows] = np.inf
    return np.argsort(squared, axis=1, kind="stable")[:, : min(count, len(features) - 1)]
