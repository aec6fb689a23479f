"""What is kept of a run: what its network 1 made of all images after each epoch that was tested."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutual.base.store import read_array


def epochs_tested(epochs: int, every: int) -> list[int]:
    """The epochs, from 1, after which a run is tested: each so many, and the last."""
    return [epoch for epoch in range(1, epochs + 1) if epoch % every == 0 or epoch == epochs]


@dataclass(frozen=True)
class Run:
    """What network 1 made of the images after each epoch that was tested, K of them."""

    query: np.ndarray  # (K, Q, D) float32, of length 1
    gallery: np.ndarray  # (K, G, D) float32
    predicted: np.ndarray  # (K, N) int64 classes of the training images


def read_run(folder: Path, epochs: int, train: int, query: int, gallery: int) -> Run:
    """What a run wrote. Raises :class:`InputError` for arrays of another form."""

    def features(split: str, count: int) -> np.ndarray:
        return read_array(folder / f"{split}.npy", dtype=np.float32, shape=(epochs, count, None), finite=True)

    predicted = read_array(folder / "predicted.npy", dtype=np.int64, shape=(epochs, train))
    return Run(features("query", query), features("gallery", gallery), predicted)
