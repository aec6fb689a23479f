"""The images of a gallery nearest to pictures that the user names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mutual.base.store import existing
from mutual.datasets.packing import decode
from mutual.search.gallery import Gallery
from mutual.search.results import Found
from mutual.search.teachers import Teachers


def ranked(
    gallery: Gallery, queries: Sequence[Path], teachers: Teachers, count: int, *, itself: bool = False
) -> list[Found]:
    """The ``count`` images nearest to each query, all where the gallery has fewer.

    A query that is one of the gallery's own images has the feature of its row, so that it is found at distance 0; with
    ``itself`` it is among what it found, else it is left out. Raises :class:`InputError` for the first query that
    cannot be read.
    """
    own = dict(zip(gallery.embedded.files, range(len(gallery.embedded.files)), strict=True))
    names = [_names_in(gallery.listing.folder, existing(query)) for query in queries]
    rows = [next((own[name] for name in found if name in own), None) for found in names]
    outside = [query for query, row in zip(queries, rows, strict=True) if row is None]
    features = iter(_embedded(outside, teachers))
    wanted = [next(features) if row is None else gallery.embedded.features[row] for row in rows]
    nearest, distances = gallery.index.search(np.stack(wanted), count + 1)
    ranks = []
    for query, row, near, distance in zip(queries, rows, nearest, distances, strict=True):
        kept = (near >= 0 if itself or row is None else near != row).nonzero()[0][:count]
        files = [gallery.embedded.files[each] for each in near[kept]]
        ranks.append(Found(query, row is not None, files, distance[kept]))
    return ranks


def _embedded(queries: Sequence[Path], teachers: Teachers) -> np.ndarray:
    """(Q, D) features of pictures, which are decoded one by one."""
    if not queries:
        return np.empty((0, teachers.length), np.float32)
    return teachers.embed(decode(map(str, queries), teachers.height, teachers.width), "queries")


def _names_in(gallery: Path, query: Path) -> Iterator[str]:
    """The query's posix path below the gallery, as it is named and as links lead to it, where it lies there."""
    for path, folder in ((query.absolute(), gallery.absolute()), (query.resolve(), gallery.resolve())):
        if path.is_relative_to(folder):
            yield path.relative_to(folder).as_posix()
