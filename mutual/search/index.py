"""The nearest of many features: exactly up to 100,000 of them, beyond by short codes and then exactly.

A code has 32 bytes: product quantisation of the first 128 principal components, 4 bits for each two. Codes are compared
in the processor's registers (André et al., 2015), so that all codes of a million images are looked at in milliseconds;
of the best by code the true distance is computed. Codes are made in seconds and are the same bytes each time, which
graphs (HNSW) that several threads make are not.
"""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from mutual.base.errors import InputError
from mutual.base.progress import Progress
from mutual.base.store import existing, written_beside
from mutual.machine.streams import numpy_stream

EXACT = 100_000  # features up to which the search is exact
CODES = 64  # of 4 bits, each of two principal components
TRAINED_ON = 65_536  # features that principal components and codes are learned from
CANDIDATES = 256  # by code, whose true distance is computed: so many, or 10 for each that is asked for
BLOCK = 16_384  # features in memory at a time
SAMPLE = 200  # queries that recall is measured with
NEIGHBOURS = 10  # of each


@dataclass(frozen=True)
class Index:
    """Searches (N, D) float32 L2-normalised features; ``codes`` is Faiss's index of them, None for an exact search."""

    features: np.ndarray
    codes: faiss.Index | None = None

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (Q, K) int64 and squared distances (Q, K) float32, 0 .. 4, of the nearest; K is ``count``, or N if less.

        ``queries`` is (Q, D) float32 L2-normalised. Distances are those of the features themselves, 0 for one of their
        own; of equals the lower row comes first.
        """
        count = min(count, len(self.features))
        if self.codes is None:
            _, rows = faiss.knn(queries, self.features, count)
        else:
            _, rows = self.codes.search(queries, min(len(self.features), max(CANDIDATES, 10 * count)))
        found = [_nearest(query, self.features, row, count) for query, row in zip(queries, rows, strict=True)]
        return np.stack([row for row, _ in found]), np.stack([distance for _, distance in found])


def _nearest(query: np.ndarray, features: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` nearest of the (D,) query among these rows, by their true distance."""
    rows = np.sort(rows[rows >= 0])
    distance = np.square(features[rows] - query).sum(1, dtype=np.float32)
    order = np.argsort(distance, kind="stable")[:count]
    return rows[order], distance[order]


def coded(features: np.ndarray) -> faiss.Index:
    """Faiss's index of the codes of (N, D) float32 features, N at least some thousands; they may be memory-mapped."""
    codes = min(CODES, features.shape[1] // 2)
    index = faiss.index_factory(features.shape[1], f"PCA{2 * codes},PQ{codes}x4fs")
    index.train(_drawn(features, TRAINED_ON, "codes"))
    for start in Progress(range(0, len(features), BLOCK), desc="index", unit="block"):
        index.add(np.array(features[start : start + BLOCK]))
    return index


def recall(index: Index) -> float:
    """The share, 0 .. 1, of the 10 images nearest to an image of the index, itself not counted, that a search finds.

    Mean over 200 images, drawn in the same way each time, against an exact search.
    """
    queries = _drawn(index.features, SAMPLE, "recall")
    rows, _ = Index(index.features).search(queries, NEIGHBOURS + 1)
    found, _ = index.search(queries, NEIGHBOURS + 1)
    # the first is the image itself, or its equal
    shares = [len({*a} & {*b}) / len(a) for a, b in zip(rows[:, 1:].tolist(), found[:, 1:].tolist(), strict=True)]
    return float(np.mean(shares))


def write_codes(path: Path, codes: faiss.Index) -> None:
    """Write Faiss's index."""
    with written_beside(path) as temporary:
        temporary.write_bytes(faiss.serialize_index(codes).data)


def read_codes(path: Path, features: np.ndarray) -> faiss.Index:
    """Faiss's index of these features. Raises :class:`InputError` where the file is none."""
    try:
        codes = faiss.deserialize_index(np.fromfile(existing(path), np.uint8))
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: expected an index of Faiss: {str(error).splitlines()[0]}") from None
    if (codes.ntotal, codes.d) != features.shape:
        raise InputError(f"{path}: expected an index of {features.shape} features, found {(codes.ntotal, codes.d)}")
    return codes


def _drawn(features: np.ndarray, count: int, purpose: str) -> np.ndarray:
    """So many of the features, all where there are fewer, in their order."""
    rows = numpy_stream(0, purpose).choice(len(features), min(count, len(features)), replace=False)
    return np.array(features[np.sort(rows)])
