"""What to set for a data set that nobody has tried: rules of thumb, each said with what it stands on."""

import numpy as np

from mutual.images.index import UNKNOWN, Index

LONG, SHORT = 256, 128  # pixels of the longer side: the paper's, and where pictures have no more
STEP = 32  # pixels of the images that become one of the last feature map, when its stride is 2
PER_IDENTITY = 20  # images: the published sets have 17 (market1501) to 31 (msmt17)
MANY = 100  # images of an identity: where so few have so many, folders may be no identities
FEW, DEMO = 500, 5_000  # training images: below, little is to be expected; up to which the demo's settings are meant
KMEANS, DBSCAN, CPU = "dukemtmc2market1501", "dukemtmc2market1501-mmt-plus", "demo"  # presets


def advised_size(widths: np.ndarray, heights: np.ndarray) -> tuple[int, int]:
    """image_height and image_width for pictures of these sizes (N,), in pixels.

    The longer side has 256 pixels, or 128 where half of the pictures have fewer than that; the other follows from the
    median shape, in steps of 32.
    """
    longer = LONG if np.median(np.maximum(widths, heights)) >= SHORT else SHORT
    shape = float(np.median(widths / heights))
    shorter = max(STEP, STEP * round(longer * min(shape, 1 / shape) / STEP))
    return (longer, shorter) if shape <= 1 else (shorter, longer)


def advised_clusters(train: Index) -> tuple[int, str]:
    """The number of clusters for these training images, and what it stands on."""
    known = len(np.unique(train.pid[train.pid != UNKNOWN]))
    if known > 1:
        return min(known, max(2, len(train) // 2)), "the identities of train"
    guessed = max(2, round(len(train) / PER_IDENTITY))
    return guessed, f"{PER_IDENTITY} images an identity, as in published sets; take the number that you expect"


def advice(train: Index, widths: np.ndarray, heights: np.ndarray) -> list[str]:
    """Lines with what to set in params.yaml, each with its rule. All of them are guesses."""
    height, width = advised_size(widths, heights)
    clusters, stands_on = advised_clusters(train)
    known = len(np.unique(train.pid[train.pid != UNKNOWN]))
    preset, method = (KMEANS, "k-means") if known > 1 else (DBSCAN, "DBSCAN, as the number of identities is not known")
    lines = [
        f"image_height: {height}, image_width: {width}: the longer side {LONG}, or {SHORT} where half of the pictures"
        f" have less than {SHORT}, the other by their median shape; on a CPU a half or a quarter of both",
        f"clusters: {clusters}: {stands_on}; or clustering: dbscan, which needs no number",
        f"preset {preset} on a GPU: {method}; preset {CPU} on a CPU, up to {DEMO:,} images",
    ]
    if 1 <= known <= 3 and len(train) >= MANY * known:
        named = f"{known} {'identity' if known == 1 else 'identities'} of {len(train) // known:,} images"
        lines.append(f"{named}: individuals, or splits, or whole data sets?")
    if len(train) < FEW:
        lines.append(f"{len(train):,} training images are few: published results are of 10,000 and more")
    return lines
