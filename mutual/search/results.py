"""What a search found, and tables as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.columns import write_table

NOTHING = "nothing else lies in the gallery"


@dataclass(frozen=True)
class Found:
    """The gallery's images nearest to one query, nearest first."""

    query: Path  # as the user named it
    inside: bool  # whether the query is one of the gallery's own images
    files: list[str]  # (K,) posix paths below the gallery
    distance: np.ndarray  # (K,) float32, squared Euclidean distance of L2-normalised features: 0 .. 4


def write_results(path: Path, found: Sequence[Found]) -> None:
    """Write query, rank from 1, file and distance."""
    rows = [
        (str(one.query), rank, file, f"{distance:.6f}")
        for one in found
        for rank, (file, distance) in enumerate(zip(one.files, one.distance.tolist(), strict=True), start=1)
    ]
    write_table(path, ["query", "rank", "file", "distance"], rows)
