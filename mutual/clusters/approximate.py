"""Nearest neighbours of a million images, most of them right, by Faiss's inverted lists."""

import faiss
import numpy as np

from mutual.clusters.neighbours import Neighbours

IMAGES_A_LIST = 64  # that its centre is learned from
PROBED = 32  # lists that are searched for an image's neighbours
SAMPLE = 4096  # images among which the farthest is sought
BLOCK_VALUES = 1 << 24  # of distances to these: 64 MB of float32


def nearly_nearest(features: np.ndarray, k: int) -> Neighbours:
    """What :func:`mutual.clusters.neighbours.nearest` finds among (N, D) float32 features, but for some neighbours.

    k-means divides the images into 4 sqrt(N) lists at most, 39 images to a list at least; an image's neighbours are
    sought in the 32 lists whose centres are nearest to it, and its farthest among 4,096 of the images. On the CPU.
    """
    points = np.ascontiguousarray(features, np.float32)
    count = len(points)
    lists = max(1, min(round(4 * count**0.5), count // 39))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(points.shape[1]), points.shape[1], lists)
    index.train(points[_spread(count, IMAGES_A_LIST * lists)])
    index.add(points)
    index.nprobe = PROBED
    squared, found = index.search(points, k)
    few = np.flatnonzero(found[:, -1] < 0)  # whose lists hold fewer than k images
    if len(few):
        squared[few], found[few] = faiss.knn(points[few], points, k)
    order = np.lexsort((found, squared))  # of equals the lower row
    return Neighbours(
        np.take_along_axis(found, order, 1), np.take_along_axis(squared, order, 1), _farthest(points).clip(min=0)
    )


def _spread(count: int, most: int) -> slice:
    """Rows from first to last at equal steps, about as many as ``most``, or all."""
    return slice(None, None, max(1, count // most))


def _farthest(points: np.ndarray) -> np.ndarray:
    """(N,) float32 squared distance of the farthest in the sample."""
    sample = points[_spread(len(points), SAMPLE)]
    norms, farthest = np.square(sample).sum(1), np.empty(len(points), np.float32)
    rows = max(1, BLOCK_VALUES // len(sample))
    for start in range(0, len(points), rows):
        block = points[start : start + rows]
        farthest[start : start + rows] = np.square(block).sum(1) + (norms - 2 * block @ sample.T).max(1)
    return farthest
