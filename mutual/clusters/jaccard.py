"""The k-reciprocal Jaccard distance (Zhong et al., 2017), as the authors' code computes it, without an N x N matrix.

Two images are close when they have the same neighbours: each is encoded by its mutual neighbours, and the distance
compares two encodings. These are sparse; distances are handed out in blocks of rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit, prange
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from mutual.base.errors import InputError

BLOCK_VALUES = 1 << 24  # of a block of rows: 64 MB of float32
TILE = (2048, 4096)  # of the distances, 32 MB: whose transpose is cheap, and whose neighbours are found in caches


@dataclass(frozen=True)
class Neighbours:
    """The K images nearest to each of the N, itself among them, nearest first; of equals the lower row."""

    index: np.ndarray  # (N, K) int64
    squared: np.ndarray  # (N, K) float32 squared Euclidean distance
    farthest: np.ndarray  # (N,) float32 squared distance of the image that is farthest away


def nearest(features: np.ndarray, k: int, device: torch.device) -> Neighbours:
    """Exact search among the (N, D) float32 features; ``k`` counts the image itself.

    Distances are symmetric, so only tiles on and above the diagonal are computed: each serves its rows and its columns.
    Raises :class:`InputError` for features that are not finite.
    """
    if not np.isfinite(features).all():
        raise InputError("features: expected finite numbers, got NaN or infinity")
    count = len(features)
    columns = torch.from_numpy(features).to(device, torch.float32)  # whose bits are sorted below
    norms = columns.square().sum(1)
    found = torch.full((count, k), torch.iinfo(torch.int64).max, dtype=torch.int64, device=device)
    farthest = torch.zeros(count, device=device)
    high, wide = TILE
    tiles = [(top, left) for top in range(0, count, high) for left in range(top, count, wide)]
    for top, left in tqdm(tiles, desc="neighbours", unit="tile", leave=False, disable=None):
        rows, across = slice(top, min(top + high, count)), slice(left, min(left + wide, count))
        squared = (norms[rows, None] + norms[across]).addmm_(columns[rows], columns[across].T, alpha=-2).clamp_(min=0)
        if left == top:
            squared.diagonal().zero_()  # rounding may leave more
        _keep_nearest(found[rows], farthest[rows], squared, left)
        beyond = slice(max(rows.stop, left), across.stop)  # the square on the diagonal has served both
        if beyond.start < beyond.stop:
            _keep_nearest(found[beyond], farthest[beyond], squared[:, beyond.start - left :].T.contiguous(), top)
    found = found.cpu()
    values = (found >> 32).to(torch.int32).view(torch.float32)
    return Neighbours((found & 0xFFFFFFFF).numpy(), values.numpy(), farthest.cpu().numpy())


def _keep_nearest(found: Tensor, farthest: Tensor, squared: Tensor, first: int) -> None:
    """Update the (b, k) nearest and (b,) farthest with (b, c) squared distances to the images from ``first`` on.

    Distances of at least 0 are ordered as their bits are: a key is the bits of the distance, then the image's row.
    """
    torch.maximum(farthest, squared.amax(1), out=farthest)
    keys = squared.view(torch.int32).to(torch.int64) << 32
    keys += torch.arange(first, first + keys.shape[1], device=keys.device)
    k = found.shape[1]
    nearest = keys.topk(min(k, keys.shape[1]), largest=False).values
    found.copy_(torch.cat([found, nearest], 1).topk(k, largest=False).values)


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
        # float32 from here on: equal encodings are then at the authors' distance, 0 or some 1e-7, which eps depends on
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
    """(N, K) neighbour lists -> (N, K) int64: of each list those that have the image in theirs, ascending, then -1."""
    count, k = index.shape
    mutual = np.full((count, k), -1)
    for i in prange(count):
        kept = 0
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


def source_distances(features: np.ndarray, source: np.ndarray, device: torch.device) -> np.ndarray:
    """How far each of the (N, D) features is from the (M, D) source: (N,) float32, 0 .. 1.

    1 - exp(-squared distance) to the nearest source image, over the largest of these (authors' code).
    """
    columns = torch.from_numpy(source).to(device)
    norms, squared = columns.square().sum(1), np.empty(len(features), np.float32)
    rows = max(1, BLOCK_VALUES // len(source))
    for start in range(0, len(features), rows):
        block = torch.from_numpy(features[start : start + rows]).to(device)
        distances = norms + block.square().sum(1)[:, None] - 2 * block @ columns.T
        squared[start : start + rows] = distances.amin(1).clamp(min=0).cpu().numpy()
    far = 1 - np.exp(-squared)
    return far / far.max() if far.any() else far


def jaccard_rows(encoded: sparse.csr_array, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks (first row, (b, N) float32) of the first ``rows`` rows of Jaccard distances, 0 .. 1.

    1 - s / (2 - s), s the sum of the smaller of both weights over all that two encodings hold.
    """
    count = encoded.shape[0]
    by_column = encoded.tocsc()
    step = max(1, BLOCK_VALUES // count)
    with tqdm(total=rows, desc="Jaccard distances", unit="img", leave=False, disable=None) as bar:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            starts = encoded.indptr[start : stop + 1]
            yield start, _jaccard(starts, encoded.indices, encoded.data, *_parts(by_column), count)
            bar.update(stop - start)


def _parts(matrix: sparse.csc_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return matrix.indptr, matrix.indices, matrix.data


@njit(parallel=True, cache=True)
def _jaccard(
    starts: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    column_starts: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
    count: int,
) -> np.ndarray:
    """(b, N) Jaccard distances of the encodings that begin at ``starts`` to all, which are given by column, too."""
    distances = np.zeros((len(starts) - 1, count), np.float32)
    one, two = np.float32(1), np.float32(2)
    for i in prange(len(starts) - 1):
        shared = distances[i]
        for entry in range(starts[i], starts[i + 1]):
            column, weight = columns[entry], weights[entry]
            for place in range(column_starts[column], column_starts[column + 1]):
                shared[rows[place]] += min(weight, row_weights[place])
        for j in range(count):
            shared[j] = max(one - shared[j] / (two - shared[j]), np.float32(0))
    return distances
