"""Which images are pseudo-labelled: those of which the labelling network is surest."""

from typing import Literal

import numpy as np

from mutual.refineries.agreement import most_confident

Selection = Literal["global", "per_class"]  # the authors' is global


def selected(confidences: np.ndarray, predicted: np.ndarray, share: float, by: Selection) -> np.ndarray:
    """(N,) bool: the share of the images, 0 .. 1, of (N,) ``confidences`` and ``predicted`` classes (int64).

    ``global``: :func:`mutual.refineries.agreement.most_confident`, the authors' rule. ``per_class``: the share of each
    predicted class, rounded up; of equal ones the first come first.
    """
    if by == "global":
        return most_confident(confidences, share)
    used = np.zeros(len(confidences), bool)
    for name in np.unique(predicted):
        rows = np.flatnonzero(predicted == name)
        count = int(np.ceil(round(share * len(rows), 9)))  # 0.2 x 15 is not quite 3
        used[rows[np.argsort(-confidences[rows], kind="stable")[:count]]] = True
    return used
