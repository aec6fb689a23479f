"""What a round's teachers found, kept so that a page, a search or a statistic needs no network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mutual.base.store import write_array
from mutual.evaluation.ranking import Nearest, Ranking

KEPT = 50  # nearest gallery images of each query


def write_ranking(folder: Path, peer: int, ranking: Ranking, nearest: Nearest) -> None:
    """Write a peer's ``nearest`` (Q, 50) int32, ``distances`` (Q, 50) float32, ``average_precision`` (Q,) float64."""
    write_array(folder / f"peer{peer}.nearest.npy", nearest.row)
    write_array(folder / f"peer{peer}.distances.npy", nearest.distance)
    write_array(folder / f"peer{peer}.average_precision.npy", ranking.average_precision)


def write_features(folder: Path, peer: int, features: Mapping[str, np.ndarray]) -> None:
    """Write a peer's (N, D) float32 L2-normalised features of each split."""
    for split, array in features.items():
        write_array(folder / f"peer{peer}.{split}.npy", array)
