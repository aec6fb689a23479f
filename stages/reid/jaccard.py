"""The k-reciprocal Jaccard distance (Zhong et al., 2017), as the authors' code computes it, without an N x N matrix.

Two images are close when they have the same neighbours: each is encoded by its mutual neighbours, and the distance
compares two encodings. These are sparse; distances are handed out in blocks of rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from tqdm import tqdm

from stages.reid.errors import InputError

BLOCK_VALUES = 1 << 24  # of a block of rows: 64 MB of float32


@dataclass(frozen=True)
class Neighbours:
    """The K images nearest to each of the N, itself among them, nearest first; of equals the lower row."""

    index: np.ndarray  # (N, K) int64
    squared: np.ndarray  # (N, K) float32 squared Euclidean distance
    farthest: np.ndarray  # (N,) float32 squared distance of the image that is farthest away


def nearest(features: np.ndarray, k: int, device: torch.device) -> Neighbours:
    """Exact search among the (N, D) float32 features; ``k`` counts the image itself.

    Raises :class:`InputError` for features that are not finite.
    """
    if not np.isfinite(features).all():
        raise InputError("features: expected finite numbers, got NaN or infinity")
    count = len(features)
    columns = torch.from_numpy(features).to(device)
    norms = columns.square().sum(1)
    index, squared = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    farthest = np.empty(count, np.float32)
    rows = max(1, BLOCK_VALUES // count)
    for start in tqdm(range(0, count, rows), desc="neighbours", unit="block", leave=False, disable=None):
        block = slice(start, min(start + rows, count))
        distances = (norms[block, None] + norms[None, :]).addmm_(columns[block], columns.T, alpha=-2).clamp_(min=0)
        distances[torch.arange(block.stop - start), torch.arange(start, block.stop)] = 0  # rounding may leave more
        farthest[block] = distances.amax(1).cpu().numpy()
        values, places = (found.cpu().numpy() for found in distances.topk(k, largest=False))
        order = np.lexsort((places, values))
        index[block], squared[block] = (np.take_along_axis(found, order, 1) for found in (places, values))
    return Neighbours(index, squared, farthest)


def encodings(features: np.ndarray, found: Neighbours, k1: int, k2: int, power: int = 1) -> sparse.csr_array:
    """(N, N) sparse float32: row i holds the weights of image i's mutual neighbours, which sum to 1.

    The weights are exp(-r ** power), r the squared distance over the largest that the image has to any other. Mutual
    neighbours have each other among their k1 nearest; those of a neighbour (among its k1 / 2 nearest) join when more
    than two thirds of them are mutual neighbours already. With k2 > 1 the encoding of an image is the mean over its k2
    nearest, itself included.
    """
    count = len(features)
    mutual, half = _mutual(found.index[:, : k1 + 1]), _mutual(found.index[:, : round(k1 / 2) + 1])
    parts, step = [], max(1, BLOCK_VALUES // count)
    for start in range(0, count, step):
        row, column = _expanded(mutual[start : start + step], half)
        # the distances by which neighbours were ranked; only what joined may lie beyond the lists
        squared = np.full((min(step, count - start), count), np.nan, np.float32)
        np.put_along_axis(squared, found.index[start : start + step], found.squared[start : start + step], axis=1)
        squared = squared[row, column]
        beyond = np.flatnonzero(np.isnan(squared))
        squared[beyond] = _squared_distances(features, start + row[beyond], column[beyond])
        # float32 from here on: equal encodings are then at the authors' distance, 0 or some 1e-7, which eps depends on
        weight = np.exp(-((squared / found.farthest[start + row]) ** power))
        first = np.flatnonzero(np.diff(row, prepend=-1))
        parts.append((weight / np.add.reduceat(weight, first)[row], row + start, column))
    weight, row, column = (np.concatenate(part) for part in zip(*parts, strict=True))
    encoded = sparse.csr_array((weight, (row, column)), shape=(count, count))
    if k2 > 1:
        near = found.index[:, :k2]
        chosen = (np.ones(near.size, np.float32), near.ravel(), np.arange(count + 1) * near.shape[1])
        encoded = sparse.csr_array(chosen, shape=(count, count)) @ encoded
        encoded.data /= np.float32(near.shape[1])
    encoded.sort_indices()
    return encoded


def _expanded(mutual: sparse.csr_array, half: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the (b, N) mutual neighbours and of what joins them, in the order of rows, then columns."""
    rows, count = mutual.shape
    member = np.zeros((rows, count), bool)
    owner = np.repeat(np.arange(rows), np.diff(mutual.indptr))
    member[owner, mutual.indices] = True
    # each mutual neighbour of each image brings its own
    pair, place = ragged(half.indptr, mutual.indices)
    brought = half.indices[place]
    overlap = np.bincount(pair, weights=member[owner[pair], brought], minlength=len(owner))
    joins = (overlap > 2 / 3 * np.diff(half.indptr)[mutual.indices])[pair]
    member[owner[pair[joins]], brought[joins]] = True
    row, column = np.nonzero(member)
    return row, column


def _mutual(index: np.ndarray) -> sparse.csr_array:
    """(N, K) neighbour lists -> (N, N) sparse bool: whether two images have each other in their lists."""
    count, k = index.shape
    lists = sparse.csr_array((np.ones(index.size, bool), index.ravel(), np.arange(count + 1) * k), shape=(count, count))
    both = lists.multiply(lists.T).tocsr()
    both.sort_indices()
    return both


def ragged(indptr: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The CSR rows ``chosen``, one after the other: for each entry, which of the chosen it is of, and its place."""
    lengths = (indptr[1:] - indptr[:-1])[chosen]
    which = np.repeat(np.arange(len(chosen)), lengths)
    first = np.repeat(indptr[:-1][chosen] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return which, first + np.arange(len(which))


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
    return far / far.max()


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
            shared = np.zeros((stop - start, count), np.float32)
            for i in range(start, stop):
                own = slice(encoded.indptr[i], encoded.indptr[i + 1])
                entry, place = ragged(by_column.indptr, encoded.indices[own])
                smaller = np.minimum(encoded.data[own][entry], by_column.data[place])
                np.add.at(shared[i - start], by_column.indices[place], smaller)
            yield start, np.maximum(1 - shared / (2 - shared), 0)
            bar.update(stop - start)
