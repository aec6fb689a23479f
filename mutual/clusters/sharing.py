"""Jaccard distances of the pairs that share a neighbour alone: all other images, nearly all, are 1 apart."""

from collections.abc import Iterator

import numpy as np
from numba import njit, prange
from scipy import sparse

from mutual.base.progress import Progress
from mutual.base.threads import threads
from mutual.clusters.jaccard import ROUNDING, by_columns
from mutual.clusters.pairs import Near, Pairs

BLOCK_PAIRS = 1 << 24  # that a run of rows may have at most: 128 MB
STRANGERS = 1.0  # the distance of two images that share nothing


def pairs_that_share(encoded: sparse.csr_array) -> Iterator[Near]:
    """For runs of the N rows, the pairs whose Jaccard distance is below 1 and within a limit, each once, in order.

    The distances are those of :func:`mutual.clusters.jaccard.jaccard_rows`, bit by bit. Time and memory grow with the
    pairs that share a neighbour, not with N x N.
    """
    count, columns = encoded.shape[0], by_columns(encoded)
    lengths = np.diff(columns[0])[encoded.indices]
    most = np.add.reduceat(lengths, encoded.indptr[:-1], dtype=np.int64)  # of a row; none is empty
    ends = np.cumsum(most)
    with Progress(total=count, desc="Jaccard distances", unit="img") as bar:
        start = 0
        while start < count:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK_PAIRS, "right")))
            yield _Run(encoded, columns, start, most[start:stop])
            bar.update(stop - start)
            start = stop


class _Run:
    """Rows from ``start`` on, of which each shares a neighbour with so many others at ``most``."""

    def __init__(
        self,
        encoded: sparse.csr_array,
        columns: tuple[np.ndarray, np.ndarray, np.ndarray],
        start: int,
        most: np.ndarray,
    ) -> None:
        self.encoded, self.columns, self.start = encoded, columns, start
        self.places = np.concatenate([[0], np.cumsum(most)])

    def __call__(self, limit: float) -> Pairs:
        count, starts = self.encoded.shape[0], self.encoded.indptr[self.start : self.start + len(self.places)]
        parts = min(4 * threads(), len(starts) - 1)
        found, column, distance = _near(
            starts,
            self.encoded.indices,
            self.encoded.data,
            *self.columns,
            count,
            self.start,
            self.places,
            np.float32(limit),
            parts,
        )
        row = np.repeat(np.arange(self.start, self.start + len(found), dtype=np.int32), found)
        ends = np.cumsum(found)
        place = np.arange(len(row)) + np.repeat(self.places[:-1] - (ends - found), found)
        return Pairs(row, column[place], distance[place])


@njit(parallel=True, cache=True)
def _near(
    starts: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    column_starts: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
    count: int,
    start: int,
    places: np.ndarray,
    limit: np.float32,
    parts: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many each of the rows from ``start`` on has, and from its place on which, ascending, and how far they are.

    ``parts`` are worked at side by side, each with an array of ``count`` sums of its own.
    """
    length = len(starts) - 1
    one, two = np.float32(1), np.float32(2)
    found = np.zeros(length, np.int64)
    column, distance = np.empty(places[-1], np.int32), np.empty(places[-1], np.float32)
    for part in prange(parts):
        shared = np.zeros(count, np.float32)
        touched = np.empty(count, np.int32)
        for i in range(length * part // parts, length * (part + 1) // parts):
            own, others = start + i, 0
            for entry in range(starts[i], starts[i + 1]):
                of, weight = columns[entry], weights[entry]
                low, high = column_starts[of], column_starts[of + 1]
                while low < high:  # the first row after this one
                    middle = (low + high) // 2
                    if rows[middle] <= own:
                        low = middle + 1
                    else:
                        high = middle
                for place in range(low, column_starts[of + 1]):
                    both, other = min(weight, row_weights[place]), rows[place]
                    if both > 0:
                        if shared[other] == 0:
                            touched[others] = other
                            others += 1
                        shared[other] += both
            within = 0
            for place in range(others):
                both = shared[touched[place]]
                away = one - both / (two - both)
                if away < one and away <= limit:
                    column[places[i] + within] = touched[place]
                    within += 1
                else:
                    shared[touched[place]] = 0
            column[places[i] : places[i] + within].sort()
            for place in range(places[i], places[i] + within):
                both = shared[column[place]]
                away = one - both / (two - both)
                distance[place] = away if away >= ROUNDING else np.float32(0)
                shared[column[place]] = 0
            found[i] = within
    return found, column, distance
