"""How well pixels are labelled: one confusion matrix over a whole set, and the figures that come from it."""

from dataclasses import dataclass

import numpy as np

from mutual.base.errors import InputError

IGNORED = 255  # the label of pixels that count nowhere


def confusion(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 numbers of pixels, row: target, column: prediction; matrices of several images are added up.

    ``targets`` and ``predictions``: integers 0 .. C - 1 of the same shape; where a target is 255 the pixel is left out.
    Raises :class:`InputError` for another label.
    """
    counted = targets != IGNORED
    rows, columns = targets[counted].astype(np.int64), predictions[counted].astype(np.int64)
    for what, labels in (("targets", rows), ("predictions", columns)):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise InputError(f"{what}: expected labels 0 to {classes - 1}, got {labels.min()} to {labels.max()}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class Figures:
    """Shares in 0 .. 1; NaN where nothing is to be divided."""

    pixel_accuracy: float
    class_accuracy: np.ndarray  # (C,) float64, of a target's pixels those predicted as it
    iou: np.ndarray  # (C,) float64; NaN where a class is neither a target nor predicted
    mean_iou: float  # of all classes: one NaN makes it NaN, as in the authors' code
    present_iou: float  # of those that are no NaN


def figures(matrix: np.ndarray) -> Figures:
    """The figures of a (C, C) confusion matrix. IoU: diagonal / (row + column - diagonal)."""
    right, targets, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = _share(right, targets + predicted - right)
    present = iou[~np.isnan(iou)]
    return Figures(
        float(_share(right.sum(), targets.sum())),
        _share(right, targets),
        iou,
        float(iou.mean()),
        float(present.mean()) if present.size else float("nan"),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
