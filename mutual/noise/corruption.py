"""Wrong labels: which images get one, and which one; by Ye et al. (IEEE TIP 31, 2022) and Han et al. (NeurIPS 2018).

Labels are (N,) int64 classes 0 .. C - 1, at least two.
"""

from typing import Literal

import numpy as np

from mutual.base.errors import InputError
from mutual.machine.streams import numpy_stream

Kind = Literal["random", "pattern", "symmetric", "pair"]


def corrupted(labels: np.ndarray, kind: Kind, ratio: float, second: np.ndarray, seed: int) -> np.ndarray:
    """(N,) labels of which about ``ratio`` are wrong; ``second`` are (N,) the labels that pattern noise gives.

    Of one seed the images are the same for random and pattern noise, and those of a lower ratio are among those of a
    higher one. Raises :class:`InputError` for labels of one class.
    """
    if labels.max() == labels.min():
        raise InputError(f"the training images are all of one identity: expected two at least for {kind} noise")
    chance, others = numpy_stream(seed, "which labels are wrong"), numpy_stream(seed, "which labels they are")
    match kind:
        case "random":
            return replaced(labels, other_labels(labels, others), ratio, chance)
        case "pattern":
            return replaced(labels, second, ratio, chance)
        case "symmetric":
            return np.where(chance.random(len(labels)) < ratio, other_labels(labels, others), labels)
        case "pair":
            return np.where(chance.random(len(labels)) < ratio, (labels + 1) % (labels.max() + 1), labels)


def replaced(labels: np.ndarray, others: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """The labels, with those of ``others`` at round(ratio n) of the n images of each class; a half rounds to even."""
    found = labels.copy()
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        wrong = rows[: round(ratio * len(rows))]
        found[wrong] = others[wrong]
    return found


def other_labels(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) a class for each image, any but its own, each as likely."""
    drawn = rng.integers(0, labels.max(), len(labels))
    return drawn + (drawn >= labels)


def second_label(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) what a network of (N, C) logits takes each image for: its best class or, where that is right, the second."""
    order = np.argsort(-logits, axis=1, kind="stable")
    return np.where(order[:, 0] == labels, order[:, 1], order[:, 0])
