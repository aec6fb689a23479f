"""Features and clusters that cannot teach anything, refused with the cause before anything trains on them."""

import numpy as np

from mutual.base.errors import InputError

# of the mean squared length: what varies less is lost in the rounding of float32 distances
LEAST_VARIANCE = float(np.finfo(np.float32).eps)


def check_count(clusters: int, images: int) -> None:
    """Raise :class:`InputError` where there are more clusters than images."""
    if clusters > images:
        raise InputError(f"clusters: {clusters} clusters need as many images, the target's training set has {images}")


def check_features(features: np.ndarray, what: str, clusters: int = 2) -> None:
    """Raise :class:`InputError` naming ``what`` unless the (N, D) float32 features tell images apart.

    They must be finite, none of them 0 throughout, not all the same but for rounding, and at least ``clusters`` of them
    different from each other.
    """
    count = len(features)
    with np.errstate(over="ignore"):
        squared = np.square(features).sum(1, dtype=np.float64)  # (N,) squared lengths
    broken = int((~np.isfinite(squared)).sum())
    if broken:
        raise InputError(
            f"{what}: expected finite numbers, got NaN or infinity in {broken} of {count} images: "
            "the network has diverged, a lower lr may help"
        )
    blank = int((squared == 0).sum())
    if blank:
        raise InputError(f"{what}: {blank} of {count} images have zeros alone: the network sees nothing in them")
    mean = features.mean(0, dtype=np.float64)
    if squared.mean() - mean @ mean <= LEAST_VARIANCE * squared.mean():
        raise InputError(
            f"{what}: those of all {count} images are the same: the network has collapsed, or the images are copies"
        )
    check_count(clusters, count)
    different: set[bytes] = set()
    for row in features:
        different.add(row.tobytes())
        if len(different) == clusters:
            return
    raise InputError(
        f"clusters: {clusters} clusters need as many images that differ, the {what} of {count} images "
        f"are {len(different)} different ones"
    )


def check_clusters(labels: np.ndarray, how: str) -> None:
    """Raise :class:`InputError` unless the (N,) labels, -1 for outliers, name two clusters; ``how`` begins the line."""
    clusters = int(labels.max()) + 1
    if clusters < 2:
        raise InputError(
            f"{how} the {len(labels)} images make {clusters} cluster(s) and {int((labels < 0).sum())} outliers: "
            "expected several clusters"
        )
