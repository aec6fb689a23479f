"""Which pixels of a network's labels are kept: per class those of which it is most sure, found in constant memory.

Class-balanced selection of Zou et al. (ECCV 2018) as DMT's authors have it (Feng et al., Pattern Recognition 130,
2022). The thresholds are exact: among all confidences of a class the one in a given place of their order.
"""

from collections.abc import Callable, Iterable

import numpy as np

from mutual.base.errors import InputError
from mutual.segmentation.iou import IGNORED

LOWEST = np.float32(1e-5)  # the threshold where the share of a class is less than a pixel
HALF = 15  # bits; floats in 0 .. 2 without 2 are ordered as their lowest 30 bits are, as whole numbers
BINS = 1 << HALF

Maps = Iterable[tuple[np.ndarray, np.ndarray]]


def class_thresholds(
    maps: Callable[[], Maps], classes: int, share: float, stride: int, *, together: bool = False
) -> np.ndarray:
    """(classes,) float32: the confidence from which on pixels of each predicted class are kept.

    ``maps()`` gives each image's labels and confidences, arrays of the same shape of integers 0 .. classes - 1 (others
    are passed over) and float32 in 0 .. 1; it is called twice and must give the same. Every ``stride``-th pixel of an
    image, line by line, is looked at. Of a class's n ascending confidences v the threshold is v[-int(share n) - 1];
    v[0] for a share of 1; 1e-5 where share n < 1. ``together``: one threshold for all classes, from all pixels.

    Two passes over bits: the first counts upper halves of the floats, the second the lower halves of those that share
    their upper half with the wanted one. Raises :class:`InputError` for a confidence that is none.
    """
    groups = 1 if together else classes
    upper = np.zeros((groups, BINS), np.int64)
    for labels, bits in _sampled(maps(), classes, stride, together):
        np.add.at(upper.reshape(-1), labels * BINS + (bits >> HALF), 1)
    place = wanted_places(upper.sum(1), share)
    first, place = _found(upper, place)
    lower = np.zeros((groups, BINS), np.int64)
    for labels, bits in _sampled(maps(), classes, stride, together):
        same = (bits >> HALF) == first[labels]
        np.add.at(lower.reshape(-1), labels[same] * BINS + (bits[same] & (BINS - 1)), 1)
    second, _ = _found(lower, place)
    thresholds = (first << HALF | second).astype(np.uint32).view(np.float32)
    return np.broadcast_to(np.where(place < 0, LOWEST, thresholds), classes).copy()


def wanted_places(counts: np.ndarray, share: float) -> np.ndarray:
    """(G,) int64: where the threshold stands among n ascending confidences, -1 where the share is less than one."""
    places = [n - 1 - min(int(share * n), n - 1) if share * n >= 1 else -1 for n in counts.tolist()]
    return np.array(places, np.int64)


def kept_labels(labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The labels, of the same shape and dtype, with 255 where the confidence is below its class's threshold.

    Labels that are no class stay as they are.
    """
    limits = np.zeros(IGNORED + 1, np.float32)
    limits[: len(thresholds)] = thresholds
    return np.where(confidences < limits[labels], IGNORED, labels).astype(labels.dtype)


def _sampled(maps: Maps, classes: int, stride: int, together: bool) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Of each image the groups and the bits of the sampled confidences: (n,) int64 both."""
    for labels, confidences in maps:
        if labels.shape != confidences.shape or confidences.dtype != np.float32:
            raise ValueError(f"{labels.shape} labels, {confidences.shape} {confidences.dtype} confidences")
        taken = labels.reshape(-1)[::stride]
        bits = np.ascontiguousarray(confidences.reshape(-1)[::stride]).view(np.uint32).astype(np.int64)
        known = taken < classes
        taken, bits = taken[known].astype(np.int64), bits[known]
        if bits.size and bits.max() >= BINS**2:  # negative, infinite and NaN have higher bits set
            odd = bits[bits >= BINS**2][:1].astype(np.uint32).view(np.float32)
            raise InputError(f"confidences: expected 0 to 1, got {float(odd[0]):g}")
        yield (np.zeros_like(taken) if together else taken), bits


def _found(counts: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (G, BINS) counts the bin that holds each place, and the place within it: (G,) int64 both; -1 stays."""
    until = counts.cumsum(1)
    found = np.minimum((until <= places[:, None]).sum(1), BINS - 1)
    before = np.where(found > 0, np.take_along_axis(until, np.maximum(found - 1, 0)[:, None], 1)[:, 0], 0)
    return found, np.where(places < 0, -1, places - before)
