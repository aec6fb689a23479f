"""The k-reciprocal Jaccard distance (Zhong et al., 2017), as the authors' code computes it, without an N x N matrix.

It compares the encodings of two images by their mutual neighbours; distances are handed out in blocks of rows.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numba import njit, prange
from scipy import sparse

from mutual.base.progress import Progress

BLOCK_VALUES = 1 << 24  # of a block of rows: 64 MB of float32
ROUNDING = np.float32(1e-6)  # distances below it are those of equal encodings

Blocks = Iterable[tuple[int, np.ndarray]]  # (first row, (b, N) float32 distances to all images)


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


def with_source(blocks: Blocks, far: np.ndarray, share: float) -> Blocks:
    """(1 - share) of each block's distances + share of how far both images are from the source.

    ``far`` (N,) says how far each image is, 0 .. 1.
    """
    for start, block in blocks:
        rows = slice(start, start + len(block))
        yield start, (1 - share) * block + share * (far[rows, None] + far[None, :])


def jaccard_rows(encoded: sparse.csr_array, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks (first row, (b, N) float32) of the first ``rows`` rows of Jaccard distances, 0 .. 1.

    1 - s / (2 - s), s the sum of the smaller of both weights over all that two encodings hold. Below 1e-6 it is 0: what
    equal encodings come out as, 0 or some 1e-7, depends on the order of the rows. The authors' rule for eps counts the
    one and not the other, so that their eps depends on that order, too.
    """
    count = encoded.shape[0]
    columns = by_columns(encoded)
    step = max(1, BLOCK_VALUES // count)
    with Progress(total=rows, desc="Jaccard distances", unit="img") as bar:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            starts = encoded.indptr[start : stop + 1]
            yield start, _jaccard(starts, encoded.indices, encoded.data, *columns, count)
            bar.update(stop - start)


def by_columns(encoded: sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each column begins, whose rows hold something in it, ascending, and what."""
    matrix = encoded.tocsc()
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
            distance = one - shared[j] / (two - shared[j])
            shared[j] = distance if distance >= ROUNDING else np.float32(0)
    return distances
