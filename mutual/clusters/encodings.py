"""Images encoded by their mutual neighbours (Zhong et al., 2017), as the authors' code does it, in sparse rows.

Two images are close when they have the same neighbours, so that two such rows, compared, give the Jaccard distance.
"""

import numpy as np
from numba import njit, prange
from scipy import sparse

from mutual.clusters.neighbours import Neighbours

BLOCK_VALUES = 1 << 24  # of a block of rows: 64 MB of float32


def encodings(features: np.ndarray, found: Neighbours, k1: int, k2: int, power: int = 1) -> sparse.csr_array:
    """(N, N) sparse float32: row i holds the weights of image i's mutual neighbours, which sum to 1.

    The weights are exp(-r ** power), r the squared distance over the largest that the image has to any other. Mutual
    neighbours have each other among their k1 nearest; those of a neighbour (among its k1 / 2 nearest) join when more
    than two thirds of them are mutual neighbours already. With k2 > 1 the encoding of an image is the mean over its k2
    nearest, itself included.
    """
    count = len(features)
    mutual, half = _mutual(found.index[:, : k1 + 1]), _mutual(found.index[:, : round(k1 / 2) + 1])
    # what joins is a third of a list at most
    most = mutual.shape[1] + mutual.shape[1] * half.shape[1] // 3
    parts, lengths = [], []
    step = max(1, BLOCK_VALUES // 4 // most)
    for start in range(0, count, step):
        stop = min(start + step, count)
        member = _expanded(mutual[start:stop], half, most)
        length = (member >= 0).sum(1)
        row, column = np.repeat(np.arange(start, stop), length), member[member >= 0]
        # the distances by which neighbours were ranked; only what joined may lie beyond the lists
        squared = _listed(row, column, found.index, found.squared)
        beyond = np.flatnonzero(np.isnan(squared))
        squared[beyond] = _squared_distances(features, row[beyond], column[beyond])
        weight = np.exp(-((squared / found.farthest[row]) ** power))
        total = np.add.reduceat(weight, np.concatenate([[0], np.cumsum(length)[:-1]]))
        parts.append((weight / np.repeat(total, length), column))
        lengths.append(length)
    weight, column = (np.concatenate(part) for part in zip(*parts, strict=True))
    ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    encoded = sparse.csr_array((weight, column, ends), shape=(count, count))
    if k2 > 1:
        near = found.index[:, :k2]
        chosen = (np.ones(near.size, np.float32), near.ravel(), np.arange(count + 1) * near.shape[1])
        encoded = sparse.csr_array(chosen, shape=(count, count)) @ encoded
        encoded.data /= np.float32(near.shape[1])
    encoded.sort_indices()
    return encoded


@njit(cache=True)
def _place(ascending: np.ndarray, count: int, value: int) -> int:
    """Where ``value`` is or belongs among the first ``count``."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _insert(ascending: np.ndarray, count: int, value: int) -> int:
    """Put ``value`` in its place among the first ``count``, unless it is there; returns how many there are then."""
    place = _place(ascending, count, value)
    if place < count and ascending[place] == value:
        return count
    for later in range(count, place, -1):
        ascending[later] = ascending[later - 1]
    ascending[place] = value
    return count + 1


@njit(parallel=True, cache=True)
def _mutual(index: np.ndarray) -> np.ndarray:
    """(N, K) neighbour lists -> (N, K + 1) int64: of each list those that have the image in theirs, ascending, then -1.

    The image itself is among them, even where so many images coincide with it that they fill its list.
    """
    count, k = index.shape
    mutual = np.full((count, k + 1), -1)
    for i in prange(count):
        mutual[i, 0], kept = i, 1
        for place in range(k):
            j = index[i, place]
            for back in range(k):
                if index[j, back] == i:
                    kept = _insert(mutual[i], kept, j)
                    break
    return mutual


@njit(parallel=True, cache=True)
def _expanded(mutual: np.ndarray, half: np.ndarray, most: int) -> np.ndarray:
    """Mutual neighbours (b, K) and those of whose neighbours more than two thirds are among them: (b, M), then -1.

    Ascending; ``half`` (N, H) holds what each image brings, and ``most`` bounds M.
    """
    rows, k = mutual.shape
    expanded = np.full((rows, most), -1)
    for i in prange(rows):
        own = 0
        while own < k and mutual[i, own] >= 0:
            expanded[i, own] = mutual[i, own]
            own += 1
        count = own
        for member in range(own):
            j = mutual[i, member]
            shared = brought = 0
            while brought < half.shape[1] and half[j, brought] >= 0:
                place = _place(mutual[i], own, half[j, brought])
                shared += place < own and mutual[i, place] == half[j, brought]
                brought += 1
            if 3 * shared > 2 * brought:
                for each in range(brought):
                    count = _insert(expanded[i], count, half[j, each])
    return expanded


@njit(parallel=True, cache=True)
def _listed(row: np.ndarray, column: np.ndarray, index: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Squared distance of each of the (P,) pairs where the column is in the row's list, NaN where it is not."""
    values = np.full(len(row), np.nan, np.float32)
    for p in prange(len(row)):
        for place in range(index.shape[1]):
            if index[row[p], place] == column[p]:
                values[p] = squared[row[p], place]
                break
    return values


def _squared_distances(features: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Squared distance of each of the (P,) pairs: float32."""
    squared = np.empty(len(row), np.float32)
    step = max(1, BLOCK_VALUES // features.shape[1])
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        squared[part] = np.square(features[row[part]] - features[column[part]]).sum(1)
    return squared
