"""The images of a gallery nearest to pictures that the user names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mutual.base.store import existing
from mutual.datasets.packing import decode
from mutual.search.gallery import Gallery
from mutual.search.results import Found
from mutual.search.teachers import Teachers


def read_queries(queries: Sequence[Path], teachers: Teachers) -> np.ndarray:
    """The pictures, (Q, height, width, 3) uint8. Raises :class:`InputError` for the first that cannot be read."""
    return decode((str(existing(query)) for query in queries), teachers.height, teachers.width)


def ranked(
    gallery: Gallery, queries: Sequence[Path], images: np.ndarray, teachers: Teachers, count: int, *, itself: bool
) -> list[Found]:
    """The ``count`` images nearest to each query, all where the gallery has fewer.

    ``images`` are the queries as :func:`read_queries` has them. A query that is one of the gallery's own images has the
    feature of its row, so that it is found at distance 0; with ``itself`` it is among what it found, else it is left
    out.
    """
    own = dict(zip(gallery.embedded.files, range(len(gallery.embedded.files)), strict=True))
    names = [_names_in(gallery.listing.folder, query) for query in queries]
    rows = [next((own[name] for name in found if name in own), None) for found in names]
    features = teachers.embed(images, "queries")
    for place, row in enumerate(rows):
        if row is not None:
            features[place] = gallery.embedded.features[row]
    ranks = []
    for query, row, near, distance in zip(queries, rows, *gallery.index.search(features, count + 1), strict=True):
        kept = (near >= 0 if itself or row is None else near != row).nonzero()[0][:count]
        files = [gallery.embedded.files[each] for each in near[kept]]
        ranks.append(Found(query, row is not None, files, distance[kept]))
    return ranks


def _names_in(gallery: Path, query: Path) -> Iterator[str]:
    """The query's posix path below the gallery, as it is named and as links lead to it, where it lies there."""
    for path, folder in ((query.absolute(), gallery.absolute()), (query.resolve(), gallery.resolve())):
        if path.is_relative_to(folder):
            yield path.relative_to(folder).as_posix()
