"""The pairs of images that are near each other, and eps by the rule."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import njit, prange

from mutual.base.errors import InputError
from mutual.clusters.jaccard import Blocks

ROOM = 1 << 20  # pairs that may always be kept: 12 MB


@dataclass(frozen=True)
class Pairs:
    """Pairs of images, each once."""

    row: np.ndarray  # (P,) int32
    column: np.ndarray  # (P,) int32, above row
    distance: np.ndarray  # (P,) float32

    def at_most(self, limit: float) -> "Pairs":
        """The pairs whose distance is at most ``limit``."""
        kept = self.distance <= limit
        return Pairs(self.row[kept], self.column[kept], self.distance[kept])


# the pairs of a run of rows, each with later ones, that are at most so far apart
Near = Callable[[float], Pairs]


def all_pairs(blocks: Blocks) -> Iterator[Near]:
    """All pairs of blocks of distances."""
    for start, block in blocks:
        yield partial(_upper, start, block)


def pairs_within(runs: Iterable[Near], limit: float) -> Pairs:
    """The pairs of all images at most ``limit`` apart."""
    return _joined([near(limit) for near in runs])


def pairs_by_rule(runs: Iterable[Near], count: int, share: float, others: float = np.inf) -> tuple[float, Pairs]:
    """eps, and the pairs of the ``count`` images at most eps apart; those that no run has are the farthest, ``others``.

    eps is the mean of the smallest ``share`` of all distances between two images that are not 0 (authors' code). Only
    a few times as many pairs as that are kept at a time. Raises :class:`InputError` when the share is less than a pair,
    or when the nearest pairs are all at one distance and too many to keep.
    """
    most = max(1, round(share * count * (count - 1) / 2))
    room = max(2 * most, ROOM)
    parts: list[Pairs] = []
    limit, held, zeros, dropped = np.inf, 0, 0, others
    for near in runs:
        parts.append(near(limit))
        held += len(parts[-1].distance)
        zeros += int((parts[-1].distance == 0).sum())
        if held > zeros + room:
            kept = _joined(parts)
            parts.clear()
            limit = float(np.partition(kept.distance, zeros + most - 1)[zeros + most - 1])
            if int((kept.distance <= limit).sum()) > zeros + room:
                # most images share no neighbour and are 1 apart: the rule need only know that there are enough of these
                dropped, limit = limit, float(np.nextafter(np.float32(limit), np.float32(0)))
            parts.append(kept.at_most(limit))
            held = len(parts[0].distance)
    kept = _joined(parts)
    smallest = round(share * (count * (count - 1) // 2 - zeros))
    if smallest < 1:
        raise InputError(
            f"dbscan_rho: {share} of the distances between {count} images is not one of them: expected a larger share"
        )
    distances = np.sort(kept.distance[kept.distance > 0])[:smallest]
    missing = np.full(smallest - len(distances), dropped, np.float32)
    eps = float(np.concatenate([distances, missing]).mean(dtype=np.float64))
    if eps >= dropped:
        raise InputError(f"dbscan_rho: the nearest of {count} images are all {dropped:.4f} apart: expected clusters")
    return eps, kept.at_most(eps)


def _upper(start: int, block: np.ndarray, limit: float) -> Pairs:
    """The pairs of a block of rows that stand above the diagonal and are at most ``limit`` apart."""
    return Pairs(*_selected(block, start, np.float32(limit)))


@njit(parallel=True, cache=True)
def _selected(block: np.ndarray, start: int, limit: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row (counted from ``start``), column and value of what is above the diagonal and at most ``limit``."""
    rows, count = block.shape
    ends = np.zeros(rows + 1, np.int64)
    for i in prange(rows):
        within = 0
        for j in range(start + i + 1, count):
            within += block[i, j] <= limit
        ends[i + 1] = within
    ends = np.cumsum(ends)
    row, column = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
    value = np.empty(ends[-1], np.float32)
    for i in prange(rows):
        place = ends[i]
        if ends[i + 1] > place:
            for j in range(start + i + 1, count):
                if block[i, j] <= limit:
                    row[place], column[place], value[place] = start + i, j, block[i, j]
                    place += 1
    return row, column, value


def _joined(parts: list[Pairs]) -> Pairs:
    return Pairs(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.column for part in parts]),
        np.concatenate([part.distance for part in parts]),
    )
