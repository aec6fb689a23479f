"""Which camera's query finds which camera's image first."""

import numpy as np

from mutual.images.index import Index


def confusion(nearest: np.ndarray, query: Index, gallery: Index, cameras: np.ndarray) -> np.ndarray:
    """How often rank 1 was right and wrong: (C, C, 2) int64 by the query's camera, the found image's, right or wrong.

    ``nearest`` is (Q, K) rows of the gallery, nearest first; queries that found nothing (-1) do not count. ``cameras``
    are the (C,) camids, sorted.
    """
    seen = nearest[:, 0] >= 0
    first = nearest[seen, 0]
    wrong = (query.pid[seen] != gallery.pid[first]).astype(np.int64)
    places = np.searchsorted(cameras, query.camid[seen]), np.searchsorted(cameras, gallery.camid[first]), wrong
    counts = np.zeros((len(cameras), len(cameras), 2), np.int64)
    np.add.at(counts, places, 1)
    return counts
